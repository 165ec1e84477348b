"""Text generation: the likeliest text for each source, by beam search."""

from collections.abc import Sequence

import torch
from torch import Tensor

from unspool.batch import Batch
from unspool.data.batching.buckets import padded
from unspool.data.preprocessors.generation import GeneratedText, Generation
from unspool.data.preprocessors.preprocessor import Record, Row
from unspool.errors import DataError
from unspool.generate.attention import source_attention
from unspool.generate.beam import Beam, beam_search
from unspool.models.sequence import SequenceModel
from unspool.pipelines.pipeline import Predictor
from unspool.schema import Count, NotNegative


class TextGeneration(Predictor):
    """A translation, a caption or any other text that a source gives, and the alternatives that the search found.

    Args:
        model: the trained model.
        preprocessor: the one that it was trained with.
        beam: so many beams are searched with; 1 is greedy.
        length_penalty: above 0, longer texts are preferred (0.6 to 1 is usual with beams).
        max_new_tokens: a text has at most so many tokens.
        attention: whether each text comes with the attention of its tokens to the source.
    """

    preprocessor: GeneratedText

    def __init__(
        self,
        model: SequenceModel,
        preprocessor: GeneratedText,
        beam: Count = 1,
        length_penalty: NotNegative = 0.0,
        max_new_tokens: Count = 60,
        attention: bool = False,
    ) -> None:
        super().__init__(model, preprocessor)
        self.beam, self.length_penalty, self.max_new_tokens = beam, length_penalty, max_new_tokens
        self.attention = attention

    def encode(self, record: Record) -> Row:
        """A source as tensors. Raises: DataError where it cannot be read, or is longer than the model can read."""
        fields = self.preprocessor.fields
        row = self.preprocessor.encode(
            {name: value for name, value in record.items() if name != "target" or name in fields}
        )
        core = self.model.core if self.model.encoder is None else self.model.encoder.core
        if core.max_length is not None and len(row.input) > core.max_length:
            raise DataError(
                f"the input has {len(row.input):,} tokens, and the model reads at most {core.max_length:,}",
                hint="shorten it",
            )
        return row

    def forward(self, batch: Batch) -> Sequence[Generation]:
        """The candidates that were found for each row of a batch of prompts, the best first."""
        there = torch.ones_like(batch.inputs, dtype=torch.bool) if batch.mask is None else batch.mask
        lengths = there.sum(dim=1)
        found: dict[int, list[Beam]] = {}
        for length in lengths.unique().tolist():  # prompts of one length are searched together
            numbers = (lengths == length).nonzero().flatten()
            beams = beam_search(
                self.model,
                batch.inputs[numbers, :length],
                self.max_new_tokens,
                self.beam,
                end=self.preprocessor.end,
                length_penalty=self.length_penalty,
                source=None if batch.source is None else batch.source[numbers],
                source_mask=None if batch.source_mask is None else batch.source_mask[numbers],
            )
            found |= dict(zip(numbers.tolist(), beams, strict=True))
        every = [found[number] for number in range(len(lengths))]
        maps = self.maps(batch, [beams[0].ids for beams in every]) if self.attention else [None] * len(every)
        return [
            Generation([(beam.ids, beam.log_probability) for beam in beams], weights)
            for beams, weights in zip(every, maps, strict=True)
        ]

    def maps(self, batch: Batch, written: Sequence[list[int]]) -> Sequence[Tensor | None]:
        """The attention of each generated id and of the end to the source, (U + 1, S); None where there is none."""
        ids, mask = padded([torch.tensor([*batch.inputs[row, :1].tolist(), *own]) for row, own in enumerate(written)])
        whole = Batch(ids, ids, mask, mask, batch.source, batch.source_mask)
        weights = None if batch.source is None else source_attention(self.engine, whole)
        if weights is None or batch.source_mask is None:
            return [None] * len(written)
        sizes = batch.source_mask.sum(dim=1).tolist()
        return [w[: len(own) + 1, :size] for w, own, size in zip(weights, written, sizes, strict=True)]
