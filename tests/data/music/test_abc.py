"""Tunes in ABC notation: what they sound like, what is refused, and what keeps the metre."""

import random
import re
from fractions import Fraction

import pytest

from unspool.data.music.abc_fields import key, metre, tempo, unit
from unspool.data.music.abc_reader import blocks, parse_tune
from unspool.data.music.abc_transpose import transposed
from unspool.data.music.tune_grammar import tune
from unspool.errors import DataError

HEAD = "X:1\nT:A tune\nM:4/4\nL:1/8\nK:{}\n"
REEL = """X:1
T:Murphy's
M:C|
L:1/8
K:D Major
(3ABc|d2AF d2AF|dcdf ecAg|fgaf gfed|c2A2 A2 (3ABc|!
d2AF d2AF|dcdf ecAg|fgaf bgec|d2dc d2:|!
fg|afdg faa2|bged ceag|fgaf gfed|c2A2 A2|!
[1 fg|afdg faa2|bged ceag|fgaf bgec|d2dc d2:|!
[2 (3ABc|d2AF d2AF|dcdf ecAg|fgaf bgec|d2dc d2|]!
"""
JIG = """X:3
T:Spinning
M:6/8
L:1/8
K:G Major
D|GAB AGE|GED G2A|BGB cBA|B2A G2:|!
d|ded dBG|ABA AGE|[1 GAB AGE|G3 G2:|[2 GED EGA|G3 G2|]!
"""


def notes(music, k="C"):
    """(start, length, pitch) of a tune's notes in quarter beats."""
    return [(float(n.start), float(n.length), n.pitch) for n in parse_tune(HEAD.format(k) + music).score().notes]


def pitches(music, k="C"):
    return [pitch for _, _, pitch in notes(music, k)]


def lengths(music):
    return [length for _, length, _ in notes(music)]


def test_octaves():
    assert pitches("C,CBcc'b'|") == [48, 60, 71, 72, 84, 95]


def test_accidentals_hold_in_their_bar_in_every_octave_and_not_beyond():
    assert pitches("^FfF=fF|Ff", "C") == [66, 78, 66, 77, 65, 65, 77]
    assert pitches("__B_B^^G", "C") == [69, 70, 69]


def test_key_signatures_with_modes():
    assert key("D") == key("B minor") == key("E Dorian") == key("A Mixolydian") == key("Bm") == {"F": 1, "C": 1}
    assert key("Eb") == key("F Dor") == {"B": -1, "E": -1, "A": -1}
    assert key("F# Minor") == key("A major") == {"F": 1, "C": 1, "G": 1}
    assert key("G Lydian clef=treble") == key("D") and key("none") == {}
    assert key("D exp _b ^f") == {"B": -1, "F": 1}
    assert pitches("FCB", "D Mixolydian") == [66, 60, 71]


def test_lengths():
    assert lengths("A2A/A//A3/2A/4A3") == [1.0, 0.25, 0.125, 0.75, 0.125, 1.5]


def test_broken_rhythm():
    assert lengths("A>B A<B A>>B A2>B2") == [0.75, 0.25, 0.25, 0.75, 0.875, 0.125, 1.5, 0.5]
    assert notes("z>A")[0] == (0.75, 0.25, 69)


def test_tuplets_take_the_time_of_others():
    third = pytest.approx(1 / 3)
    assert lengths("(3ABc d") == [third, third, third, 0.5]
    assert sum(lengths("(5ABcde")) == pytest.approx(1.0)
    assert lengths("(3:2:2AB c") == [third, third, 0.5]
    assert lengths("(2AB") == [0.75, 0.75]


def test_chords_rests_and_what_is_read_over():
    assert notes('"Am"[CEG]2 z2 {cd}~c !trill!d .e % the end') == [
        (0.0, 1.0, 60), (0.0, 1.0, 64), (0.0, 1.0, 67), (2.0, 0.5, 72), (2.5, 0.5, 74), (3.0, 0.5, 76)
    ]  # fmt: skip
    assert notes("Z2|A")[0][0] == 8.0


def test_ties_join_and_carry_accidentals_over_a_bar_line():
    assert notes("^F2-F2 G4|") == [(0.0, 2.0, 66), (2.0, 2.0, 67)]
    assert notes("A4 ^F4-|F4 F4|") == [(0.0, 2.0, 69), (2.0, 4.0, 66), (6.0, 2.0, 65)]


def test_fields_on_the_way():
    assert pitches("F[K:G]F\nK:C\nF|") == [65, 66, 65]
    assert lengths("A[L:1/4]A") == [0.5, 1.0]
    assert parse_tune(HEAD.format("C") + "A8|[M:3/4]A6|").metre_error() == ""
    assert parse_tune("X:1\nT:t\nM:2/4\nK:C\nA|").bars[0].length == Fraction(1, 4)  # no L:, a metre below 3/4


def test_repeats_and_endings_are_unrolled():
    assert pitches("A8:|B8|") == [69, 69, 71]
    assert pitches("|:A8|1 B8:|2 c8|]d8|") == [69, 71, 69, 72, 74]
    assert pitches("A8|:B8::c8:|") == [69, 71, 71, 72, 72]
    assert pitches("|:A8|[1,3 B8:|[2 c8:|]") == [69, 71, 69, 72, 69, 71]
    assert [n.pitch for n in parse_tune(JIG).score().notes][-20:-14] == [
        74,
        76,
        74,
        74,
        71,
        67,
    ]  # the second turn of its B


@pytest.mark.parametrize(
    ("music", "wanted"),
    [
        ("|::C::|", [60] * 3),
        ("|:C:|", [60] * 2),
        ("C::D:|", [60, 60, 62, 62]),
        ("|:::C:::|D", [60] * 4 + [62]),
        ("|::C::|:D:|", [60] * 3 + [62] * 2),
        ("|:C|1D:|2E|]", [60, 62, 60, 64]),
        ("C|D", [60, 62]),
        ("C$D", [60, 62]),
        ("[V:1]C|[V:1]D", [60, 62]),
    ],
)
def test_every_repeat_is_played_as_often_as_it_says(music, wanted):
    assert pitches(music) == wanted


def test_one_voice_a_wrapped_history_and_any_number():
    text = "X:12a\nT:A\nH:found in a book\nthat had no cover\nV:1 clef=treble\nK:C\nV:1\nC$D|\n"
    assert [note.pitch for note in parse_tune(text).score().notes] == [60, 62]


def test_other_fields():
    assert metre("C|").beats == metre("4/4").beats == 4 and metre("none").beats is None
    assert unit("1/16") == Fraction(1, 4)
    assert tempo("1/4=90", Fraction(1, 2)) == 90 and tempo('"Slow"', Fraction(1, 2)) is None


@pytest.mark.parametrize(
    "text, what",
    [
        ("", "line 1: a tune has no empty line"),
        ("T:A\nX:1\nK:C\nA|", "line 1: T: stands where X: should"),
        ("X:1\nK:C\nA|", "line 2: K: stands where T: should"),
        ("X:a\nT:A\nK:C\nA|", "line 1: the number of the tune is 'a'"),
        ("X:1\nT:A\nABc|\nK:C", "line 3: 'ABc|' stands before K:"),
        ("X:1\nT:A\nM:C\nL:1/8", "line 4: the tune has no K:"),
        ("X:1\nT:A\nM:6\nK:C\nA|", "line 3: the metre '6' is not like"),
        ("X:1\nT:A\nL:0/8\nK:C\nA|", "line 3: the unit length '0/8'"),
        ("X:1\nT:A\nK:H\nA|", "line 3: the key 'H' is not like"),
        ("X:1\nT:A\nK:D foo\nA|", "line 3: the key 'D foo' ends in 'foo'"),
        ("X:1\nT:A\nQ:fast\nK:C\nA|", "line 3: the tempo 'fast'"),
        ("X:1\nT:A\nV:1\nK:C\nA|\nV:2\nC|", "line 6: V: gives the tune several voices"),
        ("X:1\nT:A\nR:reel\nand more\nK:C\nA|", "line 4: 'and more' stands before K:"),
        ("X:1\nT:A\nK:C\nABC|\nAsB|", "line 5: 's' is no music"),
        ("X:1\nT:A\nK:C\n[ABC", "line 4: '[' is no music"),
        ("X:1\nT:A\nK:C\n(3AB|c", "line 4: a tuplet wants 1 more notes"),
        ("X:1\nT:A\nK:C\nA>|B", "line 4: a broken rhythm lacks its note"),
        ("X:1\nT:A\nK:C\n>B", "line 4: '>' stands behind no note"),
        ("X:1\nT:A\nK:C\nA-B", "line 4: a tie leads to another note"),
        ("X:1\nT:A\nK:C\nA-", "line 4: a tie lacks its second note"),
        ("X:1\nT:A\nK:C\n(AB", "line 4: a slur is never closed"),
        ("X:1\nT:A\nK:C\nAB)", "line 4: ')' closes no slur"),
        ("X:1\nT:A\nK:C\nA0|", "line 4: a note cannot be 0 times as long"),
        ("X:1\nT:A\nK:C\nA/0|", "line 4: a note cannot be /0 times as long"),
        ("X:1\nT:A\nK:C\nc'''''''|", "is not on a piano"),
        ("X:1\nT:A\nK:C\n|z|", "the tune has no notes"),
        ("X:1\nT:A\nK:C\nA|\nX:2", "line 5: X: stands within a tune"),
        ("X:1\nT:A\nK:C\nA|[0 B|", "there is no ending 0"),
    ],
)
def test_what_is_no_tune_is_refused_with_its_line(text, what):
    with pytest.raises(DataError, match=re.escape(what)):
        parse_tune(text)


@pytest.mark.parametrize("music", ["A8|A8|", "A2|A8|A6:|", "A2|A8|A6:|\nA2|A8|A6:|", "A8|A6|[1 A2|A8:|[2 A2|A8|]"])
def test_what_keeps_the_metre(music):
    assert parse_tune(HEAD.format("C") + music).metre_error() == ""


@pytest.mark.parametrize(
    "music, what",
    [
        ("A8|A9|A8|", "line 6: a bar of 9/8 in 4/4"),
        ("A8|A7|A8|", "line 6: a bar of 7/8 in 4/4"),
        ("A8|\nA8|A7|", "line 7: a bar of 7/8 in 4/4"),  # nothing makes the last bar full
        ("A2|A8|A5:|", "a bar of 2/8"),
        ("A2|A8|A8:|", "a bar of 2/8"),  # nor the pick-up
        ("A2||A2||A2||A2|]", "a bar of 2/8"),
        ("A2|A6|]", "no bar is full"),
    ],
)
def test_what_does_not(music, what):
    assert what in parse_tune(HEAD.format("C") + music).metre_error()


@pytest.mark.parametrize(
    "music, inside",
    [
        ("A2|A8|A8:|", True),  # a pick-up that nothing completes
        ("A8|A8|A3|]", True),
        ("A2|A8|A7|A8:|", False),
        ("A8|A9|]", False),
    ],
)
def test_a_part_may_begin_and_end_short_where_halves_are_not_asked_for(music, inside):
    tune = parse_tune(HEAD.format("C") + music)
    assert tune.metre_error() and (tune.metre_error(paired=False) == "") is inside


@pytest.mark.parametrize("text", [REEL, JIG])
def test_real_tunes_keep_their_metre_and_garbage_does_not(text):
    assert parse_tune(text).metre_error() == ""
    head, name, music = re.split(r"(\nK:.*\n)", text)
    found = list(re.finditer(r"[A-Ga-g]\d?", music))
    passed = 0
    for note in found:  # each note dropped in turn
        passed += good(head + name + music[: note.start()] + music[note.end() :])
    assert passed == 0
    for seed in range(20):  # the same notes in other bars; the same characters in any order
        shuffled = [note[0] for note in found]
        random.Random(seed).shuffle(shuffled)
        words = iter(shuffled)
        if shuffled != [note[0] for note in found]:
            assert not good(head + name + re.sub(r"[A-Ga-g]\d?", lambda _, words=words: next(words), music))
        letters = list(music)
        random.Random(seed).shuffle(letters)
        assert not good(head + name + "".join(letters))


def good(text):
    try:
        return not parse_tune(text).metre_error()
    except DataError:
        return False


def test_a_tune_book_is_taken_apart():
    book = "%abc-2.1\nA word before.\n\nX:1\nT:One\nK:C\nA|\n\n\nX:2\nT:Two\nK:C\nB|"
    assert [line for line, _ in blocks(book)] == [4, 10]
    with pytest.raises(DataError, match=r"book.abc, line 13: '\?'"):
        parse_tune("X:2\nT:Two\nK:C\n?|", "book.abc", 10)


def test_the_grammar_makes_the_same_tunes_again_and_all_are_tunes():
    assert tune(3, 5) == tune(3, 5) != tune(4, 5)
    made = [tune(1, number) for number in range(200)]
    assert all(parse_tune(text).metre_error() == "" for text in made)
    assert len(set(made)) == 200
    assert {parse_tune(text).fields["M"] for text in made} == {"6/8", "4/4", "3/4"}
    assert len({parse_tune(text).fields["K"] for text in made}) == 8


@pytest.mark.parametrize("steps", [-2, -1, 1, 2])
def test_a_transposed_tune_is_the_same_so_many_semitones_higher(steps):
    text = "X:1\nT:A\nM:4/4\nL:1/8\nK:D Mixolydian\nA2^cd =f2_B2|^G4 (3FGA B2|"
    there = transposed(text, steps)
    assert there is not None
    apart = {
        b.pitch - a.pitch for a, b in zip(parse_tune(text).score().notes, parse_tune(there).score().notes, strict=True)
    }
    assert len(apart) == 1 and apart <= {steps * 2, steps * 2 - 1, steps * 2 + 1}
    assert parse_tune(there).metre_error() == ""


@pytest.mark.parametrize("music", ['"G"A2|', "{c}A|", "A[K:G]B|", "A\nK:G\nB|"])
def test_what_cannot_be_transposed_is_left_alone(music):
    assert transposed(HEAD.format("G") + music, 1) is None


@pytest.mark.parametrize(
    ("name", "higher"),
    [
        ("D Major", "E Major"),  # four sharps
        ("A Major", "Bb Major"),  # B has five: the flat neighbour has two
        ("E Minor", "F# Minor"),  # F has four flats; F# has three sharps
        ("E Mixolydian", "F Mixolydian"),  # two flats
        ("D Lydian", "Eb Lydian"),  # E has five
    ],
)
def test_a_tune_is_moved_to_keys_of_at_most_four_sharps(name, higher):
    there = transposed(f"X:1\nT:A\nK:{name}\nABd2|", 1)
    assert (there and there.split("K:")[1].split("\n")[0]) == higher
