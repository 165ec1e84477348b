"""Optimizers by name, and their states as tensors and plain data."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from unspool.nn.part import refuse_unlike
from unspool.training.adam import Adam
from unspool.training.muon import Muon
from unspool.training.optimizer import Optimizer
from unspool.training.precision import has_bfloat16

OptimizerName = Literal["adamw", "adam", "sgd", "rmsprop", "muon"]
AnyOptimizer = Optimizer | torch.optim.Optimizer


def optimizers(
    model: nn.Module,
    name: OptimizerName,
    learning_rate: float,
    weight_decay: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.95),
    momentum: float = 0.0,
) -> list[AnyOptimizer]:
    """Build the optimizers for a model's weights; each group keeps its highest learning rate under "base".

    Only matrices decay. "muon" orthogonalizes the updates of the matrices of cores, an encoder's too (Jordan et al.
    2024, kellerjordan.github.io/posts/muon), and leaves embeddings, heads, norms and biases to AdamW; its updates have
    the size of AdamW's, so that one learning rate suits both.

    Args:
        model: its weights that require gradients are optimized.
        name: "adamw", "adam", "sgd", "rmsprop" or "muon".
        learning_rate: the highest learning rate.
        weight_decay: of matrices; embeddings, biases and gains do not decay.
        betas: the decay of the first and second moments of adam and adamw.
        momentum: of sgd and rmsprop.

    >>> [type(o).__name__ for o in optimizers(nn.Linear(2, 2), "adamw", 1e-3)]
    ['Adam']
    """
    matrices, others = _sort(model)
    if name == "muon":
        hidden = {id(p) for n, p in model.named_parameters() if "core" in n.split(".") and p.dim() == 2}
        turned = [p for p in matrices if id(p) in hidden]
        rest = [p for p in matrices if id(p) not in hidden]
        made: list[AnyOptimizer] = []
        if turned:
            made.append(Muon(turned, learning_rate, weight_decay, bfloat16=has_bfloat16(turned[0].device.type)))
        made.append(Adam(_groups(rest, others, weight_decay), learning_rate, betas, decoupled=True))
    elif name == "rmsprop":
        made = [torch.optim.RMSprop(_groups(matrices, others, weight_decay), lr=learning_rate, momentum=momentum)]
    elif name == "sgd":
        groups = _groups(matrices, others, weight_decay)
        made = [torch.optim.SGD(groups, lr=learning_rate, momentum=momentum, fused=True)]
    else:
        made = [Adam(_groups(matrices, others, weight_decay), learning_rate, betas, decoupled=name == "adamw")]
    for optimizer in made:
        for group in optimizer.param_groups:
            group["base"] = group["lr"]
    return made


def _sort(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Matrices that multiply, and all other weights (embeddings, biases, gains)."""
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for parameter in model.parameters():
        if parameter.requires_grad:
            (matrices if parameter.dim() >= 2 and id(parameter) not in tables else others).append(parameter)
    return matrices, others


def _groups(
    matrices: Sequence[nn.Parameter], others: Sequence[nn.Parameter], weight_decay: float
) -> list[dict[str, Any]]:
    if not weight_decay:
        return [{"params": [*matrices, *others], "weight_decay": 0.0}]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def optimizer_state(made: Sequence[AnyOptimizer]) -> tuple[dict[str, Tensor], list[list[dict[str, Any]]]]:
    """The tensors of all optimizer states by path, and the settings of all groups as plain data."""
    tensors, settings = {}, []
    for number, optimizer in enumerate(made):
        state = optimizer.state_dict()
        for index, values in state["state"].items():
            for name, value in values.items():
                if isinstance(value, Tensor):
                    tensors[f"{number}.{index}.{name}"] = value
        settings.append([{k: v for k, v in group.items() if k != "params"} for group in state["param_groups"]])
    return tensors, settings


MOMENTS: dict[type[AnyOptimizer], set[str]] = {
    Adam: {"step", "exp_avg", "exp_avg_sq"},
    torch.optim.RMSprop: {"step", "square_avg", "momentum_buffer"},
    torch.optim.SGD: {"momentum_buffer"},
    Muon: {"momentum_buffer"},
}
"""What each optimizer keeps of a weight that had a gradient; a momentum buffer only where there is momentum."""


def load_optimizer_state(
    made: Sequence[AnyOptimizer], tensors: Mapping[str, Tensor], settings: Sequence[Sequence[Any]]
) -> None:
    """Restore what `optimizer_state` returned; the settings stay those of the recipe, which may have changed.

    Raises:
        ValueError: where the groups of weights differ, or a tensor is not what the optimizer keeps of a weight.
    """
    left = dict(tensors)
    for number, (optimizer, groups) in enumerate(zip(made, settings, strict=True)):
        state = optimizer.state_dict()
        if len(state["param_groups"]) != len(groups):
            raise ValueError(
                f"the optimizer has {len(state['param_groups'])} groups of weights, saved were {len(groups)}"
            )
        values: dict[int, dict[str, Tensor]] = {}
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        names = next(names for kind, names in MOMENTS.items() if isinstance(optimizer, kind))
        for index, weight in enumerate(weights):
            for name in names:
                place = f"{number}.{index}.{name}"
                if place in left:
                    values.setdefault(index, {})[name] = left[place]
                    like = torch.zeros(()) if name == "step" else weight
                    refuse_unlike({place: left.pop(place)}, {place: like})
        if any(names - kept.keys() - {"momentum_buffer"} for kept in values.values()):
            raise ValueError("some moments of a weight are missing")
        optimizer.load_state_dict({"state": values, "param_groups": state["param_groups"]})
    if left:
        raise ValueError(f"{min(left)} is no moment of the optimizer")
