// Suggestions under the text, and the keys of a phone (T9).
import { button, make } from "./elements.js";

export class Offers {
  /** `take(rest)` puts what is missing behind the caret. */
  constructor(element, take) {
    Object.assign(this, { element, take, found: [] });
  }

  show(found) {
    this.found = found;
    this.element.replaceChildren(...found.map((one, at) => {
      const chance = one.probability === null ? "" : percent(one.probability);
      const made = button(one.word, () => this.accept(at), {
        class: at ? "" : "first", tabindex: -1,  // Tab takes the first; Alt and a number each
        "aria-label": chance ? `${one.word}, ${chance}` : one.word, "aria-keyshortcuts": at ? `Alt+${at + 1}` : "Tab",
        onpointerdown: event => event.preventDefault(),  // the caret stays in the text
      });
      if (chance) made.append(make("small", {}, chance));
      return made;
    }));
  }

  accept(at) {
    const one = this.found[at];
    if (!one) return false;
    this.take(one);
    return true;
  }
}

function percent(share) {
  if (share >= 0.095) return `${Math.round(share * 100)} %`;
  return share >= 0.001 ? `${(share * 100).toFixed(1)} %` : "< 0.1 %";
}

const KEYS = [["1", ". , ! ?"], ["2", "abc"], ["3", "def"], ["4", "ghi"], ["5", "jkl"], ["6", "mno"], ["7", "pqrs"],
              ["8", "tuv"], ["9", "wxyz"], ["*", "next"], ["0", "space"], ["⌫", "delete"]];
const NAMES = { "*": "next word", 0: "space", "⌫": "delete" };
const MARKS = ".,!?'-";
const AGAIN = 900;  // milliseconds in which key 1 goes on to the next mark

export class Keypad {
  /** `act` has insert(text), remove(), and offers(keys), which gives words. */
  constructor(element, act) {
    Object.assign(this, { element, act, pressed: "", words: [], chosen: 0, mark: -1, at: 0 });
    element.replaceChildren(...KEYS.map(([key, under]) => {
      const made = button("", () => this.press(key), {
        "aria-label": NAMES[key] ?? `${key}: ${under}`, onpointerdown: event => event.preventDefault(),
      });
      made.append(make("b", {}, key), make("small", {}, under));
      return made;
    }));
    element.addEventListener("keydown", event => {
      const key = event.key === "Backspace" ? "⌫" : event.key;
      if (!KEYS.some(([one]) => one === key)) return;
      event.preventDefault();
      this.press(key);
    });
  }

  get word() { return this.words[this.chosen]; }

  async press(key) {
    if (key === "⌫" && !this.pressed) return this.act.remove();
    if (key === "*") this.chosen = this.words.length ? (this.chosen + 1) % this.words.length : 0;
    else if (key === "0") { this.accept(); return this.act.insert(" "); }
    else if (key === "1" && !this.pressed) return this.punctuate();
    else if (key === "1") { this.accept(); return this.punctuate(); }
    else this.pressed = key === "⌫" ? this.pressed.slice(0, -1) : (this.pressed + key).slice(0, 24);
    if (key !== "*") {
      const asked = this.pressed, found = asked ? await this.act.offers(asked) : [];
      if (asked !== this.pressed) return;
      this.words = found; this.chosen = 0;
    }
    this.act.shown(this.words, this.chosen, this.pressed);
  }

  punctuate() {
    const now = performance.now(), again = now - this.at < AGAIN && this.mark >= 0;
    this.mark = again ? (this.mark + 1) % MARKS.length : 0;
    this.at = now;
    if (again) this.act.remove();
    this.act.insert(MARKS[this.mark]);
  }

  /** Put the chosen word into the text; keys that no word fits stay as digits. */
  accept(one = this.word) {
    const rest = one?.rest ?? this.pressed;
    this.clear();
    if (rest) this.act.insert(rest);
  }

  clear() {
    this.pressed = ""; this.words = []; this.chosen = 0;
    this.act.shown([], 0, "");
  }
}
