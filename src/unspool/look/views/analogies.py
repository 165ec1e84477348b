"""Analogies asked of the embeddings of words."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from unspool.data.tokenizer import tokenizers
from unspool.data.tokenizers.word import WordTokenizer
from unspool.errors import DataError
from unspool.look.analogies import FIRST, Score, WordVectors, parse_question, read_questions
from unspool.look.canvas import COLOURS, FAINT, Picture, labels, plain
from unspool.look.inspection import Inspection
from unspool.look.measures import principal_components
from unspool.look.panels import Panel, Table
from unspool.look.view import View, register_view
from unspool.schema import Count


@dataclass(frozen=True)
class Answered:
    """A question with its best answers, and where its three words and these lie in a plane."""

    question: tuple[str, str, str]
    answers: list[tuple[str, float]]  # with their cosines, the best first
    coordinates: list[list[float]]  # of the question's words, then of the answers

    def sentence(self) -> str:
        """The best answer in words.

        >>> Answered(("king", "man", "queen"), [("woman", 0.9), ("girl", 0.5)], []).sentence()
        'king is to man as queen is to woman (cosine 0.90)'
        """
        a, b, c = self.question
        word, cosine = self.answers[0]
        return f"{a} is to {b} as {c} is to {word} (cosine {cosine:.2f})"


@register_view("analogies")
@dataclass(frozen=True)
class Analogies(View):
    """What the input embedding of a word model answers to a is to b as c is to ...

    The vectors have length one; the answer is the word nearest by cosine to b - a + c, none of the three among them.
    Words are looked up as they are written, then in lower case.
    """

    title: ClassVar[str] = "Analogies"
    rank: ClassVar[int] = 85
    asked: ClassVar[bool] = True
    vocabulary: int
    answered: list[Answered]
    scores: dict[str, Score]  # by section of a file, the total in "all"

    @classmethod
    def of(
        cls, look: Inspection, question: str | Sequence[str] = (), file: str | Path = "", count: Count = FIRST
    ) -> "Analogies":
        """Ask questions.

        Args:
            look: an inspection.
            question: "king:man::queen:?", or several of them.
            file: of questions with their answers, as questions-words.txt has them.
            count: how many answers to each question.

        Raises:
            DataError: without a question, for a malformed one, for words that the model does not know, and for a model
                whose tokens are no words.
        """
        questions = [question] if isinstance(question, str) and question else list(question)
        if not questions and not file:
            raise DataError("there is no analogy to ask", hint='--analogy "king:man::queen:?" or --analogies FILE')
        words = word_vectors(look)
        answered = [answer(words, *parse_question(one), count) for one in questions]
        return cls(len(words.unit), answered, words.score(read_questions(file)) if file else {})

    def summary(self) -> list[str]:
        """The answers, and the share of right ones beside chance."""
        sentences = [one.sentence() for one in self.answered]
        if self.scores:
            total, size = self.scores["all"], self.vocabulary
            shares = f"{percent(total.accuracy)} right, {percent(total.accuracy_of_five)} among the first {FIRST}"
            chance = f"chance is 1/{size:,} = {percent(1 / size)} and {FIRST}/{size:,} = {percent(FIRST / size)}"
            skipped = f"{total.skipped:,} skipped, as the model lacks a word of theirs"
            sentences.append(f"analogies: {shares} of {total.asked:,} questions ({skipped}); {chance}")
        return sentences

    def data(self) -> dict[str, Any]:
        """Answers with cosines, and counts by section beside chance."""
        return {
            "vocabulary": self.vocabulary,
            "chance": {"top1": 1 / self.vocabulary, f"top{FIRST}": FIRST / self.vocabulary},
            "answered": [asdict(one) for one in self.answered],
            "sections": {
                name: {**asdict(one), "top1": one.accuracy, f"top{FIRST}": one.accuracy_of_five}
                for name, one in self.scores.items()
            },
        }

    def plot(self) -> Picture:
        """The first picture."""
        return next(iter(self.pictures().values()))

    def pictures(self) -> dict[str, Picture]:
        """The shares by section, and a plane for each question."""
        every = [draw_scores(self.scores, self.vocabulary)] if self.scores else []
        every += [draw_plane(one) for one in self.answered]
        return {str(number) if number > 1 else "": picture for number, picture in enumerate(every, start=1)}

    def panels(self) -> list[Panel]:
        """The answers, and the shares by section, as tables."""
        found: list[Panel] = []
        if self.answered:
            rows = [
                [":".join(one.question), word, f"{cosine:.3f}"] for one in self.answered for word, cosine in one.answers
            ]
            found.append(Table(["question", "answer", "cosine"], rows, numbers=1))
        if self.scores:
            counts = [
                [name, f"{one.asked:,}", f"{one.skipped:,}", percent(one.accuracy), percent(one.accuracy_of_five)]
                for name, one in self.scores.items()
            ]
            found.append(Table(["section", "asked", "skipped", "top 1", f"top {FIRST}"], counts, numbers=4))
        return found


def word_vectors(look: Inspection) -> WordVectors:
    """The input embedding of a model that reads words.

    Args:
        look: an inspection.

    Returns:
        A vector for each word of its tokenizer.

    Raises:
        DataError: for a model that reads something else.
    """
    tokenizer, table = getattr(look.preprocessor, "tokenizer", None), look.model.embedding
    if not isinstance(tokenizer, WordTokenizer) or not isinstance(table, nn.Embedding):
        kind = "" if tokenizer is None else f": its tokenizer is {tokenizers.kind_of(type(tokenizer))}"
        what = f"analogies need a model that reads words, and this one does not{kind}"
        raise DataError(what, hint="unspool train word-lm data.path=FILE")
    return WordVectors(table.weight[: tokenizer.size], tokenizer.ids)


def answer(words: WordVectors, a: str, b: str, c: str, count: Count) -> Answered:
    """Ask one question, and place its words and their best answers in the plane of their principal components."""
    best = words.answers(a, b, c, count)
    ids = words.find([a, b, c, *(word for word, _ in best)])
    plane = principal_components(words.unit[torch.tensor(ids)])
    return Answered((a, b, c), best, plane.coordinates.tolist())


def draw_plane(one: Answered) -> Picture:
    """The words of a question and its answers, with arrows from a to b and from c to the best answer."""
    picture = Picture(6.0, 5.0, title=one.sentence())
    axes, points = picture.axes[0], one.coordinates
    for number, (start, end) in enumerate(((0, 1), (2, 3))):
        arrow = {"arrowstyle": "->", "color": COLOURS[number], "linewidth": 1.6, "shrinkA": 4, "shrinkB": 4}
        axes.annotate("", points[end], points[start], arrowprops=arrow)
    colours = [COLOURS[0]] * 2 + [COLOURS[1]] * 2 + [FAINT] * (len(points) - 4)
    axes.scatter([x for x, _ in points], [y for _, y in points], s=22, color=colours[: len(points)])
    names = [*one.question, *(word for word, _ in one.answers)]
    labels(axes, names, points, size=9, align="left", offset=(6, 5), sparse=True)
    axes.margins(0.2)
    axes.set(xlabel="first principal component", ylabel="second")
    plain(axes)
    return picture


def draw_scores(scores: dict[str, Score], vocabulary: int) -> Picture:
    """The shares of right answers by section, beside chance."""
    picture = Picture(7.0, 1.2 + 0.32 * len(scores))
    axes, rows = picture.axes[0], range(len(scores))
    five = [100 * (one.accuracy_of_five or 0.0) for one in scores.values()]
    first = [100 * (one.accuracy or 0.0) for one in scores.values()]
    axes.barh(rows, five, height=0.7, color=COLOURS[5], label=f"among the first {FIRST}")
    axes.barh(rows, first, height=0.7, color=COLOURS[0], label="first")
    axes.axvline(100 * FIRST / vocabulary, color=COLOURS[1], linewidth=1, label=f"chance, {FIRST} answers")
    names = [f"{name} ({one.asked:,} of {one.asked + one.skipped:,})" for name, one in scores.items()]
    axes.set_yticks(rows, names, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlabel("right answers, % of the questions that were asked")
    plain(axes)
    picture.legend(axes, fontsize=8, loc="lower right")
    return picture


def percent(share: float | None) -> str:
    """A share as a table shows it.

    >>> percent(0.1234), percent(0.0001), percent(None)
    ('12.3 %', '0.01 %', '')
    """
    return "" if share is None else f"{100 * share:.1f} %" if share >= 0.01 or not share else f"{100 * share:.2g} %"
