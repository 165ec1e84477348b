// Elements by name, and new ones.

export const $ = name => document.getElementById(name);

const SHAPES = new Set(["svg", "line", "rect", "text"]);

/** A new element; attributes that begin with "on" are listeners. */
export function make(tag, attributes = {}, ...children) {
  const element = SHAPES.has(tag)
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export const button = (text, onclick, attributes = {}) =>
  make("button", { type: "button", onclick, ...attributes }, text);

/** The whole number in a field, within its limits; the field shows it. */
export function wholeNumber(input, low, high) {
  const value = Math.max(low, Math.min(high, Math.round(Number(input.value) || 0)));
  input.value = value;
  return value;
}

export const signed = value => value.toFixed(2).replace("-", "−");
export const counted = count => count.toLocaleString("en");
export const sentence = text => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`.replace("..", ".");
