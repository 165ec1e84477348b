// ---- the renderers: each draws the data of a panel, or gives null where there is nothing to draw -------------------

/* An SVG with axes {low, high, name, ticks: [[value, words], ...]}; X and Y bring values to pixels. */
function chart(width, height, x, y, title) {
  const [left, right, top, bottom] = [58, width - 14, 10, height - 46], middle = (top + bottom) / 2;
  const X = value => left + (value - x.low) / (x.high - x.low || 1) * (right - left);
  const Y = value => bottom - (value - y.low) / (y.high - y.low || 1) * (bottom - top);
  const words = (text, x, y, more) => make("text", { x, y, "text-anchor": "middle", ...more }, text);
  const element = make("svg", { width, height, role: "img", "aria-label": title });
  for (const [value, text] of x.ticks) {
    element.append(make("line", { x1: X(value), x2: X(value), y1: top, y2: bottom }),
                   words(text, X(value), bottom + 16));
  }
  for (const [value, text] of y.ticks) {
    element.append(make("line", { x1: left, x2: right, y1: Y(value), y2: Y(value) }),
                   words(text, left - 6, Y(value) + 4, { "text-anchor": "end" }));
  }
  element.append(words(x.name, (left + right) / 2, height - 8),
                 words(y.name, 12, middle, { transform: `rotate(-90 12 ${middle})` }));
  return { element, X, Y, left, right, top, bottom };
}

const HUES = ["below", "surprised", "open", "above", "other"].map(name => `rgb(var(--${name}))`);

/* Curves over x, on a linear or a logarithmic y axis; the pointer shows the values at the nearest x. */
function lines({ curves, x_label, y_label, log, note }) {
  const drawn = curves.filter(({ x }) => x.length);
  if (!drawn.length) return null;
  const level = y => y == null || (log && y <= 0) ? null : log ? Math.log10(y) : y;
  const levels = drawn.map(({ y }) => y.map(level)), known = levels.flat().filter(y => y != null);
  const xs = drawn.flatMap(({ x }) => x), [first, last] = [Math.min(...xs), Math.max(...xs)];
  const lowest = known.length ? Math.min(...known) : 0, highest = known.length ? Math.max(...known) : 1;
  const margin = 0.04 * (highest - lowest || 1);
  const low = log ? Math.max(-15, Math.floor(Math.min(-1, lowest))) : lowest - margin;
  const high = log ? Math.ceil(Math.max(0, highest)) : highest + margin;
  const power = ten => [ten, Math.abs(ten) > 3 ? `1e${ten}`.replace("-", "−") : String(+(10 ** ten).toPrecision(1))];
  const plain = value => [value, String(value).replace("-", "−")];
  const marks = ticks(low, high, 6).filter(value => !log || Number.isInteger(value)).map(log ? power : plain);
  const x = { low: first, high: last, name: x_label, ticks: ticks(first, last, 6).map(plain) };
  const names = drawn.map(({ name }, at) => make("span", { style: `color: ${HUES[at % 5]}` }, `— ${name}  `));
  const frame = make("div");

  when("size", () => {
    const width = Math.min(frame.clientWidth, 760);
    const { element, X, Y, top, bottom } = chart(width, 300, x, { low, high, name: y_label, ticks: marks }, y_label);
    const guide = make("line", { class: "guide", y1: top, y2: bottom, visibility: "hidden" });
    element.append(guide);
    drawn.forEach((curve, at) => {
      const points = curve.x.flatMap((value, n) =>
        levels[at][n] == null ? [] : `${X(value).toFixed(1)},${Y(clamp(levels[at][n], low, high)).toFixed(1)}`);
      element.append(make("polyline", { class: "curve", style: `stroke: ${HUES[at % 5]}`, points: points.join(" ") }));
    });
    tips(element, event => {
      guide.setAttribute("visibility", event ? "visible" : "hidden");
      if (!event) return null;
      const pointer = event.clientX - element.getBoundingClientRect().left;
      const nearest = values => values.reduce((a, b) => Math.abs(X(b) - pointer) < Math.abs(X(a) - pointer) ? b : a);
      const there = nearest(xs);
      for (const end of ["x1", "x2"]) guide.setAttribute(end, X(there));
      const told = drawn.flatMap(({ name, x, y }) => {
        const at = x.indexOf(there);
        return at < 0 ? [] : `${name}: ${y[at] == null ? "–" : Number(y[at]).toPrecision(3)}`;
      });
      return [`${x_label}: ${there}`, ...told];
    });
    frame.replaceChildren(element);
  });
  return make("div", {}, make("p", {}, ...names), frame, make("p", { class: "faint" }, note ?? ""));
}

/* A matrix in colours: blue below and orange above zero, or from the paper's colour where nothing is negative. */
function heatmap({ rows, columns, x_label, y_label, low, high, cells: encoded, note }) {
  if (!rows.length || !columns.length) return null;
  const cells = bytes(encoded), scroll = make("div", { class: "scroll" }), key = make("span", { class: "legend" });
  const scale = { kind: low < 0 ? "state" : "gate", low, high };
  when("theme size", () => {
    const width = clamp(Math.floor((scroll.clientWidth - 140) / columns.length), 4, 24);
    const map = cellMap({
      down: { count: rows.length, label: at => rows[at] }, across: { count: columns.length, label: at => columns[at] },
      size: [width, clamp(Math.floor(384 / rows.length), 2, 18)], cells, scale, title: `${y_label} by ${x_label}`,
    });
    tips(map.grid, event => {
      const [row, column] = event ? map.at(event) : [null, null];
      map.mark(row, column);
      const value = event && low + (high - low) * cells[row * columns.length + column] / 255;
      return event && [`${y_label}: ${rows[row]}`, `${x_label}: ${columns[column]}`, number(value, 3)];
    });
    scroll.replaceChildren(map.element);
    key.replaceChildren(...legend(scale));
  });
  const axes = make("p", { class: "axis" }, `↓ ${y_label}. → ${x_label}. ${note ?? ""}`);
  return make("div", {}, make("div", { class: "controls" }, key), scroll, axes);
}

/* A table; a row that names a unit colours the text by it. */
function cellTable({ columns, rows, numbers, units, note }, run) {
  if (!rows.length) return null;
  const cells = rows.map((row, nth) => {
    const [place, unit] = units[nth] ?? [], signal = run.signals.find(signal => signal.place === place);
    const at = signal ? signal.units.indexOf(unit) : -1, press = () => choose(run, signal, at);
    return at < 0 ? row : [make("button", { class: "link", onclick: press }, row[0]), ...row.slice(1)];
  });
  const whole = make("div", { class: "wide" }, table(columns, cells, columns.length - numbers));
  return make("div", {}, whole, make("p", { class: "faint" }, note ?? ""));
}

/* The layers of heads of one run: a map of the chosen head, and the loss without each. */
function headsOf(parts) {
  const chosen = { part: 0, head: 0 };
  const scroll = make("div", { class: "scroll" }), effect = make("p", { "aria-live": "polite" });
  const heads = make("div"), key = make("span", { class: "legend" }), scale = { kind: "attention", low: 0, high: 1 };
  const pick = change => {
    Object.assign(chosen, change);
    tell("head");
  };

  when("head theme", () => {
    const { rows: down, columns: across, heads: maps, name } = parts[chosen.part], cells = bytes(maps[chosen.head]);
    const side = clamp(Math.floor(560 / Math.max(down.length, across.length)), 4, 18);
    const map = cellMap({
      down: { count: down.length, label: at => down[at] }, across: { count: across.length, label: at => across[at] },
      size: [side, side], cells, scale, title: `${name}, head ${chosen.head + 1}: attention weights`,
    });
    tips(map.grid, event => {
      const [from, to] = event ? map.at(event) : [null, null];
      map.mark(from, to);
      if (!event) return null;
      const weight = cells[from * across.length + to] / 255;
      return [`“${down[from]}” → “${across[to]}”`, `positions ${from} → ${to}`, `weight ${number(weight, 3)}`];
    });
    scroll.replaceChildren(map.element);
    key.replaceChildren(...legend(scale, "weight"));
  });
  when("head", () => {
    const { heads: maps, summary, ablated, loss } = parts[chosen.part], { head } = chosen, change = ablated[head];
    const lines = maps.map((_, at) => [
      make("button", { "aria-pressed": at === head }, `head ${at + 1}`),
      summary[at] ?? "",
      ablated[at] == null ? "–" : signed(ablated[at]),
    ]);
    heads.replaceChildren(table(["head", "pattern", "loss without it (nats)"], lines, 2));
    [...heads.querySelectorAll("tbody tr")].forEach((line, at) => {
      line.classList.toggle("chosen", at === head);
      line.addEventListener("click", () => {
        pick({ head: at });
        heads.querySelectorAll("button")[at].focus({ preventScroll: true });
      });
    });
    const whole = loss == null ? "" : `, from ${number(loss, 3)} to ${number(loss + change, 3)}`;
    effect.textContent = change == null ? "" : `Without head ${head + 1}: loss ${signed(change)} nats${whole}.`;
  });

  const chooser = make("div", { class: "controls" },
    stepper("layer", "head", () => parts.map(({ name }) => name), () => chosen.part, part => pick({ part, head: 0 })),
    stepper("head", "head", () => parts[chosen.part].heads.map((_, at) => String(at + 1)), () => chosen.head,
      head => pick({ head })),
    key);
  const axes = make("p", { class: "axis" }, "↓ the token that attends. → the token attended to.");
  return make("div", {}, chooser,
    make("div", { class: "beside" }, make("div", {}, scroll, axes), make("div", {}, effect, heads)));
}

/* Where a label has room around a point, away from all boxes [left, top, right, bottom] so far, which it then joins. */
function room([x, y], width, boxes, frame) {
  const places = [[x + 6, y + 4], [x - 6 - width, y + 4], [x - width / 2, y - 7], [x - width / 2, y + 16]];
  return places.find(([left, base]) => {
    const [top, right, bottom] = [base - 11, left + width, base + 3];
    const inside = left > frame.left && right < frame.right && top > frame.top && bottom < frame.bottom;
    const fits = inside && !boxes.some(([l, t, r, b]) => left < r && right > l && top < b && bottom > t);
    if (fits) boxes.push([left, top, right, bottom]);
    return fits;
  });
}

/* Named points in a plane; the pointer shows the neighbours of the nearest one. */
function scatter({ names: tokens, xy, x_label, y_label, neighbours }) {
  if (!tokens.length) return null;
  const axes = [0, 1].map(nth => {
    const values = xy.map(pair => pair[nth]), low = Math.min(...values), high = Math.max(...values);
    const margin = 0.05 * (high - low || 1), marks = ticks(low, high, 5);
    return { low: low - margin, high: high + margin, name: [x_label, y_label][nth],
             ticks: marks.map(value => [value, String(value).replace("-", "−")]) };
  });
  const frame = make("div"), pen = make("canvas").getContext("2d");

  when("size", () => {
    const width = Math.min(frame.clientWidth, 760);
    const plot = chart(width, Math.min(560, width), ...axes, `${x_label} and ${y_label}`);
    const points = xy.map(([x, y]) => [plot.X(x), plot.Y(y)]);
    const dots = points.map(([cx, cy]) => make("circle", { cx, cy, r: 3 }));
    const boxes = points.map(([x, y]) => [x - 3, y - 3, x + 3, y + 3]);
    pen.font = "12px system-ui, sans-serif";
    const labels = tokens.flatMap((token, at) => {
      const place = room(points[at], pen.measureText(token).width, boxes, plot);
      return place ? make("text", { x: place[0], y: place[1] }, token) : [];
    });
    plot.element.append(...dots, ...labels);
    tips(plot.element, event => {
      const { left, top } = plot.element.getBoundingClientRect();
      const away = at => Math.hypot(points[at][0] - event.clientX + left, points[at][1] - event.clientY + top);
      const nearest = event && index(points.length).reduce((a, b) => away(b) < away(a) ? b : a);
      const token = event && away(nearest) < 24 ? tokens[nearest] : null, near = neighbours[token] ?? [];
      const marked = new Set([token, ...near.map(([name]) => name)]);
      dots.forEach((dot, at) => dot.classList.toggle("near", marked.has(tokens[at])));
      return token == null ? null : [token, ...near.map(([name, cosine]) => `${name}   cosine ${number(cosine)}`)];
    });
    frame.replaceChildren(plot.element);
  });
  return frame;
}

/* By the name of the panel's renderer; all panels of a section that have the same one are drawn together. */
const RENDERERS = {
  lines: panels => panels.map(lines), heatmap: panels => panels.map(heatmap), scatter: panels => panels.map(scatter),
  table: (panels, run) => panels.map(panel => cellTable(panel, run)), heads: panels => [headsOf(panels)],
};

function panelsOf(panels, run) {
  const kinds = [...new Set(panels.map(({ renderer }) => renderer))];
  const like = kind => ({ renderer }) => renderer === kind;
  return kinds.flatMap(kind => RENDERERS[kind](panels.filter(like(kind)), run)).filter(Boolean);
}
