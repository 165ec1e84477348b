"""What an optimizer of ours is: groups of weights, and what it keeps of each weight."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor


class Optimizer:
    """The base of optimizers: what `torch.optim.Optimizer` is to a training loop.

    Torch's imports torch's compiler when it is built, which takes a second of every training.

    Args:
        groups: weights with settings of their own, as {"params": [weights], "weight_decay": 0.1}.
        defaults: the settings of groups that do not have them.
    """

    def __init__(self, groups: Iterable[Mapping[str, Any]], defaults: Mapping[str, Any]) -> None:
        self.param_groups: list[dict[str, Any]] = [{**defaults, **group} for group in groups]
        self.state: dict[Tensor, dict[str, Tensor]] = {}

    def step(self) -> None:
        """Update every weight that has a gradient."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """What is kept of each weight by its number, and the settings of all groups, in torch's form."""
        state = {number: self.state[p] for number, p in enumerate(self._weights()) if p in self.state}
        settings = [{key: value for key, value in group.items() if key != "params"} for group in self.param_groups]
        return {"state": state, "param_groups": settings}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        weights = self._weights()
        self.state = {
            weights[number]: {name: value.to(weights[number].device, copy=True) for name, value in kept.items()}
            for number, kept in saved["state"].items()
        }
        for group, settings in zip(self.param_groups, saved["param_groups"], strict=True):
            group.update(settings)

    def _weights(self) -> list[Tensor]:
        return [weight for group in self.param_groups for weight in group["params"]]
