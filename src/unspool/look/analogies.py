"""man is to king as woman is to ...: questions to embeddings, as questions-words.txt has them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from unspool.errors import DataError

ROWS = 256  # questions at once


@dataclass(frozen=True)
class Answers:
    """How many analogies were right, of how many that could be asked; the others have words that the model lacks."""

    right: int
    asked: int
    skipped: int

    @property
    def accuracy(self) -> float:
        """The share of those that were asked."""
        return self.right / max(1, self.asked)


def analogies(table: Float[Tensor, "V D"], ids: Mapping[str, int], file: str | Path) -> dict[str, Answers]:
    """The answers by section, and in "all": a b c d in a line, d wanted nearest by cosine to b - a + c.

    Lines ": name" begin a section; words are looked up as they are, then in small letters (Mikolov et al. 2013,
    arXiv:1301.3781; none of the three words given is an answer). Errors: DataError for a file that cannot be read, or a
    line that is no question.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(
            f"cannot read {file}: {error}", hint="give a text file of questions, a b c d in each line"
        ) from None
    unit, found, section = torch.nn.functional.normalize(table.detach().float().cpu(), dim=1), {}, "all"
    questions: dict[str, list[list[int]]] = {}
    skipped: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if words[:1] == [":"]:
            section = " ".join(words[1:])
        elif len(words) == 4:
            known = [ids.get(word, ids.get(word.lower(), -1)) for word in words]
            questions.setdefault(section, [])
            skipped.setdefault(section, 0)
            if min(known) < 0:
                skipped[section] += 1
            else:
                questions[section].append(known)
        elif words:
            raise DataError(f"{file}, line {number}: {line!r} is no question", hint="four words, or a colon and a name")
    for name, some in questions.items():
        found[name] = Answers(_right(unit, torch.tensor(some).view(-1, 4)), len(some), skipped[name])
    every = [found[name] for name in found if name != "all"] or list(found.values())
    total = Answers(*(sum(getattr(one, field) for one in every) for field in ("right", "asked", "skipped")))
    return {**found, "all": total}


def _right(unit: Tensor, questions: Tensor) -> int:
    """How many questions (Q, 4) are answered with their fourth word."""
    right = 0
    for some in questions.split(ROWS):
        a, b, c, wanted = some.unbind(dim=1)
        cosines = (unit[b] - unit[a] + unit[c]) @ unit.T
        cosines.scatter_(1, some[:, :3], -torch.inf)
        right += int((cosines.argmax(dim=1) == wanted).sum())
    return right
