"""The bytes of all tokens of a tokenizer, as tables that automata run over."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock

import numpy as np
from jaxtyping import Bool, Int32, Int64, UInt8

from unspool.data.tokenizer import Tokenizer
from unspool.errors import ConfigError
from unspool.generate.automaton import NEVER, Automaton, distances

PROBES = 8
"""What tokens add behind another one is compared on so many of them."""
WORK, LETTERS = 60_000_000, 8
"""So much work is too much: one for each token that is tried in a place, and more where it fits, for its letters."""
UNREAL = {b"<unk>", b""}
"""Pieces that are no text."""


@dataclass(frozen=True, eq=False)
class SpellingTable:
    """What every token adds to a text, by the kind of token that comes before it: a word may begin with a space.

    Kind 0 is the beginning of a text.

    Args:
        pieces: for each kind of token before it the bytes of each token; b"" for one that is not used.
        following: of which kind each token is.
        letters: the pieces of each kind as a matrix.
    """

    pieces: list[list[bytes]]
    following: Int64[np.ndarray, " V"]
    letters: "list[_Letters]"

    def states(self, automaton: Automaton, place: tuple[int, int]) -> Int32[np.ndarray, " V"]:
        """The state behind each token that comes in a state behind a token of some kind."""
        state, kind = place
        letters = self.letters[kind]
        found = np.full(len(letters.sizes), state, dtype=np.int32)
        found[letters.sizes == 0] = automaton.failure
        alive = np.flatnonzero(letters.sizes)
        for column in range(letters.matrix.shape[1]):
            alive = alive[(letters.sizes[alive] > column) & (found[alive] != automaton.failure)]
            if not len(alive):
                break
            found[alive] = automaton.table[found[alive], letters.matrix[alive, column]]
        return found


@dataclass(frozen=True, eq=False)
class _Letters:
    """Pieces as a matrix, padded with zeros."""

    matrix: UInt8[np.ndarray, "V L"]
    sizes: Int64[np.ndarray, " V"]

    @classmethod
    def of(cls, pieces: list[bytes]) -> "_Letters":
        """The matrix of some pieces."""
        sizes = np.array([len(piece) for piece in pieces], dtype=np.int64)
        width = max(1, int(sizes.max(initial=0)))
        padded = b"".join(piece.ljust(width, b"\0") for piece in pieces)
        return cls(np.frombuffer(padded, dtype=np.uint8).reshape(-1, width), sizes)


_TABLES: OrderedDict[tuple[int, frozenset[int]], tuple[Tokenizer, SpellingTable]] = OrderedDict()
_LOCK = Lock()


def spelling_table(tokenizer: Tokenizer, without: frozenset[int] = frozenset()) -> SpellingTable:
    """The table of a tokenizer; the last ones are kept.

    Args:
        tokenizer: what its tokens add may depend on the token before, and not on those before that.
        without: ids that are not used. Tokens without bytes and the unknown word are not used either.

    >>> from unspool.data.tokenizer import tokenizers
    >>> table = spelling_table(tokenizers.build("tokenizer", "word").fit("to be"))
    >>> [some[1:] for some in table.pieces], table.following.tolist()
    ([[b'to', b'be'], [b' to', b' be']], [1, 1, 1])
    """
    key = (id(tokenizer), without)
    with _LOCK:
        if key not in _TABLES:
            _TABLES[key] = (tokenizer, _build(tokenizer, without))
            while len(_TABLES) > 4:
                _TABLES.popitem(last=False)
        return _TABLES[key][1]


def _build(tokenizer: Tokenizer, without: frozenset[int]) -> SpellingTable:
    size = tokenizer.size
    probes = list(range(0, size, max(1, size // PROBES)))
    kinds: dict[tuple[bytes, ...], int] = {}
    found, following = list[list[bytes]](), list[int]()
    for before in [None, *range(size)]:
        key = tuple(tokenizer.piece(id, before) for id in probes)
        if key not in kinds:
            kinds[key] = len(found)
            pieces = [tokenizer.piece(id, before) for id in range(size)]
            used = (id not in without and tokenizer.pieces[id] not in UNREAL for id in range(size))
            found.append([piece if good else b"" for piece, good in zip(pieces, used, strict=True)])
        if before is not None:
            following.append(kinds[key])
    return SpellingTable(found, np.array(following, dtype=np.int64), [_Letters.of(some) for some in found])


def token_distances(automaton: Automaton, table: SpellingTable) -> Int32[np.ndarray, "S C"]:
    """How many tokens at most are needed from each state and kind of token before it to the end of a text.

    Where single bytes are tokens this is a bound: the number of bytes. `NEVER` where there is no way to the end.

    Raises:
        ConfigError: the automaton and the tokenizer are too large together.
    """
    states, letters, following = automaton.edges()
    by_bytes = distances(states, following, automaton.accepting)
    known = np.isin(letters, list(_single_bytes(table)))
    bound = distances(states[known], following[known], automaton.accepting)
    if bool(((bound < NEVER) == (by_bytes < NEVER)).all()):
        return np.repeat(bound[:, None], len(table.pieces), axis=1)
    kinds = len(table.pieces)
    ends = np.repeat(automaton.accepting, kinds)
    edges = np.unique(np.concatenate([np.empty(0, np.int64), *_edges(automaton, table, by_bytes < NEVER)]))
    found = distances(*np.divmod(edges, len(ends)), ends)
    return found.reshape(-1, kinds)


def _single_bytes(table: SpellingTable) -> set[int]:
    """The bytes that are a token whatever comes before them."""
    found = [{piece[0] for piece in some if len(piece) == 1} for some in table.pieces]
    return set.intersection(*found)


def _edges(
    automaton: Automaton, table: SpellingTable, alive: Bool[np.ndarray, " S"]
) -> Iterator[Int64[np.ndarray, " E"]]:
    """Every pair of places with a token between them, as one number each: first times the number of places + second."""
    kinds, places, work = len(table.pieces), len(automaton.table) * len(table.pieces), 0
    for state in np.flatnonzero(alive):
        for kind in range(kinds):
            after = table.states(automaton, (int(state), kind))
            good = alive[after]
            yield (state * kinds + kind) * places + np.unique(after[good] * kinds + table.following[good])
            work += len(good) + LETTERS * int(good.sum())
            if work > WORK:
                what = "the constraint is too large for the tokens of this model, which have to be tried one by one"
                raise ConfigError(what, hint="bound its repetitions, or train with tokenizer.kind=bpe")
