"""Batches of one long text of ids: contiguous rows or random windows for training, every target once for evaluation."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int64
from torch import Tensor

from unspool.batch import Batch
from unspool.errors import DataError
from unspool.schema import Count, Share
from unspool.seeds import mix


class ContiguousBatches:
    """The text in `batch_size` contiguous rows, read `length` ids at a time: truncated back-propagation through time.

    Each row of a batch continues that row of the batch before, so the state is carried. A remainder that does not fill
    every row is dropped.

    Args:
        ids: the text, (N,).
        batch_size: how many rows the text is divided into.
        length: how many ids of each row a batch has.
        reset_probability: the share of batches that begin with an empty state all the same: a model that never sees
            one comes to depend on a long memory, and fails at the beginning of a text.
        seed: of which batches are reset.

    >>> batch = ContiguousBatches(torch.arange(26), batch_size=4, length=3)[0]
    >>> "".join(chr(97 + id) for id in batch.inputs.T.flatten())
    'agmsbhntciou'
    """

    def __init__(
        self, ids: Int64[Tensor, " N"], batch_size: Count, length: Count, reset_probability: Share = 0.0, seed: int = 0
    ) -> None:
        width = len(ids) // batch_size
        require_tokens(ids, 2 * batch_size, f"{batch_size} rows", "task.batch_size")
        self.rows = ids[: batch_size * width].view(batch_size, width)
        self.length, self.reset_probability, self.seed = length, reset_probability, seed

    @property
    def epoch(self) -> int:
        """How many batches read each row to its end."""
        return -(-(self.rows.shape[1] - 1) // self.length)

    def __getitem__(self, number: int) -> Batch:
        """Batch `number`; the last of an epoch may be shorter, because the last id of a row has no target."""
        index = number % self.epoch
        chunk = self.rows[:, index * self.length : (index + 1) * self.length + 1]
        forgets = mix(self.seed, number) < self.reset_probability * 2**63
        return pairs(chunk, carries_state=index > 0 and not forgets)


class RandomWindows:
    """Windows of `length` ids from random places; batch `number` depends on the seed and the number alone.

    Args:
        ids: the text, (N,).
        batch_size: how many windows a batch has.
        length: how many ids a window has.
        seed: of the random places.
        starts: the places at which a window may begin, such as those of sentences; None: all.

    >>> windows = RandomWindows(torch.arange(100), batch_size=2, length=5, seed=1)
    >>> torch.equal(windows[7].inputs, windows[7].inputs), torch.equal(windows[7].inputs, windows[8].inputs)
    (True, False)
    """

    def __init__(
        self,
        ids: Int64[Tensor, " N"],
        batch_size: Count,
        length: Count,
        seed: int = 0,
        starts: Int64[Tensor, " S"] | None = None,
    ) -> None:
        require_tokens(ids, length + 1, f"a window of {length} and its next one", "task.length")
        self.windows = ids.unfold(0, length + 1, 1)  # (N - length, length + 1), a view
        self.starts = None if starts is None else starts[starts < len(self.windows)]
        if self.starts is not None and not len(self.starts):
            raise DataError(
                f"no sentence begins {length + 1} tokens before the end of the text",
                hint="task.batching=windows, or a smaller task.length",
            )
        self.batch_size, self.length, self.seed, self.size = batch_size, length, seed, len(ids)

    @property
    def epoch(self) -> int:
        """How many batches have as many positions as the text."""
        return max(1, self.size // (self.batch_size * self.length))

    def __getitem__(self, number: int) -> Batch:
        """Batch `number`; every window that may be drawn is equally likely, the last one too."""
        random = torch.Generator().manual_seed(mix(self.seed, number))
        among = len(self.windows) if self.starts is None else len(self.starts)
        starts = torch.randint(among, (self.batch_size,), generator=random)
        starts = starts if self.starts is None else self.starts[starts]
        return pairs(self.windows[starts.to(self.windows.device)])


class ContiguousEval:
    """Every target once, in a few contiguous rows with the state carried to their ends.

    Args:
        ids: the text, (N,).
        batch_size: at most so many rows; the last one is padded where the text does not fill it.
        length: how many ids of each row a batch has.

    >>> batches = ContiguousEval(torch.arange(8), batch_size=2, length=3)
    >>> [batches[number].targets.tolist() for number in range(batches.epoch)]
    [[[1, 2, 3], [5, 6, 7]], [[4], [0]]]
    """

    def __init__(self, ids: Int64[Tensor, " N"], batch_size: Count, length: Count) -> None:
        require_tokens(ids, 2, "one prediction", "")
        self.rows, self.mask = split_rows(ids, -(-(len(ids) - 1) // batch_size))
        self.full = int(self.mask[-1].sum())  # columns where no row is padded
        self.length = length

    @property
    def epoch(self) -> int:
        """How many batches cover the text."""
        return -(-self.mask.shape[1] // self.length)

    def __getitem__(self, number: int) -> Batch:
        """Batch `number` goes on where the one before stopped."""
        index = number % self.epoch
        start, end = index * self.length, min((index + 1) * self.length, self.mask.shape[1])
        mask = self.mask[:, start:end] if end > self.full else None
        return pairs(self.rows[:, start : end + 1], mask, carries_state=index > 0)


class WindowedEval:
    """Every target once, in windows that begin with an empty state: for models that read a fixed window.

    Args:
        ids: the text, (N,).
        window: how many ids a window has.
        batch_size: how many windows a batch has.

    >>> batches = WindowedEval(torch.arange(6), window=2, batch_size=2)
    >>> [batches[number].targets.tolist() for number in range(batches.epoch)]
    [[[1, 2], [3, 4]], [[5, 0]]]
    """

    def __init__(self, ids: Int64[Tensor, " N"], window: Count, batch_size: Count) -> None:
        require_tokens(ids, 2, "one prediction", "")
        self.rows, self.mask = split_rows(ids, min(window, len(ids) - 1))
        self.ragged = not bool(self.mask[-1].all())
        self.batch_size = batch_size

    @property
    def epoch(self) -> int:
        """How many batches cover the text."""
        return -(-len(self.rows) // self.batch_size)

    def __getitem__(self, number: int) -> Batch:
        """Batch `number`; the last one has the rows that are left, and its last row may be padded."""
        index = number % self.epoch
        rows = slice(index * self.batch_size, (index + 1) * self.batch_size)
        return pairs(self.rows[rows], self.mask[rows] if self.ragged and index == self.epoch - 1 else None)


def pairs(
    chunk: Int64[Tensor, "B width"], mask: Bool[Tensor, "B T"] | None = None, carries_state: bool = False
) -> Batch:
    """The batch that predicts each id of a chunk from those before it; the loss is taken over all present positions."""
    inputs, targets = chunk[:, :-1], chunk[:, 1:]
    every = torch.ones((), dtype=torch.bool, device=chunk.device).expand(inputs.shape)
    return Batch(inputs, targets, every if mask is None else mask, mask, carries_state=carries_state)


def split_rows(ids: Int64[Tensor, " N"], width: int) -> tuple[Int64[Tensor, "R {width}+1"], Bool[Tensor, "R {width}"]]:
    """Rows of `width` targets, each row after the id before them, and which are there: the last row is padded."""
    targets = len(ids) - 1
    rows = -(-targets // width)
    padded = F.pad(ids, (0, rows * width - targets))
    mask = torch.arange(rows * width, device=ids.device).view(rows, width) < targets
    return padded.unfold(0, width + 1, width), mask


def require_tokens(ids: Int64[Tensor, " N"], least: int, what: str, key: str) -> None:
    """Raise a DataError where a text is too short."""
    if len(ids) < least:
        remedy = f"set {key} to a smaller number, or give more text" if key else "give more text"
        raise DataError(f"a text of {len(ids)} tokens is too short for {what}: {least} are needed", hint=remedy)
