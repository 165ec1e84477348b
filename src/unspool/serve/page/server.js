// What the page asks of the server. Every error is an `Error` with one sentence, `status` and `code`.
import { another, token } from "./token.js";

async function refusal(response) {
  let found = {};
  try { found = (await response.json()).error ?? {}; } catch { /* no JSON: a proxy, say */ }
  const hint = found.hint ? ` (${found.hint})` : "";
  const error = new Error((found.message ?? `the server answers ${response.status}`) + hint);
  return Object.assign(error, { status: response.status, code: found.code });
}

async function sent(method, path, body, signal, given) {
  const headers = {};
  if (body) headers["Content-Type"] = "application/json";
  if (given) headers.Authorization = `Bearer ${given}`;
  try {
    return await fetch(`editor/${path}`, { method, signal, headers, body: body && JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw Object.assign(new Error("the server does not answer; your text is kept in this browser"), { status: 0 });
  }
}

export async function ask(method, path, body, signal) {
  for (;;) {
    const given = token(), response = await sent(method, path, body, signal, given);
    if (response.ok) return response;
    if (response.status !== 401) throw await refusal(response);
    await another(given);
  }
}

export const answer = async (...request) => (await ask(...request)).json();

/** The events of an answer that goes on, one JSON object a line. */
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (held + value).split("\n");
      held = lines.pop();
      for (const line of lines) yield JSON.parse(line);
    }
  } catch (error) {
    throw Object.assign(new Error("the server broke off; your text is kept in this browser"), { status: 0, error });
  }
}
