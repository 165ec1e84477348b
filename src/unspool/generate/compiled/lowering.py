"""From a model to its program."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from unspool.generate.compiled.lower_parts import NoInstructionError, array
from unspool.generate.compiled.lower_stacks import blocks, recurrent
from unspool.generate.compiled.lower_transformer import transformer
from unspool.generate.compiled.program import Builder, Precision, Program
from unspool.models.gated import Blocks
from unspool.models.recurrent import Recurrent
from unspool.models.sequence import SequenceModel
from unspool.models.transformer import Transformer
from unspool.nn.core import Core
from unspool.nn.heads import Categorical

LOWERINGS: dict[type, Callable[[Builder, Any, Tensor], int]] = {
    Recurrent: recurrent,
    Blocks: blocks,
    Transformer: transformer,
}
"""For every kind of core what writes its instructions, and says where its output is."""


def lower(model: SequenceModel, precision: Precision = "float32") -> Program | None:
    """The program of a model; None where one of its parts has no instruction.

    Args:
        model: on the CPU.
        precision: of the matrices; embeddings, norms and states are float32 in any case.

    >>> from unspool import Tokens, cores, embedding, head
    >>> model = SequenceModel(embedding(Tokens(5), 8), cores.build("core", "recurrent", width=8), head(Tokens(5), 8))
    >>> program = lower(model)
    >>> program.size, [slot.path for slot in program.state]
    (5, ['0.0.0', '0.0.1'])
    """
    core, head = model.core, model.head
    plain = type(head) is Categorical and isinstance(head.transform, nn.Identity) and model.encoder is None
    table = embedding_table(model)
    if type(core) not in LOWERINGS or not plain or table is None or not runs_here(core):
        return None
    builder = Builder(precision)
    try:
        with torch.no_grad():
            y = LOWERINGS[type(core)](builder, core, table)
            before, size = len(builder.code), len(head.weight)
            logits = builder.room(size)
            builder.matrix(array(head.weight), array(head.bias), y, logits)
    except NoInstructionError:
        return None
    return builder.finish(logits, size, before)


def runs_here(core: Core) -> bool:
    """Whether a core reads forwards alone, in float32 on the CPU, and nobody watches its parts."""
    if not core.causal or core.needs_source or any(p.dtype != torch.float32 for p in core.parameters()):
        return False
    watched = any(getattr(part, "watcher", None) is not None for part in core.modules())
    return not watched and all(p.device.type == "cpu" for p in core.parameters())


def embedding_table(model: SequenceModel) -> Tensor | None:
    """What the core reads for every id, (V, D); None for a model of numbers."""
    rows = getattr(model.head, "weight", None)
    if not hasattr(model.embedding, "num_embeddings") and not hasattr(model.embedding, "table"):
        return None
    with torch.no_grad():
        return None if rows is None else model.embedding(torch.arange(len(rows)))
