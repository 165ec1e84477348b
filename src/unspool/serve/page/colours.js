// From numbers to colours: surprise, units and attention, each with its legend.

export const LEVELS = 24;
const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
const LETTERS = 8, WORDS = 16;  // bits that have the strongest colour

/** A colouring: from the number of a token to -LEVELS..LEVELS, 0 being none, with the two colours and a legend. */
export function colouring(kind, reading, about) {
  if (kind === "surprise") {
    const most = usual(reading.bits) > 10 ? WORDS : LETTERS;
    return { up: "--surprised", low: "0", high: `${most} bits`, level: at => step(reading.bits[at] / most) };
  }
  if (kind === "unit" && reading.values) {
    const place = about.places.find(one => one.path === reading.look.place);
    if (!place) return null;
    if (place.kind === "gate") {
      return { up: "--open", low: "shut", high: "open", level: at => step(reading.values[at]) };
    }
    const most = usual(reading.values);
    const ends = most < 10 ? most.toFixed(1) : most.toFixed(0);
    const level = at => step(reading.values[at] / most);
    return { up: "--above", down: "--below", low: `−${ends}`, high: ends, level };
  }
  if (kind === "attention") {
    const weights = attention(reading, about);
    if (!weights) return null;
    const most = Math.max(1e-9, ...weights.values);
    return { up: "--other", low: "0", high: `${Math.round(most * 100)} %`,
             level: at => at < weights.first ? 0 : step(Math.sqrt(weights.values[at - weights.first] / most)) };
  }
  return null;
}

/** What 98 % of the values stay below, so that a few large ones leave the others their colours. */
function usual(values) {
  const every = Math.max(1, Math.floor(values.length / 4000));
  const some = values.filter((value, at) => value !== null && at % every === 0).map(Math.abs).sort((a, b) => a - b);
  return some[Math.floor(0.98 * (some.length - 1))] || 1e-9;
}

const step = share => Number.isFinite(share) ? Math.round(clamp(share, -1, 1) * LEVELS) : 0;

/** The attention of the last token to each before it, the mean over the heads of the layer that is shown. */
export function attention(reading, about) {
  const place = about.places.find(one => one.kind === "attention" && one.layer === reading.look.layer);
  const found = place && reading.activity[place.path];
  if (!found) return null;
  const rows = bytes(found.bytes), size = rows.length / place.size;
  const values = Array.from({ length: size }, (_, at) => {
    let sum = 0;
    for (let head = 0; head < place.size; head++) sum += rows[head * size + at];
    return sum / place.size / 255;
  });
  return { first: found.first - 1, values };  // the server counts the line break before the text
}

export const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));

export function css({ up, down }, level) {
  const alpha = (0.85 * Math.abs(level) / LEVELS).toFixed(3);
  return `rgb(var(${level < 0 ? down : up}) / ${alpha})`;
}

export function legend(element, chosen) {
  if (!chosen) { element.replaceChildren(); return; }
  const bar = document.createElement("i"), from = chosen.down ? css(chosen, -LEVELS) : "transparent";
  bar.style.background = chosen.down
    ? `linear-gradient(to right, ${from}, transparent, ${css(chosen, LEVELS)})`
    : `linear-gradient(to right, ${from}, ${css(chosen, LEVELS)})`;
  element.replaceChildren(chosen.low, bar, chosen.high);
}
