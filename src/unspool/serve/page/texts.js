// Two texts and what is between them. Places are in UTF-16 units here and in characters at the server.

/** The one replacement that makes `after` of `before`: where, how many units go, and what comes. */
export function difference(before, after) {
  const least = Math.min(before.length, after.length);
  let start = 0;
  while (start < least && before.charCodeAt(start) === after.charCodeAt(start)) start++;
  let end = 0;
  const fromEnd = (text, at) => text.charCodeAt(text.length - 1 - at);
  while (end < least - start && fromEnd(before, end) === fromEnd(after, end)) end++;
  if (isLow(before, start) || isLow(after, start)) start--;  // never between the halves of a character
  if (isLow(before, before.length - end) || isLow(after, after.length - end)) end--;
  return { start, removed: before.length - end - start, inserted: after.slice(start, after.length - end) };
}

function isLow(text, at) {
  const code = text.charCodeAt(at);
  return at > 0 && code >= 0xdc00 && code < 0xe000;
}

const halves = /[\ud800-\udbff][\udc00-\udfff]/g;

/** How many characters come before a place. */
export function characters(text, place = text.length) {
  return place - (text.slice(0, place).match(halves)?.length ?? 0);
}

/** Places in UTF-16 units of places in characters, which rise. */
export function places(text, ends, start = 0, first = 0) {
  if (!halves.test(text)) return ends;
  halves.lastIndex = 0;
  const found = [];
  let at = start, count = first;
  for (const end of ends) {
    for (; count < end; count++) at += text.codePointAt(at) > 0xffff ? 2 : 1;
    found.push(at);
  }
  return found;
}

/** A text that UTF-8 can hold; its length stays. */
export const wellFormed = text => text.toWellFormed?.()
  ?? text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");

/** A character as a sentence can show it. */
export const visible = text => text.replaceAll(" ", "␣").replaceAll("\n", "↵").replaceAll("\t", "⇥");
