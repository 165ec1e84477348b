// Drawings of what a layer does: a square for each unit, a row for each head of attention.
import { bytes } from "./colours.js";

const SEEN = 64;  // tokens that a row of attention shows

export const columns = place => place.size <= 64 ? 16 : place.size <= 512 ? 32 : 64;
export const rows = (place, across) => place.kind === "attention" ? place.size : Math.ceil(place.size / across);

/** The units of a place that are forced now, with their values. */
const forcedUnits = (place, reading) => new Map(
  reading.switches.filter(one => one.place === place.path && one.end === null).map(one => [one.unit, one.value]));

/** A clean canvas of so many cells, with a brush. */
function surface({ canvas }, across, down, tall) {
  const scale = devicePixelRatio || 1, wide = canvas.clientWidth || 320, height = tall ?? wide / across * down;
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

export function drawUnits(view, reading, now) {
  const { place, columns: across } = view, forced = forcedUnits(place, reading);
  const { brush, paint, w, h } = surface(view, across, rows(place, across));
  const gap = Math.max(1, Math.floor(w / 8)), up = place.kind === "gate" ? "--open" : "--above", shades = new Map();
  const shade = value => {
    const level = Math.round(Math.max(-1, Math.min(1, value / place.scale)) * 20);
    if (!shades.has(level)) shades.set(level, paint(level < 0 ? "--below" : up, Math.abs(level) / 20));
    return shades.get(level);
  };
  const x = unit => Math.round(unit % across * w), y = unit => Math.round(Math.floor(unit / across) * h);
  for (let unit = 0; unit < place.size; unit++) {
    const value = forced.get(unit) ?? now?.[unit];
    brush.fillStyle = value === undefined ? paint("--line", 0.4) : shade(value);
    brush.fillRect(x(unit), y(unit), Math.ceil(w) - gap, Math.ceil(h) - gap);
  }
  brush.lineWidth = Math.max(2, Math.round(w / 6));
  const frame = (unit, name) => {
    brush.strokeStyle = paint(name, 1);
    brush.strokeRect(x(unit) + 1, y(unit) + 1, Math.ceil(w) - gap - 2, Math.ceil(h) - gap - 2);
  };
  for (const unit of forced.keys()) frame(unit, "--surprised");
  if (view.at >= 0) frame(view.at, "--ink");
}

export function drawHeads(view, reading) {
  const { place } = view, found = reading.activity[place.path], forced = forcedUnits(place, reading);
  const all = found ? bytes(found.bytes) : new Uint8Array(), size = all.length / place.size;
  const seen = Math.min(SEEN, Math.max(1, size)), most = Math.max(1, ...all);
  const { brush, paint, w, h } = surface(view, seen, place.size, 22 * place.size);
  for (let head = 0; head < place.size; head++) {
    const off = forced.has(head), y = Math.round(head * h);
    for (let at = 0; at < seen && found; at++) {
      const share = Math.sqrt(all[head * size + size - seen + at] / most);
      brush.fillStyle = off ? paint("--line", 0.5) : paint("--other", share);
      brush.fillRect(Math.round(at * w), y, Math.ceil(w), Math.floor(h) - 2);
    }
    if (!off && view.at !== head) continue;
    brush.strokeStyle = paint(off ? "--surprised" : "--ink", 1);
    brush.lineWidth = 2;
    brush.strokeRect(1, y + 1, view.canvas.width - 2, Math.floor(h) - 4);
  }
  const last = reading.ends.length, begin = last > seen ? reading.ends[last - seen] : 0;
  const text = reading.base.slice(begin).replaceAll("\n", "↵");
  view.foot.replaceChildren(text.slice(0, 14), text.length > 28 ? text.slice(-14) : text.slice(14));
}
