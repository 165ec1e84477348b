"""A text under an editor: what the model made of every token of it, kept true through edits."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import Any

import numpy as np
import torch

from unspool.data.tokenizer import Tokenizer
from unspool.generate.engine import Engine
from unspool.generate.scoring import read_scored
from unspool.generate.session import Session
from unspool.generate.state import State
from unspool.look.watch import Trace, watch
from unspool.serve.activity import Place, activity, values
from unspool.serve.switches import Switch, edits, first_change, shifted
from unspool.serve.token_ends import Tokens, alike, tokenize

MEMORY = 64 * 2**20
"""Bytes that the snapshots of a text may take."""
WIDEST = 512
"""Of a place with more units the values of the chosen one alone are kept."""
LARGEST = 60_000.0
"""Values are kept in half precision."""
NOTHING = Tokens(np.zeros(0, np.int64), np.zeros(0, np.int64), [])


@dataclass(frozen=True)
class Shown:
    """What a page looks at: the layer whose places move, and the unit of a place that colours the text."""

    layer: str = ""
    place: Place | None = None
    unit: int = 0

    @property
    def width(self) -> int:
        """How many units of the place are kept."""
        return 0 if self.place is None else 1 if self.place.size > WIDEST else self.place.size


class Document:
    """A text, its tokens, and how surprising each was to the model. The model reads a line break first.

    An edit goes back to the state before it, which a `Session` keeps, and reads what follows: nothing else. Values are
    those of a fresh reading to 1e-5. Methods may be called from any thread.

    Args:
        engine: of the model; its `tokens_run` is counted.
        tokenizer: of the model.
        places: what can be shown of the model, and forced.
        lock: is held while the model runs.

    >>> from unspool import SequenceModel, Tokens, cores, embedding, head, tokenizers
    >>> tokenizer = tokenizers.build("tokenizer", "byte")
    >>> core = cores.build("core", "recurrent", width=8)
    >>> engine = Engine(SequenceModel(embedding(Tokens(256), 8), core, head(Tokens(256), 8)))
    >>> document = Document(engine, tokenizer, [], threading.Lock())
    >>> document.edit(0, 0, "To be or not")["tokens_read"]
    12
    >>> document.edit(12, 0, "e")["tokens_read"], document.text
    (1, 'To be or note')
    """

    def __init__(
        self, engine: Engine, tokenizer: Tokenizer, places: Sequence[Place], lock: AbstractContextManager[Any]
    ) -> None:
        self.engine, self.tokenizer, self.model_lock = engine, tokenizer, lock
        self.places = {place.path: place for place in places}
        self.text, self.tokens, self.switches, self.shown = "", NOTHING, tuple[Switch, ...](), Shown()
        self.lock, self.turn = threading.RLock(), 0  # every edit ends the writing that is under way
        self.activity: dict[str, Any] = {}
        self.bits, self.values = Rows(1, np.float32), Rows(0, np.float16)
        with self.model_lock:
            self.session = Session(engine, tokenizer, memory=MEMORY)
            self.start = self.session.position  # the line break

    def edit(self, start: int, removed: int, inserted: str, pause: int | None = None) -> dict[str, Any]:
        """Replace some characters and read what follows.

        Args:
            start: how many characters come before the edit.
            removed: how many characters go.
            inserted: what comes in their place.
            pause: the state in front of this character is kept, as suggestions begin there.

        Returns:
            What changed: "first" is the number of the first token that is not as before, "ends", "bits" and "values"
            are of it and all behind it, and "tokens_read" is what the model ran over, everything counted.
        """
        with self.lock:
            self.turn += 1
            before, text = self.engine.tokens_run, self.text[:start] + inserted + self.text[start + removed :]
            moved = tuple(shifted(one, start, removed, len(inserted)) for one in self.switches)
            tokens = tokenize(self.tokenizer, text)
            same = alike(self.tokens.ids, tokens.ids)
            first = min(same, alike(self.tokens.ends, tokens.ends))
            if moved != self.switches:
                same = min(same, self.place_of(start))
            self.read_on(tokens, same, moved, pause)
            self.text = text
            return self._answer(min(first, same), before)

    def switch(self, switches: Sequence[Switch]) -> dict[str, Any]:
        """Force these units and no others; the text is read again from where the first change is."""
        with self.lock:
            before, change = self.engine.tokens_run, first_change(self.switches, switches)
            size = len(self.tokens.ids)
            first = size if change is None else min(size, self.place_of(change))
            self.read_on(self.tokens, first, tuple(switches))
            return self._answer(first, before)

    def show(self, shown: Shown) -> dict[str, Any]:
        """Look at a layer and a unit. The text is read again where the values of the unit are not known yet."""
        with self.lock:
            before, old = self.engine.tokens_run, self.shown
            self.shown = shown
            if shown.place != old.place or (shown.place is not None and shown.width == 1 and shown.unit != old.unit):
                self.values = Rows(shown.width, np.float16)
                if shown.place is not None:
                    self.read_on(self.tokens, 0)
                    return self._answer(0, before)
            self._look_again()
            return self._answer(0, before)

    def stop(self) -> None:
        """End the writing that is under way, at its next token."""
        self.turn += 1

    def read_on(
        self, tokens: Tokens, first: int, switches: tuple[Switch, ...] | None = None, pause: int | None = None
    ) -> None:
        """Go back to a token and read these from there on, with the switches that hold at each.

        Args:
            tokens: of the whole text.
            first: so many of them were read already.
            switches: that hold from now on; None: the same as before.
            pause: the state in front of this character is kept.
        """
        if first < len(self.tokens.ids):
            with self._watching(self._holding(max(0, first - 1))):
                self.session.rewind(self.start + first)
        self.switches = self.switches if switches is None else switches
        for rows in (self.bits, self.values):
            rows.cut(first)
        size = len(tokens.ids)
        self.tokens = Tokens(tokens.ids[:first], tokens.ends[:first], tokens.unknown)
        edges = {self.place_of(edge, tokens) for one in self.switches for edge in (one.begin, one.end or one.begin)}
        stops = {size - 1} if self.shown.layer else set()  # the last one is read alone, to see what it does
        stops |= set() if pause is None else {self.place_of(pause, tokens)}
        cuts = sorted({first, size, *(cut for cut in edges | stops if first < cut < size)})
        for low, high in pairwise(cuts):
            if low in edges:
                self.session.mark()  # going back never reads across a change of the switches
            self._read(tokens, low, high)
        if first == size:
            self._look_again()

    def _read(self, tokens: Tokens, low: int, high: int) -> None:
        """Read some tokens for which the same switches hold."""
        holding, alone = self._holding(low, tokens), high - low == 1
        parts = self.session.score(torch.as_tensor(tokens.ids[None, low:high]))
        while low < high:
            run = self.engine.tokens_run
            with self._watching(holding, alone) as trace:
                part = next(parts)[0]
            run, low = self.engine.tokens_run - run, low + len(part)
            bits = -part.float().cpu().numpy()[:, None] / log(2)
            self.bits.add(np.nan_to_num(bits, nan=LARGEST, posinf=LARGEST))
            if self.shown.place is not None:
                found = values(trace, self.shown.place.path, run, len(part))
                found = torch.full((len(part), self.shown.place.size), torch.nan) if found is None else found
                unit = self.shown.unit
                self.values.add(
                    (found if self.shown.width > 1 else found[:, unit : unit + 1]).clamp(-LARGEST, LARGEST).numpy()
                )
            if alone and self.shown.layer:
                self.activity = activity(self.engine, trace, self._layer(), self.session.state)
            self.tokens = Tokens(tokens.ids[:low], tokens.ends[:low], tokens.unknown)

    def _look_again(self) -> None:
        """What the last token does, by reading it once more."""
        size = len(self.tokens.ids)
        self.activity = {}
        if self.shown.layer and size:
            holding = self._holding(size - 1)
            with self._watching(self._holding(max(0, size - 2))):
                before = self.session.at(self.start + size - 1)
            with self._watching(holding, alone=True) as trace:
                read_scored(self.engine, before, self.session.state.ids[:, -1:])
            self.activity = activity(self.engine, trace, self._layer(), self.session.state)

    @contextmanager
    def _watching(self, holding: Sequence[Switch], alone: bool = False) -> Iterator[Trace]:
        """The model inside the block is this thread's; it is watched if something is shown of it or forced."""
        keep = [self.shown.place.path] if self.shown.place is not None else []
        keep += [place.path for place in self._layer()] if alone else []
        with self.model_lock:
            if not keep and not holding:
                yield {}
                return
            forced = edits(holding, self.places)
            with watch(self.engine.model, keep=keep or False, edits=forced, strict=False) as trace:
                yield trace

    def forcing(self, caret: int) -> AbstractContextManager[Trace]:
        """The model with the switches that hold in front of a character."""
        return self._watching([one for one in self.switches if one.is_on(caret)])

    def state_behind(self, text: str, needed: int) -> State:
        """The state behind a beginning of the text, from which at least so many tokens can be generated."""
        number = int(np.searchsorted(self.tokens.ends, len(text), side="right"))
        rest = tokenize(self.tokenizer, text[int(self.tokens.ends[number - 1]) if number else 0 :]).ids
        with self._watching(self._holding(max(0, number - 1))):
            state = self.session.at(self.start + number)
            if len(rest):  # a token goes on behind the text
                state = self.engine.read(torch.as_tensor(rest[None]), state)
            left, longest = self.engine.remaining(state.position), self.engine.max_length
            if left is not None and longest is not None and left < needed:
                state = self.engine.read(state.ids[:, -max(1, longest - needed) :])
        return state

    def place_of(self, character: int, tokens: Tokens | None = None) -> int:
        """The number of the first token that begins at a character or behind it."""
        ends = (self.tokens if tokens is None else tokens).ends
        return int(np.searchsorted(np.append(0, ends), character)) if len(ends) else 0

    def column(self, first: int) -> list[float | None] | None:
        """The values of the unit that is shown, from a token on; None for one that is not known."""
        if self.shown.place is None:
            return None
        unit = self.shown.unit if self.shown.width > 1 else 0
        return [v if v == v else None for v in self.values.rows[first:, unit].astype(float).round(4).tolist()]

    def _holding(self, number: int, tokens: Tokens | None = None) -> list[Switch]:
        """The switches that hold while a token is read."""
        ends = (self.tokens if tokens is None else tokens).ends
        begin = int(ends[min(number, len(ends)) - 1]) if number and len(ends) else 0
        return [one for one in self.switches if one.is_on(begin)]

    def _layer(self) -> list[Place]:
        return [place for place in self.places.values() if place.layer == self.shown.layer]

    def _answer(self, first: int, before: int) -> dict[str, Any]:
        return {
            "length": len(self.text),
            "tokens": len(self.tokens.ids),
            "tokens_read": self.engine.tokens_run - before,
            "first": first,
            "ends": self.tokens.ends[first:].tolist(),
            "bits": self.bits.rows[first:, 0].astype(float).round(6).tolist(),
            "values": self.column(first),
            "activity": self.activity,
            "unknown": self.tokens.unknown[:20],
            "switches": [vars(one) for one in self.switches],
        }


class Rows:
    """Rows of numbers that come one after the other; adding some does not copy those before.

    >>> rows = Rows(2, np.float32)
    >>> rows.add(np.ones((100, 2)))
    >>> rows.cut(3)
    >>> rows.rows.shape
    (3, 2)
    """

    def __init__(self, width: int, kind: Any) -> None:
        self._held, self.count = np.zeros((64, width), kind), 0

    @property
    def rows(self) -> np.ndarray:
        """All of them, (N, width)."""
        return self._held[: self.count]

    def add(self, more: np.ndarray) -> None:
        """Put some behind the others."""
        size = self.count + len(more)
        if size > len(self._held):
            grown = np.zeros((2 * size, self._held.shape[1]), self._held.dtype)
            grown[: self.count] = self.rows
            self._held = grown
        self._held[self.count : size], self.count = more, size

    def cut(self, count: int) -> None:
        """Keep so many of the first."""
        self.count = min(self.count, count)
