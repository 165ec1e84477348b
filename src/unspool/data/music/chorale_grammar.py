"""Progressions in four voices that a grammar makes: chords of a key, cadences, and voices that move little."""

from itertools import product
from random import Random

from unspool.seeds import mix

SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
FOLLOWS = {0: (3, 4, 5, 1), 1: (4,), 3: (4, 0, 1), 4: (0, 5), 5: (3, 1)}
"""Which chords may come after one, by the steps of their roots above the tonic: I, ii, IV, V and vi."""
ENDS = ((3, 4, 0), (1, 4, 0), (0, 3, 4))  # the last three chords of a phrase: two ways home, and one half way
VOICES = ((60, 79), (55, 74), (48, 67))  # soprano, alto and tenor, as far as they go
BASS = (40, 60)


def chorale(seed: int, number: int) -> tuple[tuple[int, ...], ...]:
    """Piece `number` as chords of pitches, the highest first; it depends on the seed and the number alone.

    Three to five phrases of eight chords, each with a cadence, the last one on the tonic; the bass has the root, and
    the other voices take the notes of the chord that are nearest, without crossing. In minor the dominant is major.

    >>> chorale(0, 1)[-1]
    (72, 69, 64, 57)
    """
    random = Random(mix(seed, number))
    tonic, mode = random.randrange(12), random.choice(list(SCALES))
    chords: list[tuple[int, ...]] = []
    upper: tuple[int, ...] = (67, 62, 55)
    bass = 48
    phrases = random.randint(3, 5)
    for phrase in range(phrases):
        end = ENDS[random.randrange(2)] if phrase == phrases - 1 else random.choice(ENDS)
        roots = [0]
        while len(roots) < 5:
            roots.append(random.choice(FOLLOWS[roots[-1]]))
        for root in (*roots, *end):
            notes = triad(tonic, SCALES[mode], root)
            bass = nearest_pitch(notes[0], bass, *BASS)
            upper = voiced(notes, upper, bass, random)
            chords.append(tuple(sorted({*upper, bass}, reverse=True)))
    return tuple(chords)


def triad(tonic: int, scale: tuple[int, ...], root: int) -> tuple[int, ...]:
    """The three notes of the chord on a step of the scale, as semitones above C; the dominant's third leads home.

    >>> triad(0, SCALES["minor"], 4)
    (7, 11, 2)
    """
    notes = [scale[(root + third) % 7] for third in (0, 2, 4)]
    if root == 4:
        notes[1] = 11
    return tuple((tonic + note) % 12 for note in notes)


def nearest_pitch(note: int, before: int, low: int, high: int) -> int:
    """The pitch of that name nearest to the one before, within a voice's range.

    >>> nearest_pitch(7, 48, 40, 60)
    43
    """
    return min((pitch for pitch in range(low, high + 1) if pitch % 12 == note), key=lambda p: (abs(p - before), p))


def voiced(notes: tuple[int, ...], before: tuple[int, ...], bass: int, random: Random) -> tuple[int, ...]:
    """Where the three upper voices go: all notes sound, none crosses another, and they move as little as can be."""
    reach = [
        [pitch for pitch in range(low, high + 1) if pitch % 12 in notes and abs(pitch - was) <= 9]
        for (low, high), was in zip(VOICES, before, strict=True)
    ]
    ways = [
        way
        for way in product(*reach)
        if way[0] > way[1] > way[2] > bass and {p % 12 for p in (*way, bass)} == set(notes) and way[0] - way[2] <= 19
    ]
    moved = random.choice((0, 0, 2))  # now and then the soprano leaps a little
    return min(
        ways, key=lambda way: (abs(abs(way[0] - before[0]) - moved) + sum(map(abs, map(int.__sub__, way, before))), way)
    )
