"""Collates rows of tensors into padded batches."""

from collections.abc import Sequence

import torch
from torch import Tensor

from unspool.batch import Batch
from unspool.data.batching.buckets import Side, padded


def one_target(
    inputs: Sequence[Tensor],
    targets: Sequence[Tensor],
    side: Side = "right",
    mask_padding: bool = True,
    padding_id: int = 0,
) -> Batch:
    """Sequences with one target each, which is predicted at their last position.

    Args:
        inputs: (T,) ids or (T, size) numbers each, of any lengths.
        targets: () or (size,) each.
        side: where shorter rows are padded.
        mask_padding: whether the padding is masked. If not it is shown as if it were a token, and the target is
            predicted behind it: a mistake that has been published, for comparison.
        padding_id: the id that fills shorter rows.

    >>> one_target([torch.tensor([5, 6]), torch.tensor([7])], [torch.tensor(1), torch.tensor(0)]).loss_mask.tolist()
    [[False, True], [True, False]]
    """
    rows, mask = padded(inputs, padding_id, side)
    if not mask_padding:
        mask = torch.ones_like(mask)
    answers = torch.stack(list(targets)).unsqueeze(1)  # (B, 1) or (B, 1, size)
    columns = torch.arange(rows.shape[1])
    last = torch.where(mask, columns, -1).amax(dim=1, keepdim=True)  # (B, 1)
    expanded = answers.expand(-1, rows.shape[1], *answers.shape[2:])
    return Batch(rows, expanded, columns == last, None if bool(mask.all()) else mask)


def target_per_position(inputs: Sequence[Tensor], targets: Sequence[Tensor], side: Side = "right") -> Batch:
    """Sequences with a target at every position.

    >>> inputs, targets = [torch.tensor([5, 6]), torch.tensor([7])], [torch.tensor([1, 0]), torch.tensor([1])]
    >>> batch = target_per_position(inputs, targets)
    >>> batch.targets[batch.loss_mask].tolist()
    [1, 0, 1]
    """
    rows, mask = padded(inputs, 0, side)
    answers, _ = padded(targets, 0, side)
    return Batch(rows, answers, mask, None if bool(mask.all()) else mask)


def sequence_pairs(sources: Sequence[Tensor], targets: Sequence[Tensor]) -> Batch:
    """Sources and targets side by side: each target is read from its first id on and predicted from its second.

    >>> sequence_pairs([torch.tensor([3, 4])], [torch.tensor([0, 7, 0])]).targets.tolist()
    [[7, 0]]
    """
    source, source_mask = padded(sources)
    ids, there = padded(targets)
    mask = there[:, 1:]
    return Batch(ids[:, :-1] * mask, ids[:, 1:], mask, mask, source, source_mask)


def next_tokens(sequences: Sequence[Tensor]) -> Batch:
    """Sequences of which every id but the first is a target, given those before it.

    There is no padding mask: padding comes behind a sequence, where a causal model does not see it, and has no targets.

    >>> batch = next_tokens([torch.tensor([0, 7, 8, 0]), torch.tensor([0, 9, 0])])
    >>> batch.inputs.tolist(), batch.targets[batch.loss_mask].tolist()
    ([[0, 7, 8], [0, 9, 0]], [7, 8, 0, 9, 0])
    """
    ids, there = padded(sequences)
    return Batch(ids[:, :-1], ids[:, 1:], there[:, 1:])
