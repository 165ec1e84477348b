"""What a model adds to a document: text as it goes on, and words that may come next."""

import time
from collections.abc import Container, Iterator
from contextlib import ExitStack
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np

from unspool.data.keypad import KeyDictionary
from unspool.data.tokenizer import TextStream
from unspool.errors import UnspoolError
from unspool.generate.sampling import Sampler, Sampling, sampler
from unspool.generate.state import State
from unspool.generate.suggest import NEEDS_SPACE, Suggestion, suggest, suggest_keys
from unspool.generate.text import BANNED, banned_ids, token_before
from unspool.serve.document import Document
from unspool.serve.token_ends import Tokens

LONGEST = 100_000
"""Characters of a text."""


def write(
    document: Document, length: int, sampling: Sampling, seed: int, pace: float = 0.0, longest: int = LONGEST
) -> Iterator[dict[str, Any]]:
    """Go on with a document, token by token, until it is stopped or an edit comes.

    Args:
        document: it grows as this is iterated over.
        length: how many tokens at most.
        sampling: how to draw.
        seed: the same seed behind the same text writes the same text.
        pace: tokens a second at most; 0: as fast as it goes.
        longest: characters that the text may have.

    Returns:
        An iterator of what each token adds: "text", the "length" of all text, "bits", the "value" of the unit that is
        shown, and "activity"; the last has "done", which says why it ended: length, stopped or full.
    """
    with document.lock:
        document.turn += 1
        turn, before = document.turn, document.engine.tokens_run
        state = replace(document.session.state, seed=seed)
        choose = sampler(state, sampling, banned_ids(document.tokenizer, BANNED))
        given = token_before(document.tokenizer, document.text, state.ids) if document.text else None
        spelt = TextStream(document.tokenizer, given)
    done, due = "length", time.monotonic()
    for _ in range(length):
        with document.lock:
            if document.turn != turn or len(document.text) >= longest:
                done = "stopped" if document.turn != turn else "full"
                break
            event = append(document, choose, spelt)
        yield event
        if pace:
            due = max(due + 1 / pace, time.monotonic() - 1)
            time.sleep(max(0.0, due - time.monotonic()))
    yield {"done": done, "length": len(document.text), "tokens_read": document.engine.tokens_run - before}


def append(document: Document, choose: Sampler, spelt: TextStream) -> dict[str, Any]:
    """Draw one token, read it, and describe what it adds."""
    state, number = document.session.state, len(document.tokens.ids)
    id = int(choose(state.logits, state.position))
    piece = spelt.feed(id)
    end = len(document.text) + len(piece)
    ids, ends = np.append(document.tokens.ids, id), np.append(document.tokens.ends, end)
    document.read_on(Tokens(ids, ends, []), number)
    document.text += piece
    value = document.column(number)
    bits = float(document.bits.rows[-1, 0])
    return {
        "text": piece,
        "length": end,
        "bits": round(bits, 6),
        "value": value and value[0],
        "activity": document.activity,
    }


def words_on_keys(document: Document, caret: int, k: int, keys: str, known: KeyDictionary) -> list[Suggestion]:
    """Words on some keys of a phone: known ones in the order of the model, known ones beyond them, others.

    Args:
        document: of the text; it stays as it is.
        caret: how many characters come before.
        k: how many words.
        keys: digits.
        known: the words that there are.

    Returns:
        The words as long as the keys, then longer ones that begin so; one that the model did not think of has a
        log-probability of minus infinity.
    """
    exact = offers(document, caret, k, keys, known)
    there = {one.word.lower() for one in exact}
    before = " " if NEEDS_SPACE.search(document.text[:caret]) else ""
    others = [Suggestion(word, before + word, -inf) for word in known.candidates(keys) if word not in there]
    first = [one for one in exact if one.word.lower() in known]
    found = [*first, *others[: max(0, k - len(first))], *[one for one in exact if one not in first]]
    if len(found) < k:
        longer = offers(document, caret, 2 * k, keys, known, complete=True)
        found += [one for one in longer if len(one.word) > len(keys)]
    return found[:k]


def offers(
    document: Document, caret: int, k: int, keys: str = "", known: Container[str] = (), complete: bool = False
) -> list[Suggestion]:
    """Words that the text up to a character may go on with, or those on some keys of a phone.

    Args:
        document: of the text; it stays as it is.
        caret: how many characters come before.
        k: how many words.
        keys: digits of a phone's keys; "": what was typed is completed, or the next word is suggested.
        known: words that come first on keys.
        complete: whether longer words that begin with the keys are allowed.

    Returns:
        The words, the most probable first; none where the model cannot predict them.
    """
    text, model, tokenizer = document.text[:caret], document.engine.model, document.tokenizer
    with document.lock, ExitStack() as forced:

        def read(text: str, needed: int) -> State:
            state = document.state_behind(text, needed)
            forced.enter_context(document.forcing(caret))
            return state

        try:
            if keys:
                return suggest_keys(model, tokenizer, [text], [keys], k, complete, known, read=read)[0]
            return suggest(model, tokenizer, [text], k, read=read)[0]
        except UnspoolError:
            return []
