// A tune in ABC notation: drawn as bars of sound on a staff, and played.
import { make } from "./elements.js";
import { answer } from "./server.js";
import { characters } from "./texts.js";

const STEPS = [0, 0, 1, 1, 2, 3, 3, 4, 4, 5, 5, 6];  // lines and spaces above C, by semitone
const SHARP = new Set([1, 3, 6, 8, 10]);
const GAP = 10, BEAT = 28, LEFT = 14;  // pixels: between two lines, of a quarter beat, before the first

export const isTune = text => /^X:\s*\d/m.test(text) && /^K:/m.test(text);

export class Tune {
  constructor(elements) {
    Object.assign(this, elements, { found: { notes: [] }, timer: 0, context: null, sounding: null });
    this.play.addEventListener("click", () => this.context ? this.stop() : this.begin());
  }

  /** Read the tune at the caret, soon: while somebody types it is not read at every letter. */
  follow(text, caret) {
    clearTimeout(this.timer);
    this.section.hidden = !isTune(text);
    if (this.section.hidden) { this.stop(); return; }
    this.timer = setTimeout(async () => {
      try {
        const begin = Math.max(0, text.lastIndexOf("\nX:", caret));
        const part = text.slice(begin, begin + 9000);
        this.show(await answer("POST", "notes", { text: part, caret: characters(part, Math.max(0, caret - begin)) }));
      } catch (error) { this.error.textContent = error.message; }
    }, 350);
  }

  show(found) {
    this.found = found;
    this.title.textContent = found.title || "Notes";
    this.error.textContent = found.error ? `Not all of it can be read: ${found.error}.` : "";
    this.play.disabled = !found.notes.length;
    this.stop();
    this.draw();
  }

  draw() {
    const { notes, bars, title } = this.found;
    const length = Math.max(4, ...notes.map(([start, size]) => start + size));
    const wide = LEFT * 2 + length * BEAT;
    const heights = notes.map(([, , pitch]) => place(pitch));
    const top = Math.max(38, ...heights) + 3, low = Math.min(30, ...heights) - 3, y = step => (top - step) * GAP / 2;
    const picture = make("svg", { width: wide, height: (top - low) * GAP / 2 });
    for (const line of [30, 32, 34, 36, 38]) {  // E4 G4 B4 D5 F5
      picture.append(make("line", { x1: 0, x2: wide, y1: y(line), y2: y(line) }));
    }
    for (const bar of bars ?? []) {
      const x = LEFT + bar * BEAT - 3;
      if (!bar || bar > length) continue;
      picture.append(make("line", { class: "bar-line", x1: x, x2: x, y1: y(38), y2: y(30) }));
    }
    this.notes = notes.map(([start, size, pitch], at) => {
      const x = LEFT + start * BEAT, step = heights[at];
      for (let line = 40; line <= step; line += 2) picture.append(ledger(x, size, y(line)));
      for (let line = 28; line >= step; line -= 2) picture.append(ledger(x, size, y(line)));
      if (SHARP.has(pitch % 12)) picture.append(make("text", { x: x + 1, y: y(step) - GAP / 2 - 1 }, "♯"));
      const width = Math.max(4, size * BEAT - 3), height = GAP - 2;
      const mark = make("rect", { x, y: y(step) - height / 2, width, height, rx: height / 2 });
      picture.append(mark);
      return mark;
    });
    this.head = make("line", { class: "head", y1: 0, y2: (top - low) * GAP / 2, visibility: "hidden" });
    picture.append(this.head);
    this.staff.replaceChildren(picture);
    this.staff.setAttribute("aria-label", `${title || "the tune"}: ${notes.length} notes on a staff`);
  }

  begin() {
    const { notes, speed } = this.found, seconds = beats => beats * 60 / speed;
    this.context = new AudioContext();
    const out = this.context.createDynamicsCompressor(), start = this.context.currentTime + 0.08;
    out.connect(this.context.destination);
    for (const [begin, size, pitch] of notes) pluck(this.context, out, pitch, start + seconds(begin), seconds(size));
    const end = start + seconds(Math.max(0, ...notes.map(([begin, size]) => begin + size)));
    this.play.textContent = "Stop";
    this.head.setAttribute("visibility", "visible");
    const { context } = this;
    const move = () => {
      if (this.context !== context) return;
      const beat = (context.currentTime - start) * speed / 60, x = LEFT + Math.max(0, beat) * BEAT;
      for (const name of ["x1", "x2"]) this.head.setAttribute(name, x);
      notes.forEach(([begin, size], at) => {
        this.notes[at].classList.toggle("sounding", beat >= begin && beat < begin + size);
      });
      const { scrollLeft, clientWidth } = this.staff;
      if (x > scrollLeft + clientWidth - 40 || x < scrollLeft) this.staff.scrollLeft = x - 60;
      if (context.currentTime > end + 0.4) this.stop(); else requestAnimationFrame(move);
    };
    move();
  }

  stop() {
    this.context?.close();
    this.context = null;
    this.play.textContent = "Play";
    this.head?.setAttribute("visibility", "hidden");
    this.notes?.forEach(note => note.classList.remove("sounding"));
  }
}

/** A plucked tone, as of `unspool sample --to`: a few sines that die away. */
function pluck(context, out, pitch, start, size) {
  const frequency = 440 * 2 ** ((pitch - 69) / 12);
  [[1, 0.32], [2, 0.12], [3, 0.05]].forEach(([times, loud]) => {
    const tone = context.createOscillator(), gain = context.createGain();
    tone.frequency.value = frequency * times;
    gain.gain.setValueAtTime(0, start);
    gain.gain.linearRampToValueAtTime(loud, start + 0.008);
    gain.gain.exponentialRampToValueAtTime(loud * 0.25, start + Math.max(0.05, size));
    gain.gain.exponentialRampToValueAtTime(0.0005, start + size + 0.18);
    tone.connect(gain).connect(out);
    tone.start(start);
    tone.stop(start + size + 0.2);
  });
}

const place = pitch => STEPS[pitch % 12] + 7 * (Math.floor(pitch / 12) - 1);
const ledger = (x, size, y) => make("line", { class: "ledger", x1: x - 4, x2: x + size * BEAT + 1, y1: y, y2: y });
