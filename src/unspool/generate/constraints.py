"""Constraints on what is generated: choices, a regular expression, a JSON schema."""

import json
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Int32
from torch import Tensor

from unspool.data.tokenizer import Tokenizer
from unspool.errors import ConfigError
from unspool.generate.automaton import NEVER, Automaton, choice_automaton
from unspool.generate.spelling_table import SpellingTable, spelling_table, token_distances

CACHE = 2**26
"""Bytes that the remembered places of a constraint may take."""
SHOWN = 5
"""So many characters or words that are missing an error names."""
KEPT = 4
"""A constraint remembers so many tokenizers that it was made for."""

Place = tuple[int, int]
"""A state of the automaton, and the spelling of the next token: what it adds may depend on the token before it."""


class Constraint:
    """Texts that may be generated. It can be used again, by any number of threads.

    What is generated matches from its first to its last character. It ends where nothing may follow; where the pattern
    is complete and may go on, the end is as likely as all tokens together that may not follow: the text ends when the
    model leaves the pattern. Where the length comes to its limit only tokens are left from which the pattern can still
    be completed in time. So every text matches.

    Args:
        automaton: accepts the texts.
        name: what errors call it.

    >>> one = Constraint.regex("[0-9]{1,3}( (am|pm))?")
    >>> one.matches("12 am"), one.matches("12 a")
    (True, False)
    """

    def __init__(self, automaton: Automaton, name: str = "the constraint") -> None:
        self.automaton, self.name = automaton, name
        self._compiled: OrderedDict[tuple[int, frozenset[int]], TokenConstraint] = OrderedDict()
        self._lock = Lock()

    @classmethod
    def regex(cls, pattern: str) -> "Constraint":
        """Texts that a regular expression matches, as `regex_automaton` reads it. Raises: ConfigError."""
        from unspool.generate.patterns import regex_automaton

        return cls(regex_automaton(pattern), f"the pattern {_short(pattern)!r}")

    @classmethod
    def json_schema(cls, schema: str | Mapping[str, Any]) -> "Constraint":
        """JSON that a schema allows, as `schema_automaton` reads it. Raises: ConfigError."""
        from unspool.generate.patterns import schema_automaton, too_deep

        try:
            text = schema if isinstance(schema, str) else json.dumps(schema)
        except RecursionError:
            raise too_deep() from None
        return cls(schema_automaton(text), "the JSON schema")

    @classmethod
    def choices(cls, texts: Sequence[str]) -> "Constraint":
        """One of several texts; `choice_scores` says how likely each is. Raises: ConfigError for an empty one."""
        if not texts or not all(texts):
            raise ConfigError("an empty text is no choice", hint="leave it out")
        return cls(choice_automaton(texts), f"the choice {_short(texts[0])!r}")

    def matches(self, text: str) -> bool:
        """Whether a text is one of those that may be generated."""
        return bool(self.automaton.accepting[self.automaton.run(0, text.encode("utf-8", "replace"))])

    def for_tokenizer(self, tokenizer: Tokenizer, without: Collection[int] = ()) -> "TokenConstraint":
        """The constraint on the tokens of a tokenizer; the one that was made last for it comes back.

        Args:
            tokenizer: of the model.
            without: ids that are never used.

        Raises:
            ConfigError: its tokens can write nothing that is allowed, with the characters that are missing.
        """
        key = (id(tokenizer), frozenset(without))
        with self._lock:
            if key not in self._compiled:
                self._compiled[key] = TokenConstraint(self, tokenizer, key[1])
                while len(self._compiled) > KEPT:
                    self._compiled.popitem(last=False)
            return self._compiled[key]

    def __repr__(self) -> str:
        return f"Constraint({self.name}, {len(self.automaton.table):,} states)"


class TokenConstraint:
    """A constraint on the tokens of one tokenizer: a value that never changes, for any number of threads and rows.

    `start` is the place before the first token; `step` gives the place behind a token, and `least` the number of tokens
    that may still be needed at a place, so that no text runs into a dead end.

    Args:
        constraint: on texts.
        tokenizer: its tokens are compared by their bytes.
        without: ids that are never used.
        cache: bytes that the remembered places may take.

    Raises:
        ConfigError: nothing that is allowed can be written.
    """

    start: Place = (0, 0)

    def __init__(
        self, constraint: Constraint, tokenizer: Tokenizer, without: frozenset[int], cache: int = CACHE
    ) -> None:
        self.constraint, self.tokenizer = constraint, tokenizer
        self.table: SpellingTable = spelling_table(tokenizer, without)
        self.distance: Int32[np.ndarray, "S C"] = token_distances(constraint.automaton, self.table)
        self._after: OrderedDict[Place, Int32[np.ndarray, " V"]] = OrderedDict()
        self._room, self._lock = max(16, cache // (4 * tokenizer.size)), Lock()
        if self.distance[self.start] >= NEVER:
            raise _unwritable(constraint, tokenizer)
        if self.distance[self.start] == 0 and self.is_complete(self.start):
            raise ConfigError(
                f"{constraint.name} allows no text but the empty one", hint="allow some text, as [0-9]+ does"
            )

    def after(self, place: Place) -> Int32[np.ndarray, " V"]:
        """How many more tokens are needed at most behind each token at a place; `NEVER` where it may not come."""
        with self._lock:
            if place in self._after:
                self._after.move_to_end(place)
                return self._after[place]
        states = self.table.states(self.constraint.automaton, place)
        found = self.distance[states, self.table.following]
        found.setflags(write=False)
        with self._lock:
            self._after[place] = found
            while len(self._after) > self._room:
                self._after.popitem(last=False)
        return found

    def step(self, place: Place, id: int) -> Place:
        """The place behind a token that may come at a place."""
        piece = self.table.pieces[place[1]][id]
        return self.constraint.automaton.run(place[0], piece), int(self.table.following[id])

    def may_end(self, place: Place) -> bool:
        """Whether the text may end at a place."""
        return bool(self.constraint.automaton.accepting[place[0]])

    def is_complete(self, place: Place) -> bool:
        """Whether the text has to end at a place: nothing may follow."""
        return self.may_end(place) and bool((self.after(place) >= NEVER).all())

    @property
    def least(self) -> int:
        """In so many tokens a text can be written, in less perhaps."""
        return int(self.distance[self.start])

    @property
    def size(self) -> int:
        """How many bytes of memory it takes, when all places that it may remember are remembered."""
        places = min(self._room, self.distance.size)
        return self.constraint.automaton.table.nbytes + self.distance.nbytes + 4 * self.tokenizer.size * places

    def refuse_short(self, length: int) -> None:
        """Raise a ConfigError where a text of so many tokens may be too short for what is allowed."""
        if self.least > length:
            raise ConfigError(
                f"{self.constraint.name} needs up to {self.least:,} tokens, more than {length:,}",
                hint=f"--length {self.least}",
            )


def allowed_scores(
    scores: Float[Tensor, "R V"],
    needed: Sequence[Int32[np.ndarray, " V"]],
    left: Sequence[int],
    may_end: Sequence[bool],
) -> Float[Tensor, "R V1"]:
    """The scores of rows with minus infinity for what may not come, and behind them the score of the end.

    Args:
        scores: of the next token of each row.
        needed: for each row how many more tokens each token needs behind it, as `TokenConstraint.after` says.
        left: for each row how many tokens it may have.
        may_end: whether the text of the row may end: then its end is as likely as all tokens that may not come.

    >>> needed = [np.array([0, NEVER], dtype=np.int32)]
    >>> allowed_scores(torch.tensor([[0.5, 1.5]]), needed, [3], [True]).tolist()
    [[0.5, -inf, 1.5]]
    """
    most = np.minimum(np.asarray(left), NEVER)[:, None]
    out = torch.from_numpy(np.stack(needed) >= most).to(scores.device)
    end = scores.masked_fill(~out, -torch.inf).logsumexp(dim=-1, keepdim=True)
    ends = torch.tensor(may_end, device=scores.device).unsqueeze(-1)
    return torch.cat([scores.masked_fill(out, -torch.inf), end.masked_fill(~ends, -torch.inf)], dim=-1)


class ConstraintRule:
    """A constraint as a rule for sampling and beam search, with the places of the rows of one generation.

    The (R, T) ids that were generated and (R, V) scores of the next give (R, V + 1) scores: minus infinity for what may
    not come, and behind them the score of the end. A row whose last id is V has ended, and keeps its scores.

    Args:
        constraint: on tokens.
        length: how many tokens a text has at most.

    Raises:
        ConfigError: no text that is allowed is so short.
    """

    def __init__(self, constraint: TokenConstraint, length: int) -> None:
        constraint.refuse_short(length)
        self.constraint, self.length = constraint, length
        self._anything = np.zeros(constraint.tokenizer.size, dtype=np.int32)  # what a row that has ended needs
        self._places: dict[tuple[int, ...], Place | None] = {(): constraint.start}

    def __call__(self, ids: Int[Tensor, "R T"], scores: Float[Tensor, "R V"]) -> Float[Tensor, "R V1"]:
        """The scores of what may come next, and of the end."""
        rows = [tuple(row) for row in ids.tolist()]
        self._places = {row: self.place(row) for row in rows}
        places, left = [self._places[row] for row in rows], self.length - ids.shape[1]
        needed = [self._anything if place is None else self.constraint.after(place) for place in places]
        may_end = [place is not None and self.constraint.may_end(place) for place in places]
        return allowed_scores(scores, needed, [1 if place is None else left for place in places], may_end)

    def place(self, ids: Sequence[int]) -> Place | None:
        """The place of a row; None where it has ended."""
        known, place = len(ids), None
        for known in range(len(ids), -1, -1):
            if tuple(ids[:known]) in self._places:
                place = self._places[tuple(ids[:known])]
                break
        else:
            known, place = 0, self.constraint.start
        for id in ids[known:]:
            place = None if place is None or id >= self.constraint.tokenizer.size else self.constraint.step(place, id)
        return place

    def is_complete(self, ids: Sequence[int]) -> bool:
        """Whether nothing may follow some ids."""
        place = self.place(ids)
        return place is None or self.constraint.is_complete(place)


def _unwritable(constraint: Constraint, tokenizer: Tokenizer) -> ConfigError:
    """Why nothing that is allowed can be written."""
    text = constraint.automaton.shortest()
    if text is None:
        return ConfigError(f"{constraint.name} allows no text at all", hint="allow some text, as [0-9]+ does")
    example = text.decode("utf-8", "replace")
    missing = tokenizer.unknown(example)[:SHOWN]
    what = f"the model does not know {', '.join(map(repr, missing))}" if missing else "its tokens do not spell it"
    return ConfigError(
        f"nothing that {constraint.name} allows can be written, not {_short(example)!r} for instance: {what}",
        hint="allow other texts, or train with tokenizer.kind=byte, which knows every character",
    )


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}..."
