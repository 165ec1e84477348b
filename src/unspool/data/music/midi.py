"""Standard MIDI Files by mido (MIDI Manufacturers Association, Standard MIDI Files 1.0, RP-001, 1996)."""

import io
from fractions import Fraction
from typing import Any

from unspool.data.music.notes import Note, Score
from unspool.errors import DataError

TICKS = 960  # in a quarter beat: a multiple of 2, 3 and 5, so that triplets fall on a tick
LOUDNESS = 80  # of 127


def midi(score: Score, program: int = 0) -> bytes:
    """The score as a file of format 0: one track with its title, its tempo and its notes on the first channel.

    A note that begins when another of its pitch ends is struck anew: ends come before beginnings.

    Args:
        program: the instrument of General MIDI, counted from 0 (an acoustic grand piano).

    >>> from unspool.data.music.notes import Note
    >>> midi(Score([Note(Fraction(0), Fraction(1), 60)]))[:14].hex()
    '4d546864000000060000000103c0'
    """
    from mido import Message, MetaMessage, MidiFile, MidiTrack

    events: list[tuple[int, int, int]] = []  # tick, end or beginning, pitch
    for note in score.notes:
        start, end = round(note.start * TICKS), round(note.end * TICKS)
        events += [(start, 1, note.pitch), (max(end, start + 1), 0, note.pitch)]
    title = score.title.encode("utf-8", "replace")[:1000].decode("utf-8", "ignore")
    tempo = min(round(60_000_000 / score.speed), 2**24 - 1)  # microseconds in a quarter beat
    track = MidiTrack([MetaMessage("track_name", name=title), MetaMessage("set_tempo", tempo=tempo)])
    track.append(Message("program_change", program=program))
    now = 0
    for tick, begins, pitch in sorted(events):
        kind, velocity = ("note_on", LOUDNESS) if begins else ("note_off", 0)
        track.append(Message(kind, note=pitch, velocity=velocity, time=tick - now))
        now = tick
    file = io.BytesIO()
    MidiFile(type=0, ticks_per_beat=TICKS, charset="utf-8", tracks=[track]).save(file=file)
    return file.getvalue()


def read_midi(data: bytes, name: str) -> Score:
    """The notes of all tracks and channels of a Standard MIDI File, with its first tempo and its first title.

    Args:
        name: of the file, for error messages.

    Raises:
        DataError: where it is no such file.

    >>> from unspool.data.music.notes import Note
    >>> read_midi(midi(Score([Note(Fraction(1, 3), Fraction(1), 60)], title="Air")), "air.mid").notes
    [Note(start=Fraction(1, 3), length=Fraction(1, 1), pitch=60, tied=False)]
    """
    file, messages = opened(data, name)
    notes: list[Note] = []
    sounding: dict[tuple[int, int], Fraction] = {}
    speed, title, tick = 0.0, "", 0
    for message in messages:
        tick += message.time
        now = Fraction(tick, file.ticks_per_beat)
        if message.type == "set_tempo":
            speed = speed or 60_000_000 / message.tempo
        elif message.type == "track_name":
            title = title or message.name
        elif message.type in ("note_on", "note_off"):
            key = (message.channel, message.note)
            if key in sounding:
                start = sounding.pop(key)
                notes.append(Note(start, now - start, message.note))
            if message.type == "note_on" and message.velocity:
                sounding[key] = now
    return Score(sorted(notes), speed or 120.0, title)


def read_signatures(data: bytes, name: str) -> tuple[str, str]:
    """The metre of a MIDI file as M: of ABC has it, 4/4 where it says none, and its first key; "" where it says none.

    Raises:
        DataError: the metre changes on the way.
    """
    file, messages = opened(data, name)
    metres: list[str] = []
    key, tick = "", 0
    for message in messages:
        tick += message.time
        if message.type == "time_signature":
            metre = f"{message.numerator}/{message.denominator}"
            if metres and metre != metres[-1]:
                raise DataError(
                    f"{name}: the metre changes from {metres[-1]} to {metre} at beat {tick / file.ticks_per_beat:g}",
                    hint="keep the part in one metre",
                )
            metres.append(metre)
        elif message.type == "key_signature":
            key = key or message.key
    return (metres or ["4/4"])[0], key


def opened(data: bytes, name: str) -> tuple[Any, list[Any]]:
    """A MIDI file, and the messages of all its tracks in time. Raises: DataError where it is none."""
    from mido import MidiFile, merge_tracks

    try:
        file = MidiFile(file=io.BytesIO(data), charset="utf-8")
        return file, list(merge_tracks(file.tracks))
    except Exception as error:  # of broken bytes mido may say anything
        reason = (str(error) or "it ends too early") if data else "it is empty"
        raise DataError(f"{name} is not a whole MIDI file: {reason}", hint="save it again") from None


def seconds(score: Score, beats: Fraction) -> float:
    """When that quarter beat of a score is.

    >>> seconds(Score([], speed=120.0), Fraction(3))
    1.5
    """
    return float(beats) * 60 / score.speed
