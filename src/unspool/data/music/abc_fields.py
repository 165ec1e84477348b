"""The fields of an ABC tune that say what its notes mean: metre, unit, tempo and key (abc standard 2.1, 3.1)."""

import re
from dataclasses import dataclass
from fractions import Fraction

MODES = {"maj": 0, "ion": 0, "mix": -1, "dor": -2, "min": -3, "m": -3, "aeo": -3, "phr": -4, "loc": -5, "lyd": 1}
"""How many sharps more than major (negative: fewer) a mode has on the same tonic, by its first three letters."""
FIFTHS = "FCGDAEB"
SHARPS = {"^^": 2, "^": 1, "=": 0, "_": -1, "__": -2}
CLEFS = re.compile(r"(?:treble|alto|tenor|bass|perc|none)(?:[123457])?(?:[+-]8)?|(?:clef|middle|transpose|octave)=\S+")
TEMPO = re.compile(r'(?:"[^"]*"\s*)?(?:(?:C\d*=)?(\d+(?:\.\d+)?)|((?:\d+/\d+\s*)+)=\s*(\d+(?:\.\d+)?))?(?:\s*"[^"]*")?')

Key = dict[str, int]
"""By how many semitones a letter is raised (or lowered)."""


@dataclass(frozen=True)
class Metre:
    """What M: says.

    >>> Metre("6/8", Fraction(3)).compound
    True
    """

    name: str
    beats: Fraction | None  # quarter beats in a bar; None in free metre

    @property
    def compound(self) -> bool:
        """Whether its beats have three parts, as 6/8, 9/8 and 12/8 do."""
        top, _, bottom = self.name.partition("/")
        return bottom == "8" and top in ("6", "9", "12", "15")


FREE = Metre("none", None)


def metre(text: str) -> Metre:
    """The metre that a field says. Raises: ValueError with what is wrong.

    >>> metre("C|").beats, metre("9/8").beats, metre("(2+3)/8").beats
    (Fraction(4, 1), Fraction(9, 2), Fraction(5, 2))
    """
    text = text.strip()
    if text in ("", "none"):
        return FREE
    if text in ("C", "C|"):
        return Metre("4/4" if text == "C" else "2/2", Fraction(4))
    found = re.fullmatch(r"\(?(\d{1,4}(?:\+\d{1,4})*)\)?/(\d{1,4})", text.replace(" ", ""))
    top = sum(map(int, found[1].split("+"))) if found else 0
    bottom = int(found[2]) if found else 0
    if not found or not 0 < top <= 64 or bottom not in (1, 2, 4, 8, 16, 32):
        raise ValueError(f"the metre {text!r} is not like M:6/8, M:C or M:none")
    return Metre(f"{top}/{bottom}", Fraction(4 * top, bottom))


def unit(text: str) -> Fraction:
    """The length of a plain note in quarter beats, as L: says. Raises: ValueError.

    >>> unit("1/8")
    Fraction(1, 2)
    """
    found = re.fullmatch(r"(\d{1,3})(?:/(\d{1,3}))?", text.strip())
    if not found or not int(found[1]) or not int(found[2] or 1):
        raise ValueError(f"the unit length {text!r} is not like L:1/8")
    return 4 * Fraction(int(found[1]), int(found[2] or 1))


def usual_unit(metre: Metre) -> Fraction:
    """The unit of a tune without L: (section 3.1.7): a sixteenth in metres below 3/4, else an eighth."""
    return Fraction(1, 4) if metre.beats is not None and metre.beats < 3 else Fraction(1, 2)


def tempo(text: str, unit: Fraction) -> float | None:
    """Quarter beats a minute, as Q: says; None where it only has words. Raises: ValueError.

    >>> tempo('"Lively" 3/8=100', Fraction(1, 2)), tempo("120", Fraction(1, 2))
    (150.0, 60.0)
    """
    found = TEMPO.fullmatch(text.strip())
    if not found or re.search(r"\d{7}", text):
        raise ValueError(f"the tempo {text!r} is not like Q:1/4=120")
    plain, beats, number = found.groups()
    if plain or number:
        beat = unit if plain else sum((4 * Fraction(part) for part in beats.split()), Fraction(0))
        speed = float(beat) * float(plain or number)
        if not 1 <= speed <= 2000:
            raise ValueError(f"the tempo {text!r} is {speed:g} quarter beats a minute")
        return speed
    return None


def key(text: str) -> Key:
    """What K: says: sharps and flats by letter (section 3.1.14). Raises: ValueError.

    >>> key("D Mixolydian"), key("Bb"), key("A Dorian ^g")
    ({'F': 1}, {'B': -1, 'E': -1}, {'F': 1, 'G': 1})
    """
    if text.strip().lower() in ("", "none"):
        return {}
    if text.strip() in ("HP", "Hp"):
        return {"F": 1, "C": 1} if text.strip() == "Hp" else {}
    found = re.match(
        r"\s*([A-G])([#b]?)\s*((?:maj|min|mix|dor|phr|lyd|loc|ion|aeo|exp)[a-z]*|m\b)?", text, re.IGNORECASE
    )
    if not found or not found[1].isupper():
        raise ValueError(f"the key {text.strip()!r} is not like K:D, K:Am or K:E Dorian")
    mode = (found[3] or "maj").lower()[:3]
    tonic = FIFTHS.index(found[1]) - 1 + 7 * {"#": 1, "b": -1, "": 0}[found[2]]
    number = 0 if mode == "exp" else tonic + MODES[mode]
    if not -7 <= number <= 7:
        raise ValueError(f"the key {text.strip()!r} has more than seven sharps or flats")
    raised = dict.fromkeys(FIFTHS[:number], 1) if number >= 0 else dict.fromkeys(reversed(FIFTHS[number:]), -1)
    for word in text[found.end() :].split():
        parts = re.findall(r"(\^\^|\^|__|_|=)([a-gA-G])", word)
        if parts and "".join(a + b for a, b in parts) == word:
            raised |= {letter.upper(): SHARPS[sharp] for sharp, letter in parts}
        elif not CLEFS.fullmatch(word):
            raise ValueError(f"the key {text.strip()!r} ends in {word!r}, which is neither accidental nor clef")
    return {letter: value for letter, value in raised.items() if value}
