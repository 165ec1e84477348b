// What this browser keeps: the text, so that it is never lost, and how the page looks.

export const storage = {
  get(name) {
    try { return JSON.parse(localStorage.getItem(`unspool ${name}`)); } catch { return null; }
  },
  set(name, value) {
    try { localStorage.setItem(`unspool ${name}`, JSON.stringify(value)); } catch { /* full, or forbidden */ }
  },
};
