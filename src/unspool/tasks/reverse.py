"""Reversing a sequence, the smallest sequence-to-sequence task."""

import torch
from torch import Tensor

from unspool.batch import Batch
from unspool.data.preprocessors.symbols import Symbols
from unspool.data.probe import left
from unspool.metrics.metric import GenerationSet
from unspool.metrics.text import TextMatch
from unspool.pipelines.text_generation import TextGeneration
from unspool.schema import Count
from unspool.tasks.generated import Generated
from unspool.tasks.task import tasks


@tasks.register("reverse")
class Reverse(Generated):
    """Reverse the symbols of a source: the smallest sequence-to-sequence task, for an encoder and a decoder.

    [preprocessor] says how many symbols there are. There are `length` of them at most in a source; the length is drawn,
    so sources are padded. The id beyond the symbols begins a target and ends it. The set "generated" has the sources
    of one batch.

    Args:
        preprocessor: of the symbols; its `size` says how many there are.
        length: how many symbols a source has at most.

    >>> batch = Reverse(Symbols(size=4), length=3, batch_size=1, seed=10).train_batches()[0]
    >>> batch.source.tolist(), batch.inputs.tolist(), batch.targets.tolist()
    ([[2, 0]], [[4, 0, 2]], [[0, 2, 4]])
    """

    preprocessing = Symbols
    pipeline = TextGeneration
    preprocessor: Symbols

    def __init__(
        self,
        preprocessor: Symbols | None = None,
        length: Count = 10,
        batch_size: Count = 64,
        epoch: Count = 30,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, epoch, seed)
        self.preprocessor, self.length = preprocessor or Symbols(), length
        self.inputs, self.targets = self.preprocessor.inputs, self.preprocessor.targets
        self.source = self.preprocessor.source

    def generation_sets(self, split: str) -> dict[str, GenerationSet]:
        """One batch of sources."""
        batch = self.drawn(split)[0]
        rows = [ids[here].tolist() for ids, here in zip(batch.source, batch.source_mask, strict=True)]  # type: ignore[arg-type]
        text = self.preprocessor.text
        records = [{"source": text(row), "target": text(row[::-1])} for row in rows]
        return {"generated": GenerationSet(records, [TextMatch])}

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """How much is still to be written."""
        return {"symbols left to write": left(batch)}

    def draw(self, random: torch.Generator) -> Batch:
        """Rows of different lengths."""
        size = self.preprocessor.size
        lengths = torch.randint(1, self.length + 1, (self.batch_size, 1), generator=random)
        longest = int(lengths.max())
        source = torch.randint(size, (self.batch_size, longest), generator=random)
        columns = torch.arange(longest + 1)
        backwards = source.gather(1, (lengths - 1 - columns[:-1]).clamp(min=0))
        edge = torch.full((self.batch_size, 1), size)
        targets = torch.where(columns < lengths, torch.cat([backwards, edge], dim=1), size)
        inputs = torch.cat([edge, targets[:, :-1]], dim=1)
        mask = columns <= lengths
        return Batch(inputs, targets, mask, mask, source, columns[:-1] < lengths)
