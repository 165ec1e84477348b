"""Vectors of phrases: the outputs of an encoder, or the state of a language model after reading."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from unspool.batch import Tokens
from unspool.data.batching.buckets import padded
from unspool.data.preprocessors.generation import SourceAndText
from unspool.data.preprocessors.language import LanguageText
from unspool.data.preprocessors.preprocessor import Preprocessor
from unspool.data.probe import everywhere
from unspool.data.readers.text import read_option
from unspool.data.tokenizer import Tokenizer
from unspool.errors import DataError
from unspool.models.recurrent import Recurrent
from unspool.models.sequence import SequenceModel
from unspool.nn.core import Core
from unspool.nn.part import eval_mode
from unspool.nn.state_projection import last_present
from unspool.schema import Count

ROWS = 128  # phrases that are read at once
FEWEST = 3
"""So many phrases are needed to say which are neighbours."""
Pooling = Literal["", "mean", "final"]
"""How the vectors of a phrase's tokens become one: their mean, or the final state; "": as `phrase_vectors` says."""


@dataclass(frozen=True)
class Phrase:
    """A phrase, and the group that it belongs to; "" for none."""

    text: str
    group: str = ""


@dataclass(frozen=True)
class Precision:
    """The mean share of a phrase's k nearest phrases that are of its own group.

    >>> Precision(k=5, value=0.9, chance=0.1, limit=1.0, phrases=12).value
    0.9
    """

    k: int
    value: float
    chance: float  # for neighbours drawn at random
    limit: float  # where a group has no more than k phrases, 1 cannot be had
    phrases: int  # that have another of their group


def read_phrases(file: str | Path) -> list[Phrase]:
    """The phrases of a file, one a line, or its group, a tab and the phrase.

    Args:
        file: a text file; empty lines are left out.

    Returns:
        The phrases in their order.

    Raises:
        DataError: for a file that cannot be read, a line without a phrase behind its tab, or fewer than three phrases.
    """
    found = []
    for number, line in enumerate(read_option(str(file))[0].splitlines(), start=1):
        group, tab, text = line.partition("\t")
        if not line.strip():
            continue
        if tab and not text.strip():
            raise DataError(f"{file}, line {number}: there is no phrase behind the tab", hint="GROUP<TAB>PHRASE")
        found.append(Phrase(text.strip(), group.strip()) if tab else Phrase(line.strip()))
    if len(found) < FEWEST:
        what = f"{len(found)} phrases, too few for neighbours" if found else "no phrases: it is empty"
        raise DataError(f"{file} has {what}", hint=f"give at least {FEWEST}, one a line")
    return found


def tokenizer_of(model: SequenceModel, preprocessor: Preprocessor | None) -> Tokenizer:
    """What turns a phrase into ids: the tokenizer of the source, or that of a language model.

    Args:
        model: a trained model.
        preprocessor: how its records are encoded.

    Returns:
        The tokenizer.

    Raises:
        DataError: for a model that has no encoder of texts and is no language model.
    """
    if model.encoder is not None and isinstance(preprocessor, SourceAndText):
        found = getattr(preprocessor, "source_tokenizer", None)
        if isinstance(preprocessor.source, Tokens) and found is not None:
            return found
    if model.encoder is None and isinstance(preprocessor, LanguageText) and model.core.causal:
        return preprocessor.tokenizer
    raise DataError(
        "vectors of phrases need an encoder of texts, or a language model",
        hint="`unspool train char-lm data.path=FILE` makes one of the latter",
    )


@torch.no_grad()
def phrase_vectors(
    model: SequenceModel, preprocessor: Preprocessor | None, phrases: Sequence[str], pooling: Pooling = ""
) -> Float[Tensor, "N W"]:
    """A vector for each phrase.

    With an encoder these are its outputs, of which the mean is the default; the final state is its output at the last
    token (of a bidirectional recurrent encoder: of either direction where it ends). A language model reads the phrase
    from an empty state; its output after the last token is the default.

    Args:
        model: a trained model.
        preprocessor: how its records are encoded.
        phrases: texts.
        pooling: "mean" or "final"; "": the mean of an encoder's outputs, the final output of a language model.

    Returns:
        The vectors, (N, W).

    Raises:
        DataError: for a model that can read no phrases, and for characters that it does not know.
    """
    tokenizer = tokenizer_of(model, preprocessor)
    found = []
    pooling = pooling or ("final" if model.encoder is None else "mean")
    with eval_mode(model):
        for start in range(0, len(phrases), ROWS):
            some = phrases[start : start + ROWS]
            if model.encoder is None:
                ids, mask = padded([torch.as_tensor(tokenizer.encode(one)).long() for one in some])
                ids, mask = ids.to(model.device), mask.to(model.device)
                y, core = model.hidden_states(ids, model.start(ids), mask)[0], model.core
            else:
                rows = [preprocessor.encode({"source": one}) for one in some]  # type: ignore[union-attr]
                batch = preprocessor.collate(rows).to(model.device)  # type: ignore[union-attr]
                mask = everywhere(batch.source, batch.source_mask)  # type: ignore[arg-type]
                y, core = model.encoder(batch.source, mask), model.encoder.core
            found.append((mean_of(y, mask) if pooling == "mean" else final_of(core, y, mask)).float().cpu())
    return torch.cat(found)


def mean_of(y: Float[Tensor, "B S W"], mask: Bool[Tensor, "B S"]) -> Float[Tensor, "B W"]:
    """The mean of each row over its present positions.

    >>> mean_of(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[True, True, False]])).tolist()
    [[2.0]]
    """
    there = mask.unsqueeze(-1)
    return (y * there).sum(dim=1) / there.sum(dim=1).clamp(min=1)


def final_of(core: Core, y: Float[Tensor, "B S W"], mask: Bool[Tensor, "B S"]) -> Float[Tensor, "B W"]:
    """The output of each row at its last position; the backward half of a bidirectional core ends at the first."""
    last = last_present(y, mask)
    if core.causal or not isinstance(core, Recurrent):
        return last
    half = y.shape[-1] // 2
    return torch.cat([last[:, :half], last_present(y.flip(1), mask.flip(1))[:, half:]], dim=-1)


def nearest(vectors: Float[Tensor, "N W"], count: Count) -> tuple[Tensor, Tensor]:
    """The nearest others of each vector by cosine, the nearest first.

    Args:
        vectors: (N, W).
        count: how many neighbours.

    Returns:
        Their cosines and their rows, (N, count) each.
    """
    unit = F.normalize(vectors.float(), dim=1)
    best = (unit @ unit.T).fill_diagonal_(-torch.inf).topk(min(count, len(vectors) - 1))
    return best.values, best.indices


def precision_at(vectors: Float[Tensor, "N W"], groups: Sequence[str], k: Count = 5) -> dict[str, Precision]:
    """How many of the k nearest phrases (by cosine) are of the same group, by group, and in "all".

    Args:
        vectors: of the phrases, (N, W).
        groups: of the phrases; those without a group ("") are only neighbours.
        k: how many neighbours.

    Returns:
        A mean for each group of two phrases or more, and that of all of their phrases; empty where no group has two.

    >>> found = precision_at(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]]), list("aabb"), 1)
    >>> found["all"].value, round(found["all"].chance, 3)
    (1.0, 0.333)
    """
    k = min(k, len(groups) - 1)
    near = nearest(vectors, k)[1].tolist()
    members = {group: [at for at, one in enumerate(groups) if one == group] for group in dict.fromkeys(groups) if group}
    found = {}
    for group, some in members.items():
        if len(some) > 1:
            same = sum(groups[other] == group for at in some for other in near[at]) / (k * len(some))
            chance, limit = (len(some) - 1) / (len(groups) - 1), min(1.0, (len(some) - 1) / k)
            found[group] = Precision(k, same, chance, limit, len(some))
    if not found:
        return {}
    every = sum(one.phrases for one in found.values())
    means = [
        sum(getattr(one, name) * one.phrases for one in found.values()) / every for name in ("value", "chance", "limit")
    ]
    return {**found, "all": Precision(k, means[0], means[1], means[2], every)}
