// The sheet: a text area over a mirror that has the same lines, with colours and the suggestion in grey.
import { css } from "./colours.js";
import { difference } from "./texts.js";

const EMPTY = "\u200b";
const CHUNK = 600;  // letters of a long line that are painted together

export class Paper {
  constructor(paper, mirror, area, reading) {
    Object.assign(this, { paper, mirror, area, reading });
    this.lines = [];  // { element, text, start, chunks: [{ element, text, at, painted }] }
    this.text = null;
    this.colouring = null;
    this.ghost = document.createElement("span");
    this.ghost.className = "ghost";
    this.waiting = false;
    paper.addEventListener("scroll", () => this.paintSoon(), { passive: true });
    addEventListener("scroll", () => this.paintSoon(), { passive: true });
    addEventListener("resize", () => this.paintSoon(), { passive: true });
  }

  /** The lines of the mirror follow those of the text; those that are as before stay. */
  follow() {
    const text = this.area.value;
    if (text !== this.text) {
      const parts = text.split("\n"), old = this.lines;
      let head = 0, tail = 0;
      const least = Math.min(parts.length, old.length);
      while (head < least && old[head].text === parts[head]) head++;
      while (tail < least - head && old[old.length - 1 - tail].text === parts[parts.length - 1 - tail]) tail++;
      const fresh = parts.slice(head, parts.length - tail).map(newLine);
      const after = old[old.length - tail]?.element ?? null, made = document.createDocumentFragment();
      for (const line of old.slice(head, old.length - tail)) line.element.remove();
      made.append(...fresh.map(line => line.element));
      this.mirror.insertBefore(made, after);
      this.lines = [...old.slice(0, head), ...fresh, ...old.slice(old.length - tail)];
      let start = 0;
      for (const line of this.lines) { line.start = start; start += line.text.length + 1; }
      this.text = text;
    }
    this.paintSoon();
  }

  /** Colours are not true any more from a unit of the text on. */
  stale(start = 0) {
    for (let at = this.lines.length - 1; at >= 0; at--) {
      const line = this.lines[at];
      for (const chunk of line.chunks) {
        if (line.start + chunk.at + chunk.text.length >= start) chunk.painted = false;
      }
      if (line.start < start) break;
    }
    this.paintSoon();
  }

  paintSoon() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.paint(); });
  }

  /** Paint what can be seen. */
  paint() {
    if (this.text === null) return;
    const box = this.paper.getBoundingClientRect();
    const top = Math.max(0, box.top) - 200, bottom = Math.min(innerHeight, box.bottom) + 200;
    const seen = this.lines.slice(firstBelow(this.lines, top)).values(), chunks = [];
    for (const line of seen) {
      if (line.element.getBoundingClientRect().top > bottom) break;
      for (const chunk of line.chunks.slice(firstBelow(line.chunks, top))) {
        if (chunk.element.getBoundingClientRect().top > bottom) break;
        if (!chunk.painted) chunks.push([line, chunk]);
      }
    }
    if (!chunks.length) return;
    const change = difference(this.reading.base, this.text);
    for (const [line, chunk] of chunks) this.paintChunk(chunk, line.start + chunk.at, change);
  }

  paintChunk(chunk, start, change) {
    chunk.painted = true;
    const { colouring } = this, ghosted = this.ghost.parentNode === chunk.element;
    if (!chunk.text || !colouring) chunk.element.textContent = chunk.text || EMPTY;
    else chunk.element.replaceChildren(...this.pieces(chunk.text, start, change));
    if (ghosted) chunk.element.append(this.ghost);
  }

  pieces(text, start, change) {
    const shift = change.inserted.length - change.removed, found = [];
    let begun = 0, level = null;
    for (let at = 0; at <= text.length; at++) {
      const now = at === text.length ? null : this.levelAt(start + at, change, shift);
      if (now === level && at < text.length) continue;
      if (at > begun) found.push(piece(text.slice(begun, at), level, this.colouring));
      begun = at; level = now;
    }
    return found;
  }

  levelAt(place, change, shift) {
    if (place >= change.start + change.inserted.length) place -= shift;
    else if (place >= change.start) return 0;
    const at = this.reading.tokenAt(place);
    return at < this.reading.ends.length ? this.colouring.level(at) : 0;
  }

  /** Show a suggestion in grey behind the caret, where nothing comes behind it in its line. */
  suggest(rest, caret) {
    this.ghost.remove();
    const next = this.text?.[caret];
    if (!rest || (next !== undefined && next !== "\n")) return false;
    const line = this.lines.findLast(one => one.start <= caret), chunk = line.chunks.at(-1);
    const key = document.createElement("kbd");
    key.textContent = "Tab";
    this.ghost.replaceChildren(rest, key);
    if (!chunk.text) chunk.element.textContent = "";
    chunk.element.append(this.ghost);
    return true;
  }

  /** Scroll so that the end of the text is seen, unless somebody has scrolled up to read. */
  keepEnd() {
    const { paper } = this, left = paper.scrollHeight - paper.scrollTop - paper.clientHeight;
    if (left < 120) paper.scrollTop = paper.scrollHeight;
  }
}

function piece(text, level, colouring) {
  if (!level) return document.createTextNode(text);
  const span = document.createElement("span");
  span.textContent = text;
  span.style.background = css(colouring, level);
  return span;
}

/** A line of the mirror: one element, or a row of them where it is long. */
function newLine(text) {
  const element = document.createElement("div");
  if (text.length <= CHUNK) {
    element.textContent = text || EMPTY;
    return { element, text, start: 0, chunks: [{ element, text, at: 0, painted: false }] };
  }
  const chunks = [];
  for (let at = 0; at < text.length; at += CHUNK) {
    const part = text.slice(at, at + CHUNK), span = document.createElement("span");
    span.textContent = part;
    chunks.push({ element: span, text: part, at, painted: false });
  }
  element.append(...chunks.map(chunk => chunk.element));
  return { element, text, start: 0, chunks };
}

/** The first of some elements, one below the other, that ends below a height. */
function firstBelow(some, height) {
  let low = 0, high = some.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (some[middle].element.getBoundingClientRect().bottom < height) low = middle + 1; else high = middle;
  }
  return low;
}
