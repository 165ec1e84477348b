"""Tuned states of trained runs: the data they are tuned on, what they gain on held-out text, and the saved state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from unspool import build
from unspool.data.source import PATHS
from unspool.data.tokenizer import Tokenizer
from unspool.errors import ConfigError, DataError
from unspool.generate.state import State, new_seed
from unspool.generate.text import prime
from unspool.nn.part import CoreState
from unspool.recipe import override
from unspool.runs.adapting import refuse_other_tasks
from unspool.runs.run import Run, engine_of
from unspool.training.state_tuning import StateTuner, chunk_scores, cut_chunks

CHUNKS = {"train": 20000, "valid": 256, "test": 1024}
"""How many chunks of each split are used at most."""
READ = 1000
"""So many tokens of the training part are read for the state that tuning is compared with."""


@dataclass(frozen=True)
class Gain:
    """What a tuned state is worth on text that neither tuning nor the choice of its best step has seen.

    Args:
        chunks: how many chunks of the test part were scored.
        bits_per_character: by the state that they begin from: "zero", "read" (after reading the end of the training
            part) and "tuned".
        by_position: bits per token at each position from the beginning, by the same names.

    >>> Gain(1, {"zero": 2.0, "tuned": 1.5}, {"zero": [2.0], "tuned": [1.5]}).as_dict()["chunks"]
    1
    """

    chunks: int
    bits_per_character: Mapping[str, float]
    by_position: Mapping[str, Sequence[float]]

    def as_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "chunks": self.chunks,
            "bits_per_character": dict(self.bits_per_character),
            "bits_per_token_by_position": {name: list(values) for name, values in self.by_position.items()},
        }


class StateTuning:
    """A first state for a run, tuned on a text of yours.

    Iterate over `tuner` for as long as you like, then take `state` and `gain()`: both are of the best step so far.

    Args:
        run: a trained language model with a recurrent core; it stays as it is.
        settings: of the data, as texts: "data.path=FILE". A tenth of it is held out to stop by, another to report on.
        length: tokens of a chunk.
        **options: of the `StateTuner`.

    Raises:
        ConfigError: the run is no language model that reads one way, or its core has no state to tune.
        DataError: the text is too short, or has characters that the tokenizer does not know.

    >>> from unspool import SequenceModel, Tokens, cores, embedding, head, tokenizers
    >>> core = cores.build("core", {"kind": "recurrent", "width": 8})
    >>> run = Run(SequenceModel(embedding(Tokens(256), 8), core, head(Tokens(256), 8)), tokenizers.build("t", "byte"))
    >>> tuning = StateTuning(run, ["data.corpus=python-docs", "data.limit=5000"], length=20, steps=10)
    >>> steps = list(tuning.tuner)
    >>> tuning.state.position, sorted(tuning.gain().bits_per_character)
    (1, ['read', 'tuned', 'zero'])
    """

    def __init__(self, run: Run, settings: Sequence[str], length: int = 100, **options: Any) -> None:
        refuse_other_tasks(run, "a state is tuned on one long text")
        self.engine, tokenizer = engine_of(run), run.tokenizer
        self.opening = prime(run.model, tokenizer, "")[:, -1:]
        texts = read_texts(run, settings)
        ids = {name: encode(tokenizer, text) for name, text in texts.items()}
        short = min(ids, key=lambda name: len(ids[name]))
        if len(ids[short]) < 2:
            raise DataError(
                f"the text is too short: its {short} part has {len(ids[short])} tokens",
                hint="give more text, or leave data.valid and data.test at 0.1",
            )
        opening = int(self.opening[0, -1])
        self.chunks = {name: cut_chunks(part, length, opening, CHUNKS[name]) for name, part in ids.items()}
        self.characters = mean_characters(tokenizer, self.chunks["test"])
        self.recent = recent_lines(ids["train"], opening)
        self.tuner = StateTuner(run.model, self.chunks["train"], self.chunks["valid"], **options)

    @property
    def state(self) -> State:
        """The best state so far, after reading what a text begins behind: `Run.stream(state=...)` goes on from it."""
        template = replace(self.engine.template(self.opening), core=self.tuner.best, seed=new_seed())
        return self.engine.read(self.opening, template)

    def gain(self) -> Gain:
        """Bits on the test part, from the beginning of a text on, with and without the best state so far."""
        engine = self.engine
        began: dict[str, CoreState] = {
            "zero": self.tuner.first,
            "read": engine.read(self.recent[None]).core,
            "tuned": self.tuner.best,
        }
        bits = {
            name: -chunk_scores(engine.model, self.chunks["test"], core).double().mean(dim=0) / log(2)
            for name, core in began.items()
        }
        whole = {name: float(values.sum()) / self.characters for name, values in bits.items()}
        return Gain(len(self.chunks["test"]), whole, {name: values.tolist() for name, values in bits.items()})


def read_texts(run: Run, settings: Sequence[str]) -> dict[str, str]:
    """The text of each part of the data that the settings name.

    Raises:
        ConfigError: a setting is not one of [data], or names no text.
    """
    given: dict[str, Any] = {}
    for text in settings:
        override(given, text)
    strange = sorted(given.keys() - {"data"})
    if strange or not isinstance(given.get("data"), dict):
        why = f"{strange[0]} is not a setting of the data" if strange else "there is no text to tune the state on"
        raise ConfigError(why, hint="data.path=FILE")
    own = {name: value for name, value in run.recipe.get("data", {}).items() if name not in (*PATHS, "corpus", "limit")}
    data = {**own, "valid": 0.1, "test": 0.1, **given["data"]}
    splits = build.dataset({**run.recipe, "data": data}).read()
    return {name: getattr(splits, name) for name in CHUNKS}


def recent_lines(ids: Int64[Tensor, " N"], opening: int) -> Int64[Tensor, " R"]:
    """The end of a text, up to the last place where a line ends.

    >>> recent_lines(torch.tensor([5, 0, 6, 0, 7]), opening=0).tolist()
    [5, 0, 6]
    """
    ends = (ids == opening).nonzero().flatten()
    last = int(ends[-1]) if len(ends) and int(ends[-1]) else len(ids)
    return ids[max(0, last - READ) : last]


def encode(tokenizer: Tokenizer, text: str) -> Int64[Tensor, " N"]:
    """The ids of a text."""
    return torch.from_numpy(tokenizer.encode(text)).long()


def mean_characters(tokenizer: Tokenizer, chunks: Int64[Tensor, "N L"]) -> float:
    """How many characters the predicted tokens of a chunk have, on average."""
    return sum(len(tokenizer.decode(chunk[1:].tolist())) for chunk in chunks) / len(chunks)
