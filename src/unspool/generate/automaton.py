"""Finite automata over bytes: which texts a constraint allows."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int32, Int64

from unspool.errors import ConfigError

MOST_STATES = 20_000
"""A larger automaton is refused: its table would take more than 20 MB."""
NEVER = 2**30
"""The distance to an end that cannot be reached."""


@dataclass(frozen=True, eq=False)
class Automaton:
    """A deterministic finite automaton over the bytes of UTF-8; it begins in state 0.

    Args:
        table: the next state for each state and byte; the last state is that of failure, which leads to itself.
        accepting: which states a text may end in.

    >>> one = choice_automaton(["yes", "no"])
    >>> one.accepting[one.run(0, b"no")], one.accepting[one.run(0, b"n")], one.run(0, b"x") == one.failure
    (np.True_, np.False_, True)
    """

    table: Int32[np.ndarray, "S 256"]
    accepting: Bool[np.ndarray, " S"]

    @property
    def failure(self) -> int:
        """The state of what matches nothing any more."""
        return len(self.table) - 1

    def run(self, state: int, text: bytes) -> int:
        """The state behind some bytes."""
        for byte in text:
            state = int(self.table[state, byte])
        return state

    def edges(self) -> tuple[Int64[np.ndarray, " E"], Int64[np.ndarray, " E"], Int64[np.ndarray, " E"]]:
        """State, byte and next state of every transition but those that fail."""
        states, letters = np.nonzero(self.table != self.failure)
        return states, letters, self.table[states, letters].astype(np.int64)

    def shortest(self) -> bytes | None:
        """The shortest text that it accepts; None where there is none."""
        states, _, following = self.edges()
        left, state, text = distances(states, following, self.accepting), 0, bytearray()
        if left[0] >= NEVER:
            return None
        while left[state]:
            byte = int((left[self.table[state]] == left[state] - 1).argmax())
            text.append(byte)
            state = int(self.table[state, byte])
        return bytes(text)


def choice_automaton(texts: Iterable[str]) -> Automaton:
    """The automaton that accepts some texts and no others.

    Raises:
        ConfigError: they have too many characters.
    """
    following: list[dict[int, int]] = [{}]
    ends = set()
    for text in texts:
        state = 0
        for byte in text.encode("utf-8", "replace"):
            if byte not in following[state]:
                following[state][byte] = len(following)
                following.append({})
            state = following[state][byte]
        ends.add(state)
        if len(following) > MOST_STATES:
            raise ConfigError(f"the choices have more than {MOST_STATES:,} characters", hint="give fewer")
    size = len(following)
    table, accepting = np.full((size + 1, 256), size, dtype=np.int32), np.zeros(size + 1, dtype=bool)
    for state, some in enumerate(following):
        table[state, list(some)] = list(some.values())
    accepting[list(ends)] = True
    return Automaton(table, accepting)


def distances(
    sources: Int64[np.ndarray, " E"], targets: Int64[np.ndarray, " E"], ends: Bool[np.ndarray, " N"]
) -> Int32[np.ndarray, " N"]:
    """How many edges of a graph lead from each node to the nearest end; `NEVER` where none can be reached.

    >>> distances(np.array([0, 1]), np.array([1, 2]), np.array([False, False, True])).tolist()
    [2, 1, 0]
    """
    found = np.where(ends, 0, NEVER).astype(np.int32)
    order = np.argsort(targets, kind="stable")
    sources, first = sources[order], np.searchsorted(targets[order], np.arange(len(ends) + 1))
    frontier, steps = np.flatnonzero(ends), 0
    while len(frontier):
        steps += 1
        begin, size = first[frontier], first[frontier + 1] - first[frontier]
        place = np.repeat(begin - np.concatenate([[0], size.cumsum()[:-1]]), size) + np.arange(size.sum())
        frontier = np.unique(sources[place])
        frontier = frontier[found[frontier] == NEVER]
        found[frontier] = steps
    return found
