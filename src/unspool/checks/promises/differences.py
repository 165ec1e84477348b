"""Differences between tensors or states that should be equal."""

from torch import Tensor

from unspool.nn.part import CoreState, tensors


def furthest(ours: Tensor | CoreState, theirs: Tensor | CoreState) -> float:
    """The largest difference between two tensors or two states; NaN anywhere makes it NaN.

    In states a cache that is not full may be shorter: the rest of the other must be zeros.
    """
    if isinstance(ours, Tensor) and isinstance(theirs, Tensor):
        if ours.shape != theirs.shape:
            raise ValueError(f"shapes differ: {tuple(ours.shape)} and {tuple(theirs.shape)}")
        return float((ours.detach().double() - theirs.detach().double()).abs().max()) if ours.numel() else 0.0
    pairs = zip(tensors(ours), tensors(theirs), strict=True)  # type: ignore[arg-type]
    return largest(*(furthest(*_as_long(a, b)) for (_, a), (_, b) in pairs))


def _as_long(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    shape = [max(sizes) for sizes in zip(a.shape, b.shape, strict=True)]
    return _filled(a, shape), _filled(b, shape)


def _filled(short: Tensor, shape: list[int]) -> Tensor:
    filled = short.new_zeros(shape)
    filled[tuple(slice(size) for size in short.shape)] = short
    return filled


def largest(*differences: float) -> float:
    """The largest of some numbers; NaN if any is, which `max` would ignore."""
    return float("nan") if any(d != d for d in differences) else max(differences, default=0.0)
