"""Reads ABC notation (Chris Walshaw et al., the abc music standard 2.1, 2011), one voice, into bars of notes.

https://abcnotation.com/wiki/abc:standard:v2.1; the sections named below are its. What says how a tune looks or is
called and not how it sounds (lyrics, layout, ornaments, chord symbols) is read over; a second voice is refused.
"""

import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

from unspool.data.music.abc_fields import FREE, SHARPS, Key, key, metre, tempo, unit, usual_unit
from unspool.data.music.abc_tune import Bar, Tune
from unspool.data.music.notes import Note
from unspool.errors import DataError

ENDLESS = re.compile(r"\d{5}|/{9}")
"""Numbers and slashes beyond what a length, an ending, a tuplet or a rest needs."""
LENGTH = r"\d*(?:/+\d*)?"
NOTE = rf"(?P<sharp>\^\^|\^|__|_|=)?(?P<letter>[A-Ga-g])(?P<octave>[,']*)(?P<length>{LENGTH})"
TOKEN = re.compile(
    rf"""(?P<space>\s+|`|\$|y\d*|!(?=\s|$))
    |(?P<text>"[^"]*")
    |(?P<ornament>![A-Za-z0-9.<>()+]+!|\+[a-z0-9.<>()]+\+|[.~HLMOPSTuv](?=[\^_=.~HLMOPSTuvA-Ga-gzx\["({{]))
    |(?P<grace>\{{/?(?:(?:\^\^|\^|__|_|=)?[A-Ga-g][,']*{LENGTH}[<>]*\s*)+\}})
    |\[(?P<field>[A-Za-z]:[^\]]*)\]
    |(?P<bar>:+\|+\]?:*|\|+:+|\|\]|\[\|+\]?|\|+|::)
    |(?P<ending>\[?(?P<turns>\d+(?:[,-]\d+)*))
    |\[(?P<chord>(?:(?:\^\^|\^|__|_|=)?[A-Ga-g][,']*{LENGTH}-?)+)\](?P<spread>{LENGTH})
    |(?P<rests>Z\d*)
    |(?P<rest>[zx])(?P<silence>{LENGTH})
    |(?P<note>{NOTE})
    |(?P<broken><{{1,3}}|>{{1,3}})
    |\((?P<tuplet>[2-9])(?P<more>(?::\d*){{0,2}})
    |(?P<slur>[()])
    |(?P<tie>-)
    """,
    re.VERBOSE,
)
"""What may stand in a line of music (section 4), thing by thing; `!` before white space breaks a line, as in 1.6."""
STEPS = dict(zip("CDEFGAB", (0, 2, 4, 5, 7, 9, 11), strict=True))


PITCH = re.compile(NOTE)
WRAPPED = "HN"
"""Fields of the header that may go on in lines without a letter: the history, and notes."""
HEADER = re.compile(r"[A-WYZ]:(?![|:])")
USUAL_SPEED = 150.0  # quarter beats a minute, where no Q: says another: a jig's 100 dotted quarters
BORROWED = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}
"""How many notes' time a tuplet takes (section 4.13); for 5, 7 and 9 it depends on the metre."""
READ_OVER = set("ABCDFGHINOPRSTUWZmrsw+")
"""Fields that do not say how a tune sounds."""
LAST = 108  # MIDI's number of a piano's highest key; its lowest is 21


def parse_tune(text: str, name: str = "", first: int = 1, whole: bool = True) -> Tune:
    """The tune of a text, from X: to its last bar.

    Args:
        text: of the tune.
        name: of its file, for errors.
        first: the number of its first line, likewise.
        whole: whether its header must have X: and T:, as the standard wants; many books leave them out.

    Raises:
        DataError: that says line and what.

    >>> parse_tune("X:1\\nT:A tune\\nK:D\\nDE&F|")
    Traceback (most recent call last):
    ...
    unspool.errors.DataError: line 4: '&' is no music
    """
    reader = Reader(name, whole)
    for number, line in enumerate(text.rstrip("\n").split("\n"), start=first):
        reader.line = number
        reader.read(line.rstrip())
    return reader.finished()


def blocks(text: str) -> Iterator[tuple[int, str]]:
    """The tunes of a tune book and the numbers of their first lines: what begins with X: and ends at an empty line.

    A tune ends where another begins, too. In a book without any X: they are the paragraphs that begin with a field and
    have a K:.

    >>> list(blocks("a note\\n\\nX:1\\nT:One\\nX:2\\n"))
    [(3, 'X:1\\nT:One\\n'), (5, 'X:2\\n')]
    >>> list(blocks("a note\\n\\nM:4/4\\nK:C\\nC4|\\n"))
    [(3, 'M:4/4\\nK:C\\nC4|\\n')]
    """
    lines = text.split("\n")
    numbered = any(line.startswith("X:") for line in lines)
    begun, kept = 0, list[str]()
    for number, line in enumerate([*lines, ""], start=1):
        begins = line.startswith("X:") if numbered else not kept and HEADER.match(line)
        if kept and (begins or not line.strip()):
            if numbered or any(one.startswith("K:") for one in kept):
                yield begun, "\n".join(kept) + "\n"
            kept = []
        if begins or (kept and line.strip()):
            begun = number if begins else begun
            kept.append(line.rstrip())


class Reader:
    """Takes the lines of one tune in turn."""

    def __init__(self, name: str = "", whole: bool = True) -> None:
        self.name, self.line, self.whole = name, 0, whole
        self.voice = self.field = ""  # the only voice, and the last field
        self.fields: dict[str, str] = {}
        self.key: Key = {}
        self.metre, self.unit, self.speed = FREE, Fraction(0), USUAL_SPEED
        self.in_body = False
        self.bars: list[Bar] = []
        self.raised: Key = {}  # by accidentals, until the bar ends
        self.tied: dict[str, int] = {}  # pitches of the last note, tied to the next, by how they are written
        self.last: list[Note] = []  # at once, to be tied or made longer or shorter
        self.names: list[str] = []  # as they are written
        self.begun = Fraction(0)  # when they begin in their bar
        self.broken = Fraction(1)  # times which the next note is as long
        self.tuplet, self.left = Fraction(1), 0  # times which notes are as long, and how many
        self.slurs = 0
        self.turns: tuple[int, ...] = ()
        self.fresh = True  # a part begins with the next note

    def _error(self, what: str, hint: str = "abc standard 2.1 says what may stand there") -> DataError:
        """The error for this line."""
        said = what if len(what) <= 200 else f"{what[:200]} ..."
        return DataError(f"{self.name + ', ' if self.name else ''}line {self.line}: {said}", hint=hint)

    def read(self, line: str) -> None:
        """One line: a comment, a field or music."""
        if not line:
            raise self._error("a tune has no empty line", "an empty line ends a tune")
        line = re.sub(r"(?<!\\)%.*", "", line).rstrip()
        found = re.match(r"([A-Za-z+]):(?![|:])(.*)", line)
        if not line:
            return
        if found:
            self._set(found[1], found[2].strip())
        elif self.in_body:
            self._music(line.removesuffix("\\"))
        elif self.field not in tuple(WRAPPED):
            raise self._error(f"{line[:30]!r} stands before K:, where only fields may", "begin it with a letter and :")

    def _set(self, letter: str, value: str) -> None:
        """One field, in the header, on a line of the body or in brackets between notes."""
        self.field = letter
        if not self.in_body:
            due = "X" if not self.fields else "T" if list(self.fields) == ["X"] else letter
            if letter != due and self.whole:
                raise self._error(f"{letter}: stands where {due}: should", "a tune begins with X: and T: (section 3)")
            self.fields.setdefault(letter, value)
        elif letter == "X":
            raise self._error("X: stands within a tune", "begin a tune after an empty line")
        try:
            self._heed(letter, value)
        except ValueError as error:
            raise self._error(str(error)) from None

    def _heed(self, letter: str, value: str) -> None:
        """What a field changes. Raises: ValueError."""
        if letter == "X" and not value[:1].isdecimal():
            raise ValueError(f"the number of the tune is {value!r}, and not like X:1")
        if letter == "M":
            self.metre = metre(value)
        elif letter == "L":
            self.unit = unit(value)
        elif letter == "Q":
            self.speed = tempo(value, self.unit or usual_unit(self.metre)) or self.speed
        elif letter == "K":
            self.key, self.raised = key(value), {}
            if not self.in_body:
                self.in_body, self.unit = True, self.unit or usual_unit(self.metre)
                self._begin_bar()
        elif letter == "V":
            voice = (value.split() or [""])[0]
            if self.voice not in ("", voice):
                raise ValueError("V: gives the tune several voices, and one is read")
            self.voice = voice
        elif letter not in READ_OVER and letter != "X":
            raise ValueError(f"there is no field {letter}:")

    def _music(self, line: str) -> None:
        """A line of music, thing by thing."""
        place = 0
        while place < len(line):
            found = TOKEN.match(line, place)
            if not found:
                raise self._error(f"{line[place]!r} is no music")
            self._take(found)
            place = found.end()

    def _take(self, found: re.Match[str]) -> None:
        """One thing of a line of music."""
        if not (found["field"] or found["text"]) and ENDLESS.search(found[0]):
            raise self._error("a number is too long")
        if found["field"]:
            self._set(found["field"][0], found["field"][2:].strip())
        elif found["bar"]:
            self._bar_line(found["bar"])
        elif found["ending"]:
            self._ending(found["turns"])
        elif found["note"]:
            self._sound([found["note"]], self._duration(found["length"]))
        elif found["chord"]:
            notes = re.findall(rf"(?:\^\^|\^|__|_|=)?[A-Ga-g][,']*{LENGTH}-?", found["chord"])
            match = PITCH.match(notes[0])
            first = self._duration(match["length"]) if match else Fraction(0)
            self._sound(notes, first * self._duration(found["spread"]) / self.unit)
        elif found["rest"]:
            self._sound([], self._duration(found["silence"]))
        elif found["rests"]:
            self._rests(int(found["rests"][1:] or 1))
        elif found["broken"]:
            self._break_rhythm(found["broken"])
        elif found["tuplet"]:
            self._begin_tuplet(int(found["tuplet"]), found["more"])
        elif found["tie"]:
            self._tie()
        elif found["slur"]:
            self.slurs += 1 if found["slur"] == "(" else -1
            if self.slurs < 0:
                raise self._error("')' closes no slur")

    def _duration(self, text: str) -> Fraction:
        """The quarter beats of a note with that length behind it (section 4.3)."""
        top, slashes, bottom = text.partition("/")
        number = bottom.lstrip("/")
        times = Fraction(int(top or 1))
        if slashes:
            below = int(number) if number else 2 ** (1 + len(bottom))
            times = times / below if below else Fraction(0)
        if not times or times > 64:
            raise self._error(f"a note cannot be {text} times as long")
        return times * self.unit

    def _sound(self, written: list[str], length: Fraction) -> None:
        """Notes at once, or a rest where there are none."""
        length *= self.broken * (self.tuplet if self.left else 1)
        self.broken, self.left = Fraction(1), max(0, self.left - 1)
        bar, tied, self.tied = self.bars[-1], self.tied, {}
        if not bar.notes and not bar.length:
            bar.line, bar.turns, bar.metre = self.line, self.turns, self.metre
            bar.opens = bar.begins = self.fresh
            self.fresh = False
        self.last, self.begun = [], bar.length
        for text in written:
            match = PITCH.match(text)
            pitch = self._pitch(text, tied)
            self.last.append(Note(bar.length, length, pitch, tied=pitch in tied.values()))
            if match and text.endswith("-"):
                self.tied[text[: match.start("length")]] = pitch
        if set(tied.values()) - {note.pitch for note in self.last}:
            raise self._error("a tie leads to another note", "a tie joins notes of one pitch; a slur is written (AB)")
        self.names = [text.rstrip("-0123456789/") for text in written]
        bar.notes += self.last
        bar.length += length

    def _pitch(self, text: str, tied: dict[str, int]) -> int:
        """MIDI's number of a note, with key, accidentals and a tie from the bar before (sections 4.1, 4.2, 4.20)."""
        found = PITCH.match(text)
        if found is None:
            raise self._error(f"{text!r} is no note")
        letter = found["letter"]
        if found["sharp"]:
            self.raised[letter.upper()] = SHARPS[found["sharp"]]
        octave = letter.islower() + found["octave"].count("'") - found["octave"].count(",")
        plain = 60 + STEPS[letter.upper()] + 12 * octave
        near = [p for p in tied.values() if abs(p - plain) <= 2]
        if not found["sharp"] and letter.upper() not in self.raised and near and not self.bars[-1].length:
            return near[0]
        pitch = plain + self.raised.get(letter.upper(), self.key.get(letter.upper(), 0))
        if not 21 <= pitch <= LAST:
            raise self._error(f"the note {text} is not on a piano")
        return pitch

    def _tie(self) -> None:
        """The last note goes on with the next."""
        if not self.last or self.tied:
            raise self._error("'-' ties no note")
        self.tied = {name: note.pitch for name, note in zip(self.names, self.last, strict=True)}

    def _break_rhythm(self, marks: str) -> None:
        """One note lends the other half of its length, or more (section 4.4)."""
        bar = self.bars[-1]
        if not bar.length or self.broken != 1:
            raise self._error(f"{marks!r} stands behind no note")
        short = Fraction(1, 2 ** len(marks))
        mine, self.broken = (2 - short, short) if marks[0] == ">" else (short, 2 - short)
        length = bar.length - self.begun
        for index in range(len(bar.notes) - len(self.last), len(bar.notes)):
            bar.notes[index] = bar.notes[index]._replace(length=length * mine)
        self.last = bar.notes[len(bar.notes) - len(self.last) :]
        bar.length = self.begun + length * mine

    def _begin_tuplet(self, number: int, more: str) -> None:
        """(p:q:r puts p notes in the time of q, for the next r of them (section 4.13)."""
        if self.left:
            raise self._error(f"a tuplet begins where another wants {self.left} more notes")
        _, times, count = (more + "::").split(":")[:3] if more else ("", "", "")
        usual = BORROWED.get(number, 3 if self.metre.compound else 2)
        self.tuplet, self.left = Fraction(int(times or usual), number), int(count or number)
        if not self.left or not self.tuplet:
            raise self._error(f"a tuplet ({number}{more} of no notes")

    def _rests(self, number: int) -> None:
        """So many bars of silence."""
        full = self.metre.beats
        if full is None or not number or number > 64 or self.bars[-1].length:
            raise self._error("Z is a whole bar of silence, and stands in none here")
        for count in range(number):
            if count:
                self._bar_line("|")
            self._sound([], full)

    def _ending(self, turns: str) -> None:
        """The bars to come are played in these turns only."""
        if self.bars[-1].length:
            raise self._error(f"the ending {turns} begins within a bar")
        found = list[int]()
        for part in turns.split(","):
            low, _, high = part.partition("-")
            found += range(int(low), int(high or low) + 1)
        if not found or min(found) < 1 or max(found) > 9:
            raise self._error(f"there is no ending {turns}")
        if self.turns:
            self._close()
        self.turns = tuple(found)

    def _bar_line(self, text: str) -> None:
        """What a bar line ends, begins, repeats (section 4.8)."""
        if self.left or self.broken != 1:
            raise self._error(
                f"a tuplet wants {self.left} more notes" if self.left else "a broken rhythm lacks its note"
            )
        double = text.replace(":", "") not in ("|", "")
        before, after = text.startswith(":"), text.endswith(":")
        if before and self._done():
            again = 1 if text == "::" else len(text) - len(text.lstrip(":"))  # "::" is ":|:"
            self._done()[-1].repeats = again
        if before or after or double:
            self._close()
            self.fresh, self.turns = True, ()
        self._begin_bar()

    def _close(self) -> None:
        """The last bar is the end of its part or ending."""
        if self._done():
            self._done()[-1].closes = True

    def _done(self) -> list[Bar]:
        """The bars that have something in them."""
        return self.bars if self.bars[-1].length else self.bars[:-1]

    def _begin_bar(self) -> None:
        """Accidentals are forgotten; a bar that is still empty stays."""
        self.raised, self.last = {}, []
        if not self.bars or self.bars[-1].length:
            self.bars.append(Bar(self.line, self.metre))

    def finished(self) -> Tune:
        """The tune, once all its lines are read."""
        if not self.in_body:
            raise self._error("the tune has no K:, which ends its header", "put K: behind the other fields")
        for wrong, what in (
            (self.left, f"a tuplet wants {self.left} more notes"),
            (self.broken != 1, "a broken rhythm lacks its note"),
            (self.tied, "a tie lacks its second note"),
            (self.slurs, "a slur is never closed"),
        ):
            if wrong:
                raise self._error(what)
        bars = self._done()
        if not any(bar.notes for bar in bars):
            raise self._error("the tune has no notes")
        bars[-1].closes = True
        whole = False  # the endings are as long as their part
        for before, bar in pairwise(bars):
            later = before.turns and bar.turns and bar.turns != before.turns
            whole = bool(later and whole) or bool(bar.turns and bar.opens)
            if later and min(bar.turns) > 1:
                bar.opens, bar.begins = False, whole  # a later ending belongs to the part of the first
        return Tune(self.fields, bars, self.speed)
