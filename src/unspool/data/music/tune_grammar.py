"""Tunes that a grammar makes: jigs, reels and waltzes of two parts, each played twice."""

from random import Random

from unspool.data.music.abc_transpose import LETTERS, written
from unspool.seeds import mix

KEYS = ("D", "G", "A", "Em", "A Dorian", "D Mixolydian", "C", "Bm")
METRES = {"6/8": (3, 3), "4/4": (4, 4), "3/4": (2, 2, 2)}
"""Eighths in each group of notes of a bar."""
RHYTHMS = {2: ((2,), (1, 1)), 3: ((1, 1, 1), (2, 1), (3,)), 4: ((1, 1, 1, 1), (2, 1, 1), (2, 2), (1, 1, 2), (3, 1))}
CHORDS = {"I": (0, 2, 4), "IV": (3, 5, 7), "V": (4, 6, 8)}  # steps above the tonic
PLANS = (("I", "I", "IV", "V"), ("I", "IV", "I", "V"), ("I", "V", "IV", "V"), ("I", "IV", "V", "V"))
NAMES = {"6/8": "Jig", "4/4": "Reel", "3/4": "Waltz"}
ADJECTIVES = ("Merry", "Quiet", "Lame", "Golden", "Windy", "Old", "Sly", "Northern", "Barefoot", "Early")
NOUNS = ("Miller", "Heron", "Ferry", "Kettle", "Widow", "Harbour", "Thrush", "Piper", "Orchard", "Lantern")
TOP = 13  # steps above middle C: no note is higher than b


def tune(seed: int, number: int) -> str:
    """Tune `number` in ABC notation: it depends on the seed and the number alone, and keeps its metre.

    Two parts of eight bars, A and B, of which B lies higher. Each is a question and an answer of four bars over three
    chords, alike but for their ends: the first cadence is on the dominant, the second on the tonic, in a short bar that
    the pick-up fills, where there is one.

    >>> tune(0, 4).split("|")[0]
    "X:1\\nT:The Lame Ferry's Reel\\nM:4/4\\nL:1/8\\nK:C\\nE2CA, C2B,2"
    """
    random = Random(mix(seed, number))
    metre, key = random.choice(list(METRES)), random.choice(KEYS)
    pick_up = random.choice((0, 1, 2) if metre != "6/8" else (0, 1))
    tonic = LETTERS.index(key[0]) - (7 if key[0] in "AB" else 0)
    name = f"The {random.choice(ADJECTIVES)} {random.choice(NOUNS)}'s {NAMES[metre]}"
    parts = [part(random, metre, tonic + lift, pick_up) for lift in (0, random.choice((2, 4)))]
    return f"X:1\nT:{name}\nM:{metre}\nL:1/8\nK:{key}\n" + "".join(f"{text}:|\n" for text in parts)


def part(random: Random, metre: str, tonic: int, pick_up: int) -> str:
    """Eight bars, and a pick-up before them."""
    groups, plan = METRES[metre], random.choice(PLANS)
    lead = "".join(note(tonic + step) for step in random.sample((-1, 0, 1, 2), pick_up))
    question = [bar(random, groups, tonic, chord) for chord in plan[:3]]
    half = cadence(groups, tonic, 4, 0)
    other = bar(random, groups, tonic, "V")
    answer = [*question[:2], other, cadence(groups, tonic, 0, pick_up)]
    lines = "|".join([*question, half]) + "|\n" + "|".join(answer)
    return f"{lead}|{lines}" if lead else lines


def bar(random: Random, groups: tuple[int, ...], tonic: int, chord: str) -> str:
    """A bar over a chord: its notes on the beats, and neighbours between them."""
    words = []
    step = random.choice(CHORDS[chord])
    for size in groups:
        notes = ""
        for index, length in enumerate(random.choice(RHYTHMS[size])):
            if index == 0:
                step = min(CHORDS[chord], key=lambda tone: (abs(tone - step - random.choice((-2, 0, 2))), tone))
            else:
                step += random.choice((-1, 1, 1, -2, 2))
            step = max(-2, min(8, step))
            notes += note(tonic + step, length)
        words.append(notes)
    return " ".join(words)


def cadence(groups: tuple[int, ...], tonic: int, goal: int, short: int) -> str:
    """A bar that comes to rest, shorter by the pick-up."""
    first = note(tonic + goal + 1) + note(tonic + goal - 1) + (note(tonic + goal) if groups[0] == 3 else "")
    first += note(tonic + goal, groups[0] - 2) if groups[0] == 4 else ""
    return f"{first} {note(tonic + goal, sum(groups[1:]) - short)}"


def note(place: int, length: int = 1) -> str:
    """A note by its steps above middle C, so many eighths long.

    >>> note(0), note(7, 2), note(-1, 3)
    ('C', 'c2', 'B,3')
    """
    return written(place if place <= TOP else place - 7) + (str(length) if length > 1 else "")
