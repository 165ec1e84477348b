"""Sounds from a pipe."""

import io
import struct
import wave

import numpy as np
import pytest

from unspool.data.readers.pcm import live_sound, stored_sound
from unspool.errors import DataError

SAMPLES = (1000 * np.sin(np.arange(1000) / 7)).astype(np.int16)


def wav(samples, rate=16000, channels=1):
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((channels, 2, rate, 0, "NONE", ""))
        sound.writeframes(samples.tobytes())
    return file.getvalue()


def heard(data, rate=8000):
    pieces, rate = live_sound(io.BytesIO(data), rate)
    return np.concatenate([np.zeros(0, np.int16), *pieces]), rate


def test_raw_samples_and_wav_are_the_same_sound():
    assert np.array_equal(heard(SAMPLES.tobytes())[0], SAMPLES) and heard(SAMPLES.tobytes())[1] == 8000
    found, rate = heard(wav(SAMPLES))
    assert np.array_equal(found, SAMPLES) and rate == 16000
    both = np.stack([SAMPLES, SAMPLES], axis=1)
    assert np.array_equal(heard(wav(both, channels=2))[0], SAMPLES)
    assert np.array_equal(heard(SAMPLES.tobytes() + b"\0")[0], SAMPLES)  # half a sample at the end
    assert len(heard(b"")[0]) == 0


def test_a_wav_file_of_unknown_length_and_with_other_chunks_is_read():
    whole = wav(SAMPLES)
    endless = whole[:40] + struct.pack("<I", 0xFFFFFFFF) + whole[44:]
    more = whole[:12] + b"LIST" + struct.pack("<I", 3) + b"abc\0" + whole[12:]
    for data in (endless, more):
        assert np.array_equal(heard(data)[0], SAMPLES)


def test_what_only_begins_like_a_wav_file_is_an_error():
    whole = wav(SAMPLES)
    for data in (whole[:30], whole[:20] + b"\7\0" + whole[22:], whole[:24] + struct.pack("<I", 5) + whole[28:]):
        with pytest.raises(DataError, match="standard input is not a WAV file"):
            heard(data)


def test_a_stored_sound_comes_in_the_same_pieces(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav(SAMPLES))
    for sound in (str(tmp_path / "a.wav"), tmp_path / "a.wav", wav(SAMPLES), SAMPLES):
        pieces, rate = stored_sound(sound, 16000)
        pieces = list(pieces)
        assert rate == 16000 and {len(piece) for piece in pieces[:-1]} == {320}
        assert np.array_equal(np.concatenate(pieces), SAMPLES)
