"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);

// ---- small tools ----------------------------------------------------------------------------------------------------

/* Whoever draws says with `when` which changes it follows; whoever changes something says so with `tell`. */
const watchers = [];
function when(changes, act) {
  watchers.push({ changes: changes.split(" "), act });
}
function tell(...changes) {
  watchers.filter(watcher => changes.some(change => watcher.changes.includes(change))).forEach(({ act }) => act());
}

const SHAPES = ["svg", "line", "polyline", "circle", "text"];
function make(tag, attributes = {}, ...children) {
  const element = SHAPES.includes(tag)
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
const index = count => Array.from({ length: count }, (_, at) => at);
const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
const number = (value, digits = 2) => value == null ? "–" : value.toFixed(digits).replace("-", "−");
const signed = (value, digits = 3) => (value > 0 ? "+" : "") + number(value, digits);

function ticks(low, high, wanted) {
  const rough = (high - low || 1) / wanted, ten = 10 ** Math.floor(Math.log10(rough));
  const step = ten * [1, 2, 5, 10].find(factor => factor * ten >= rough), first = Math.ceil(low / step);
  return index(Math.floor(high / step + 1e-9) - first + 1).map(at => Number(((first + at) * step).toPrecision(6)));
}

/* The tip beside the pointer or the finger; `tips` asks `say` for its lines, with null when the pointer has left. */
const balloon = document.getElementById("tip");
function tip(lines, x, y) {
  balloon.hidden = !lines;
  if (!lines) return;
  balloon.textContent = lines.join("\n");
  const { width, height } = balloon.getBoundingClientRect();
  balloon.style.left = `${clamp(x + 14, 4, Math.max(4, innerWidth - width - 4))}px`;
  balloon.style.top = `${y + 18 + height > innerHeight ? Math.max(4, y - height - 12) : y + 18}px`;
}
function tips(element, say) {
  for (const name of ["pointermove", "pointerdown"]) {
    element.addEventListener(name, event => tip(say(event), event.clientX, event.clientY));
  }
  element.addEventListener("pointerleave", event => {  // a lifted finger leaves too, and wants to read
    if (event.pointerType === "mouse") tip(say(null));
  });
}
addEventListener("scroll", () => tip(null), { passive: true });

// ---- the runs, their units and what is chosen -----------------------------------------------------------------------

const look = { row: 0, token: null };  // the same in every run
const runs = DATA.runs.map(given => {
  const run = { ...given };
  for (const list of ["findings", "topics", "rows", "traces", "sections"]) run[list] ??= [];
  run.signals = signalsOf(run);
  run.signal = run.signals[0];
  run.unit = run.signal?.start ?? 0;  // its place among the signal's units
  return run;
});

function rowOf(run) {
  return run.rows[look.row] ?? { tokens: [], targets: [], surprisal: [], source: [] };
}

/* All that the text can be coloured by: the traces, and the surprisal as a trace of one unit. */
function signalsOf(run) {
  const found = run.traces.filter(({ units }) => units.length).map(trace => {
    const decoded = [], { low, high, name, units, scales } = trace;
    const cells = () => decoded[look.row] ??= bytes(trace.rows[look.row] ?? "");
    const value = (unit, token) => {
      const byte = cells()[unit * rowOf(run).tokens.length + token];
      return byte == null ? null : (low + (high - low) * byte / 255) * (scales?.[unit] ?? 1);
    };
    return { ...trace, cells, value, title: unit => `${name}, unit ${units[unit]}` };
  });
  const all = run.rows.flatMap(({ surprisal }) => surprisal).filter(nats => nats != null).sort((a, b) => a - b);
  if (all.length) {
    const high = all[Math.floor(0.99 * (all.length - 1))] || 1;
    found.push({
      name: "surprisal", kind: "surprisal", units: [0], of: 1, low: 0, high, title: () => "surprisal",
      cells: () => rowOf(run).surprisal.map(nats => Math.round(255 * clamp(nats / high, 0, 1))),
      value: (unit, token) => rowOf(run).surprisal[token] ?? null,
      summary: "The surprisal of each target in nats; the highest percent has the strongest colour.",
    });
  }
  return found;
}

/* What a unit's own colours go from and to: bytes of a trace may be shares of each unit's own scale. */
function limits({ kind, low, high, scales }, unit) {
  const scale = scales?.[unit] ?? 1;
  return { kind, low: low * scale, high: high * scale };
}

function choose(run, signal, unit) {
  const other = signal !== run.signal;
  Object.assign(run, { signal, unit });
  tell(...other ? ["signal", "unit"] : ["unit"]);
}

function point(token) {
  if (token === look.token) return;
  look.token = token;
  tell("token");
}

/* The numbers of a token in every run; of the run `here` those of another unit than the chosen one. */
function numbers(token, here = null, unit = null) {
  return runs.flatMap(run => {
    const { tokens, targets, surprisal } = rowOf(run), { signal } = run;
    if (token >= tokens.length) return [];
    const shown = run === here ? unit : run.unit;
    const lines = runs.length > 1 ? [`— ${run.name} —`] : [];
    lines.push(`“${tokens[token]}”, position ${token}`);
    if (signal) lines.push(`${signal.title(shown)}: ${number(signal.value(shown, token), 3)}`);
    if (targets[token] != null) lines.push(`target: “${targets[token]}”`);
    if (surprisal[token] != null && signal?.kind !== "surprisal") {
      lines.push(`surprisal: ${number(surprisal[token])} nats`);
    }
    return lines;
  });
}

// ---- colours --------------------------------------------------------------------------------------------------------

let theme;
function readTheme() {
  const style = getComputedStyle(document.documentElement);
  const channels = name => style.getPropertyValue(`--${name}`).trim().split(" ").map(Number);
  theme = Object.fromEntries(["paper", "below", "above", "open", "surprised"].map(name => [name, channels(name)]));
}

const css = ([red, green, blue]) => `rgb(${red}, ${green}, ${blue})`;

/* The colour of a value: blue and orange around the paper's for states, from the paper's to one other elsewhere. */
function colour({ kind, low, high }, value) {
  const towards = (end, share) =>
    theme.paper.map((from, at) => Math.round(from + (end[at] - from) * clamp(share, 0, 1)));
  if (value == null) return theme.paper;
  if (kind === "gate") return towards(theme.open, (value - low) / (high - low || 1));
  if (kind === "surprisal") return towards(theme.surprised, value / high);
  if (kind === "attention") return towards(theme.below, Math.sqrt(value));  // most weights are small
  return towards(value < 0 ? theme.below : theme.above, Math.abs(value) / (Math.max(-low, high) || 1));
}

/* Black or white, whichever has the greater contrast on a colour (relative luminance as in WCAG 2). */
function inkOn(colour) {
  const [red, green, blue] = colour.map(channel => (channel / 255) ** 2.2);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 ? "#000" : "#fff";
}

function legend(scale, unit = "") {
  const stops = index(33).map(at => css(colour(scale, scale.low + (scale.high - scale.low) * at / 32)));
  const bar = make("i", { style: `background: linear-gradient(to right, ${stops.join(", ")})` });
  return [number(scale.low), bar, `${number(scale.high)} ${unit}`];
}

// ---- the parts that several sections share --------------------------------------------------------------------------

/* A list to choose from, with a button to either side; hidden where there is no choice. */
function stepper(name, follows, options, current, pick) {
  const list = make("select", { "aria-label": name, onchange: () => pick(list.selectedIndex) });
  const button = (words, by, sign) => make("button", {
    "aria-label": `${words} ${name}`,
    onclick: () => pick(clamp(list.selectedIndex + by, 0, list.length - 1)),
  }, sign);
  const label = make("label", {}, name, list);
  const whole = make("span", {}, label, button("previous", -1, "‹"), button("next", 1, "›"));
  when(follows, () => {
    const words = options();
    whole.hidden = words.length < 2;
    if (words.join("\n") !== [...list.options].map(option => option.text).join("\n")) {
      list.replaceChildren(...words.map(word => make("option", {}, word)));
    }
    list.selectedIndex = current();
  });
  return whole;
}

/* A table of lists of cells; the columns from the given one on are numbers. */
function table(titles, lines, numeric) {
  const row = (tag, cells) => make("tr", {},
    ...cells.map((cell, at) => make(tag, at < numeric ? {} : { class: "number" }, cell)));
  return make("table", {},
    make("thead", {}, row("th", titles)),
    make("tbody", {}, ...lines.map(cells => row("td", cells))));
}

/* Bytes as a picture of one pixel each, on a canvas. */
function picture(cells, scale, width, height, title) {
  const canvas = make("canvas", { width, height, role: "img", "aria-label": title });
  const image = new ImageData(Math.max(1, width), Math.max(1, height));  // an empty row has no cells
  const pixels = new Uint32Array(image.data.buffer);
  const palette = index(256).map(byte => {
    const [red, green, blue] = colour(scale, scale.low + (scale.high - scale.low) * byte / 255);
    return (255 << 24 | blue << 16 | green << 8 | red) >>> 0;
  });
  for (let at = 0; at < cells.length; at++) pixels[at] = palette[cells[at]];
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/* A picture enlarged, its axes {count, label} labelled at the side and the foot; `above` are rows of the grid over it.
   `at` says where an event was, `mark` outlines a row and a column. */
function cellMap({ down, across, size: [width, height], cells, scale, title, above = [] }) {
  const marks = [make("div"), make("div")];
  const style = `width: ${width * across.count}px; height: ${height * down.count}px`;
  const grid = make("div", { class: "cells", style },
    picture(cells, scale, across.count, down.count, title), ...marks);
  const labels = ({ count, label }, size, room, side) => {
    const every = Math.ceil(room / size);
    return index(Math.ceil(count / every)).map(nth => {
      const covered = Math.min(every, count - nth * every) * size;
      return make("div", { style: `${side}: ${covered}px` }, label(nth * every));
    });
  };
  const side = make("div", { class: "side" }, ...labels(down, height, 13, "height"));
  const foot = make("div", { class: "foot" }, ...width < 10
    ? labels({ ...across, label: String }, width, 48, "width")
    : labels(across, width, 13, "width"));
  if (width >= 10 && index(across.count).some(at => across.label(at).length > 2)) foot.classList.add("upright");
  const element = make("div", { class: "map" }, ...above, side, grid, make("div", { class: "side" }), foot);
  const at = event => {
    const { left, top } = grid.getBoundingClientRect();
    return [clamp(Math.floor((event.clientY - top) / height), 0, down.count - 1),
            clamp(Math.floor((event.clientX - left) / width), 0, across.count - 1)];
  };
  const mark = (row, column) => {
    marks[0].style = row == null ? "display: none" : `inset: ${row * height}px 0 auto; height: ${height}px`;
    marks[1].style = column == null ? "display: none" : `inset: 0 auto 0 ${column * width}px; width: ${width}px`;
  };
  mark(null, null);
  return { element, grid, at, mark };
}
