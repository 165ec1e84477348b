"""Image captioning."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from unspool.batch import Batch
from unspool.data.pictures import CaptionedImages
from unspool.data.preprocessors.captions import CaptionedImage, CaptionText
from unspool.data.preprocessors.preprocessor import Record, Row
from unspool.data.punctuation import join_punctuation
from unspool.data.readers.images import aspect_ratio, read_image, rows
from unspool.data.unseen_bigrams import unseen_bigrams
from unspool.metrics.captions import CaptionAgreement, Cider
from unspool.metrics.drawings import Album, Captioned, Drawing
from unspool.metrics.metric import GenerationSet, MetricFactory
from unspool.metrics.scene_captions import SceneAttributes
from unspool.metrics.text import Bleu
from unspool.models.sequence import SequenceModel
from unspool.nn.heads import cross_entropy_without
from unspool.nn.part import CoreState
from unspool.schema import Count, Natural
from unspool.tasks.task import tasks
from unspool.tasks.text_generation import SourceToText

ALBUM = 24  # images


class CaptionTask(SourceToText):
    """A caption for each record, which may have several right ones.

    Args:
        splits: the records of each split.
        preprocessor: turns them into tensors.
        seed: of the order of the rows.
        batch_size: captions in a batch.
        pool: so many batches' worth of rows are sorted by length at a time.
        exclude_unseen_bigrams: whether the loss leaves out words that never followed the last one
            (`unspool.data.unseen_bigrams`).
    """

    preprocessor: CaptionText

    def __init__(
        self,
        splits: Any,
        preprocessor: CaptionText,
        seed: int = 0,
        batch_size: Count = 64,
        pool: Natural = 50,
        exclude_unseen_bigrams: bool = False,
    ) -> None:
        super().__init__(splits, preprocessor, seed, batch_size, pool)
        captions = [row.target for row in self.rows.get("train", ()) if row.target is not None]
        self.excluded = unseen_bigrams(captions, preprocessor.tokenizer.size) if exclude_unseen_bigrams else None

    def encoded(self, records: Sequence[Record]) -> list[Row]:
        """A row for each caption to learn of each record."""
        found = []
        for record in records:
            source = self.preprocessor.encode({name: value for name, value in record.items() if name != "target"}).input
            learned = record.get("trained") or record["captions"]
            found += [Row(source, self.preprocessor.caption(caption)) for caption in learned]
        return found

    def training_loss(
        self, model: SequenceModel, batch: Batch, state: CoreState | None = None
    ) -> tuple[Tensor, CoreState]:
        """The model's loss, without the words that are excluded after each target if so wanted."""
        if self.excluded is None:
            return model.loss(batch, state)
        before = torch.cat([batch.inputs[:, :1], batch.targets[:, :-1]], dim=1)  # the right ones, whatever was read
        y, state = model.hidden_states_of(batch, state)
        counted = batch.loss_mask
        excluded = self.excluded.to(before.device)[before[counted]]
        logits = model.head(y[counted])
        return cross_entropy_without(logits, batch.targets[counted], excluded, model.head.smoothing), state

    def generation_sets(self, split: str) -> dict[str, GenerationSet]:
        """A caption for every record of the split."""
        if split not in self.records:
            return {}
        records, references = self.records[split], self.preprocessor.references
        metrics: list[MetricFactory] = [
            partial(Bleu, references, orders=True, punctuation=False),
            partial(Cider, references, punctuation=False),
        ]
        if any("unseen" in record for record in records):
            metrics.append(partial(SceneAttributes, references))
        elif sum(len(record["captions"]) > 1 for record in records) > 1:
            metrics.append(partial(CaptionAgreement, references, records))
        return {"generated": GenerationSet(records, metrics, groups, drawing=partial(self.drawn, records))}

    def drawn(self, records: Sequence[Record], predictions: Sequence[Any]) -> dict[str, Drawing]:
        """Pictures of the records with their captions; here none."""
        return {}

    def summary(self) -> str:
        """How many records each split has."""
        return "records: " + ", ".join(f"{name} {len(records):,}" for name, records in self.records.items())


@tasks.register("caption")
class Caption(CaptionTask):
    """Describe an image, word by word, each given the image and the words before it.

    How images are cut into patches, which an encoder reads in reading order, is set in [preprocessor]
    (`unspool.data.preprocessors.captions.CaptionedImage`). `pool`, and the pipeline's `max_new_tokens`, `beam` and
    `length_penalty`, are as for the task "translate".

    With `exclude_unseen_bigrams`, the training loss leaves out of the choice every word that never came after the last
    one, but after words that are used like that one: combinations that are only missing in the data
    (`unspool.data.unseen_bigrams`) are not learned to be impossible.

    The set "generated" is measured in BLEU up to one, two, three and four words and in CIDEr, without punctuation,
    against all right captions of each image. Where images have several, each caption is graded by how far it agrees
    with them (`unspool.metrics.captions.CaptionAgreement`). Of drawn scenes the shares of colours, shapes, sizes and
    relations that are right are measured instead, and how many captions have no errors, minor errors, are somewhat
    related and unrelated; for scenes whose combinations of colour and shape were in training ("seen") and for the
    others ("unseen").

    Args:
        exclude_unseen_bigrams: whether the loss leaves out words that never followed the last one, as above.

    >>> from unspool import build
    >>> from unspool.data.readers.images import netpbm
    >>> from unspool.data.splits import Splits
    >>> record = {"image": netpbm(bytes(192)), "target": "a red ring", "captions": ["a red ring"]}
    >>> task = build.task({"task": {"kind": "caption"}, "preprocessor": {"side": 8}}, Splits([record]))
    >>> task.train_batches()[0].source.shape  # (B, patches, numbers of a patch)
    torch.Size([1, 4, 48])
    """

    dataset = CaptionedImages
    preprocessing = CaptionedImage
    preprocessor: CaptionedImage

    def drawn(self, records: Sequence[Record], predictions: Sequence[Any]) -> dict[str, Drawing]:
        """The first images with their captions, those of unseen combinations where there are such."""
        unseen = any(record.get("unseen") for record in records)
        chosen = [n for n, record in enumerate(records) if record.get("unseen", False) == unseen][:ALBUM]
        shown = []
        for number in chosen:
            written = getattr(predictions[number], "text", "")
            right = [join_punctuation(" ".join(words)) for words in self.preprocessor.references(records[number])]
            image = records[number]["image"]
            pixels = rows(read_image(image, self.preprocessor.size))
            shown.append(Captioned(pixels, written, right, aspect_ratio(image)))
        return {"captions": Album(shown)}

    def summary(self) -> str:
        """How many images each split has."""
        return super().summary().replace("records", "images", 1)


def groups(record: Record) -> list[str]:
    """Whether the combinations of a drawn scene were in training.

    >>> groups({"unseen": True}), groups({})
    (['unseen'], [])
    """
    return ["unseen" if record["unseen"] else "seen"] if "unseen" in record else []
