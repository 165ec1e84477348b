"""Sound files of every kind give the samples that were written, at the rate that a model wants."""

import io
import struct
import sys

import numpy as np
import pytest
import torch

from unspool.data.readers.sounds import KINDS, LONGEST, UNKNOWN_SIZE, decode_sound, read_sound
from unspool.data.resampling import resampled
from unspool.data.sounds import Sounds
from unspool.errors import DataError

RATE = 8000


def tone(hertz=440, rate=RATE, seconds=0.25):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


def written(samples, subtype="PCM_16", kind="WAV", rate=RATE):
    soundfile = pytest.importorskip("soundfile")
    file = io.BytesIO()
    soundfile.write(file, samples, rate, subtype=subtype, format=kind)
    return file.getvalue()


def ints(found):
    return np.frombuffer(found[0], np.int16).astype(int)


def riff(body, kind=1, channels=1, rate=RATE, bits=16, size=None, before=b"", frame=None):
    """A WAV file by hand; `size` is what the header says of the samples, `before` a chunk in front of them."""
    frame = channels * bits // 8 if frame is None else frame
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, kind, channels, rate, rate * frame % 2**32, frame, bits)
    rest = head + before + struct.pack("<4sI", b"data", len(body) if size is None else size) + body
    return struct.pack("<4sI4s", b"RIFF", 4 + len(rest) if size is None else size, b"WAVE") + rest


@pytest.fixture
def without_soundfile(monkeypatch):
    """Imports as on a machine that has no soundfile."""
    monkeypatch.setitem(sys.modules, "soundfile", None)


@pytest.mark.parametrize("kind", ["WAV", "WAVEX"])
@pytest.mark.parametrize(
    ("subtype", "step"), [("PCM_U8", 256), ("PCM_16", 1), ("PCM_24", 1), ("PCM_32", 1), ("FLOAT", 1), ("DOUBLE", 1)]
)
def test_wav_of_every_width_is_the_sound_that_was_written(subtype, step, kind, monkeypatch):
    data = written(tone(), subtype, kind)
    monkeypatch.setattr("unspool.data.readers.sounds.by_soundfile", None)  # our own reader is enough
    samples, rate = decode_sound(data, "a.wav")
    assert rate == RATE and np.abs(ints((samples, rate)) - tone() * 2**15).max() <= step


@pytest.mark.parametrize(("kind", "bits"), KINDS)
def test_channels_are_mixed_and_the_ends_of_the_scale_are_kept(kind, bits):
    low, high = {8: (0, 255), 16: (-(2**15), 2**15 - 1), 24: (-(2**23), 2**23 - 1), 32: (-(2**31), 2**31 - 1)}.get(
        0 if kind == 3 else bits, (-1.0, 1.0)
    )
    code = {8: "B", 16: "h", 24: "i", 32: "i"}[bits] if kind == 1 else {32: "f", 64: "d"}[bits]
    parts = [struct.pack(f"<{code}", value)[: bits // 8] for value in (low, low, high, high, low, high)]
    found = ints(decode_sound(riff(b"".join(parts), kind, 2, bits=bits), "a.wav"))
    top = 127 << 8 if bits == 8 else 2**15 - 1
    assert found.tolist()[:2] == [-(2**15), top] and abs(found[2]) <= 128


@pytest.mark.parametrize("size", [0, UNKNOWN_SIZE, 2**31 - 1, 2**32 - 1])
def test_a_header_that_was_written_before_the_length_was_known(size):
    body = np.arange(100, dtype="<i2").tobytes()
    note = struct.pack("<4sI", b"LIST", 3) + b"abc\0"  # an odd size is filled up
    assert ints(decode_sound(riff(body + b"\1", size=size, before=note), "a.wav")).tolist() == list(range(100))


def test_other_formats_are_read_by_soundfile(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    assert np.abs(ints(decode_sound(written(tone(), kind="FLAC"), "a.flac")) - tone() * 2**15).max() <= 1
    assert np.abs(ints(decode_sound(written(tone(), "ULAW"), "a.wav")) - tone() * 2**15).max() <= 512
    both = written(np.stack([tone(), -tone()], axis=1), "PCM_24", "FLAC")
    assert np.abs(ints(decode_sound(both, "a.flac"))).max() == 0
    if "MP3" in soundfile.available_formats():
        samples, rate = decode_sound(written(tone(seconds=1.0), "MPEG_LAYER_III", "MP3"), "a.mp3")
        spectrum = np.abs(np.fft.rfft(ints((samples, rate))[:RATE]))
        assert rate == RATE and abs(int(spectrum.argmax()) - 440) <= 1
    for kind in ("flac", "ogg"):
        (tmp_path / f"one_{kind}.{kind}").write_bytes(
            written(tone(seconds=0.5), "VORBIS" if kind == "ogg" else "PCM_16", kind.upper())
        )
    assert len(Sounds(path=str(tmp_path), valid=0.0).read().train) == 2


def test_without_soundfile_the_hint_says_what_to_install(without_soundfile):
    assert len(ints(decode_sound(riff(bytes(20)), "a.wav"))) == 10
    for name, data in (("a.flac", b"fLaC" + bytes(50)), ("a.wav", riff(bytes(20), kind=7, bits=8))):
        with pytest.raises(DataError, match=f"{name} is no plain WAV file, and other sounds need soundfile") as caught:
            decode_sound(data, name)
        assert caught.value.hint == "pip install soundfile"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (riff(bytes(20), size=40), "ends too early"),
        (riff(b"", size=0), "ends too early"),
        (riff(b"\0", size=1), "ends too early"),
        (riff(bytes(20), frame=4), "its header contradicts itself"),
        (riff(bytes(20), channels=0), "it has no samples"),
        (riff(bytes(20))[:30], "it has no samples"),
        (riff(bytes(20), rate=999), "has 999 samples a second"),
        (riff(bytes(20), rate=2**32 - 1), "has 4,294,967,295 samples a second"),
        (riff(struct.pack("<ff", 0.5, float("nan")), kind=3, bits=32), "samples that are not finite"),
        (riff(bytes(1000 * LONGEST + 1), rate=1000, bits=8), "is longer than 30 minutes"),
    ],
)
def test_a_broken_wav_file_is_one_sentence(data, says):
    with pytest.raises(DataError, match=says) as caught:
        decode_sound(data, "a.wav")
    assert "a.wav" in str(caught.value) and caught.value.hint


def test_what_soundfile_cannot_read_is_one_sentence():
    pytest.importorskip("soundfile")
    flac = written(tone(), kind="FLAC")
    for data in (b"RIFF", b"no sound at all", b"fLaC" + bytes(100), flac[:40]):
        with pytest.raises(DataError, match=r"the sound (is not a sound that can be read|has no samples)"):
            read_sound(data)


@pytest.mark.parametrize("before", [4000, 11025, 16000, 22050, 44100, 44101, 48000, 96000])
def test_a_tone_at_another_rate_is_the_same_tone(before):
    given = (tone(440, before) * 2**15).astype(np.int16)
    found = resampled(given, before, RATE).astype(int)
    wanted = tone(440, RATE) * 2**15
    assert len(found) == -(-len(given) * RATE // before)
    inner = slice(200, len(wanted) - 200)  # at the ends a tone begins and stops at once
    assert np.abs(found[inner] - wanted[inner]).max() < 0.01 * 2**15


@pytest.mark.parametrize(("before", "after"), [(767_999, 8000), (1000, 768_000)])
def test_a_table_of_filters_that_would_not_fit_is_not_made(before, after):
    given = (tone(100, before, seconds=0.05) * 2**15).astype(np.int16)
    found = resampled(given, before, after).astype(int)
    wanted = tone(100, after, seconds=0.05) * 2**15
    inner = slice(len(wanted) // 3, -len(wanted) // 3)
    assert np.abs(found[inner] - wanted[: len(found)][inner]).max() < 0.02 * 2**15


def test_what_is_above_half_of_the_new_rate_is_taken_away():
    given = ((tone(440, 44100) + tone(9000, 44100)) / 2 * 2**15).astype(np.int16)
    found = resampled(given, 44100, RATE).astype(int)
    wanted = tone(440, RATE) / 2 * 2**15
    assert np.abs(found[200:-200] - wanted[200 : len(found) - 200]).max() < 0.01 * 2**15


def test_sounds_of_several_rates_are_trained_on_together(tmp_path):
    from unspool.data.preprocessors.sounds import LabelledSound
    from unspool.data.tokenizer import tokenizers

    for rate in (8000, 16000, 44100):
        body = (tone(440, rate, seconds=0.5) * 2**15).astype("<i2").tobytes()
        (tmp_path / f"a_{rate:05}.wav").write_bytes(riff(body, rate=rate))
    records = Sounds(path=str(tmp_path), valid=0.0).read().train
    records.sort(key=lambda record: record["name"])
    made = LabelledSound(tokenizers.build("labels", "label").fit("a\n"), bands=10)
    made.fit(records)
    heard = [made.loudness(record) for record in records]
    assert made.rate == 8000 and {one.shape for one in heard} == {torch.Size([48, 10])}
    for other in heard[1:]:
        assert (heard[0] - other)[5:-5, 1:4].abs().max() < 0.2
