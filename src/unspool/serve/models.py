"""The models that a server serves, each with its scheduler or its pipeline."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import time
from typing import Any

import torch

from unspool.data.tokenizer import Tokenizer
from unspool.errors import CheckpointError, ConfigError
from unspool.generate.constraints import TokenConstraint
from unspool.generate.draws import Drawing
from unspool.generate.engine import Engine
from unspool.generate.scheduler import Scheduler
from unspool.generate.state import State, load_state
from unspool.generate.text import prime, token_before
from unspool.pipelines.pipeline import Predictor
from unspool.runs.run import Run, engine_of
from unspool.serve.bridge import Bridge
from unspool.serve.constraints import Constraints, WantedConstraint
from unspool.serve.logs import log
from unspool.serve.numbers import Numbers
from unspool.serve.problems import Problem
from unspool.serve.settings import Settings
from unspool.serve.store import StateStore

LONG = 10_000
"""Texts of more characters are tokenized in another thread."""
TEMPLATE = "chat_template.jinja"
"""The file of a run folder that says how messages become one prompt."""


class ServedModel:
    """A run that is served: it either goes on with text or predicts.

    Args:
        name: what requests call it.
        run: the run.
        settings: the limits.
        numbers: where tokens are counted.
        constraints: compiles those of its requests.

    Raises:
        ConfigError: the model can do neither without its own data.
    """

    def __init__(self, name: str, run: Run, settings: Settings, numbers: Numbers, constraints: Constraints) -> None:
        self.name, self.run, self.created, self.constraints = name, run, int(time()), constraints
        self.bridge: Bridge | None = None
        self._predictor: Predictor | None = None
        self.worker = ThreadPoolExecutor(1, "predictions")  # one call of a pipeline at a time, beside everything else
        try:
            tokenizer = run.tokenizer
        except ConfigError:
            found = run.pipeline()
            if not isinstance(found, Predictor):
                raise
            self._predictor = found
            return
        self.bridge = Bridge(name, Scheduler(engine_of(run), tokenizer, settings.limits), numbers)

    @property
    def writer(self) -> Bridge:
        """What its requests for text go through. Raises: Problem for a model that predicts."""
        if self.bridge is None:
            raise Problem(400, f"the model {self.name} does not go on with text: use /predict", "model")
        return self.bridge

    @property
    def predictor(self) -> Predictor:
        """Its pipeline. Raises: Problem for a model that goes on with text."""
        if self._predictor is None:
            raise Problem(400, f"the model {self.name} goes on with text: use /v1/completions", "model")
        return self._predictor

    @property
    def engine(self) -> Engine:
        """What runs it."""
        return self.writer.scheduler.engine

    @property
    def tokenizer(self) -> Tokenizer:
        """What its texts are spelt with."""
        return self.writer.scheduler.tokenizer

    @property
    def template(self) -> str:
        """How messages become one prompt. Raises: Problem where the run does not say."""
        folder = self.run.checkpoint.run if self.run.checkpoint else Path("/nonexistent")
        file = folder / TEMPLATE
        if self.bridge is None or not file.is_file():
            why = (
                f"the model {self.name} has no chat template (a file {TEMPLATE} in its run folder): use /v1/completions"
            )
            raise Problem(400, why, "model", "no_chat_template")
        return file.read_text(encoding="utf-8")

    async def encode(self, text: str, state: State | None = None) -> tuple[list[int], int | None]:
        """The ids of a prompt, and the token behind which what follows is spelt.

        Raises:
            DataError: the text has characters that the tokenizer does not know.
        """
        work = asyncio.to_thread(self._encode, text, state) if len(text) > LONG else None
        return self._encode(text, state) if work is None else await work

    def _encode(self, text: str, state: State | None) -> tuple[list[int], int | None]:
        if not text and state is not None:
            return [], token_before(self.tokenizer, "", state.ids, True)
        ids = prime(self.engine.model, self.tokenizer, text)
        return ids[0].tolist(), token_before(self.tokenizer, text, ids, state is not None)

    def before(self, ids: Sequence[int]) -> int | None:
        """The token behind which what follows some ids is spelt."""
        text = self.tokenizer.decode(ids[-8:])
        return token_before(self.tokenizer, text, torch.tensor([list(ids)]))

    def refuse_unknown(self, ids: Sequence[int]) -> None:
        """Raise a Problem where an id is none of the vocabulary."""
        strange = next((id for id in ids if not 0 <= id < self.tokenizer.size), None)
        if strange is not None:
            raise Problem(400, f"there is no token {strange}: the vocabulary has {self.tokenizer.size}", "prompt")

    async def constraint(self, wanted: WantedConstraint | None, drawing: Drawing) -> TokenConstraint | None:
        """What texts match, compiled without holding up anybody else.

        Raises:
            Problem: it is wrong, not supported or too large.
        """
        if wanted is None:
            return None
        without = frozenset(one[0] for one in drawing.ban if len(one) == 1)
        return await self.constraints.find(wanted, self.tokenizer, without)

    async def between_steps(self, function: Callable[[], Any]) -> Any:
        """Run a function of the engine while nobody else uses it."""
        return await asyncio.wrap_future(self.writer.scheduler.call(function))

    async def stored(self, store: StateStore, kind: str, name: str, field: str) -> State:
        """The state that is stored under a name.

        Args:
            store: where it is.
            kind: how its name begins.
            name: as somebody gave it.
            field: of the body, for the error.

        Raises:
            Problem: there is none of that name, it is another model's, or its file is of no use any more, as it is
                damaged or the weights are others than they were.
        """
        found = await asyncio.to_thread(store.get, name) if name.startswith(f"{kind}_") else None
        if found is None:
            what = {"resp": "response", "state": "state"}[kind]
            raise Problem(404, f"there is no such {what}", field, f"{field.removesuffix('_id')}_not_found")
        if found.model != self.name:
            raise Problem(400, f"it belongs to the model {found.model}", field)
        path = found.path
        try:
            return found.state or await self.between_steps(lambda: load_state(path or "", self.engine))
        except CheckpointError as error:  # it names a path, which is the operator's business
            log("unusable", logging.WARNING, error=str(error))
            raise Problem(400, "what is stored there cannot be used any more", field, "unusable_state") from None


def served_models(
    runs: Mapping[str, Run], settings: Settings, numbers: Numbers, constraints: Constraints
) -> dict[str, ServedModel]:
    """Every run by its name, ready to be used."""
    return {name: ServedModel(name, run, settings, numbers, constraints) for name, run in runs.items()}


def names_of(paths: Sequence[Path]) -> dict[str, Path]:
    """A name for each run: the name of its folder. Raises: ConfigError where two would have the same.

    >>> names_of([Path("runs/a"), Path("runs/b/")])
    {'a': PosixPath('runs/a'), 'b': PosixPath('runs/b')}
    """
    found: dict[str, Path] = {}
    for path in paths:
        name = path.resolve().name
        if name in found:
            raise ConfigError(f"two runs are called {name}: {found[name]} and {path}", hint="rename one of the folders")
        found[name] = path
    return found
