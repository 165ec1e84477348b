"""The temporal order problem."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from unspool.batch import Batch, Tokens
from unspool.metrics.metric import Unit
from unspool.schema import Count
from unspool.tasks.generated import Generated
from unspool.tasks.task import tasks

Level = Literal["easy", "normal", "moderate", "hard", "nightmare"]

LEVELS: dict[str, tuple[tuple[int, int], ...]] = {  # how long, and where the first and the second trigger stand
    "easy": ((7, 8), (1, 2), (4, 5)),
    "normal": ((30, 40), (2, 5), (20, 27)),
    "moderate": ((60, 80), (10, 20), (45, 54)),
    "hard": ((100, 110), (10, 20), (50, 60)),
    "nightmare": ((300, 500), (10, 80), (250, 290)),
}
THREE = ((100, 110), (10, 20), (33, 43), (66, 76))  # experiment 6b
SYMBOLS = "XYabcdBE"


@tasks.register("temporal-order")
class TemporalOrder(Generated):
    """The temporal order problem: classify a sequence by its two triggers, X or Y each, among distractors a b c d.

    There are four classes, XX XY YX YY, predicted at the last position; chance is 0.25. Sequences lie between B and E.
    "hard" is experiment 6a of Hochreiter & Schmidhuber 1997, and `triggers=3` its experiment 6b, with eight answers.
    Shorter rows are padded in front, so that all end together; all ranges are inclusive.

    Args:
        level: how long the rows are, and how far the triggers stand apart.
        triggers: how many there are in a row.

    >>> task = TemporalOrder(batch_size=1)
    >>> batch = task.train_batches()[0]
    >>> "".join(SYMBOLS[i] for i in batch.inputs[0][batch.mask[0]]), "Q R S U".split()[batch.targets[0, -1]]
    ('BdYaaXbE', 'S')
    """

    unit = Unit("answer")

    def __init__(
        self,
        level: Level = "easy",
        triggers: Literal[2, 3] = 2,
        batch_size: Count = 32,
        epoch: Count = 31,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, epoch, seed)
        (self.shortest, self.longest), *self.places = LEVELS[level] if triggers == 2 else THREE
        self.inputs, self.targets = Tokens(len(SYMBOLS)), Tokens(2**triggers)

    def draw(self, random: torch.Generator) -> Batch:
        """Rows that end together, each with its answer at the end."""
        rows, columns = self.batch_size, torch.arange(self.longest)
        lengths = torch.randint(self.shortest, self.longest + 1, (rows, 1), generator=random)
        before = self.longest - lengths  # columns of padding
        ids = torch.randint(2, 6, (rows, self.longest), generator=random)
        ids[columns == before] = SYMBOLS.index("B")
        ids[:, -1] = SYMBOLS.index("E")
        answer = torch.zeros(rows, 1, dtype=torch.long)
        for first, last in self.places:
            trigger = torch.randint(2, (rows, 1), generator=random)
            place = before + torch.randint(first, last + 1, (rows, 1), generator=random)
            ids.scatter_(1, place, trigger)
            answer = 2 * answer + trigger
        targets = answer.expand(rows, self.longest)
        loss_mask = (columns == self.longest - 1).expand(rows, -1)
        return Batch(ids, targets, loss_mask, columns >= before)

    def input_labels(self, ids: Sequence[int]) -> list[str]:
        """The symbols."""
        return [SYMBOLS[id] for id in ids]

    def target_labels(self, ids: Sequence[int]) -> list[str]:
        """The triggers in their order."""
        return ["".join("XY"[id >> bit & 1] for bit in reversed(range(len(self.places)))) for id in ids]

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """How many triggers were read so far, which they were, and which answer is known to be right."""
        here = batch.inputs < 2 if batch.mask is None else (batch.inputs < 2) & batch.mask
        read, all_read = here.cumsum(dim=1), len(self.places)
        found = {f"between triggers {n} and {n + 1}": read == n for n in range(1, all_read)}
        found["all triggers read"] = read == all_read
        for n in range(1, all_read + 1):
            for id, name in enumerate("XY"):
                was = (here & (read == n) & (batch.inputs == id)).cumsum(dim=1) > 0
                found[f"trigger {n} was {name}"] = was
                if n < all_read:  # asked of the rows that have it
                    between, has = (read == n).float(), was.any(dim=1, keepdim=True)
                    found[f"between {name} and trigger {n + 1}"] = between.where(has, torch.nan)
        for id, name in enumerate(self.target_labels(range(self.targets.size))):
            found[f"the answer is {name}"] = (batch.targets == id) & (read == all_read)
        return found
