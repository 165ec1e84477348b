// ---- the sections: each is given a run and brings its element, or null where the run has nothing to show ------------

function words(run) {
  const item = sentence => {
    for (const signal of run.signals) {
      const unit = parseInt(sentence.split(`${signal.name}, unit `)[1]), at = signal.units.indexOf(unit);
      if (at >= 0) return make("button", { class: "link", onclick: () => choose(run, signal, at) }, sentence);
    }
    return sentence;
  };
  return run.words.length ? make("ul", {}, ...run.words.map(sentence => make("li", {}, item(sentence)))) : null;
}

function text(run) {
  if (!run.rows.length) return null;
  const keys = "left and right walk over the tokens, up and down over the units";
  const body = make("div", { tabindex: 0, role: "group", "aria-label": `the text: ${keys}` });
  const source = make("p", { class: "faint" }), summary = make("p", { class: "faint" });
  const key = make("span", { class: "legend" });
  let spans = [];

  when("row", () => {
    const { tokens, source: read } = rowOf(run);
    const long = tokens.some(token => token.replaceAll("\\n", "").length > 1);
    const apart = long && !tokens.some(token => token.includes("␣"));  // words, not pieces of text
    const drawn = token => token.replaceAll("␣", " ").replaceAll("\\n", "↵\n");
    spans = tokens.map((token, at) => make("span", { "data-at": at }, drawn(token)));
    body.className = apart ? "text words" : "text";
    body.replaceChildren(...spans.flatMap(span => apart ? [span, " "] : [span]));
    source.textContent = read?.length ? `Source: ${read.join(" ")}` : "";
  });
  when("row signal unit theme", () => {
    if (!run.signal) return;
    const scale = limits(run.signal, run.unit);
    spans.forEach((span, token) => {
      const shade = colour(scale, run.signal.value(run.unit, token));
      span.style = `background: ${css(shade)}; color: ${inkOn(shade)}`;
    });
    key.replaceChildren(...legend(scale, run.signal.kind === "surprise" ? "nats" : ""));
    summary.textContent = run.signal.summary ?? "";
  });
  when("row token", () => {
    body.querySelector(".here")?.classList.remove("here");
    spans[look.token]?.classList.add("here");
  });

  tips(body, event => {
    const at = event?.target.dataset.at;
    point(at == null ? null : Number(at));
    return at == null ? null : numbers(Number(at));
  });
  body.addEventListener("keydown", event => walk(event, run, spans));
  return make("div", {}, make("div", { class: "controls" }, ...choosers(run), key), source, body, summary);
}

/* The arrow keys over the text: to another token, or to another unit. */
function walk(event, run, spans) {
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (!(event.key in steps) || !run.signal || !spans.length) return;
  event.preventDefault();
  const [token, unit] = steps[event.key];
  if (unit) choose(run, run.signal, clamp(run.unit + unit, 0, run.signal.units.length - 1));
  point(look.token == null ? 0 : clamp(look.token + token, 0, spans.length - 1));
  spans[look.token].scrollIntoView({ block: "nearest" });
  const { left, bottom } = spans[look.token].getBoundingClientRect();
  tip(numbers(look.token), left, bottom);
}

function choosers(run) {
  const begins = ({ tokens }, at) => `${at}: ${tokens.slice(0, 8).join(" ")}`;
  const rows = stepper("row", "row", () => run.rows.map(begins), () => look.row, at => {
    Object.assign(look, { row: at, token: null });
    tell("row");
  });
  const signals = stepper("colour", "signal", () => run.signals.map(({ name }) => name),
    () => run.signals.indexOf(run.signal), at => choose(run, run.signals[at], 0));
  const units = stepper("unit", "signal unit", () => run.signal?.units.map(String) ?? [],
    () => run.unit, at => choose(run, run.signal, at));
  return [rows, signals, units];
}

function time(run) {
  if (!run.rows.length || !run.signal) return null;
  const scroll = make("div", { class: "scroll" }), axes = make("p", { class: "axis" });
  const line = make("svg", { height: 96, role: "img", "aria-label": "the chosen unit over the tokens" });
  const ends = make("div", { class: "side ends" });
  let map, width;

  when("row signal theme size", () => {
    const { signal } = run, { tokens } = rowOf(run), { units } = signal;
    width = clamp(Math.floor((scroll.clientWidth - 60) / tokens.length), 4, 24);
    map = cellMap({
      down: { count: units.length, label: at => String(units[at]) },
      across: { count: tokens.length, label: at => tokens[at] },
      size: [width, clamp(Math.floor(384 / units.length), 2, 14)],
      cells: signal.cells(), scale: signal, title: `${signal.name}: units by tokens; a click chooses a unit`,
      above: [ends, line],
    });
    tips(map.grid, event => {
      const [unit, token] = event ? map.at(event) : [null, null];
      point(token);
      return event && numbers(token, run, unit);
    });
    map.grid.addEventListener("click", event => choose(run, signal, map.at(event)[0]));
    scroll.replaceChildren(map.element);
    const measure = { state: "activation", gate: "opening, 0 to 1", surprise: "surprise, nats" }[signal.kind];
    axes.textContent = `The line: ${measure}, of the chosen unit. Below it: ↓ ${units.length} of ${signal.of} units, `
      + `the interesting first${signal.scales ? ", each in colours of its own scale" : ""}; a click chooses one. `
      + "→ token, by its place in the row.";
  });
  when("row signal unit size", () => {
    const { value } = run.signal, { low, high } = limits(run.signal, run.unit), count = rowOf(run).tokens.length;
    ends.replaceChildren(...[high, low].map(end => make("div", {}, number(end))));
    const Y = real => 94 - 92 * clamp((real - low) / (high - low || 1), 0, 1);
    const known = index(count).filter(token => value(run.unit, token) != null);
    const points = known.map(token => `${(token + 0.5) * width},${Y(value(run.unit, token)).toFixed(1)}`).join(" ");
    line.setAttribute("width", width * count);
    line.replaceChildren(make("line", { x1: 0, x2: width * count, y1: Y(0), y2: Y(0) }),
                         make("polyline", { class: "curve thin", points }));
  });
  when("row signal unit token theme size", () => map.mark(run.unit, look.token));

  tips(line, event => {
    const token = event ? map.at(event)[1] : null;
    point(token);
    return event && numbers(token);
  });
  return make("div", {}, scroll, axes);
}

function gradient(run) {
  const { lags = [], curves = [], summary } = run.gradient ?? {};
  if (!lags.length) return null;
  const hues = ["below", "surprised", "open", "above", "other"].map(name => `rgb(var(--${name}))`);
  const names = curves.map(({ name }, at) => make("span", { style: `color: ${hues[at % 5]}` }, `— ${name}  `));
  const relative = norms => norms.map(norm => norm > 0 && norms[0] > 0 ? Math.log10(norm / norms[0]) : null);
  const tens = curves.map(({ norms }) => relative(norms)), known = tens.flat().filter(ten => ten != null);
  const low = Math.max(-15, Math.floor(Math.min(-1, ...known))), high = Math.ceil(Math.max(0, ...known));
  const power = ten => [ten, Math.abs(ten) > 3 ? `1e${ten}`.replace("-", "−") : String(+(10 ** ten).toPrecision(1))];
  const x = { low: lags[0], high: lags.at(-1), name: "lag (tokens back)",
              ticks: ticks(lags[0], lags.at(-1), 6).map(lag => [lag, lag]) };
  const y = { low, high, name: "gradient norm ÷ that at lag 0",
              ticks: ticks(low, high, 6).filter(Number.isInteger).map(power) };
  const frame = make("div");

  when("size", () => {
    const { element, X, Y, top, bottom } = chart(Math.min(frame.clientWidth, 760), 300, x, y, "the gradient by lag");
    const guide = make("line", { class: "guide", y1: top, y2: bottom, visibility: "hidden" });
    element.append(guide);
    tens.forEach((curve, at) => {
      const points = lags.flatMap((lag, n) => curve[n] == null ? [] : `${X(lag)},${Y(Math.max(low, curve[n]))}`);
      element.append(make("polyline", { class: "curve", style: `stroke: ${hues[at % 5]}`, points: points.join(" ") }));
    });
    tips(element, event => {
      guide.setAttribute("visibility", event ? "visible" : "hidden");
      if (!event) return null;
      const away = n => Math.abs(X(lags[n]) - event.clientX + element.getBoundingClientRect().left);
      const nearest = index(lags.length).reduce((a, b) => away(b) < away(a) ? b : a);
      for (const end of ["x1", "x2"]) guide.setAttribute(end, X(lags[nearest]));
      const share = curve => curve[nearest] == null ? "0" : (10 ** curve[nearest]).toPrecision(3);
      return [`lag ${lags[nearest]}`, ...curves.map(({ name }, at) => `${name}: ${share(tens[at])} of that at lag 0`)];
    });
    frame.replaceChildren(element);
  });
  return make("div", {}, make("p", {}, ...names), frame, make("p", { class: "faint" }, summary ?? ""));
}

function attention(run) {
  const parts = run.attention.filter(({ heads }) => heads.length);
  if (!parts.length) return null;
  const scroll = make("div", { class: "scroll" }), effect = make("p", { "aria-live": "polite" });
  const heads = make("div"), key = make("span", { class: "legend" }), scale = { kind: "attention", low: 0, high: 1 };
  const pick = change => {
    Object.assign(run, change);
    tell("head");
  };

  when("head theme", () => {
    const { down, across, heads: maps, name } = parts[run.part], cells = bytes(maps[run.head]);
    const side = clamp(Math.floor(560 / Math.max(down.length, across.length)), 4, 18);
    const map = cellMap({
      down: { count: down.length, label: at => down[at] }, across: { count: across.length, label: at => across[at] },
      size: [side, side], cells, scale, title: `${name}, head ${run.head + 1}: where each token looks`,
    });
    tips(map.grid, event => {
      const [from, to] = event ? map.at(event) : [null, null];
      map.mark(from, to);
      if (!event) return null;
      const weight = cells[from * across.length + to] / 255;
      return [`“${down[from]}” → “${across[to]}”`, `places ${from} → ${to}`, `weight ${number(weight, 3)}`];
    });
    scroll.replaceChildren(map.element);
    key.replaceChildren(...legend(scale, "weight"));
  });
  when("head", () => {
    const { heads: maps, summary, ablated, loss } = parts[run.part], { head } = run, change = ablated[head];
    const lines = maps.map((_, at) => [
      make("button", { "aria-pressed": at === head }, `head ${at + 1}`),
      (summary[at] ?? "").replace(/^head \d+ /, ""),
      ablated[at] == null ? "–" : signed(ablated[at]),
    ]);
    heads.replaceChildren(table(["head", "", "loss without it (nats)"], lines, 2));
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
    stepper("part", "head", () => parts.map(({ name }) => name), () => run.part, part => pick({ part, head: 0 })),
    stepper("head", "head", () => parts[run.part].heads.map((_, at) => String(at + 1)), () => run.head,
      head => pick({ head })),
    key);
  const axes = make("p", { class: "axis" }, "↓ the token that looks. → the token looked at.");
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

function embeddings(run) {
  const { tokens = [], xy = [], explained = [], neighbours = {} } = run.embeddings ?? {};
  if (!tokens.length) return null;
  const axes = [0, 1].map(nth => {
    const values = xy.map(pair => pair[nth]), low = Math.min(...values), high = Math.max(...values);
    const margin = 0.05 * (high - low || 1), marks = ticks(low, high, 5);
    const share = explained[nth] == null ? "" : ` (${number(100 * explained[nth], 0)} % of the variance)`;
    return { low: low - margin, high: high + margin, name: `principal component ${nth + 1}${share}`,
             ticks: marks.map(value => [value, String(value).replace("-", "−")]) };
  });
  const frame = make("div"), pen = make("canvas").getContext("2d");

  when("size", () => {
    const width = Math.min(frame.clientWidth, 760);
    const plot = chart(width, Math.min(560, width), ...axes, "embeddings of the tokens");
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

function neurons(run) {
  if (!run.neurons.length) return null;
  const lines = run.neurons.map(({ feature, place, name, unit, score, statistic, chance }) => {
    const title = `${name}, unit ${unit}`, signal = run.signals.find(signal => signal.place === place);
    const at = signal ? signal.units.indexOf(unit) : -1;
    const press = () => choose(run, signal, at);
    const chooser = at < 0 ? title : make("button", { class: "link", onclick: press }, title);
    return [feature, chooser, `${statistic} ${number(score)}`, number(chance)];
  });
  return make("div", { class: "wide" }, table(["feature", "unit", "statistic", "by chance"], lines, 2));
}

// ---- the page -------------------------------------------------------------------------------------------------------

function about({ summary, loss }) {
  return make("p", {}, loss == null ? summary : `${summary}; loss ${number(loss, 3)} nats a token`);
}

/* One part of a section for every run, each under its name where there are several; null where no run has one. */
function abreast(build) {
  const parts = runs.map(build);
  if (!parts.some(Boolean)) return null;
  const headed = (part, at) => make("div", { role: "group", "aria-label": runs[at].name },
    make("h3", {}, runs[at].name), part ?? make("p", { class: "faint" }, "has nothing of the kind"));
  return make("div", { class: "columns" }, ...runs.length > 1 ? parts.map(headed) : parts);
}

const page = document.getElementById("page");
document.title = DATA.title;
page.replaceChildren(make("h1", {}, DATA.title), abreast(about) ?? "");
const sections = {
  "What matters": words, "The text, coloured by a unit": text, "Units over the tokens": time,
  "Gradient by lag": gradient, "Attention": attention, "Embeddings": embeddings, "Neurons": neurons,
};
for (const [title, build] of Object.entries(sections)) {
  const parts = abreast(build);
  if (parts) page.append(make("section", { id: build.name }, make("h2", {}, title), parts));
}
readTheme();
watchers.forEach(({ act }) => act());  // now that everything is in its place, and so has a width

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  readTheme();
  tell("theme");
});
let wide = innerWidth;
addEventListener("resize", () => {  // a phone's bars come and go, and change the height alone
  if (innerWidth !== wide) tell("size");
  wide = innerWidth;
});
