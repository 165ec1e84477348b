// What the model has read: the text as the server has it, its tokens, and the document there that keeps them.
import { answer, ask, events } from "./server.js";
import { characters, difference, places, wellFormed } from "./texts.js";

export class Reading {
  constructor(changed) {
    this.changed = changed;  // is called with the first unit of the text that is not as before
    this.id = null;
    this.base = "";  // what the server has
    this.ends = []; this.bits = []; this.values = null;
    this.activity = {}; this.unknown = []; this.switches = [];
    this.tokensRead = 0;
    this.switching = 0;  // requests for other switches that are not answered yet: what is wished is newer
    this.look = { layer: "", place: "", unit: 0 };
    this.queue = Promise.resolve();
  }

  /** One after the other: two requests never meet at the server. */
  inTurn(act) {
    const next = this.queue.then(act, act);
    this.queue = next.catch(() => {});
    return next;
  }

  take(found, text, suggestions) {
    const first = found.first ?? 0, start = first ? this.ends[first - 1] : 0;
    const ends = places(text, found.ends, start, first ? characters(this.base, start) : 0);
    this.ends.length = this.bits.length = first;
    for (let at = 0; at < ends.length; at++) { this.ends.push(ends[at]); this.bits.push(found.bits[at]); }
    if (found.values) {
      this.values = (first ? this.values ?? [] : []).slice(0, first);
      for (const value of found.values) this.values.push(value);
    } else this.values = null;
    this.base = text;
    this.activity = found.activity; this.unknown = found.unknown; this.tokensRead = found.tokens_read;
    if (!this.switching) this.switches = found.switches;
    this.changed(start);
    return found.suggestions ?? suggestions ?? [];
  }

  async open(text) {
    const found = await answer("POST", "documents", { text, look: this.look });
    this.id = found.id;
    this.take(found, text);
    if (this.kept?.length) await this.force(this.kept);
    return [];
  }

  /** Send what has changed, and the suggestions for the caret come back. A closed document is opened again. */
  send(current, caret, suggestions) {
    return this.inTurn(async () => {
      const text = wellFormed(current());
      if (this.id === null) return this.open(text);
      const change = difference(this.base, text), at = caret();
      if (!change.removed && !change.inserted && !suggestions) return [];
      try {
        return this.take(await answer("POST", `documents/${this.id}/edit`, {
          length: characters(this.base), start: characters(this.base, change.start),
          removed: characters(this.base.slice(change.start, change.start + change.removed)),
          inserted: change.inserted, caret: characters(text, at), suggestions,
        }), text);
      } catch (error) { return this.again(error, text); }
    });
  }

  async again(error, text) {
    if (error.code === "closed") return this.openAgain(text);
    if (error.code !== "out_of_step") throw error;
    return this.take(await answer("PUT", `documents/${this.id}`, { text, look: this.look }), text);
  }

  openAgain(text) {
    this.kept = this.switches;
    return this.open(text);
  }

  /** Do something with the document; one that was closed meanwhile is opened again. */
  async lasting(act) {
    try { return await act(); }
    catch (error) {
      if (error.code !== "closed") throw error;
      await this.openAgain(this.base);
      return act();
    }
  }

  show(look) {
    this.look = look;
    return this.inTurn(() => this.id !== null && this.lasting(async () => {
      this.take(await answer("PUT", `documents/${this.id}/look`, look), this.base);
    }));
  }

  async force(switches) {
    const body = { switches: switches.map(({ place, unit, value, begin, end, released }) =>
      ({ place, unit, value, begin: begin ?? null, end: end ?? null, released: Boolean(released) })) };
    const found = await answer("PUT", `documents/${this.id}/switches`, body);
    this.kept = null;
    if (!this.writing) this.take(found, this.base);
    if (this.switching <= 1) this.switches = found.switches;
  }

  /** Force these units and no others; while the model writes this does not wait, and holds from the next token. */
  async switch(switches) {
    this.switching++;
    try {
      if (this.writing) await this.force(switches);
      else await this.inTurn(() => this.lasting(() => this.force(switches)));
    } finally { this.switching--; }
  }

  offers(caret, keys, suggestions) {
    const body = { caret: characters(this.base, caret), keys, suggestions };
    return this.inTurn(() => this.lasting(async () => {
      return (await answer("POST", `documents/${this.id}/offers`, body)).suggestions;
    }));
  }

  /** Let the model go on; `each` is called for every token. */
  write(options, each) {
    return this.inTurn(async () => {
      this.writing = true;
      try {
        const response = await this.lasting(() => ask("POST", `documents/${this.id}/write`, options));
        for await (const event of events(response)) {
          if ("done" in event) { this.tokensRead = event.tokens_read; return event.done; }
          const start = this.base.length;
          this.base += event.text;
          this.ends.push(this.base.length); this.bits.push(event.bits); this.values?.push(event.value);
          this.activity = event.activity;
          this.changed(start);
          each(event);
        }
        return "broken";
      } finally { this.writing = false; }
    });
  }

  stop() { return this.id && answer("POST", `documents/${this.id}/stop`).catch(() => {}); }

  /** The number of the token that a unit of the base belongs to. */
  tokenAt(place) {
    let low = 0, high = this.ends.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.ends[middle] <= place) low = middle + 1; else high = middle;
    }
    return low;
  }
}
