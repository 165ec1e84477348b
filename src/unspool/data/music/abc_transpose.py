"""The same tune in another key, as ABC notation."""

import re

from unspool.data.music.abc_fields import SHARPS, key

LETTERS = "CDEFGAB"
NOTE = re.compile(r"(\^\^|\^|__|_|=)?([A-Ga-g])([,']*)")
FIXED = re.compile(r'["{!]|\[[A-Za-z]:|\n[A-Za-z]:')  # chord symbols, graces, ornaments and fields between notes
SIGNS = {2: "^^", 1: "^", 0: "=", -1: "_", -2: "__"}
SHARPEST, FLATTEST = 4, -2
LOWEST, HIGHEST = (
    -3,
    14,
)  # places on the staff from middle C: the fiddle's open G, and the B that its first position ends on


def transposed(tune: str, steps: int) -> str | None:
    """The tune so many steps of the scale higher; None where that is not worth playing, or too hard to say.

    That is so beyond four sharps or two flats, below a fiddle's lowest string or beyond its first position (unless the
    tune lies there itself), and where the tune has other keys on its way, chord symbols, graces or ornaments.

    >>> print(transposed("X:1\\nT:A\\nK:G Major\\nGA^c2 F,\\n", 1), end="")
    X:1
    T:A
    K:A Major
    AB^d2 G,
    """
    header, found, rest = tune.partition("\nK:")
    name, _, music = rest.partition("\n")
    tonic = re.match(r"([A-G])([#b]?)(.*)", name)
    if not found or not tonic or FIXED.search("\n" + music) or tonic[3].split()[1:]:
        return None
    old = key(name)
    for sign in ("", "#", "b"):
        letter = LETTERS[(LETTERS.index(tonic[1]) + steps) % 7]
        try:
            new = key(letter + sign + tonic[3])
        except ValueError:
            continue
        if FLATTEST <= sum(new.values()) <= SHARPEST:
            break
    else:
        return None
    places = [place(*found.groups()[1:]) for found in NOTE.finditer(music)]
    if min(places) + steps < min(LOWEST, min(places)) or max(places) + steps > max(HIGHEST, max(places)):
        return None

    def moved(found: re.Match[str]) -> str:
        sharp, was = found[1], found[2].upper()
        spot = place(found[2], found[3]) + steps
        to = LETTERS[spot % 7]
        value = new.get(to, 0) + SHARPS[sharp] - old.get(was, 0) if sharp else 0
        return (SIGNS[max(-2, min(2, value))] if sharp else "") + written(spot)

    return f"{header}\nK:{letter}{sign}{tonic[3]}\n{NOTE.sub(moved, music)}"


def place(letter: str, octave: str) -> int:
    """The place of a note on the staff, from middle C upwards.

    >>> place("C", ""), place("c", "'"), place("B", ",")
    (0, 14, -1)
    """
    return LETTERS.index(letter.upper()) + 7 * (letter.islower() + octave.count("'") - octave.count(","))


def written(place: int) -> str:
    """The note at a place on the staff.

    >>> [written(place) for place in (0, 14, -1)]
    ['C', "c'", 'B,']
    """
    octave, step = divmod(place, 7)
    letter = LETTERS[step]
    return letter.lower() + "'" * (octave - 1) if octave > 0 else letter + "," * -octave
