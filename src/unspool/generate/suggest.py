"""Word completion and next-word suggestions while somebody types, and how many keystrokes they save."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import regex
import torch
from torch import Tensor

from unspool.data.punctuation import LETTER
from unspool.data.tokenizer import Tokenizer
from unspool.errors import DataError
from unspool.generate.beam import beam_search
from unspool.generate.text import prime
from unspool.models.sequence import SequenceModel

LONGEST = 24
"""A suggestion has at most so many tokens."""
MEMORY = 128
"""The model reads at most so many tokens before the present word."""
LETTERS = rf"(?:{LETTER}|['\u2019])"
TYPED = regex.compile(rf" ?{LETTERS}*\Z")
WORD = regex.compile(rf"{LETTERS}+")


@dataclass(frozen=True)
class Suggestion:
    """A word that a text could go on with."""

    word: str  # the whole word
    rest: str  # what is not typed yet, with a space before it where one is missing
    log_probability: float  # nats, of the word and of its ending there, given the text before it


@torch.no_grad()
def suggest(
    model: SequenceModel, tokenizer: Tokenizer, texts: Sequence[str], k: int = 3, width: int = 16
) -> list[list[Suggestion]]:
    r"""Suggest the most probable next words of several texts, or completions of their last words.

    A word is a run of letters, digits, _ and apostrophes. The present word is what the text ends with; it is completed,
    never just repeated, and where it is empty the next one is suggested. A beam search over tokens begins before the
    present word, keeps to what was typed, and ends a word where any token that is no part of it would come: those
    probabilities are added up. So it works with every tokenizer, however it splits half a word.

    Args:
        model: a language model.
        tokenizer: its tokenizer.
        texts: what was typed so far.
        k: how many words to suggest.
        width: how many beams are kept.

    Returns:
        For each text up to `k` suggestions, the most probable first.

    Raises:
        DataError: a text has characters before its last word that the tokenizer does not know.

    >>> from unspool import Tokens, Trainer, cores, embedding, head, tokenizers
    >>> from unspool.data.batching.contiguous import ContiguousBatches
    >>> text = "the cat sat on the mat\n" * 40
    >>> tokenizer = tokenizers.build("tokenizer", "char").fit(text)
    >>> ids, size = torch.as_tensor(tokenizer.encode(text)), Tokens(tokenizer.size)
    >>> model = SequenceModel(embedding(size, 16), cores.build("core", "recurrent", width=16), head(size, 16))
    >>> steps = list(Trainer(model, ContiguousBatches(ids, batch_size=4, length=24), steps=60, learning_rate=0.03))
    >>> suggest(model, tokenizer, ["the cat s"], k=1)[0][0].word
    'sat'
    """
    found: list[list[Suggestion]] = [[] for _ in texts]
    alike: dict[tuple[int, bytes], list[int]] = {}
    prompts, wanted = [], []
    for number, text in enumerate(texts):
        begin = TYPED.search(text).start()
        room = model.core.max_length and max(1, model.core.max_length - LONGEST - len(text) + begin)
        prompt = prime(model, tokenizer, text[:begin][-8 * MEMORY :])[:, -min(MEMORY, room or MEMORY) :]
        prompts.append(prompt)
        wanted.append(text[begin:])
        before = tokenizer.piece(0, int(prompt[0, -1]))  # all that a tokenizer may make of what came before
        alike.setdefault((prompt.shape[1], before), []).append(number)
    for numbers in alike.values():
        rows = torch.cat([prompts[number] for number in numbers])
        spelling = Spelling(tokenizer, [wanted[number] for number in numbers], int(rows[0, -1]), rows.device)
        length = LONGEST + max(map(len, wanted))
        beams = beam_search(model, rows, length, width, end=spelling.end, rule=spelling, enough=k)
        for number, best in zip(numbers, beams, strict=True):
            words = [(spelling.spell(beam.ids).decode("utf-8", "replace"), beam) for beam in best if beam.finished]
            found[number] = [
                Suggestion(word.strip(), word[len(wanted[number]) :], beam.log_probability) for word, beam in words[:k]
            ]
    return found


class Spelling:
    """A rule for beam search: what is generated continues what was typed, and is one word.

    Given the ids that each row has generated, (R, T), and the log-probabilities of the next, (R, V), it rules out every
    token that does not fit, and adds up the probabilities of all tokens that end the word in the token `end`. Each text
    has as many rows as the search has beams, one text after the other.
    """

    def __init__(self, tokenizer: Tokenizer, wanted: Sequence[str], before: int, device: torch.device) -> None:
        self.wanted = [text.encode() for text in wanted]
        self.first = [tokenizer.piece(id, before) for id in range(tokenizer.size)]
        self.later = [tokenizer.piece(id, 0) for id in range(tokenizer.size)]
        starts = [piece[:1] for piece in self.later]
        outside = [not (piece and inside(piece[:1])) for piece in self.later]
        if True not in outside or not any(starts):
            raise DataError("no token of this tokenizer ends a word", hint="train on text with spaces")
        self.ends = torch.tensor(outside, device=device)
        self.end = outside.index(True)
        self.device = device
        self.mask: Callable[[bytes | None, bool], Tensor] = lru_cache(maxsize=4096)(self._mask)

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        """The scores of what may come next."""
        beams = len(scores) // len(self.wanted)
        states = [self.rest(self.spell(some), self.wanted[row // beams]) for row, some in enumerate(ids.tolist())]
        kept = torch.stack([self.mask(rest, ids.shape[1] == 0) for rest in states])
        ended = scores.masked_fill(~self.ends, -torch.inf).logsumexp(dim=-1)
        scores = scores.masked_fill(~kept, -torch.inf)
        may_end = torch.tensor([rest is None for rest in states], device=self.device)
        scores[:, self.end] = torch.where(may_end, ended, -torch.inf)
        return scores

    def spell(self, ids: Sequence[int]) -> bytes:
        """The bytes of what was generated after the prompt."""
        return b"".join(self.later[id] if place else self.first[id] for place, id in enumerate(ids))

    def rest(self, generated: bytes, wanted: bytes) -> bytes | None:
        """The part of what was typed that is still to be generated; None once a letter was added to it."""
        if not wanted and generated == b" ":
            return b""
        return wanted[len(generated) :] if len(generated) <= len(wanted) else None

    def _mask(self, rest: bytes | None, first: bool) -> Tensor:
        pieces = self.first if first else self.later
        return torch.tensor([self._fits(piece, rest, first) for piece in pieces], device=self.device)

    def _fits(self, piece: bytes, rest: bytes | None, first: bool) -> bool:
        if not piece:
            return False
        if rest and rest.startswith(piece):
            return True
        if rest and not piece.startswith(rest):
            return False
        added = piece[len(rest or b"") :]
        if rest == b"" and first:  # nothing was typed: a space may come before the word
            return added == b" " or inside(added.removeprefix(b" "))
        return inside(added)


def inside(piece: bytes) -> bool:
    """Whether all of a piece of text can stand inside a word; a part of a character can.

    >>> inside("don't".encode()), inside(b"\\xc3"), inside(b"so "), inside("—".encode())
    (True, True, False, False)
    """
    text = piece.decode("utf-8", "replace").replace("\ufffd", "x")
    return bool(WORD.fullmatch(text))


@dataclass
class Savings:
    """The keystrokes that suggestions save on a text, so far."""

    k: int
    words: int = 0
    keys: int = 0  # keystrokes without suggestions
    saved: int = 0  # keystrokes saved by them
    foreseen: int = 0  # words that were suggested before their first letter

    def figures(self) -> dict[str, float]:
        """The share of keystrokes saved, and how often the next word was among the k."""
        return {
            "words": float(self.words),
            "keystrokes_saved": self.saved / max(1, self.keys),
            f"next_word_accuracy_at_{self.k}": self.foreseen / max(1, self.words),
        }


def keystrokes_saved(
    model: SequenceModel, tokenizer: Tokenizer, text: str, k: int = 3, words: int = 2000, together: int = 64
) -> Iterator[Savings]:
    """Type the first words of a text with `k` suggestions on the screen, and count the keystrokes saved.

    Without suggestions a word takes one key for each of its letters. With them its letters are typed one by one; as
    soon as the word is among the suggestions, one key writes all that is left. What stands between words is typed
    either way and not counted, nor is the first word. So a word of n letters that is suggested after j of them takes
    j + 1 keys instead of n, and the share saved is the sum of n - j - 1 over the sum of n: keystroke savings (Trnka &
    McCoy 2008, ACL), or 1 - KSPC over the letters of words (MacKenzie 2002, Mobile HCI). The suggestions see the true
    text before the word.

    Args:
        model: a language model.
        tokenizer: its tokenizer.
        text: what is typed.
        k: how many suggestions there are.
        words: how many words are typed at most.
        together: so many words are suggested at a time.

    Returns:
        The savings so far, after every few words; the same object each time.

    Raises:
        DataError: the text has no words.
    """
    spans = [match.span() for match in WORD.finditer(text)][1 : words + 1]
    if not spans:
        raise DataError("there are no words to type", hint="give a longer text")
    total = Savings(k)
    for first in range(0, len(spans), together):
        group = spans[first : first + together]
        total.words += len(group)
        total.keys += sum(end - begin for begin, end in group)
        letters = 0
        while group := [(begin, end) for begin, end in group if end - begin > letters + 1 or not letters]:
            offers = suggest(model, tokenizer, [text[: begin + letters] for begin, _ in group], k)
            missed = []
            for (begin, end), offer in zip(group, offers, strict=True):
                if text[begin:end] in {one.word for one in offer}:
                    total.saved += end - begin - letters - 1
                    total.foreseen += letters == 0
                else:
                    missed.append((begin, end))
            group, letters = missed, letters + 1
        yield total
