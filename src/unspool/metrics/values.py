"""Metrics of predicted numbers."""

from torch import Tensor

from unspool.batch import Batch
from unspool.metrics.metric import Mean


class MeanAbsoluteError(Mean):
    """The mean absolute error of predicted values.

    Args:
        scale: the unit of the data over the unit of the targets: errors are in the unit of the data.

    >>> import torch
    >>> values, every = torch.zeros(1, 2, 1), torch.ones(1, 2, dtype=torch.bool)
    >>> metric = MeanAbsoluteError(scale=10.0)
    >>> metric.update(torch.full_like(values, 0.5), Batch(values, values, every))
    >>> metric.compute()
    {'mean_absolute_error': 5.0}
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
    """The mean squared error of predicted values.

    >>> import torch
    >>> values, every = torch.zeros(1, 2, 1), torch.ones(1, 2, dtype=torch.bool)
    >>> metric = MeanSquaredError()
    >>> metric.update(torch.full_like(values, 0.5), Batch(values, values, every))
    >>> metric.compute()
    {'squared_error': 0.25}
    """

    name = "squared_error"

    def update(self, output: Tensor, reference: Batch) -> None:
        """Count a batch: predictions and targets (B, T, size)."""
        error = (output - reference.targets)[reference.loss_mask].float()
        self.total, self.number = self.total + float(error.square().sum()), self.number + len(error)


class WithinTolerance(Mean):
    """The share of predicted values that are closer to the target than a tolerance.

    Args:
        tolerance: in the unit of the targets.

    >>> import torch
    >>> values, every = torch.zeros(1, 2, 1), torch.ones(1, 2, dtype=torch.bool)
    >>> metric = WithinTolerance(0.6)
    >>> metric.update(torch.full_like(values, 0.5), Batch(values, values, every))
    >>> metric.compute()
    {'accuracy': 1.0}
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

    >>> import torch
    >>> values, every = torch.zeros(1, 2, 2), torch.ones(1, 2, dtype=torch.bool)
    >>> metric = Distance()
    >>> metric.update(values + torch.tensor([3.0, 4.0]), Batch(values, values, every))
    >>> metric.compute()
    {'error': 5.0}
    """

    name = "error"

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def update(self, output: Tensor, reference: Batch) -> None:
        """Count a batch: predictions and targets (B, T, size)."""
        error = (output - reference.targets)[reference.loss_mask].float().norm(dim=-1) * self.scale
        self.total, self.number = self.total + float(error.sum()), self.number + len(error)
