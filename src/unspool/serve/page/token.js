// The token of a server that wants one: asked for once, kept for this tab alone, in no address and in no cookie.
import { $ } from "./elements.js";

const NAME = "unspool token";
let kept = "", asking = null;
try { kept = sessionStorage.getItem(NAME) ?? ""; } catch { /* forbidden: it is kept until the page is left */ }

/** The token that requests carry; "" without one. */
export const token = () => kept;

function keep(given) {
  kept = given;
  try { sessionStorage.setItem(NAME, given); } catch { /* forbidden */ }
}

function form(done) {
  const field = $("token-field"), error = $("token-error");
  error.textContent = kept && "The server does not accept this token.";
  $("token").hidden = false;
  field.focus();
  $("token").onsubmit = event => {
    event.preventDefault();
    const given = field.value.trim();
    if (!/^[\x20-\x7e]+$/.test(given)) {
      error.textContent = "A token has ASCII characters, and one at least.";
      return;
    }
    keep(given);
    field.value = error.textContent = "";
    $("token").hidden = true;
    done();
  };
}

/** Waits until there is another token than the one that the server has refused. */
export async function another(refused) {
  if (refused !== kept) return; // another request has asked for it meanwhile
  asking ??= new Promise(form).finally(() => { asking = null; });
  await asking;
}
