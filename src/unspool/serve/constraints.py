"""The constraints that requests ask for, compiled beside everything else."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal
from weakref import WeakSet

from unspool.data.tokenizer import Tokenizer
from unspool.errors import BusyError, UnspoolError
from unspool.generate.constraints import Constraint, TokenConstraint
from unspool.generate.scheduler import LATER
from unspool.serve.problems import Problem, as_problem

WAITING = 16
"""So many constraints wait to be compiled; more get a 429."""
KEPT = 64
"""So many compiled constraints are remembered."""
CACHE = 2**24
"""Bytes that the remembered places of one constraint may take."""

Key = tuple[str, str | tuple[str, ...], int, frozenset[int]]


@dataclass(frozen=True)
class WantedConstraint:
    """What a text has to match.

    Args:
        kind: a regular expression, a JSON schema, or one of some texts.
        source: the pattern, the schema as JSON, or the texts.
        field: of the body, for errors.

    >>> WantedConstraint("choice", ("yes", "no"), "structured_outputs").compiled().matches("no")
    True
    """

    kind: Literal["regex", "schema", "choice"]
    source: str | tuple[str, ...]
    field: str

    @classmethod
    def of_schema(cls, schema: str | Mapping[str, Any], field: str) -> "WantedConstraint":
        """JSON that a schema allows. Raises: Problem for what JSON cannot hold, or a schema that is nested too deep."""
        try:
            return cls("schema", schema if isinstance(schema, str) else json.dumps(schema, allow_nan=False), field)
        except RecursionError:
            raise Problem(400, "the JSON schema is nested too deep; make it flatter, with $ref", field) from None
        except ValueError:
            raise Problem(400, "the JSON schema has a number that is none; JSON has no NaN", field) from None

    def compiled(self) -> Constraint:
        """The constraint on texts. Raises: ConfigError for what is wrong, not supported or too large."""
        if isinstance(self.source, tuple):
            return Constraint.choices(self.source)
        return Constraint.regex(self.source) if self.kind == "regex" else Constraint.json_schema(self.source)


class Constraints:
    """Compiles constraints one at a time in a thread of its own, and remembers the last ones.

    Args:
        most: bytes that all of them take together, those of the live texts among them.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._worker = ThreadPoolExecutor(1, "constraints")
        self._waiting = 0
        self._kept: OrderedDict[Key, TokenConstraint] = OrderedDict()
        self._alive: WeakSet[TokenConstraint] = WeakSet()  # the remembered ones, and others that are in use
        self._lock = Lock()

    @property
    def size(self) -> int:
        """Bytes that they take at most."""
        with self._lock:
            return sum(one.size for one in self._alive)

    async def find(
        self, wanted: WantedConstraint, tokenizer: Tokenizer, without: frozenset[int] = frozenset()
    ) -> TokenConstraint:
        """A constraint on the tokens of a model.

        Args:
            wanted: what is asked for.
            tokenizer: of the model.
            without: ids that are never used.

        Raises:
            Problem: it is wrong, not supported or too large, or too many wait.
        """
        key = (wanted.kind, wanted.source, id(tokenizer), without)
        found = self._known(key)
        if found is not None:
            return found
        if self._waiting >= WAITING:
            raise Problem(429, f"{WAITING} constraints wait to be compiled already; {LATER}", wanted.field)
        self._waiting += 1
        try:
            return await asyncio.wrap_future(self._worker.submit(self._make, key, wanted, tokenizer))
        except UnspoolError as error:
            hint = f"; {error.hint}" if error.hint else ""
            raise Problem(as_problem(error).status, f"{error}{hint}"[:2000], wanted.field) from None
        finally:
            self._waiting -= 1

    def stop(self) -> None:
        """Compile nothing more."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _known(self, key: Key) -> TokenConstraint | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _make(self, key: Key, wanted: WantedConstraint, tokenizer: Tokenizer) -> TokenConstraint:
        """In the thread: compile one, unless somebody asked for the same just now."""
        found = self._known(key)
        if found is None:
            found = TokenConstraint(wanted.compiled(), tokenizer, key[3], CACHE)
            self._keep(key, found)
        return found

    def _keep(self, key: Key, new: TokenConstraint) -> None:
        """Remember one, and forget the oldest. Raises: BusyError where live texts hold too many."""
        with self._lock:
            self._alive.add(new)
            while self._kept and (len(self._kept) >= KEPT or sum(one.size for one in self._alive) > self.most):
                self._kept.popitem(last=False)
            if sum(one.size for one in self._alive) > self.most:
                raise BusyError("the constraints of live texts take all the memory that they may", hint=LATER)
            self._kept[key] = new
