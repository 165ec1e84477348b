"""The selftest: properties that every cell and core must have, checked on this machine."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from unspool.checks.cases import Case, cases
from unspool.checks.promises import adapting, learning, states
from unspool.errors import UnspoolError
from unspool.training.precision import usable

CHECKS: dict[str, tuple[Callable[[Case], float], float]] = {
    "whole = in chunks = step by step": (states.whole_equals_steps, 1e-5),
    "the future never reaches the past": (states.future_stays_away, 1e-6),
    "neighbours are seen": (states.neighbours_are_seen, 0.0),
    "padding changes nothing": (learning.padding_is_nothing, 2e-5),
    "fast = readable, gradients too": (learning.fast_equals_readable, 2e-5),
    "watching changes nothing": (learning.watching_changes_nothing, 1e-5),
    "a carried state has no past": (states.carried_state_has_no_past, 0.0),
    "rows of the state can be chosen": (states.rows_can_be_chosen, 1e-5),
    "a state can be come back to": (states.states_can_be_come_back_to, 0.0),
    "batch = single": (states.rows_are_strangers, 1e-5),
    "what is written = what is read": (states.writing_is_reading, 1e-5),
    "scores come before adapting": (adapting.scores_come_before_learning, 1e-5),
    "gradients = finite differences (float64)": (learning.gradients_are_true, 1e-7),
    "every weight learns": (learning.every_weight_learns, 0.0),
    "accumulated parts = one batch": (learning.parts_equal_the_whole, 1e-5),
    "large numbers stay numbers": (learning.large_numbers_stay_numbers, 0.0),
    "bfloat16 is close to float32": (learning.half_precision_is_close, 5e-2),
    "devices agree": (learning.devices_agree, 1e-4),
}
"""Every property with its tolerance on a CPU; a check that is added here runs on every cell and core."""
ELSEWHERE = 5.0
"""So many times the tolerance on another device, whose kernels sum in another order for every shape."""


@dataclass(frozen=True)
class Result:
    """The result of one check on one case."""

    case: str
    promise: str
    difference: float
    tolerance: float
    problem: str = ""  # what went wrong, when it could not be measured

    @property
    def passed(self) -> bool:
        """Whether the difference is within the tolerance; NaN never is."""
        return not self.problem and self.difference <= self.tolerance

    def summary(self) -> str:
        """One line of the table."""
        mark = "pass" if self.passed else "FAIL"
        why = f"   {self.problem}" if self.problem else ""
        return f"{mark}  {self.case:<24} {self.promise:<44} {self.difference:9.2e} of {self.tolerance:.0e}{why}"


def run_all(cell: str | None = None, core: str | None = None, device: str = "cpu") -> Iterator[Result]:
    """Run every check on every cell and core, or on the one that is named.

    Args:
        cell: one cell, by name or as FILE.py:Class; None: every one.
        core: one core, by name; None: every one.
        device: as torch names devices, or "auto".
    """
    for case in cases(cell, core, usable(device)):
        yield from run(case)


def run(case: Case) -> Iterator[Result]:
    """Run every check on one case; an exception is a failed check and does not end the run."""
    on_cpu = torch.device(case.device).type == "cpu"
    for check, (function, tolerance) in CHECKS.items():
        try:
            difference, problem = function(case), ""
        except UnspoolError:
            raise
        except Exception as error:  # a user's own cell may raise anything
            difference, problem = float("nan"), f"{type(error).__name__}: {error}".splitlines()[0]
        yield Result(case.name, check, difference, tolerance if on_cpu else ELSEWHERE * tolerance, problem)
