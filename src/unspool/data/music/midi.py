"""Writes music as a Standard MIDI File (MIDI Manufacturers Association, Standard MIDI Files 1.0, RP-001, 1996)."""

from fractions import Fraction

from unspool.data.music.notes import Score

TICKS = 960  # in a quarter beat: a multiple of 2, 3 and 5, so that triplets fall on a tick
LOUDNESS = 80  # of 127


def midi(score: Score, program: int = 0) -> bytes:
    """The score as a file of format 0: one track with its title, its tempo and its notes on the first channel.

    `program` is the instrument of General MIDI, counted from 0 (an acoustic grand piano). A note that begins when
    another of its pitch ends is struck anew: ends come before beginnings.

    >>> from unspool.data.music.notes import Note
    >>> midi(Score([Note(Fraction(0), Fraction(1), 60)]))[:14].hex()
    '4d546864000000060000000103c0'
    """
    events: list[tuple[int, int, bytes]] = []
    for note in score.notes:
        start, end = round(note.start * TICKS), round(note.end * TICKS)
        events.append((start, 1, bytes([0x90, note.pitch, LOUDNESS])))
        events.append((max(end, start + 1), 0, bytes([0x80, note.pitch, 0])))
    title = score.title.encode("utf-8", "replace")[:1000]
    microseconds = round(60_000_000 / score.speed)  # in a quarter beat
    track = b"\0\xff\x03" + variable(len(title)) + title
    track += b"\0\xff\x51\x03" + min(microseconds, 2**24 - 1).to_bytes(3, "big")
    track += b"\0" + bytes([0xC0, program])
    now = 0
    for tick, _, event in sorted(events):
        track += variable(tick - now) + event
        now = tick
    track += b"\0\xff\x2f\0"
    header = b"MThd" + (6).to_bytes(4, "big") + b"\0\0\0\1" + TICKS.to_bytes(2, "big")
    return header + b"MTrk" + len(track).to_bytes(4, "big") + track


def variable(number: int) -> bytes:
    """A quantity of variable length: seven bits a byte, the highest bit set in all but the last.

    >>> variable(0).hex(), variable(128).hex(), variable(0x0FFFFFFF).hex()
    ('00', '8100', 'ffffff7f')
    """
    parts = [number & 0x7F]
    while number := number >> 7:
        parts.append(number & 0x7F | 0x80)
    return bytes(reversed(parts))


def seconds(score: Score, beats: Fraction) -> float:
    """When that quarter beat of a score is.

    >>> seconds(Score([], speed=120.0), Fraction(3))
    1.5
    """
    return float(beats) * 60 / score.speed
