// ---- the sections: each is given a run and brings its element, or null where the run has nothing to show ------------

function findings(run) {
  const item = sentence => {
    for (const signal of run.signals) {
      const unit = parseInt(sentence.split(`${signal.name}, unit `)[1]), at = signal.units.indexOf(unit);
      if (at >= 0) return make("button", { class: "link", onclick: () => choose(run, signal, at) }, sentence);
    }
    return sentence;
  };
  const list = sentences => make("ul", {}, ...sentences.map(sentence => make("li", {}, item(sentence))));
  const topics = run.topics.flatMap(({ title, findings }) => [make("h3", {}, title), list(findings)]);
  const rest = topics.length ? [make("details", {}, make("summary", {}, "More findings, by topic"), ...topics)] : [];
  return run.findings.length ? make("div", {}, list(run.findings), ...rest) : null;
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
    key.replaceChildren(...legend(scale, run.signal.kind === "surprisal" ? "nats" : ""));
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
    () => run.signals.indexOf(run.signal), at => choose(run, run.signals[at], run.signals[at].start ?? 0));
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
    const measure = { state: "activation", gate: "gate, 0 to 1", surprisal: "surprisal, nats" }[signal.kind];
    axes.textContent = `The line: ${measure}, of the chosen unit. Below it: ↓ ${units.length} of ${signal.of} units`
      + `${signal.order ? `, ${signal.order}` : ""}${signal.scales ? ", each in colours of its own scale" : ""}; `
      + "a click chooses one. → token, by its position in the row.";
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

// ---- the page -------------------------------------------------------------------------------------------------------

function about({ summary, loss }) {
  return make("p", {}, loss == null ? summary : `${summary}; loss ${number(loss, 3)} nats a token`);
}

/* One part of a section for every run, each under its name where there are several; null where no run has one. */
function abreast(build) {
  const parts = runs.map(build);
  if (!parts.some(Boolean)) return null;
  const headed = (part, at) => make("div", { role: "group", "aria-label": runs[at].name },
    make("h3", {}, runs[at].name), part ?? make("p", { class: "faint" }, "not in this run"));
  return make("div", { class: "columns" }, ...runs.length > 1 ? parts.map(headed) : parts);
}

const page = document.getElementById("page");
document.title = DATA.title;
page.replaceChildren(make("h1", {}, DATA.title), abreast(about) ?? "");
const sections = new Map([
  ["findings", ["Main findings", findings]], ["text", ["The text, coloured by a unit", text]],
  ["time", ["Units over the tokens", time]],
]);
for (const { id, title } of runs.flatMap(run => run.sections)) {
  sections.set(id, [title, run => {
    const panels = panelsOf(run.sections.filter(section => section.id === id), run);
    return panels.length ? make("div", {}, ...panels) : null;
  }]);
}
for (const [id, [title, build]] of sections) {
  const parts = abreast(build);
  if (parts) page.append(make("section", { id }, make("h2", {}, title), parts));
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
