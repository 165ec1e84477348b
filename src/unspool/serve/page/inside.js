// The panel beside the text: what the units of a layer do at the last token, and the switches that force them.
import { bytes } from "./colours.js";

const FORCED = { gate: [1, 0], state: [0], attention: [0] };  // what a click goes through, before it is free again
const WORDS = { gate: { 1: "open", 0: "shut" }, state: { 0: "silent" }, attention: { 0: "off" } };
const HELP = {
  gate: "Each square is a unit, the stronger its colour the more open its gate. Click one to force it open, again to "
    + "force it shut, again to let it go.",
  state: "Each square is a unit: orange above zero, blue below. Click one to silence it.",
  attention: "Each row is a head: what the last token attends to. Click a row to switch the head off.",
};
const SEEN = 64;  // tokens that a row of attention shows

export class Inside {
  /** `act` has: choose(layer), from() -> where a new switch begins, writing(), text() and changed(). */
  constructor(about, reading, act) {
    Object.assign(this, { about, reading, act, canvases: new Map(), history: [], waiting: false });
    this.element = name => document.getElementById(name);
    const layers = [...new Set(about.places.map(place => place.layer))];
    this.element("layer").replaceChildren(new Option("none", ""), ...layers.map(layer => new Option(this.layerName(layer), layer)));
    this.element("layer").addEventListener("change", event => act.choose(event.target.value));
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
    this.element("layer").value = layer;
    this.canvases.clear();
    const places = this.about.places.filter(place => place.layer === layer);
    const kinds = [...new Set(places.map(place => place.kind))];
    this.element("inside-help").textContent = layer ? kinds.slice(0, 1).map(kind => HELP[kind]).join(" ") : "";
    this.element("places").replaceChildren(...places.map(place => this.place(place)));
    this.drawSoon();
  }

  place(place) {
    const box = document.createElement("div"), bar = document.createElement("div");
    const title = document.createElement("h3"), canvas = document.createElement("canvas");
    box.className = "place"; bar.className = "bar";
    const short = place.kind === "attention" ? `${place.size} heads` : place.name.replace(`${this.layerName(place.layer)} `, "");
    title.textContent = short;
    bar.append(title);
    if (place.kind !== "attention" && place.switchable) {
      for (const value of FORCED[place.kind]) {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = `all ${WORDS[place.kind][value]}`;
        button.setAttribute("aria-label", `force all units of ${place.name} ${WORDS[place.kind][value]}`);
        button.addEventListener("click", () => this.forceAll(place, value));
        bar.append(button);
      }
    }
    canvas.tabIndex = 0;
    canvas.dataset.path = place.path;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", `${place.name}: ${place.size} ${place.kind === "attention" ? "heads" : "units"}; arrow keys choose one, Enter switches it`);
    const view = { place, canvas, columns: columns(place), at: -1, foot: null };
    canvas.addEventListener("pointermove", event => this.point(view, event));
    canvas.addEventListener("pointerleave", () => { view.at = -1; this.drawSoon(); });
    canvas.addEventListener("click", event => { this.point(view, event); this.cycle(view); });
    canvas.addEventListener("keydown", event => this.key(view, event));
    box.append(bar, canvas);
    if (place.kind === "attention") {
      view.foot = document.createElement("div");
      view.foot.className = "ends";
      box.append(view.foot);
    }
    this.canvases.set(place.path, view);
    return box;
  }

  point(view, event) {
    const box = view.canvas.getBoundingClientRect(), { place, columns: across } = view;
    const down = Math.floor((event.clientY - box.top) / box.height * rows(place, across));
    const at = place.kind === "attention" ? down : down * across + Math.floor((event.clientX - box.left) / box.width * across);
    view.at = at >= 0 && at < place.size ? at : -1;
    this.tell(view);
  }

  key(view, event) {
    const step = view.place.kind === "attention" ? { ArrowUp: -1, ArrowDown: 1 }
      : { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -view.columns, ArrowDown: view.columns };
    if (event.key in step) view.at = Math.max(0, Math.min(view.place.size - 1, (view.at < 0 ? 0 : view.at + step[event.key])));
    else if ((event.key === "Enter" || event.key === " ") && view.at >= 0) this.cycle(view);
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
    const value = now && place.kind !== "attention" ? `: ${now[at].toFixed(2).replace("-", "−")}` : "";
    const held = forced ? `, forced ${WORDS[place.kind][forced.value]}` : "";
    const what = place.kind === "attention" ? "head" : "unit";
    this.element("unit-told").textContent = `${place.name}, ${what} ${at}${value}${held}`;
  }

  cycle({ place, at }) {
    if (at < 0 || !place.switchable) return;
    const forced = this.forcedAt(place, at), values = FORCED[place.kind];
    const next = values[forced ? values.indexOf(forced.value) + 1 : 0];
    const others = this.without(one => one === forced);
    this.set(next === undefined ? others : [...others, { place: place.path, unit: at, value: next, ...this.act.from() }]);
  }

  forceAll(place, value) {
    const others = this.without(one => one.place === place.path && one.end === null);
    const all = Array.from({ length: place.size }, (_, unit) => ({ place: place.path, unit, value, ...this.act.from() }));
    this.set([...others, ...all]);
  }

  /** The switches without some: those end here while the model writes, and never were otherwise. */
  without(which) {
    return this.reading.switches.flatMap(one => !which(one) ? [one] : this.act.writing() ? [{ ...one, released: true }] : []);
  }

  async set(switches) {
    this.history.push(this.reading.switches);
    this.reading.switches = switches.map(one => ({ end: null, ...one }));  // the next click need not wait for the server
    await this.send(switches);
  }

  async undo() {
    if (this.history.length) await this.send(this.history.pop());
  }

  async send(switches) {
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
      const [one] = some, place = this.about.places.find(each => each.path === one.place), button = document.createElement("button");
      const which = some.length === place.size && some.length > 1 ? "all" : some.slice(0, 4).map(each => each.unit).join(", ") + (some.length > 4 ? " …" : "");
      button.type = "button";
      button.textContent = `${place.name} ${which} ${WORDS[place.kind][one.value]}, from ${one.begin.toLocaleString("en")}`
        + (one.end === null ? "" : ` to ${one.end.toLocaleString("en")}`) + " ✕";
      button.setAttribute("aria-label", `let go: ${button.textContent.slice(0, -2)}`);
      button.addEventListener("click", () => this.set(this.without(each => some.includes(each))));
      return button;
    });
    if (this.history.length) buttons.unshift(action("Undo the last switch", () => this.undo()));
    if (groups.size > 1) buttons.push(action("Let all go", () => this.set(this.without(() => true))));
    this.element("switches").replaceChildren(...buttons);
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
      for (const view of this.canvases.values()) (view.place.kind === "attention" ? this.drawHeads(view) : this.drawUnits(view));
    });
  }

  surface({ canvas, place }, across, down, tall) {
    const scale = devicePixelRatio || 1, wide = canvas.clientWidth || 320;
    const side = wide / across, height = tall ?? side * down;
    if (canvas.width !== Math.round(wide * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(wide * scale);
      canvas.height = Math.round(height * scale);
      canvas.style.aspectRatio = `${canvas.width} / ${canvas.height}`;
    }
    const brush = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
    brush.clearRect(0, 0, canvas.width, canvas.height);
    const paint = (name, alpha) => `rgb(${style.getPropertyValue(name)} / ${alpha})`;
    return { brush, paint, w: canvas.width / across, h: canvas.height / down };
  }

  drawUnits(view) {
    const { place, columns: across } = view, now = this.valuesOf(place);
    const { brush, paint, w, h } = this.surface(view, across, rows(place, across));
    const gap = Math.max(1, Math.floor(w / 8)), up = place.kind === "gate" ? "--open" : "--above";
    const shades = new Map(), shade = value => {
      const level = Math.round(Math.max(-1, Math.min(1, value / place.scale)) * 20);
      if (!shades.has(level)) shades.set(level, paint(level < 0 ? "--below" : up, Math.abs(level) / 20));
      return shades.get(level);
    };
    const forced = new Map(this.reading.switches.filter(one => one.place === place.path && one.end === null).map(one => [one.unit, one.value]));
    for (let unit = 0; unit < place.size; unit++) {
      const x = Math.round(unit % across * w), y = Math.round(Math.floor(unit / across) * h);
      brush.fillStyle = forced.has(unit) ? shade(forced.get(unit)) : now ? shade(now[unit]) : paint("--line", 0.4);
      brush.fillRect(x, y, Math.ceil(w) - gap, Math.ceil(h) - gap);
    }
    brush.lineWidth = Math.max(1, Math.round(w / 9));
    const frame = (unit, name) => {
      brush.strokeStyle = paint(name, 1);
      brush.strokeRect(Math.round(unit % across * w) + 1, Math.round(Math.floor(unit / across) * h) + 1, Math.ceil(w) - gap - 2, Math.ceil(h) - gap - 2);
    };
    for (const unit of forced.keys()) frame(unit, "--surprised");
    if (view.at >= 0) frame(view.at, "--ink");
  }

  drawHeads(view) {
    const { place } = view, found = this.reading.activity[place.path];
    const all = found ? bytes(found.bytes) : new Uint8Array(), size = all.length / place.size;
    const seen = Math.min(SEEN, Math.max(1, size));
    const { brush, paint, w, h } = this.surface(view, seen, place.size, 22 * place.size);
    const most = Math.max(1, ...all);
    for (let head = 0; head < place.size; head++) {
      const off = this.forcedAt(place, head);
      for (let at = 0; at < seen && found; at++) {
        brush.fillStyle = off ? paint("--line", 0.5) : paint("--other", Math.sqrt(all[head * size + size - seen + at] / most));
        brush.fillRect(Math.round(at * w), Math.round(head * h), Math.ceil(w), Math.floor(h) - 2);
      }
      if (off || view.at === head) {
        brush.strokeStyle = paint(off ? "--surprised" : "--ink", 1);
        brush.lineWidth = 2;
        brush.strokeRect(1, Math.round(head * h) + 1, view.canvas.width - 2, Math.floor(h) - 4);
      }
    }
    const last = this.reading.ends.length, begin = last > seen ? this.reading.ends[last - seen] : 0;
    const text = this.reading.base.slice(begin).replaceAll("\n", "↵");
    view.foot.replaceChildren(text.slice(0, 14), text.slice(-14));
  }
}

const columns = place => place.size <= 64 ? 16 : place.size <= 512 ? 32 : 64;
const rows = (place, across) => place.kind === "attention" ? place.size : Math.ceil(place.size / across);

function action(text, act) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.addEventListener("click", act);
  return button;
}
