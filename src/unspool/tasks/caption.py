"""What is to be seen here?"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor

from unspool.batch import Numbers
from unspool.data.gaps import gaps
from unspool.data.grades import attributes
from unspool.data.images import numbers, patches, shape, side_of, whole
from unspool.data.pictures import CaptionedImages
from unspool.data.readers.tables import Record
from unspool.data.records import Examples
from unspool.data.scores import bleus, cider
from unspool.data.tokenizer import Tokenizer
from unspool.registry import Count, Natural, NotNegative
from unspool.tasks.classify import parts
from unspool.tasks.drawings import Album, Captioned
from unspool.tasks.in_words import InWords, line_break
from unspool.tasks.task import Figures, Finals, Trained, tasks

ALBUM = 24  # images


@tasks.register("caption")
class Caption(InWords):
    """Say what an image shows, word by word, each after those that were said before.

    An image is cut into patches of `patch_height` times `patch_width` pixels (0: the whole side), which an encoder
    reads in reading order. `pool`, `length`, `beam` and `length_penalty` are as for the task "translate".

    With `spare_gaps`, training does not hold it against a model that it expects a word which never came after the last
    one, but after words that are used like that one: for combinations that are only missing (`unspool.data.gaps`).

    What the model has "written" in the end is told in BLEU up to one, two, three and four words and in CIDEr, beside
    all right captions of each image. Of scenes that were drawn here the attributes are told too, for those whose
    combinations of colour and shape were in training ("seen") and for the others ("unseen"): the shares of colours,
    shapes, sizes and relations that are right, and how many captions have no errors, minor errors, are somewhat related
    and unrelated.
    """

    material = CaptionedImages
    tokenizers: ClassVar[Mapping[str, str]] = {"tokenizer": "word"}

    def __init__(
        self,
        splits: Examples,
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
        self.records = parts(splits)
        self.side = side_of(splits.train[0]["pixels"])
        self.patch = shape(self.side, patch_height, patch_width)
        self.looks_at = Numbers(3 * self.patch[0] * self.patch[1])
        self.images = {
            name: [patches(record["pixels"], self.side, *self.patch) for record in records]
            for name, records in self.records.items()
        }
        rows = {
            name: [
                (image, self.framed(caption))
                for image, record in zip(self.images[name], records, strict=True)
                for caption in (record.get("taught") or record["captions"])
            ]
            for name, records in self.records.items()
        }
        if spare_gaps:
            self.gaps = gaps([ids for _, ids in rows["train"]], tokenizer.size)
        super().__init__(rows, seed, batch_size, pool, length, beam, length_penalty)

    @classmethod
    def texts(cls, part: Sequence[Record]) -> dict[str, str]:
        """The captions, one a line."""
        return {"tokenizer": "".join(f"{caption}\n" for record in part for caption in record["captions"])}

    def seen(self, source: Tensor) -> Tensor:
        """Pixels as numbers."""
        return numbers(source)

    def told(self) -> str:
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
        records, images = self.records[split], self.images[split]
        unseen = any(record.get("unseen") for record in records)
        chosen = [n for n, record in enumerate(records) if record.get("unseen", False) == unseen][:ALBUM]
        pixels = (whole(images[n], self.side, *self.patch).tolist() for n in chosen)
        return Album([Captioned(p, written[n], records[n]["captions"]) for n, p in zip(chosen, pixels, strict=True)])
