// The writing page: what is typed is read by the model at once, and the model writes on.
import { colouring, legend } from "./colours.js";
import { Inside } from "./inside.js";
import { Keypad, Offers } from "./offers.js";
import { Paper } from "./paper.js";
import { Reading } from "./reading.js";
import { answer } from "./server.js";
import { characters, visible } from "./texts.js";
import { Tune } from "./tune.js";

const $ = name => document.getElementById(name);
const WAIT = 45, OFFERED = 5;  // milliseconds after a key; words
const area = $("text");
const memory = {
  get(name) { try { return JSON.parse(localStorage.getItem(`unspool ${name}`)); } catch { return null; } },
  set(name, value) { try { localStorage.setItem(`unspool ${name}`, JSON.stringify(value)); } catch { /* full, or forbidden */ } },
};

// ---- light and dark -------------------------------------------------------------------------------------------------

const dark = matchMedia("(prefers-color-scheme: dark)");
function theme(chosen) {
  document.documentElement.dataset.theme = chosen ?? (dark.matches ? "dark" : "light");
}
theme(memory.get("theme"));
dark.addEventListener("change", () => { theme(memory.get("theme")); page?.recolour(); });
$("theme").addEventListener("click", () => {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  memory.set("theme", next);
  theme(next);
  page?.recolour();
});

// ---- the page -------------------------------------------------------------------------------------------------------

class Page {
  constructor(about) {
    Object.assign(this, { about, timer: 0, saving: 0, writing: false, passage: null, past: [], dismissed: false });
    this.reading = new Reading(start => this.read(start));
    this.paper = new Paper($("paper"), $("mirror"), area, this.reading);
    this.inside = new Inside(about, this.reading, {
      choose: layer => this.choose({ layer }), from: () => this.from(), writing: () => this.writing,
      guard: act => this.guard(act), changed: () => this.recolour(),
    });
    this.offers = new Offers($("offers"), one => this.take(one));
    this.keypad = new Keypad($("keypad"), {
      insert: text => this.insert(text), remove: () => this.remove(), offers: keys => this.offersOn(keys),
      shown: (words, chosen, pressed) => this.showKeys(words, chosen, pressed),
    });
    this.tune = new Tune({ section: $("tune"), staff: $("staff"), play: $("play"), title: $("title"), error: $("tune-error") });
  }

  async begin() {
    const { about } = this;
    $("name").textContent = about.name.split("/").filter(Boolean).pop() ?? "unspool";
    $("name").title = about.name;
    $("model").textContent = about.model;
    document.title = `${$("name").textContent}: writing`;
    $("app").hidden = false;
    const kept = memory.get(`text of ${about.name}`) ?? {};
    area.maxLength = about.longest;
    area.value = kept.text ?? about.prompt;
    $("temperature").value = kept.temperature ?? about.temperature;
    if (about.places.some(place => place.kind === "attention")) $("colour").add(new Option("attention", "attention"));
    const units = about.places.filter(place => place.kind !== "attention");
    if (units.length) $("colour").add(new Option("a unit", "unit"));
    $("place").replaceChildren(...units.map(place => new Option(place.name, place.path)));
    $("place").value = (units.find(place => place.path.endsWith(".hidden")) ?? units[0])?.path ?? "";
    $("colour").value = "surprise";
    this.reading.look = { layer: this.inside.usual(), place: "", unit: 0 };
    this.inside.show(this.reading.look.layer);
    this.listen();
    this.outputs();
    area.setSelectionRange(area.value.length, area.value.length);
    this.paper.follow();
    await this.send(false);
    if (matchMedia("(pointer: coarse) and (max-width: 820px)").matches) this.toggleKeypad(true);
    else area.focus();
    this.paper.keepEnd();
    document.documentElement.dataset.ready = "yes";
  }

  listen() {
    area.addEventListener("input", () => this.typed());
    area.addEventListener("keydown", event => this.key(event));
    document.addEventListener("selectionchange", () => this.here());
    document.addEventListener("keydown", event => { if (event.key === "Escape" && this.writing) this.stop(); });
    document.addEventListener("pointerdown", event => { if (!event.target.closest("details")) $("options").open = false; });
    $("options").addEventListener("keydown", event => {
      if (event.key === "Escape") { $("options").open = false; $("options").querySelector("summary").focus(); }
    });
    $("write").addEventListener("click", () => this.writing ? this.stop() : this.write());
    $("again").addEventListener("click", () => this.again());
    $("undo").addEventListener("click", () => this.back());
    $("clear").addEventListener("click", () => { this.keep(); this.replace(""); $("options").open = false; area.focus(); });
    $("keys").addEventListener("click", () => this.toggleKeypad($("keypad").hidden));
    for (const name of ["temperature", "top-p"]) $(name).addEventListener("input", () => this.outputs());
    $("colour").addEventListener("change", () => this.chooseColour());
    $("place").addEventListener("change", () => { $("unit").value = 0; this.chooseColour(); });
    $("unit").addEventListener("change", () => this.chooseColour());
    $("unit-before").addEventListener("click", () => this.stepUnit(-1));
    $("unit-after").addEventListener("click", () => this.stepUnit(1));
    addEventListener("pagehide", () => this.save());
  }

  outputs() {
    for (const name of ["temperature", "top-p"]) $(name).parentNode.querySelector("output").textContent = Number($(name).value).toFixed(2);
  }

  // ---- typing -------------------------------------------------------------------------------------------------------

  typed() {
    if (this.writing) this.stop();
    this.dismissed = false;
    this.paper.suggest("", 0);
    this.offers.show([]);
    if (this.keypad.pressed) this.keypad.clear();
    this.changedText();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send(true), WAIT);
  }

  changedText() {
    this.paper.follow();
    clearTimeout(this.saving);
    this.saving = setTimeout(() => this.save(), 400);
    this.tune.follow(area.value, area.selectionStart);
  }

  save() {
    memory.set(`text of ${this.about.name}`, { text: area.value, temperature: $("temperature").value });
  }

  /** The caret, where a suggestion makes sense: behind the last letter of a word, or between words. */
  wanted() {
    const { selectionStart: caret, selectionEnd: end, value } = area;
    return caret === end && !/[\p{L}\p{N}_'’]/u.test(value[caret] ?? " ");
  }

  async send(suggest) {
    const caret = area.selectionStart, text = area.value, wanted = suggest && this.wanted() && !this.writing;
    await this.guard(async () => {
      const found = await this.reading.send(() => area.value, () => area.selectionStart, wanted ? OFFERED : 0);
      if (!wanted || text !== area.value || caret !== area.selectionStart || this.dismissed || this.keypad.pressed) return;
      this.offers.show(found);
      this.paper.suggest(found[0]?.rest, caret);
    });
  }

  async guard(act) {
    try {
      const found = await act();
      $("error").hidden = true;
      return found;
    } catch (error) {
      if (error.name === "AbortError") return null;
      $("error").textContent = `${error.message.charAt(0).toUpperCase()}${error.message.slice(1)}.`.replace("..", ".");
      $("error").hidden = false;
      if (error.status === undefined) console.error(error);
      return null;
    }
  }

  key(event) {
    const { offers } = this;
    if (event.key === "Tab" && !event.shiftKey && !event.ctrlKey && !event.altKey && (this.keypad.pressed || offers.found.length)) {
      event.preventDefault();
      if (this.keypad.pressed) this.keypad.accept(); else offers.accept(0);
    } else if (event.altKey && /^Digit[1-5]$/.test(event.code) && offers.found[Number(event.code[5]) - 1]) {
      event.preventDefault();
      offers.accept(Number(event.code[5]) - 1);
    } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      if (this.writing) this.stop(); else this.write();
    } else if (event.key === "Escape" && !this.writing) {
      if (this.keypad.pressed) this.keypad.clear();
      else if (offers.found.length) { this.dismissed = true; offers.show([]); this.paper.suggest("", 0); }
      else area.blur();
    }
  }

  /** Put text at the caret, as if it had been typed: the browser's own undo takes it back. */
  insert(text) {
    const focused = document.activeElement === area;
    area.focus({ preventScroll: true });
    if (!document.execCommand("insertText", false, text)) {
      area.setRangeText(text, area.selectionStart, area.selectionEnd, "end");
      this.typed();
    }
    if (!focused && !$("keypad").hidden) area.blur();
  }

  remove() {
    const { selectionStart: caret, selectionEnd: end } = area;
    if (caret === end && !caret) return;
    if (caret === end) area.setSelectionRange(caret - (/[\udc00-\udfff]/.test(area.value[caret - 1]) ? 2 : 1), caret);
    area.setRangeText("", area.selectionStart, area.selectionEnd, "end");
    this.typed();
  }

  take(one) {
    if (this.keypad.pressed) return this.keypad.accept(one);
    this.insert(one.rest);
    return null;
  }

  // ---- the keys of a phone ------------------------------------------------------------------------------------------

  toggleKeypad(open) {
    $("keypad").hidden = !open;
    $("keys").setAttribute("aria-pressed", String(open));
    area.inputMode = open ? "none" : "text";  // a phone's own keyboard stays away
    this.keypad.clear();
  }

  async offersOn(keys) {
    await this.send(false);
    return await this.guard(() => this.reading.offers(area.selectionStart, keys, OFFERED)) ?? [];
  }

  showKeys(words, chosen, pressed) {
    const ordered = [...words.slice(chosen), ...words.slice(0, chosen)];
    this.offers.show(ordered);
    if (pressed && !words.length) $("offers").textContent = `${pressed}: no word`;
    this.paper.suggest(ordered[0]?.rest ?? pressed, area.selectionStart);
  }

  // ---- writing ------------------------------------------------------------------------------------------------------

  options() {
    return { length: clampNumber($("length"), 1, 5000), temperature: Number($("temperature").value),
             top_p: Number($("top-p").value), seed: clampNumber($("seed"), 0, 2 ** 53 - 2), pace: Number($("pace").value) };
  }

  async write(seed) {
    if (this.writing) return;
    if (seed === undefined && $("new-seed").checked) $("seed").value = Math.floor(Math.random() * 1e6);
    this.keep();
    this.setWriting(true);
    this.paper.suggest("", 0);
    this.offers.show([]);
    this.keypad.clear();
    const caret = area.selectionEnd, tail = area.value.slice(caret), start = caret;
    await this.guard(async () => {
      await this.reading.send(() => area.value.slice(0, caret), () => caret, 0);  // what follows comes back at the end
      let at = caret, waiting = "", asked = 0;
      const show = () => {
        asked = 0;
        if (!this.writing || !waiting) return;
        area.setRangeText(waiting, at, at, "preserve");
        at += waiting.length;
        waiting = "";
        this.passage = { start, end: at };
        area.setSelectionRange(at, at);
        this.paper.follow();
        if (!tail) this.paper.keepEnd();
      };
      await this.reading.write(this.options(), event => {
        if (!this.writing) return;  // it was stopped: what is still coming is taken back
        waiting += event.text;
        asked ||= requestAnimationFrame(show);
      });
      show();
    });
    this.setWriting(false);
    this.changedText();
    await this.send(false);
    this.here();
  }

  setWriting(on) {
    this.writing = on;
    $("write").textContent = on ? "Stop" : "Write";
    $("write").setAttribute("aria-pressed", String(on));
    $("again").disabled = on || !this.passage;
    $("undo").disabled = on || !this.past.length;
    if (!on) this.inside.list();
  }

  stop() {
    this.reading.stop();
    this.setWriting(false);
  }

  /** Take what was written last away and write again with the same seed: what the switches change is seen. */
  async again() {
    if (this.writing || !this.passage) return;
    const { start, end } = this.passage;
    this.keep();
    area.setRangeText("", start, Math.min(end, area.value.length), "end");
    area.setSelectionRange(start, start);
    this.paper.follow();
    await this.write(Number($("seed").value));
    this.past.pop();  // one step back undoes both
    $("undo").disabled = !this.past.length;
  }

  keep() {
    this.past.push(area.value);
    this.past = this.past.slice(-30);
    $("undo").disabled = false;
  }

  back() {
    const text = this.past.pop();
    if (text !== undefined) this.replace(text);
    $("undo").disabled = !this.past.length;
  }

  replace(text) {
    area.value = text;
    area.setSelectionRange(text.length, text.length);
    this.passage = null;
    $("again").disabled = true;
    this.typed();
  }

  /** Where a new switch begins: here and now while the model writes, else at the passage or at the caret. */
  from() {
    if (this.writing) return { begin: null };
    const { selectionStart: caret, value } = area;
    const place = this.passage && caret === this.passage.end ? this.passage.start : caret;
    return { begin: characters(value, place) };
  }

  // ---- colours ------------------------------------------------------------------------------------------------------

  async choose(change) {
    const look = { ...this.reading.look, ...change };
    if ("layer" in change) this.inside.show(look.layer);
    await this.guard(() => this.reading.show(look));
  }

  async chooseColour() {
    const kind = $("colour").value;
    $("unit-choice").hidden = kind !== "unit";
    const place = this.about.places.find(one => one.path === $("place").value);
    if (place) $("unit").max = place.size - 1;
    const unit = place ? clampNumber($("unit"), 0, place.size - 1) : 0;
    const next = kind === "unit" ? { place: place.path, unit } : { place: "", unit: 0 };
    if (kind === "attention" && !this.about.places.some(one => one.kind === "attention" && one.layer === this.reading.look.layer)) {
      next.layer = this.inside.usual();
    }
    await this.choose(next);
    this.recolour();
  }

  stepUnit(by) {
    const most = Number($("unit").max);
    $("unit").value = (Number($("unit").value) + by + most + 1) % (most + 1);
    this.chooseColour();
  }

  recolour(start = 0) {
    this.paper.colouring = colouring($("colour").value, this.reading, this.about);
    legend($("legend"), this.paper.colouring);
    this.paper.stale(start);
    this.inside.drawSoon();
    this.here();
  }

  /** The model has read on: from a unit of the text on nothing is as before. */
  read(start) {
    const everywhere = $("colour").value === "attention" || this.paper.colouring === null;
    if (this.writing && $("colour").value !== "attention" && this.paper.colouring) {
      this.paper.stale(start);
      this.inside.drawSoon();
    } else this.recolour(everywhere ? 0 : start);
    if (!this.writing) this.inside.list();
    this.told();
  }

  told() {
    const { ends, tokensRead, unknown } = this.reading, many = count => `${count.toLocaleString("en")} token${count === 1 ? "" : "s"}`;
    const strange = unknown.length ? `, unknown to the model: ${unknown.slice(0, 5).map(visible).join(" ")}${unknown.length > 5 ? " …" : ""}` : "";
    $("read").textContent = this.writing ? `${many(ends.length)}, writing` : `${many(ends.length)}, ${tokensRead.toLocaleString("en")} just read${strange}`;
  }

  /** What is known of the token in front of the caret. */
  here() {
    const { reading } = this, caret = area.selectionStart, at = caret ? reading.tokenAt(caret - 1) : -1;
    if (at < 0 || at >= reading.ends.length || area.value !== reading.base) { $("here").textContent = ""; return; }
    const text = visible(reading.base.slice(at ? reading.ends[at - 1] : 0, reading.ends[at])).slice(0, 24);
    const value = reading.values?.[at];
    $("here").textContent = `${text} ${reading.bits[at].toFixed(2)} bits`
      + (value === undefined || value === null ? "" : `, unit ${reading.look.unit} at ${value.toFixed(2).replace("-", "−")}`);
  }
}

function clampNumber(input, low, high) {
  const value = Math.max(low, Math.min(high, Math.round(Number(input.value) || 0)));
  input.value = value;
  return value;
}

let page = null;

function refuse(message, hint) {
  const box = document.createElement("div"), told = document.createElement("p");
  box.className = "notice";
  told.textContent = `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
  box.append(told);
  if (hint) {
    const use = document.createElement("p"), command = document.createElement("code");
    use.textContent = "Use instead:";
    command.textContent = hint;
    box.append(use, command);
  }
  $("refused").replaceChildren(box);
  $("refused").hidden = false;
  document.documentElement.dataset.ready = "yes";
}

try {
  const about = await answer("GET", "about");
  $("name").textContent = about.name;
  if (about.error) refuse(about.error, about.hint);
  else {
    page = new Page(about);
    await page.begin();
  }
} catch (error) {
  refuse(error.message);
  if (error.status === undefined) console.error(error);
}
