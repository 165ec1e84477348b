"""Phrase pairs of a parallel text: words are aligned by IBM's model 1, and phrases are cut out that translate each other."""

import gzip
from collections import Counter
from pathlib import Path

import numpy as np

PULL = 4.0
"""How strongly a word is expected at its place in the other sentence (Dyer et al. 2013)."""
ROUNDS = 6
Sentence = list[str]


def read_pairs(folder: Path, source: str, target: str, part: str = "train") -> list[tuple[Sentence, Sentence]]:
    """The sentence pairs of a folder with `train.en.gz` and `train.de.gz`, in lower case, as words."""
    sides = [gzip.open(folder / f"{part}.{language}.gz", "rt", encoding="utf-8") for language in (source, target)]
    found = [tuple(words(line) for line in both) for both in zip(*sides, strict=True)]
    return [(a, b) for a, b in found if a and b]


def words(line: str) -> Sentence:
    """Lower-case words, with punctuation apart from them."""
    spaced = "".join(c if c.isalnum() or c in "-'" else f" {c} " for c in line.lower())
    return spaced.split()


def links(pairs: list[tuple[Sentence, Sentence]]) -> list[np.ndarray]:
    """For each word of a target the place of the source word that it most likely translates (IBM's model 1 by EM)."""
    ids: tuple[dict[str, int], dict[str, int]] = ({}, {})
    codes = [[np.array([ids[k].setdefault(w, len(ids[k])) for w in pair[k]]) for k in (0, 1)] for pair in pairs]
    words_of = [np.repeat(b, len(a)) + len(ids[1]) * np.tile(a, len(b)) for a, b in codes]
    near = [np.exp(-PULL * abs(at(len(b))[:, None] - at(len(a)))).ravel() for a, b in codes]
    sizes = np.repeat([len(a) for a, _ in codes], [len(b) for _, b in codes])  # of each target word's group
    starts, groups = np.cumsum(sizes) - sizes, np.repeat(np.arange(len(sizes)), sizes)
    couples, place = np.unique(np.concatenate(words_of), return_inverse=True)
    sources, prior, table = couples // len(ids[1]), np.concatenate(near), np.ones(len(couples))
    for _ in range(ROUNDS):
        weights = table[place] * prior
        weights /= np.bincount(groups, weights)[groups]
        counts = np.bincount(place, weights)
        table = counts / np.bincount(sources, counts)[sources]
    weights = table[place] * prior
    best = [int(np.argmax(weights[start : start + size])) for start, size in zip(starts, sizes, strict=True)]
    return np.split(np.array(best), np.cumsum([len(b) for _, b in codes])[:-1])


def at(length: int) -> np.ndarray:
    """Places in a sentence as shares of its length."""
    return (np.arange(length) + 0.5) / length


def phrase_pairs(pairs: list[tuple[Sentence, Sentence]], longest: int = 4) -> Counter[tuple[str, str]]:
    """How often each pair of phrases was seen: no word of either is linked outside, and the first and last are linked.

    Args:
        pairs: sentences with their translations.
        longest: words of a source phrase at most; the target may have one more.
    """
    forwards, backwards = links(pairs), links([(b, a) for a, b in pairs])
    found: Counter[tuple[str, str]] = Counter()
    for (source, target), to_source, to_target in zip(pairs, forwards, backwards, strict=True):
        both = {i: j for i, j in enumerate(to_target.tolist()) if to_source[j] == i}  # what both directions say
        linked = {j: i for i, j in both.items()}
        for first in both:
            for last in range(first, min(first + longest, len(source))):
                ends = [both[i] for i in range(first, last + 1) if i in both]
                low, high = min(ends), max(ends)
                inside = [linked[j] for j in range(low, high + 1) if j in linked]
                if last in both and high - low <= longest and first <= min(inside) and max(inside) <= last:
                    found[" ".join(source[first : last + 1]), " ".join(target[low : high + 1])] += 1
    return found


CLASSES = {
    "colour": "red blue green white black yellow brown orange pink purple gray grey tan golden",
    "number": "two three four five six seven eight nine ten",
    "person": "man woman boy girl child person lady guy toddler baby gentleman kid",
    "clothing": "shirt hat jacket jeans dress shorts pants coat helmet cap suit sunglasses sweater tie skirt vest",
    "place": "street beach park field sidewalk kitchen building store restaurant lake river road city forest pool room",
    "animal": "dog cat horse cow bird sheep elephant bull puppy goat monkey donkey",
    "instrument": "guitar drums violin piano saxophone trumpet flute accordion cello keyboard",
    "sport": "soccer football basketball baseball tennis hockey volleyball rugby golf",
    "vehicle": "car truck bus bike bicycle motorcycle boat train scooter van tractor taxi",
    "body": "hand hands head face arms legs feet hair back shoulder eyes mouth",
}
