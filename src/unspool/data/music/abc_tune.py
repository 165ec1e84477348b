"""A tune that was written in ABC notation: its bars, whether they keep the metre, and how they sound."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from unspool.data.music.abc_fields import Metre
from unspool.data.music.notes import Note, Score


@dataclass
class Bar:
    """What stands between two bar lines: notes by their start in the bar, and what the lines around it say."""

    line: int
    metre: Metre
    notes: list[Note] = field(default_factory=list)
    length: Fraction = Fraction(0)  # quarter beats
    opens: bool = False  # a part begins here: the line before it is double or a repeat
    begins: bool = False  # the same, or an ending as long as its part
    closes: bool = False  # a part or an ending ends here
    repeats: int = 0  # and is played so many times again
    turns: tuple[int, ...] = ()  # in which turns it is played; () in all


@dataclass(frozen=True)
class Tune:
    """A tune that parses: its header's fields by letter, its bars as written, quarter beats a minute."""

    fields: dict[str, str]
    bars: list[Bar]
    speed: float

    @property
    def title(self) -> str:
        """What T: says, the first time; "" without one."""
        return self.fields.get("T", "")

    def score(self) -> Score:
        """The notes as they sound, repeats unrolled, times in quarter beats from the beginning.

        >>> from unspool.data.music.abc_reader import parse_tune
        >>> tune = parse_tune("X:1\\nT:Two\\nM:2/4\\nL:1/8\\nK:G\\n|:F2 G2:|")
        >>> [(float(n.start), float(n.length), n.pitch) for n in tune.score().notes]
        [(0.0, 1.0, 66), (1.0, 1.0, 67), (2.0, 1.0, 66), (3.0, 1.0, 67)]
        """
        notes: list[Note] = []
        now = Fraction(0)
        for number in bar_order(self.bars):
            bar = self.bars[number]
            for note in bar.notes:
                start = now + note.start
                tied = next(
                    (n for n, m in enumerate(notes) if note.tied and m.pitch == note.pitch and m.end == start), -1
                )
                if tied >= 0:
                    notes[tied] = notes[tied]._replace(length=notes[tied].length + note.length)
                else:
                    notes.append(Note(start, note.length, note.pitch))
            now += bar.length
        return Score(notes, self.speed, self.title)

    def metre_error(self, paired: bool = True) -> str:
        """Where the tune does not keep its metre, in words; "" when it does.

        The rule. A bar is full when it is exactly as long as its metre says; none is longer. A part is what lies
        between double bar lines, repeats and the ends of the tune; each ending ([1, [2) is the end of one. A shorter
        bar may be

        - the first of a part that goes on, a pick-up, or the last of a part or an ending, if there is one of the other
          kind with which it makes a full bar: in the same part, across the line between two parts, or across the end
          of the tune, which goes back to its beginning;
        - the one before the first ending or the first of an ending, if both together are a full bar.

        Without `paired` the first and the last bar of a part may be short by themselves, as many who write tunes down
        leave a pick-up. At least one bar is full. In free metre (M:none) all are.

        >>> from unspool.data.music.abc_reader import parse_tune
        >>> parse_tune("X:1\\nT:One\\nM:2/4\\nL:1/8\\nK:G\\nG|F2 G2|F2 G:|").metre_error()
        ''
        >>> parse_tune("X:1\\nT:One\\nM:2/4\\nL:1/8\\nK:G\\nG|F2 G2|F2 G2 A|F2 G:|").metre_error()
        'line 6: a bar of 5/8 in 2/4'
        >>> unpaired = parse_tune("X:1\\nT:One\\nM:2/4\\nL:1/8\\nK:G\\nG|F2 G2|F2 G2:|")
        >>> unpaired.metre_error(), unpaired.metre_error(paired=False)
        ('line 6: a bar of 1/8 in 2/4', '')
        """
        edges = {number for number, bar in enumerate(self.bars) if bar.begins or bar.closes}
        fitting = self._cut() | (self._fitting() if paired else edges)
        for number, bar in enumerate(self.bars):
            full = bar.metre.beats
            if full is not None and (bar.length > full or (bar.length < full and number not in fitting)):
                return f"line {bar.line}: a bar of {metre_name(bar.length / 4)} in {bar.metre.name}"
        return "" if any(bar.metre.beats in (None, bar.length) for bar in self.bars) else "no bar is full"

    def _fitting(self) -> set[int]:
        """The pick-ups and the last bars that are full together."""
        firsts = [number for number, bar in enumerate(self.bars) if bar.begins]
        found: set[int] = set()
        for last in (number for number, bar in enumerate(self.bars) if bar.closes):
            own = max(first for first in firsts if first <= last)
            behind = next((first for first in firsts if first > last), 0)
            for first in {own, behind} - {last}:
                one, other = self.bars[first], self.bars[last]
                if one.length + other.length == other.metre.beats and not one.closes:
                    found |= {first, last}
        return found

    def _cut(self) -> set[int]:
        """The bars that the beginning of an ending cuts in two, both halves of each."""
        found: set[int] = set()
        before = -1  # the last bar that is played whatever the turn
        for number, bar in enumerate(self.bars):
            begins = bar.turns and (number == 0 or self.bars[number - 1].turns != bar.turns)
            if begins and before >= 0 and bar.length + self.bars[before].length == bar.metre.beats:
                found |= {before, number}
            before = before if bar.turns else number
        return found


def metre_name(length: Fraction) -> str:
    """A length in whole notes as a metre is written, in eighths where that goes.

    >>> metre_name(Fraction(3, 4)), metre_name(Fraction(5, 12))
    ('6/8', '5/12')
    """
    eighths = length * 8
    return f"{eighths}/8" if eighths.denominator == 1 else str(length)


def bar_order(bars: list[Bar]) -> Iterator[int]:
    """The numbers of bars in the order in which they sound: repeats, and endings in their turns (sections 4.8 to 4.10).

    A repeat without a beginning goes back to the last double bar line or repeat, or to the beginning.
    """
    start, turn, number, back = 0, 1, 0, False
    while number < len(bars):
        bar = bars[number]
        if bar.opens and not back:
            start, turn = number, 1
        back = False
        if bar.turns and turn not in bar.turns:
            number += 1
            continue
        yield number
        if bar.repeats and turn < _turns(bars, start):
            turn, number, back = turn + 1, start, True
        else:
            number += 1


def _turns(bars: list[Bar], start: int) -> int:
    """How often the part that begins there is played: as often as its repeat or its endings say."""
    most = 1
    for number in range(start, len(bars)):
        if bars[number].opens and number > start:
            break
        most = max(most, 1 + bars[number].repeats, *bars[number].turns)
    return most
