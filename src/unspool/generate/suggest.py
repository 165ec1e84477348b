"""The words that a text may go on with: completions, next words, and words typed on the keys of a phone (T9)."""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np
import regex
import torch
from torch import Tensor

from unspool.data.keypad import checked_keys
from unspool.data.tokenizer import Tokenizer
from unspool.generate.beam import beam_search
from unspool.generate.spelling import LETTERS, PHONE, Pattern, Spelling
from unspool.generate.state import State
from unspool.generate.text import prime
from unspool.models.sequence import SequenceModel

LONGEST = 24
"""A suggestion has at most so many tokens beyond what was typed."""
MEMORY = 128
"""The model reads at most so many tokens before the present word."""
TYPED = regex.compile(rf" ?{LETTERS}*\Z")
NEEDS_SPACE = regex.compile(r"[\w\p{M}'\u2019\u201d.,;:!?)\]]\Z")
"""What a text ends with where a space comes before the next word."""

Read = Callable[[str, int], State]
"""The state after reading a text, from which at least so many tokens can be generated."""
Spelt = tuple[str, float]
"""What a search spelt, and its log-probability in nats."""


@dataclass(frozen=True)
class Suggestion:
    """A word that a text could go on with."""

    word: str  # the whole word
    rest: str  # what is not typed yet, with a space before it where one is missing
    log_probability: float  # nats, of the word and of its ending there, given the text before it


def suggest(
    model: SequenceModel,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    k: int = 3,
    width: int = 16,
    read: Read | None = None,
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
        read: gives the state behind a text, for somebody who has read it already; None: its last tokens are read.

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
    begins = [TYPED.search(text).start() for text in texts]
    patterns = [Pattern(text[begin:], spaced=begin == len(text)) for text, begin in zip(texts, begins, strict=True)]
    before = [text[:begin] for text, begin in zip(texts, begins, strict=True)]
    found = spelt_words(model, tokenizer, before, patterns, width, enough=k, read=read)
    return [
        [Suggestion(word.strip(), word[len(pattern.typed) :], chance) for word, chance in some[:k]]
        for pattern, some in zip(patterns, found, strict=True)
    ]


def suggest_keys(
    model: SequenceModel,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    keys: Sequence[str],
    k: int = 5,
    complete: bool = False,
    known: Container[str] = (),
    width: int = 32,
    read: Read | None = None,
) -> list[list[Suggestion]]:
    r"""Rank the words that keys of a phone allow (T9), each in the context of a text.

    Every letter is one press of its key: 4663 is good, home, gone and others, and the model says which of them is meant
    here. Accented letters lie where their base letter does, punctuation on 1. Upper and lower case are one word, shown
    in its likelier form. Keys with spaces between them are several words, which one search finds together; then the
    candidates of the last one are ranked behind the best words before it.

    Args:
        model: a language model.
        tokenizer: its tokenizer, of any kind.
        texts: what was written before.
        keys: for each text the keys that were pressed, such as "4663" or "4663 63".
        k: how many words to suggest.
        complete: whether longer words that begin so are suggested too.
        known: words in lower case that come before all others, whatever their probability, such as a `KeyDictionary`:
            a model of characters finds likely strings that are no words.
        width: how many beams are kept.
        read: gives the state behind a text, for somebody who has read it already; None: its last tokens are read.

    Returns:
        For each text up to `k` suggestions, known words first, then the most probable. `word` is the last word, `rest`
        all that is added to the text.

    Raises:
        DataError: something is no key, or the text has characters that the tokenizer does not know.

    >>> from unspool import Tokens, Trainer, cores, embedding, head, tokenizers
    >>> from unspool.data.batching.contiguous import ContiguousBatches
    >>> text = "a good cat is at home. a bad cat is gone.\n" * 30
    >>> tokenizer = tokenizers.build("tokenizer", "word", punctuation=True).fit(text)
    >>> ids, size = torch.as_tensor(tokenizer.encode(text)), Tokens(tokenizer.size)
    >>> model = SequenceModel(embedding(size, 16), cores.build("core", "recurrent", width=16), head(size, 16))
    >>> steps = list(Trainer(model, ContiguousBatches(ids, batch_size=4, length=20), steps=80, learning_rate=0.03))
    >>> [each[0].word for each in suggest_keys(model, tokenizer, ["a", "a good cat is at"], ["4663"] * 2)]
    ['good', 'home']
    """
    found = phrases(model, tokenizer, texts, [checked_keys(one) for one in keys], complete, width, read)
    return [sorted(some, key=lambda one: one.word.lower() not in known)[:k] for some in found]


def phrases(
    model: SequenceModel,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    pressed: Sequence[str],
    complete: bool,
    width: int,
    read: Read | None = None,
) -> list[list[Suggestion]]:
    """All candidates of the last word of each text's keys, behind the best words before it."""
    several = [number for number, one in enumerate(pressed) if " " in one]
    best = pressed_words(model, tokenizer, [texts[n] for n in several], [pressed[n] for n in several], complete, width)
    written = {
        number: texts[number] + some[0].rest.rpartition(" ")[0]
        for number, some in zip(several, best, strict=True)
        if some
    }
    possible = [number for number in range(len(texts)) if number in written or number not in several]
    before = [written.get(number, texts[number]) for number in possible]
    last = [pressed[number].split()[-1] for number in possible]
    found = pressed_words(model, tokenizer, before, last, complete, width, None if several else read)
    every: list[list[Suggestion]] = [[] for _ in texts]
    for number, text, some in zip(possible, before, found, strict=True):
        every[number] = [replace(one, rest=text[len(texts[number]) :] + one.rest) for one in some]
    return every


def pressed_words(
    model: SequenceModel,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    keys: Sequence[str],
    complete: bool,
    width: int,
    read: Read | None = None,
) -> list[list[Suggestion]]:
    """What keys allow behind each text, the most probable first; of spellings that differ in case the likelier one."""
    before = [text.removesuffix(" ") for text in texts]
    patterns = []
    for text, cut, one in zip(texts, before, keys, strict=True):
        needed = bool(NEEDS_SPACE.search(cut)) or (cut != text and cut[-1:].strip() != "")
        patterns.append(Pattern(f" {one}" if needed else one, PHONE, 0, None if complete else 0, spaced=not needed))
    spelt = spelt_words(model, tokenizer, before, patterns, width, read=read)
    found = []
    for written, some in zip(texts, spelt, strict=True):
        words: dict[str, Suggestion] = {}
        for text, chance in some:
            name = text.strip().lower()
            rest = text.removeprefix(" ") if written.endswith(" ") else text
            word = words.get(name, Suggestion(text.split(" ")[-1], rest, -inf))
            words[name] = replace(word, log_probability=float(np.logaddexp(word.log_probability, chance)))
        found.append(sorted(words.values(), key=lambda one: -one.log_probability))
    return found


@torch.no_grad()
def spelt_words(
    model: SequenceModel,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    patterns: Sequence[Pattern],
    width: int,
    enough: int = 0,
    read: Read | None = None,
) -> list[list[Spelt]]:
    """What fits the pattern behind each text, the most probable first.

    Args:
        model: a language model.
        tokenizer: its tokenizer.
        texts: what the model reads; the pattern begins right behind it.
        patterns: of what comes next.
        width: how many beams are kept.
        enough: so many of each text will do; 0: as many as the beams find.
        read: gives the state behind a text; None: its last tokens are read, those of equal length side by side.
    """
    if read is not None:
        states = [read(text, LONGEST + len(pattern.typed)) for text, pattern in zip(texts, patterns, strict=True)]
        pairs = zip(states, patterns, strict=True)
        return [spelt_behind(model, tokenizer, state, [pattern], width, enough)[0] for state, pattern in pairs]
    found: list[list[Spelt]] = [[] for _ in texts]
    alike: dict[tuple[int, bytes], list[int]] = {}
    prompts = []
    for number, (text, pattern) in enumerate(zip(texts, patterns, strict=True)):
        room = model.core.max_length and max(1, model.core.max_length - LONGEST - len(pattern.typed))
        prompt = prime(model, tokenizer, text[-8 * MEMORY :])[:, -min(MEMORY, room or MEMORY) :]
        prompts.append(prompt)
        before = tokenizer.piece(0, int(prompt[0, -1]))  # all that a tokenizer may make of what came before
        alike.setdefault((prompt.shape[1], before), []).append(number)
    for numbers in alike.values():
        rows = torch.cat([prompts[number] for number in numbers])
        some = spelt_behind(model, tokenizer, rows, [patterns[number] for number in numbers], width, enough)
        for number, one in zip(numbers, some, strict=True):
            found[number] = one
    return found


def spelt_behind(
    model: SequenceModel,
    tokenizer: Tokenizer,
    prompt: Tensor | State,
    patterns: Sequence[Pattern],
    width: int,
    enough: int = 0,
) -> list[list[Spelt]]:
    """What fits the pattern behind each row of ids (B, T), or of a state, the most probable first."""
    ids = prompt.ids if isinstance(prompt, State) else prompt
    spelling = Spelling(tokenizer, patterns, int(ids[0, -1]), ids.device)
    length = LONGEST + max(len(pattern.typed) for pattern in patterns)
    found = beam_search(model, prompt, length, width, end=spelling.end, rule=spelling, enough=enough)
    return [
        [(spelling.spell(beam.ids).decode("utf-8", "replace"), beam.log_probability) for beam in best if beam.finished]
        for best in found
    ]
