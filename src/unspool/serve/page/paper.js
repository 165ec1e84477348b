// The sheet: a text area over a mirror that has the same lines, with colours and the suggestion in grey.
import { css } from "./colours.js";
import { difference } from "./texts.js";

const EMPTY = "\u200b";

export class Paper {
  constructor(paper, mirror, area, reading) {
    Object.assign(this, { paper, mirror, area, reading });
    this.lines = [];  // { element, text, start, painted }
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
      const fresh = parts.slice(head, parts.length - tail).map(part => {
        const element = document.createElement("div");
        element.textContent = part || EMPTY;
        return { element, text: part, start: 0, painted: false };
      });
      const after = old[old.length - tail]?.element ?? null;
      for (const line of old.slice(head, old.length - tail)) line.element.remove();
      for (const line of fresh) this.mirror.insertBefore(line.element, after);
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
      line.painted = false;
      if (line.start < start) break;
    }
    this.paintSoon();
  }

  paintSoon() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.paint(); });
  }

  /** Paint the lines that can be seen. */
  paint() {
    if (this.text === null) return;
    const change = difference(this.reading.base, this.text);
    const box = this.paper.getBoundingClientRect();
    const top = Math.max(0, box.top) - 200, bottom = Math.min(innerHeight, box.bottom) + 200;
    const lines = this.lines;
    let low = 0, high = lines.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (lines[middle].element.getBoundingClientRect().bottom < top) low = middle + 1; else high = middle;
    }
    for (let at = low; at < lines.length; at++) {
      if (lines[at].element.getBoundingClientRect().top > bottom) break;
      if (!lines[at].painted) this.paintLine(lines[at], change);
    }
  }

  paintLine(line, change) {
    line.painted = true;
    const { colouring } = this, ghosted = this.ghost.parentNode === line.element;
    if (!line.text || !colouring) line.element.textContent = line.text || EMPTY;
    else line.element.replaceChildren(...this.pieces(line, change));
    if (ghosted) line.element.append(this.ghost);
  }

  pieces(line, change) {
    const { text } = line, shift = change.inserted.length - change.removed;
    const found = [];
    let begun = 0, level = null;
    for (let at = 0; at <= text.length; at++) {
      const now = at === text.length ? null : this.levelAt(line.start + at, change, shift);
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
    const line = this.lines.findLast(one => one.start <= caret);
    const key = document.createElement("kbd");
    key.textContent = "Tab";
    this.ghost.replaceChildren(rest, key);
    if (line.element.textContent === EMPTY) line.element.textContent = "";
    line.element.append(this.ghost);
    line.painted = line.painted && Boolean(line.text);
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
