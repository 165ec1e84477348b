// The model writes: behind the caret, until it is stopped, and again with what was switched since.
import { $, wholeNumber } from "./elements.js";
import { characters } from "./texts.js";

const BACK = 30;  // texts that Undo goes back to

export class Writer {
  /** `page` has area, reading, paper, inside and what happens around a change of the text. */
  constructor(page) {
    Object.assign(this, { page, area: page.area, active: false, passage: null, past: [] });
    $("write").addEventListener("click", () => this.toggle());
    $("again").addEventListener("click", () => this.again());
    $("undo").addEventListener("click", () => this.back());
    $("clear").addEventListener("click", () => {
      this.keep();
      this.replace("");
      $("options").open = false;
      this.area.focus();
    });
    document.addEventListener("keydown", event => { if (event.key === "Escape" && this.active) this.stop(); });
  }

  toggle() { return this.active ? this.stop() : this.write(); }

  options() {
    return {
      length: wholeNumber($("length"), 1, 5000), temperature: Number($("temperature").value),
      top_p: Number($("top-p").value), seed: wholeNumber($("seed"), 0, 2 ** 53 - 2), pace: Number($("pace").value),
    };
  }

  async write(seed) {
    const { area, page } = this, { reading, paper } = page;
    if (this.active) return;
    if (seed === undefined && $("new-seed").checked) $("seed").value = Math.floor(Math.random() * 1e6);
    this.keep();
    this.set(true);
    page.quiet();
    const caret = area.selectionEnd, tail = area.value.slice(caret);
    await page.guard(async () => {
      // what stands behind the caret goes, and comes back when the writing is over
      await reading.send(() => area.value.slice(0, caret), () => caret, 0);
      let at = caret, waiting = "", asked = 0;
      const show = () => {
        asked = 0;
        if (!this.active || !waiting) return;
        area.setRangeText(waiting, at, at, "preserve");
        at += waiting.length;
        waiting = "";
        this.passage = { start: caret, end: at };
        area.setSelectionRange(at, at);
        paper.follow();
        if (!tail) paper.keepEnd();
      };
      await reading.write(this.options(), event => {
        if (!this.active) return;  // it was stopped: what still comes is taken back
        waiting += event.text;
        asked ||= requestAnimationFrame(show);
      });
      show();
    });
    this.set(false);
    page.changedText();
    page.status();
    page.here();
    await page.send(false);
  }

  set(on) {
    this.active = on;
    $("write").textContent = on ? "Stop" : "Write";
    $("write").setAttribute("aria-pressed", String(on));
    $("again").disabled = on || !this.passage;
    $("undo").disabled = on || !this.past.length;
    if (!on) this.page.inside.list();
  }

  stop() {
    this.page.reading.stop();
    this.set(false);
  }

  /** Take what was written last away and write again with the same seed: what the switches change is seen. */
  async again() {
    if (this.active || !this.passage) return;
    const { area } = this, { start, end } = this.passage;
    this.keep();
    area.setRangeText("", start, Math.min(end, area.value.length), "end");
    area.setSelectionRange(start, start);
    this.page.paper.follow();
    await this.write(Number($("seed").value));
    this.past.pop();  // one step back undoes both
    $("undo").disabled = !this.past.length;
  }

  keep() {
    this.past.push(this.area.value);
    this.past = this.past.slice(-BACK);
    $("undo").disabled = false;
  }

  back() {
    const text = this.past.pop();
    if (text !== undefined) this.replace(text);
    $("undo").disabled = !this.past.length;
  }

  replace(text) {
    this.area.value = text;
    this.area.setSelectionRange(text.length, text.length);
    this.forget();
    this.page.typed();
  }

  /** The passage that was written last is not what it was: there is nothing to write again. */
  forget() {
    this.passage = null;
    $("again").disabled = true;
  }

  /** Where a new switch begins: here and now while the model writes, else at the passage or at the caret. */
  from() {
    if (this.active) return { begin: null };
    const { selectionStart: caret, value } = this.area;
    const place = this.passage && caret === this.passage.end ? this.passage.start : caret;
    return { begin: characters(value, place) };
  }
}
