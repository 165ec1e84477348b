"""Metrics of predicted numbers."""

from torch import Tensor

from unspool.batch import Batch
from unspool.metrics.metric import Mean


class MeanAbsoluteError(Mean):
    """The mean absolute error of predicted values.

    Args:
        scale: the unit of the data over the unit of the targets: errors are told in the unit of the data.
    """

    name = "mean_absolute_error"

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def update(self, output: Tensor, reference: Batch) -> None:
        """Count a batch: predictions and targets (B, T, size)."""
        error = (output - reference.targets)[reference.loss_mask].float().abs() * self.scale
        self.total, self.number = self.total + float(error.sum()), self.number + error.numel()


class MeanSquaredError(Mean):
    """The mean squared error of predicted values."""

    name = "squared_error"

    def update(self, output: Tensor, reference: Batch) -> None:
        """Count a batch: predictions and targets (B, T, size)."""
        error = (output - reference.targets)[reference.loss_mask].float()
        self.total, self.number = self.total + float(error.square().sum()), self.number + len(error)


class WithinTolerance(Mean):
    """The share of predicted values that are closer to the target than a tolerance.

    Args:
        tolerance: in the unit of the targets.
    """

    name = "accuracy"

    def __init__(self, tolerance: float) -> None:
        super().__init__()
        self.tolerance = tolerance

    def update(self, output: Tensor, reference: Batch) -> None:
        """Count a batch: predictions and targets (B, T, 1)."""
        error = (output - reference.targets)[reference.loss_mask].float().abs()
        self.total, self.number = self.total + float((error < self.tolerance).sum()), self.number + len(error)


class Distance(Mean):
    """The mean Euclidean distance of predicted points from their targets.

    Args:
        scale: the unit of the data over the unit of the targets.
    """

    name = "error"

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def update(self, output: Tensor, reference: Batch) -> None:
        """Count a batch: predictions and targets (B, T, size)."""
        error = (output - reference.targets)[reference.loss_mask].float().norm(dim=-1) * self.scale
        self.total, self.number = self.total + float(error.sum()), self.number + len(error)
