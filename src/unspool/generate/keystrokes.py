"""How many keystrokes a text takes: with suggestions, with the keys of a phone, with neither."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from unspool.data import keypad
from unspool.data.keypad import KeyDictionary, keys_of, taps
from unspool.data.tokenizer import Tokenizer
from unspool.errors import DataError
from unspool.generate.spelling import WORD
from unspool.generate.suggest import suggest, suggest_keys
from unspool.models.sequence import SequenceModel


@dataclass
class Savings:
    """The keystrokes that suggestions save on a text, so far."""

    k: int
    words: int = 0
    keys: int = 0  # keystrokes without suggestions
    saved: int = 0  # keystrokes saved by them
    foreseen: int = 0  # words that were suggested before their first letter

    @property
    def kspc(self) -> float:
        """Keystrokes per character, the space behind each word counted."""
        return (self.keys - self.saved + self.words) / max(1, self.keys + self.words)

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


PUBLISHED = {"multi-tap": 2.03, "T9, dictionary of the same text": 1.007}
"""KSPC of MacKenzie 2002, for English words by their frequencies in the British National Corpus."""


@dataclass
class Typed:
    """What some words cost, typed in one way on a phone, so far."""

    characters: int = 0  # letters, and a space behind each word
    keys: int = 0
    words: int = 0
    first: int = 0  # words that were offered first
    offered: int = 0  # words that were offered at all

    def type(self, word: str, offers: Sequence[str]) -> None:
        """Type a word: its keys, one NEXT for each offer before it, a space; by multi-tap where it is not offered."""
        rank = offers.index(word.lower()) if word.lower() in offers else -1
        self.keys += 1 + (len(keys_of(word)) + rank if rank >= 0 else taps(word))
        self.characters += 1 + len(keys_of(word))
        self.words += 1
        self.first += rank == 0
        self.offered += rank >= 0

    @property
    def kspc(self) -> float:
        """Keystrokes per character (MacKenzie 2002)."""
        return self.keys / max(1, self.characters)


@dataclass
class Comparison:
    """Keystrokes per character of several ways to type the same words, so far."""

    words: int = 0
    skipped: int = 0  # words with a character that no key has
    ways: dict[str, Typed] = field(default_factory=dict)
    letters: Savings | None = None  # of the same text on a keyboard with a key for each letter

    def table(self) -> list[dict[str, float | str | None]]:
        """A row for each way: keystrokes per character, and the shares of words that were offered first, and at all."""
        rows: list[dict[str, float | str | None]] = [
            {
                "way": name,
                "kspc": typed.kspc,
                "first": typed.first / max(1, typed.words) if typed.offered else None,
                "offered": typed.offered / max(1, typed.words) if typed.offered else None,
                "published": PUBLISHED.get(name),
            }
            for name, typed in self.ways.items()
        ]
        if self.letters:
            name, none = f"letters, {self.letters.k} suggestions", None
            rows.append({"way": name, "kspc": self.letters.kspc, "first": none, "offered": none, "published": none})
        return rows


def compare_keys(
    model: SequenceModel,
    tokenizer: Tokenizer,
    text: str,
    training: str,
    words: int = 500,
    k: int = 16,
    suggestions: int = 3,
    together: int = 64,
) -> Iterator[Comparison]:
    """Type the first words of a text on the keys of a phone in several ways, and count the keystrokes per character.

    KSPC (MacKenzie 2002, Mobile HCI) is the sum of keystrokes over the sum of characters, the space behind each word
    one of both. T9 takes a key for each letter, and one press of NEXT for each candidate that is offered before the
    word; a word that is not offered costs what multi-tap takes for it. Upper case costs nothing. The ways are:

    - multi-tap: a letter is as many presses as its place on its key, and NEXT between two letters of one key;
    - T9 by a dictionary of the same text, as was published: every word is known;
    - T9 by a dictionary of the training text, the frequent words first;
    - T9 by the model: words of the training text first, then others, each ranked in the context of the true text;
    - letters on a keyboard that has a key for each, with suggestions that complete words (`keystrokes_saved`).

    Args:
        model: a language model.
        tokenizer: its tokenizer.
        text: what is typed.
        training: what the dictionary is made of.
        words: how many words are typed at most; the first of the text, which has no context, is left out.
        k: how many words the model offers on the keys.
        suggestions: how many completions it offers on the keyboard.
        together: so many words are ranked at a time.

    Returns:
        The comparison so far, after every few words; the same object each time.

    Raises:
        DataError: no word of the text can be typed on a phone.
    """
    total = Comparison()
    yield from type_on_keys(total, model, tokenizer, text, training, words, k, together)
    for total.letters in keystrokes_saved(model, tokenizer, text, suggestions, words, together):
        yield total


def type_on_keys(
    total: Comparison,
    model: SequenceModel,
    tokenizer: Tokenizer,
    text: str,
    training: str,
    words: int,
    k: int,
    together: int,
) -> Iterator[Comparison]:
    """The part of `compare_keys` that is typed on a phone."""
    spans = [match.span() for match in keypad.WORD.finditer(text)][1 : words + 1]
    typed = [(text[begin:end], text[:begin]) for begin, end in spans if keypad.is_typeable(text[begin:end])]
    if not typed:
        raise DataError("there are no words to type", hint="give a longer text, in Latin letters")
    own = KeyDictionary(keypad.words_of(text))
    known = KeyDictionary(keypad.words_of(training))
    total.skipped = len(spans) - len(typed)
    names = (
        "multi-tap",
        "T9, dictionary of the same text",
        "T9, dictionary of the training text",
        "T9, model in context",
    )
    ways = [total.ways.setdefault(name, Typed()) for name in names]
    for first in range(0, len(typed), together):
        group = typed[first : first + together]
        keys = [keys_of(word) for word, _ in group]
        found = suggest_keys(model, tokenizer, [before for _, before in group], keys, k, known=known)
        for (word, _), pressed, offers in zip(group, keys, found, strict=True):
            none: list[str] = []
            ranked = none, own.candidates(pressed), known.candidates(pressed), [one.word.lower() for one in offers]
            for way, candidates in zip(ways, ranked, strict=True):
                way.type(word, candidates)
        total.words += len(group)
        yield total
