"""What is to be seen here?"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor

from unspool.batch import Vectors
from unspool.data.parallel import together
from unspool.data.pictures import CaptionedImages
from unspool.data.readers.images import numbers, patches, rows, shape, side_of
from unspool.data.readers.images import pixels as as_pixels
from unspool.data.readers.tables import Record
from unspool.data.readers.text import read_bytes
from unspool.data.splits import Splits, parts
from unspool.data.tokenizer import Tokenizer
from unspool.data.unseen_bigrams import unseen_bigrams
from unspool.metrics.captions import cider
from unspool.metrics.drawings import Album, Captioned
from unspool.metrics.scene_captions import attributes
from unspool.metrics.text import bleus
from unspool.schema import Count, Natural, NotNegative
from unspool.tasks.in_words import InWords, line_break
from unspool.tasks.legacy import Figures, Finals, GenerationRequest, Trained, tasks

ALBUM = 24  # images


@tasks.register("caption")
class Caption(InWords):
    """Say what an image shows, word by word, each after those that were said before.

    An image is cut into patches of `patch_height` times `patch_width` pixels (0: the whole side), which an encoder
    reads in reading order. `pool`, `length`, `beam` and `length_penalty` are as for the task "translate".

    With `spare_gaps`, training does not hold it against a model that it expects a word which never came after the last
    one, but after words that are used like that one: for combinations that are only missing (`unspool.data.unseen_bigrams`).

    What the model has "written" in the end is told in BLEU up to one, two, three and four words and in CIDEr, beside
    all right captions of each image. Of scenes that were drawn here the attributes are told too, for those whose
    combinations of colour and shape were in training ("seen") and for the others ("unseen"): the shares of colours,
    shapes, sizes and relations that are right, and how many captions have no errors, minor errors, are somewhat related
    and unrelated.
    """

    dataset = CaptionedImages
    answers: ClassVar[bool] = True
    nothing: ClassVar[Splits] = Splits([])
    tokenizers: ClassVar[Mapping[str, str]] = {"tokenizer": "word"}

    def __init__(
        self,
        splits: Splits,
        tokenizer: Tokenizer,
        seed: int = 0,
        patch_height: Natural = 4,
        patch_width: Natural = 4,
        batch_size: Count = 64,
        pool: Natural = 50,
        length: Count = 40,
        beam: Count = 1,
        length_penalty: NotNegative = 0.0,
        spare_gaps: bool = False,
    ) -> None:
        self.tokenizer, self.edge = tokenizer, line_break(tokenizer)
        self.records, self.cut = parts(splits), (patch_height, patch_width)
        self.images = {
            name: [self.sequence(record["pixels"]) for record in records] for name, records in self.records.items()
        }
        if splits.train:
            self.source = Vectors(self.images["train"][0].shape[1])
        examples = {
            name: [
                (image, self.framed(caption))
                for image, record in zip(self.images[name], records, strict=True)
                for caption in (record.get("taught") or record["captions"])
            ]
            for name, records in self.records.items()
        }
        if spare_gaps and splits.train:
            self.gaps = unseen_bigrams([ids for _, ids in examples["train"]], tokenizer.size)
        super().__init__(examples, seed, batch_size, pool, length, beam, length_penalty)

    @classmethod
    def texts(cls, part: Sequence[Record]) -> dict[str, str]:
        """The captions, one a line."""
        return {"tokenizer": "".join(f"{caption}\n" for record in part for caption in record["captions"])}

    def sequence(self, pixels: bytes) -> Tensor:
        """The patches of an image."""
        side = side_of(pixels)
        return patches(pixels, side, *shape(side, *self.cut))

    def ask(self, text: str, dataset: CaptionedImages) -> GenerationRequest:
        """An image file, by its path."""
        pixels = as_pixels(read_bytes(text), text, dataset.side)
        source = self.seen(self.sequence(pixels))
        return GenerationRequest([self.edge], self.edge, self.asked["length"], source, self.asked["length_penalty"])

    def answer(self, ids: list[int], dataset: CaptionedImages) -> str:
        """What is said of it, its punctuation where it is usually written."""
        return together(self.tokenizer.decode(ids))

    def seen(self, source: Tensor) -> Tensor:
        """Pixels as numbers."""
        return numbers(source)

    def summary(self) -> str:
        """How many images each split has."""
        return ", images: " + ", ".join(f"{name} {len(images):,}" for name, images in self.images.items())

    def finals(self, split: str, trained: Trained) -> Finals:
        """BLEU and CIDEr, and of drawn scenes the attributes and grades, seen and unseen; and some of the images."""
        if split not in self.images:
            return {}, {}
        written, right = self.replies(self.images[split], trained.write), [r["captions"] for r in self.records[split]]
        ours, theirs = [line.split() for line in written], [[c.split() for c in captions] for captions in right]
        found: Figures = {f"bleu_{order}": score for order, score in enumerate(bleus(ours, theirs), start=1)}
        found["cider"] = cider(ours, theirs)
        for name, unseen in (("seen", False), ("unseen", True)):
            chosen = [n for n, record in enumerate(self.records[split]) if record.get("unseen") == unseen]
            if chosen:
                figures = attributes([written[n] for n in chosen], [right[n] for n in chosen])
                found |= {f"{name}_{key}": value for key, value in figures.items()}
        return {"written": found}, {"captions": self.album(split, written)}

    def album(self, split: str, written: Sequence[str]) -> Album:
        """The first images with what was written of them, those of unseen combinations where there are such."""
        records = self.records[split]
        unseen = any(record.get("unseen") for record in records)
        chosen = [n for n, record in enumerate(records) if record.get("unseen", False) == unseen][:ALBUM]
        pixels = (rows(records[n]["pixels"]) for n in chosen)
        return Album([Captioned(p, written[n], records[n]["captions"]) for n, p in zip(chosen, pixels, strict=True)])
