// The panel beside the text: what the units of a layer do at the last token, and the switches that force them.
import { bytes } from "./colours.js";
import { columns, drawHeads, drawUnits, rows } from "./units.js";
import { $, button, counted, make, signed } from "./elements.js";

const FORCED = { gate: [1, 0], state: [0], attention: [0] };  // what a click goes through, before it is free again
const WORDS = { gate: { 1: "open", 0: "shut" }, state: { 0: "silent" }, attention: { 0: "off" } };
const HELP = {
  gate: "Each square is a unit, the stronger its colour the more open its gate. Click one to force it open, again to "
    + "force it shut, again to let it go.",
  state: "Each square is a unit: orange above zero, blue below. Click one to silence it.",
  attention: "Each row is a head: what the last token attends to. Click a row to switch the head off.",
};

export class Inside {
  /** `act` has: choose(layer), from() -> where a new switch begins, writing(), text() and changed(). */
  constructor(about, reading, act) {
    Object.assign(this, { about, reading, act, canvases: new Map(), history: [], waiting: false });
    const layers = [...new Set(about.places.map(place => place.layer))];
    const options = layers.map(layer => new Option(this.layerName(layer), layer));
    $("layer").replaceChildren(new Option("none", ""), ...options);
    $("layer").addEventListener("change", event => act.choose(event.target.value));
    addEventListener("resize", () => this.drawSoon());
  }

  layerName(layer) {
    const place = this.about.places.find(one => one.layer === layer);
    const own = place.path.slice(layer.length + 1).replaceAll("_", " ");
    return (place.kind === "attention" ? place.name : place.name.slice(0, -own.length).trim()) || "core";
  }

  /** The first layer with gates or attention, or the first there is. */
  usual() {
    const place = this.about.places.find(one => one.kind !== "state") ?? this.about.places[0];
    return place?.layer ?? "";
  }

  show(layer) {
    $("layer").value = layer;
    this.canvases.clear();
    const places = this.about.places.filter(place => place.layer === layer);
    const kinds = [...new Set(places.map(place => place.kind))];
    $("inside-help").textContent = layer ? kinds.slice(0, 1).map(kind => HELP[kind]).join(" ") : "";
    $("places").replaceChildren(...places.map(place => this.place(place)));
    this.drawSoon();
  }

  place(place) {
    const heads = place.kind === "attention", words = WORDS[place.kind];
    const bar = make("div", { class: "bar" });
    const short = place.name.replace(`${this.layerName(place.layer)} `, "");
    bar.append(make("h3", {}, heads ? `${place.size} heads` : short));
    for (const value of heads ? [] : FORCED[place.kind]) {
      const label = `force all units of ${place.name} ${words[value]}`;
      bar.append(button(`all ${words[value]}`, () => this.forceAll(place, value), { "aria-label": label }));
    }
    const view = { place, columns: columns(place), at: -1, foot: make("div", { class: "ends" }) };
    view.canvas = make("canvas", {
      tabindex: 0, role: "application", "data-path": place.path,
      "aria-label": `${place.name}, ${place.size} ${heads ? "heads" : "units"}: arrows choose one, Enter switches it`,
      onpointermove: event => this.point(view, event),
      onpointerleave: () => { view.at = -1; this.drawSoon(); },
      onclick: event => { this.point(view, event); this.cycle(view); },
      onkeydown: event => this.key(view, event),
    });
    this.canvases.set(place.path, view);
    return make("div", { class: "place" }, bar, view.canvas, ...heads ? [view.foot] : []);
  }

  point(view, event) {
    const box = view.canvas.getBoundingClientRect(), { place, columns: across } = view;
    const down = Math.floor((event.clientY - box.top) / box.height * rows(place, across));
    const right = Math.floor((event.clientX - box.left) / box.width * across);
    const at = place.kind === "attention" ? down : down * across + right;
    view.at = at >= 0 && at < place.size ? at : -1;
    this.tell(view);
  }

  key(view, event) {
    const step = view.place.kind === "attention" ? { ArrowUp: -1, ArrowDown: 1 }
      : { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -view.columns, ArrowDown: view.columns };
    if (event.key in step) {
      const next = view.at < 0 ? 0 : view.at + step[event.key];
      view.at = Math.max(0, Math.min(view.place.size - 1, next));
    } else if ((event.key === "Enter" || event.key === " ") && view.at >= 0) this.cycle(view);
    else return;
    event.preventDefault();
    this.tell(view);
  }

  forcedAt(place, unit) {
    return this.reading.switches.find(one => one.place === place.path && one.unit === unit && one.end === null);
  }

  tell(view) {
    this.drawSoon();
    const { place, at } = view, now = this.valuesOf(place);
    if (at < 0) return;
    const forced = this.forcedAt(place, at);
    const value = now && place.kind !== "attention" ? `: ${signed(now[at])}` : "";
    const held = forced ? `, forced ${WORDS[place.kind][forced.value]}` : "";
    const what = place.kind === "attention" ? "head" : "unit";
    $("unit-text").textContent = `${place.name}, ${what} ${at}${value}${held}`;
  }

  cycle({ place, at }) {
    if (at < 0) return;
    const forced = this.forcedAt(place, at), values = FORCED[place.kind];
    const next = values[forced ? values.indexOf(forced.value) + 1 : 0];
    const others = this.without(one => one === forced), fresh = { place: place.path, unit: at, value: next };
    this.set(next === undefined ? others : [...others, { ...fresh, ...this.act.from() }]);
  }

  forceAll(place, value) {
    const others = this.without(one => one.place === place.path && one.end === null);
    const from = this.act.from();
    const all = Array.from({ length: place.size }, (_, unit) => ({ place: place.path, unit, value, ...from }));
    this.set([...others, ...all]);
  }

  /** The switches without some: those end here while the model writes, and never were otherwise. */
  without(which) {
    const end = one => this.act.writing() ? [{ ...one, released: true }] : [];
    return this.reading.switches.flatMap(one => which(one) ? end(one) : [one]);
  }

  async set(switches) {
    this.history.push(this.reading.switches);
    const now = this.reading.base.length;  // at once, for the next click; the server says where exactly
    this.reading.switches = switches.map(one => ({
      ...one, begin: one.begin ?? now, end: one.released ? now : one.end ?? null,
    }));
    await this.send(switches);
  }

  async undo() {
    if (this.history.length) await this.send(this.history.pop());
  }

  async send(switches) {
    this.list();
    this.drawSoon();
    await this.act.guard(() => this.reading.switch(switches));
    this.list();
    this.drawSoon();
    this.act.changed();
  }

  /** The switches as buttons that let them go. */
  list() {
    const groups = new Map();
    for (const one of this.reading.switches) {
      const key = [one.place, one.value, one.begin, one.end].join("|");
      groups.set(key, [...groups.get(key) ?? [], one]);
    }
    const buttons = [...groups.values()].slice(-12).map(some => {
      const name = this.name(some), release = () => this.set(this.without(each => some.includes(each)));
      return button(`${name} ✕`, release, { "aria-label": `let go: ${name}` });
    });
    if (this.history.length) buttons.unshift(button("Undo the last switch", () => this.undo()));
    if (groups.size > 1) buttons.push(button("Let all go", () => this.set(this.without(() => true))));
    $("switches").replaceChildren(...buttons);
  }

  /** What units that are forced alike are, in words. */
  name(some) {
    const [one] = some, place = this.about.places.find(each => each.path === one.place);
    const first = some.slice(0, 4).map(each => each.unit).join(", ") + (some.length > 4 ? " …" : "");
    const which = some.length === place.size && some.length > 1 ? "all" : first;
    const until = one.end === null ? "" : ` to ${counted(one.end)}`;
    return `${place.name} ${which} ${WORDS[place.kind][one.value]}, from ${counted(one.begin)}${until}`;
  }

  valuesOf(place) {
    const found = this.reading.activity[place.path];
    if (!found) return null;
    const low = place.kind === "state" ? -place.scale : 0;
    return Float32Array.from(bytes(found.bytes), byte => low + (place.scale - low) * byte / 255);
  }

  drawSoon() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      for (const view of this.canvases.values()) {
        if (view.place.kind === "attention") drawHeads(view, this.reading);
        else drawUnits(view, this.reading, this.valuesOf(view.place));
      }
    });
  }
}
