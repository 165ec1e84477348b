// What the page asks of the server. Every error is an `Error` with one sentence, `status` and `code`.

async function refusal(response) {
  let told = {};
  try { told = (await response.json()).error ?? {}; } catch { /* no JSON: a proxy, say */ }
  const hint = told.hint ? ` (${told.hint})` : "";
  const error = new Error((told.message ?? `the server answers ${response.status}`) + hint);
  return Object.assign(error, { status: response.status, code: told.code });
}

export async function ask(method, path, body, signal) {
  let response;
  try {
    response = await fetch(`editor/${path}`, {
      method, signal, headers: body ? { "Content-Type": "application/json" } : {}, body: body && JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw Object.assign(new Error("the server does not answer; your text is kept in this browser"), { status: 0 });
  }
  if (!response.ok) throw await refusal(response);
  return response;
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
