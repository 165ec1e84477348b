// By what the text is coloured: surprise, attention, or a unit of a layer.
import { colouring, legend } from "./colours.js";
import { $, wholeNumber } from "./elements.js";

export class ColourChoice {
  /** `chosen(look)` gets the unit that has to be known. */
  constructor(about, reading, chosen) {
    Object.assign(this, { about, reading, chosen });
    const units = about.places.filter(place => place.kind !== "attention");
    if (units.length < about.places.length) $("colour").add(new Option("attention", "attention"));
    if (units.length) $("colour").add(new Option("a unit", "unit"));
    $("place").replaceChildren(...units.map(place => new Option(place.name, place.path)));
    $("place").value = (units.find(place => place.path.endsWith(".hidden")) ?? units[0])?.path ?? "";
    $("colour").value = "surprise";
    $("colour").addEventListener("change", () => this.choose());
    $("place").addEventListener("change", () => { $("unit").value = 0; this.choose(); });
    $("unit").addEventListener("change", () => this.choose());
    $("unit-before").addEventListener("click", () => this.step(-1));
    $("unit-after").addEventListener("click", () => this.step(1));
  }

  get kind() { return $("colour").value; }

  choose() {
    $("unit-choice").hidden = this.kind !== "unit";
    if (this.kind !== "unit") return this.chosen({ place: "", unit: 0 });
    const place = this.about.places.find(one => one.path === $("place").value);
    $("unit").max = place.size - 1;
    return this.chosen({ place: place.path, unit: wholeNumber($("unit"), 0, place.size - 1) });
  }

  step(by) {
    const units = Number($("unit").max) + 1;
    $("unit").value = (Number($("unit").value) + by + units) % units;
    return this.choose();
  }

  /** The colouring for what is known now; the legend says what it means. */
  now() {
    const found = colouring(this.kind, this.reading, this.about);
    legend($("legend"), found);
    return found;
  }
}
