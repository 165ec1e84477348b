"""Pieces of one's own as prompts: what is read of MIDI and ABC files, and what is refused."""

import io
from fractions import Fraction

import pytest
from mido import Message, MetaMessage, MidiFile, MidiTrack

from unspool.data.music.abc_reader import parse_tune
from unspool.data.music.abc_writer import spelled, write_abc
from unspool.data.music.chorales import as_score
from unspool.data.music.midi import midi, read_midi, read_signatures
from unspool.data.music.notes import Note, Score
from unspool.data.music.prompts import chorale_prompt, chords_of, is_piece, tune_prompt
from unspool.data.music.tune_grammar import tune
from unspool.errors import DataError

AIR = "X:7\nT:Air\nC:me\nM:3/4\nL:1/8\nK:D\n|:D2 F2 A2|d4 z2|]\n"


def recorded(notes, *signatures, ticks=480):
    """A MIDI file: (start, end, pitch) in quarter beats."""
    events = [(0, -1, message) for message in signatures]
    for start, end, pitch in notes:
        events.append((round(end * ticks), 0, Message("note_off", note=pitch)))
        events.append((round(start * ticks), 1, Message("note_on", note=pitch, velocity=64)))
    track, now = MidiTrack(), 0
    for tick, _, message in sorted(events, key=lambda event: event[:2]):
        track.append(message.copy(time=tick - now))
        now = tick
    file = io.BytesIO()
    MidiFile(type=0, ticks_per_beat=ticks, tracks=[track]).save(file=file)
    return file.getvalue()


def signature(top, bottom):
    return MetaMessage("time_signature", numerator=top, denominator=bottom)


@pytest.fixture
def given(tmp_path):
    def write(name, data):
        path = tmp_path / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return str(path)

    return write


@pytest.mark.parametrize("number", range(8))
def test_a_tune_comes_back_from_midi_note_for_note(number):
    """In its own key and metre, and in 4/4 in a key that is guessed, over bar lines that cut its notes."""
    written = parse_tune(tune(0, number))
    score = read_midi(midi(written.score()), "tune.mid")
    for metre, key in ((written.fields["M"], written.fields["K"]), ("4/4", ""), ("6/8", "Eb")):
        again = parse_tune(write_abc(score, "tune.mid", metre, key))
        assert [note[:3] for note in again.score().notes] == [note[:3] for note in score.notes]
        assert again.fields["M"] == metre


def test_every_pitch_is_spelled_so_that_it_is_read_as_it_was():
    for key in ("C", "F#", "Db", "Am", "Eb"):
        notes = [Note(Fraction(n, 2), Fraction(1, 2), pitch) for n, pitch in enumerate([*range(21, 108), 60, 61, 60])]
        again = parse_tune(write_abc(Score(notes), "all.mid", "4/4", key)).score()
        assert [note.pitch for note in again.notes] == [note.pitch for note in notes]
    raised = {}
    assert [spelled(pitch, {"F": 1}, raised) for pitch in (65, 66, 66)] == ["=F", "^F", "^F"]


def test_metre_and_key_of_midi_are_read_and_hands_are_rounded(given):
    notes = [(0.01, 0.9, 62), (1.02, 1.45, 66), (1.5, 1.93, 69), (2.0, 2.95, 62)]
    data = recorded(notes, signature(3, 4), MetaMessage("key_signature", key="D"))
    assert read_signatures(data, "x.mid") == ("3/4", "D")
    text = tune_prompt(given("hand.mid", data))
    assert text == "X:1\nT:Untitled\nM:3/4\nL:1/8\nK:D\nD2 FA D2|"
    assert read_signatures(recorded(notes), "x.mid") == ("4/4", "")


def test_triplets_and_rests_are_written():
    notes = [Note(Fraction(n, 3), Fraction(1, 3), 60 + n) for n in range(3)] + [Note(Fraction(2), Fraction(2), 67)]
    text = write_abc(Score(notes), "x.mid", key="C")
    assert text.splitlines()[-1] == "C2/3^C2/3D2/3z2 G4|"


def test_an_abc_file_is_tidied_and_loses_its_end(given):
    assert tune_prompt(given("air.abc", AIR)) == "X:1\nT:Air\nM:3/4\nL:1/8\nK:D\n|:D2 F2 A2|d4 z2|"


def test_chords_are_what_sounds_on_the_beats(given):
    chords = [(67, 64, 60), (67, 62), (), (65,)]
    assert chorale_prompt(given("choir.mid", midi(as_score(chords)))) == (chords, 0)
    passing = recorded([(0, 1.5, 67), (1.5, 2, 69), (0, 2, 60)])
    assert chorale_prompt(given("passing.mid", passing)) == ([(67, 60), (67, 60)], 1)
    assert chords_of(read_midi(recorded([(0.05, 0.95, 60), (0.96, 2, 62)]), "hand.mid")) == [(60,), (62,)]
    found, _ = chorale_prompt(given("air.abc", AIR))
    assert found == [(62,), (66,), (69,), (74,), (74,)]


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("two.mid", recorded([(0, 2, 60), (1, 2, 64)]), "two notes sound at once at beat 1"),
        ("chord.mid", recorded([(0, 1, 60), (0, 1, 64)]), "two notes sound at once at beat 0"),
        ("free.mid", recorded([(0, 0.2, 60), (0.21, 0.5, 64)]), "beat 0.21 is on no grid"),
        ("none.mid", recorded([]), "has no notes"),
        ("metre.mid", recorded([(0, 1, 60)], signature(4, 4), signature(3, 4)), "the metre changes from 4/4 to 3/4"),
        ("odd.mid", recorded([(0, 1, 60)], signature(3, 64)), "the metre '3/64'"),
        ("broken.mid", b"MThd", "not a whole MIDI file: it ends too early"),
        ("empty.mid", b"", "not a whole MIDI file: it is empty"),
        ("text.abc", "no tune", "has no tune"),
        ("empty.abc", "\n", "is empty"),
        ("binary.abc", bytes(range(256)) * 40, "is not text"),
        ("many.abc", AIR + "\n" + AIR, "has 2 tunes"),
        ("voices.abc", "X:1\nT:a\nM:4/4\nL:1/4\nK:C\nV:1\nCDEF|\nV:2\nC4|\n", "voice"),
        ("bad.abc", "X:1\nT:a\nK:C\nDE&F|\n", "line 4: '&' is no music"),
    ],
)
def test_what_no_tune_can_be_made_of_is_refused(given, name, data, says):
    with pytest.raises(DataError, match=says) as refused:
        tune_prompt(given(name, data))
    assert name in str(refused.value) and refused.value.hint and "data.encoding" not in refused.value.hint


@pytest.mark.parametrize(
    ("notes", "says"),
    [
        ([(0, 1, pitch) for pitch in (40, 50, 60, 64, 67)], "5 pitches sound at beat 0"),
        ([(0, 1, 60), (1, 2, 10)], "the pitch 10 at beat 1 is beyond"),
        ([(0, 0.5, 60), (0.5, 1, 62), (1.5, 2, 64)], "2 of 3 notes begin between"),
        ([], "has no notes"),
    ],
)
def test_what_no_chorale_can_be_made_of_is_refused(given, notes, says):
    with pytest.raises(DataError, match=says):
        chorale_prompt(given("choir.mid", recorded(notes)))


def test_what_names_a_piece():
    assert is_piece("a.abc") and is_piece("b.MIDI") and not is_piece("X:1\nK:C\nab.abc") and not is_piece("67 60, 65")
    with pytest.raises(DataError, match=r"there is no file 'gone\.abc'"):
        tune_prompt("gone.abc")
