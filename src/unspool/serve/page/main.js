// Light and dark, and the page for the run that is served: an editor, or what to use instead.
import { $, make, sentence } from "./elements.js";
import { Page } from "./page.js";
import { answer } from "./server.js";
import { storage } from "./storage.js";

const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)");
let page = null;

function theme() {
  root.dataset.theme = storage.get("theme") ?? (dark.matches ? "dark" : "light");
  page?.recolour();
}
theme();
dark.addEventListener("change", theme);
$("theme").addEventListener("click", () => {
  storage.set("theme", root.dataset.theme === "dark" ? "light" : "dark");
  theme();
});

function refuse(message, hint) {
  const notice = make("div", { class: "notice" }, make("p", {}, sentence(message)));
  if (hint) notice.append(make("p", {}, "Use instead:"), make("code", {}, hint));
  $("refused").replaceChildren(notice);
  $("refused").hidden = false;
}

try {
  const about = await answer("GET", "about");
  $("name").textContent = about.name;
  if (about.error) refuse(about.error, about.hint);
  else {
    page = new Page(about);
    await page.begin();
  }
} catch (error) {
  refuse(error.message);
  if (error.status === undefined) console.error(error);
}
root.dataset.ready = "yes";
