// The writing page: what is typed is read by the model at once, and the model writes on.
import { ColourChoice } from "./colour_choice.js";
import { $, counted, sentence, signed } from "./elements.js";
import { Inside } from "./inside.js";
import { Keypad, Offers } from "./offers.js";
import { Paper } from "./paper.js";
import { Reading } from "./reading.js";
import { storage } from "./storage.js";
import { visible } from "./texts.js";
import { Tune } from "./tune.js";
import { Writer } from "./writer.js";

const WAIT = 45, OFFERED = 5;  // milliseconds after a key; words

export class Page {
  constructor(about) {
    const area = $("text");
    Object.assign(this, { about, area, timer: 0, saving: 0, dismissed: false, fresh: Infinity, frame: 0 });
    this.reading = new Reading(start => this.read(start));
    this.paper = new Paper($("paper"), $("mirror"), area, this.reading);
    this.inside = new Inside(about, this.reading, {
      choose: layer => this.choose({ layer }), from: () => this.writer.from(), writing: () => this.writer.active,
      guard: act => this.guard(act), changed: () => this.recolour(),
    });
    this.writer = new Writer(this);
    this.colours = new ColourChoice(about, this.reading, look => this.choose(look));
    this.offers = new Offers($("offers"), one => this.take(one));
    this.keypad = new Keypad($("keypad"), {
      insert: text => this.insert(text), remove: () => this.remove(), offers: keys => this.offersOn(keys),
      shown: (words, chosen, pressed) => this.showKeys(words, chosen, pressed),
    });
    this.tune = new Tune({
      section: $("tune"), staff: $("staff"), play: $("play"), title: $("title"), error: $("tune-error"),
    });
  }

  async begin() {
    const { about, area } = this;
    $("name").textContent = about.name.split("/").filter(Boolean).pop() ?? "unspool";
    $("name").title = about.name;
    $("model").textContent = about.model;
    document.title = `${$("name").textContent}: writing`;
    $("app").hidden = false;
    const kept = storage.get(`text of ${about.name}`) ?? {};
    area.maxLength = about.longest;
    area.value = kept.text ?? about.prompt;
    $("temperature").value = kept.temperature ?? about.temperature;
    this.reading.look = { layer: this.inside.usual(), place: "", unit: 0 };
    this.inside.show(this.reading.look.layer);
    this.listen();
    this.outputs();
    area.setSelectionRange(area.value.length, area.value.length);
    this.changedText();
    await this.send(false);
    if (matchMedia("(pointer: coarse) and (max-width: 820px)").matches) this.toggleKeypad(true);
    else area.focus();
    this.paper.keepEnd();
  }

  listen() {
    const { area } = this;
    area.addEventListener("input", () => this.typed());
    area.addEventListener("keydown", event => this.key(event));
    document.addEventListener("selectionchange", () => this.here());
    document.addEventListener("pointerdown", event => {
      if (!event.target.closest("details")) $("options").open = false;
    });
    $("options").addEventListener("keydown", event => {
      if (event.key !== "Escape") return;
      $("options").open = false;
      $("options").querySelector("summary").focus();
    });
    $("keys").addEventListener("click", () => this.toggleKeypad($("keypad").hidden));
    for (const name of ["temperature", "top-p"]) $(name).addEventListener("input", () => this.outputs());
    addEventListener("pagehide", () => this.save());
  }

  outputs() {
    for (const name of ["temperature", "top-p"]) {
      $(name).parentNode.querySelector("output").textContent = Number($(name).value).toFixed(2);
    }
  }

  // ---- typing -------------------------------------------------------------------------------------------------------

  typed() {
    if (this.writer.active) this.writer.stop();
    const { passage } = this.writer;
    if (passage && this.area.selectionStart <= passage.end) this.writer.forget();
    this.dismissed = false;
    this.quiet();
    this.changedText();
    if (this.area.selectionStart === this.area.value.length) this.paper.keepEnd();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send(true), WAIT);
  }

  /** Nothing is suggested any more. */
  quiet() {
    this.paper.suggest("", 0);
    this.offers.show([]);
    if (this.keypad.pressed) this.keypad.clear();
  }

  changedText() {
    this.paper.follow();
    clearTimeout(this.saving);
    this.saving = setTimeout(() => this.save(), 400);
    this.tune.follow(this.area.value, this.area.selectionStart);
  }

  save() {
    const { value } = this.area;
    storage.set(`text of ${this.about.name}`, { text: value, temperature: $("temperature").value });
  }

  /** Whether a suggestion makes sense at the caret: behind the last letter of a word, or between words. */
  wanted() {
    const { selectionStart: caret, selectionEnd: end, value } = this.area;
    return caret === end && !/[\p{L}\p{N}_'’]/u.test(value[caret] ?? " ") && !this.writer.active;
  }

  async send(suggest) {
    const { area } = this, caret = area.selectionStart, text = area.value, wanted = suggest && this.wanted();
    await this.guard(async () => {
      const place = () => area.selectionStart;
      const found = await this.reading.send(() => area.value, place, wanted ? OFFERED : 0);
      const moved = text !== area.value || caret !== area.selectionStart;
      if (!wanted || moved || this.dismissed || this.keypad.pressed || this.writer.active) return;
      this.offers.show(found);
      this.paper.suggest(found[0]?.rest, caret);
    });
  }

  /** Do something that the server may refuse: an error is one sentence under the text. */
  async guard(act) {
    try {
      const found = await act();
      $("error").hidden = true;
      return found;
    } catch (error) {
      $("error").textContent = sentence(error.message);
      $("error").hidden = false;
      if (error.status === undefined) console.error(error);
      return null;
    }
  }

  key(event) {
    const { offers, keypad } = this, plain = !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey;
    const nth = event.altKey && /^Digit[1-5]$/.test(event.code) ? Number(event.code[5]) - 1 : -1;
    if (event.key === "Tab" && plain && (keypad.pressed || offers.found.length)) {
      if (keypad.pressed) keypad.accept(); else offers.accept(0);
    } else if (offers.found[nth]) offers.accept(nth);
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.writer.toggle();
    else if (event.key === "Escape" && !this.writer.active) this.leave();
    else return;
    event.preventDefault();
  }

  /** Esc: first the suggestions go, then the text is left. */
  leave() {
    if (!this.keypad.pressed && !this.offers.found.length) this.area.blur();
    this.dismissed = true;
    this.quiet();
  }

  /** Put text at the caret, as if it had been typed: the browser's own undo takes it back. */
  insert(text) {
    const { area } = this, focused = document.activeElement;
    area.focus({ preventScroll: true });
    if (!document.execCommand("insertText", false, text)) {
      area.setRangeText(text, area.selectionStart, area.selectionEnd, "end");
      this.typed();
    }
    if (focused !== area && !$("keypad").hidden) focused?.focus({ preventScroll: true });
  }

  remove() {
    const { area } = this, { selectionStart: caret, selectionEnd: end, value } = area;
    if (caret === end && !caret) return;
    const start = caret < end ? caret : caret - (/[\udc00-\udfff]/.test(value[caret - 1]) ? 2 : 1);
    area.setRangeText("", Math.max(0, start), end, "end");
    this.typed();
  }

  take(one) {
    if (this.keypad.pressed) this.keypad.accept(one);
    else this.insert(one.rest);
  }

  // ---- the keys of a phone ------------------------------------------------------------------------------------------

  toggleKeypad(open) {
    $("keypad").hidden = !open;
    $("keys").setAttribute("aria-pressed", String(open));
    this.area.inputMode = open ? "none" : "text";  // a phone's own keyboard stays away
    this.keypad.clear();
  }

  async offersOn(keys) {
    await this.send(false);
    return await this.guard(() => this.reading.offers(this.area.selectionStart, keys, OFFERED)) ?? [];
  }

  showKeys(words, chosen, pressed) {
    const ordered = [...words.slice(chosen), ...words.slice(0, chosen)];
    this.offers.show(ordered);
    if (pressed && !words.length) $("offers").textContent = `${pressed}: no word`;
    this.paper.suggest(ordered[0]?.rest ?? pressed, this.area.selectionStart);
  }

  // ---- what is shown ------------------------------------------------------------------------------------------------

  async choose(change) {
    const { reading, about } = this, look = { ...reading.look, ...change };
    const attends = layer => about.places.some(one => one.kind === "attention" && one.layer === layer);
    if (this.colours.kind === "attention" && !attends(look.layer)) look.layer = this.inside.usual();
    if (look.layer !== reading.look.layer) this.inside.show(look.layer);
    await this.guard(() => reading.show(look));
    this.recolour();
  }

  recolour(start = 0) {
    const before = this.paper.colouring, now = this.colours.now();
    this.paper.colouring = now;
    this.paper.stale(before?.high === now?.high ? start : 0);  // another scale colours everything anew
    this.inside.drawSoon();
    this.here();
  }

  /** The model has read on: from a unit of the text on nothing is as before. */
  read(start) {
    this.fresh = Math.min(this.fresh, this.colours.kind === "attention" ? 0 : start);
    this.frame ||= requestAnimationFrame(() => {  // tokens may come faster than they can be drawn
      const from = this.fresh;
      this.fresh = Infinity;
      this.frame = 0;
      this.recolour(from);
      if (!this.writer.active) this.inside.list();
      this.status();
    });
  }

  status() {
    const { ends, tokensRead, unknown } = this.reading;
    const some = unknown.slice(0, 5).map(visible).join(" ") + (unknown.length > 5 ? " …" : "");
    const strange = unknown.length ? `, unknown to the model: ${some}` : "";
    const full = this.area.value.length >= this.about.longest ? ": this is as long as a text may be" : "";
    const now = this.writer.active ? "writing" : `${counted(tokensRead)} just read`;
    $("read").textContent = `${counted(ends.length)} token${ends.length === 1 ? "" : "s"}, ${now}${strange}${full}`;
  }

  /** What is known of the token in front of the caret. */
  here() {
    const { reading, area } = this, caret = area.selectionStart, at = caret ? reading.tokenAt(caret - 1) : -1;
    const known = at >= 0 && at < reading.ends.length && area.value === reading.base;
    const text = known ? visible(reading.base.slice(at ? reading.ends[at - 1] : 0, reading.ends[at])).slice(0, 24) : "";
    const value = reading.values?.[at] ?? null;
    const unit = known && value !== null ? `, unit ${reading.look.unit} at ${signed(value)}` : "";
    $("here").textContent = known ? `${text} ${reading.bits[at].toFixed(2)} bits${unit}` : "";
  }
}
