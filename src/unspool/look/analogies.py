"""man is to king as woman is to ...: questions to embeddings of words, as questions-words.txt has them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from unspool.data.readers.text import read_option
from unspool.data.tokenizers.word import UNKNOWN
from unspool.errors import DataError
from unspool.schema import Count

ROWS = 256  # questions at once
FIRST = 5  # answers among which the right one is looked for
WORDS = 4  # of a question in a file
Questions = dict[str, list[list[str]]]
"""Questions of four words, a b c and the answer, by section."""


@dataclass(frozen=True)
class Score:
    """How many analogies were right, of how many that could be asked; the others have words that the model lacks.

    >>> Score(right=1, in_five=3, asked=4, skipped=6).accuracy
    0.25
    """

    right: int
    in_five: int  # the right answer is among the first five
    asked: int
    skipped: int

    @property
    def accuracy(self) -> float | None:
        """The share of right answers among the questions that were asked; None where none was."""
        return self.right / self.asked if self.asked else None

    @property
    def accuracy_of_five(self) -> float | None:
        """The share of questions that were asked whose right answer is among the first five; None where none was."""
        return self.in_five / self.asked if self.asked else None


class WordVectors:
    """Embeddings of words, which answer analogies: a is to b as c is to the word nearest by cosine to b - a + c.

    The three words of the question, the unknown word and white space are never the answer (3CosAdd of Mikolov et
    al. 2013, arXiv:1301.3781). A word is looked up as it is written, then in lower case.

    Args:
        table: a vector for each word, (V, D).
        ids: the row of each word.

    >>> table = torch.tensor([[1.0, 0.0], [1.0, 1.0], [-1.0, 0.0], [-1.0, 1.0]])
    >>> words = WordVectors(table, {"man": 0, "king": 1, "woman": 2, "queen": 3})
    >>> words.answers("Man", "King", "Woman", 1)
    [('queen', 0.9597)]
    """

    def __init__(self, table: Float[Tensor, "V D"], ids: Mapping[str, int]) -> None:
        self.unit = torch.nn.functional.normalize(table.detach().float().cpu(), dim=1)
        self.ids, self.words = ids, {id: word for word, id in ids.items()}
        self.no_answers = torch.tensor([id for word, id in ids.items() if not word.strip() or word == UNKNOWN]).long()

    def find(self, words: Iterable[str]) -> list[int]:
        """The row of each word; -1 for one that is not known."""
        return [self.ids.get(word, self.ids.get(word.lower(), -1)) for word in words]

    def answers(self, a: str, b: str, c: str, count: Count = FIRST) -> list[tuple[str, float]]:
        """The best answers to "a is to b as c is to ...", with their cosines.

        Args:
            a: a word.
            b: what it is to a.
            c: the word that is asked about.
            count: how many answers.

        Returns:
            Words and cosines, the best first.

        Raises:
            DataError: names the words that are not known, or says that there is no other.
        """
        known = self.find((a, b, c))
        strange = [repr(word) for word, id in zip((a, b, c), known, strict=True) if id < 0]
        if strange:
            near = [word for one in strange for word in self.words.values() if one[1:-1] in word][:5]
            hint = f"ask about words of its vocabulary{', such as ' + ', '.join(near) if near else ''}"
            raise DataError(f"the model does not know {' and '.join(strange)}", hint=hint)
        answers = len(self.unit) - len({*known, *self.no_answers.tolist()})
        if not answers:
            raise DataError("the model knows no other word to answer with", hint="train it on more text")
        best = self._cosines(torch.tensor([known]))[0].topk(min(count, answers))
        return [
            (self.words[id], round(cosine, 4))
            for id, cosine in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]

    def score(self, questions: Questions) -> dict[str, Score]:
        """How many questions are answered with their fourth word, by section, and in "all".

        Args:
            questions: by section, as `read_questions` gives them.

        Returns:
            A score for each section, the total last.
        """
        found = {}
        for section, some in questions.items():
            known = [ids for ids in map(self.find, some) if min(ids) >= 0]
            found[section] = Score(
                *self._right(torch.tensor(known).view(-1, WORDS)), len(known), len(some) - len(known)
            )
        total = [sum(getattr(one, f) for one in found.values()) for f in ("right", "in_five", "asked", "skipped")]
        return {**found, "all": Score(*total)}

    def _cosines(self, questions: Tensor) -> Tensor:
        """The cosine of every word with b - a + c, (Q, V); the words of the question have none."""
        a, b, c = questions[:, :3].unbind(dim=1)
        wanted = torch.nn.functional.normalize(self.unit[b] - self.unit[a] + self.unit[c], dim=1)
        cosines = (wanted @ self.unit.T).scatter_(1, questions[:, :3], -torch.inf)
        return cosines.index_fill_(1, self.no_answers, -torch.inf)

    def _right(self, questions: Tensor) -> tuple[int, int]:
        """How many questions (Q, 4) have their fourth word as the first answer, and among the first five."""
        right = in_five = 0
        for some in questions.split(ROWS) if len(questions) else ():
            best = self._cosines(some).topk(min(FIRST, len(self.unit))).indices == some[:, 3:]
            right, in_five = right + int(best[:, 0].sum()), in_five + int(best.any(dim=1).sum())
        return right, in_five


def parse_question(text: str) -> tuple[str, str, str]:
    """The words of a question.

    Args:
        text: "a:b::c:?".

    Returns:
        a, b and c.

    Raises:
        DataError: for anything else.

    >>> parse_question("king:man::queen:?")
    ('king', 'man', 'queen')
    """
    left, _, right = text.partition("::")
    words = [word.strip() for word in (*left.split(":"), *right.split(":"))]
    if len(words) != WORDS or not all(words) or words[3] != "?" or left.count(":") != 1:
        raise DataError(f"{text!r} is no analogy", hint='--analogy "king:man::queen:?"')
    return words[0], words[1], words[2]


def read_questions(file: str | Path) -> Questions:
    """The questions of a file such as questions-words.txt: a b c d in a line; a line ": name" begins a section.

    Args:
        file: a text file.

    Returns:
        The questions by section, "questions" where they stand before any.

    Raises:
        DataError: for a file that cannot be read or has no question, and for a line that is none, with its number.
    """
    found: Questions = {}
    section = "questions"
    for number, line in enumerate(read_option(str(file))[0].splitlines(), start=1):
        words = line.split()
        if words[:1] == [":"]:
            section = " ".join(words[1:])
        elif len(words) == WORDS:
            found.setdefault(section, []).append(words)
        elif words:
            what = f"{file}, line {number}: {line.strip()!r} is no question"
            raise DataError(what, hint=f"four words, not {len(words)}; or a colon and the name of a section")
    if not found:
        raise DataError(f"there is no question in {file}", hint="write four words in each line: a b c d")
    return found
