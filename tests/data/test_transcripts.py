"""Sounds with their texts: tables, joined recordings, tones."""

import numpy as np
import pytest

from unspool.data.readers.sounds import decode_sound
from unspool.data.synthetic.speech import Clip, joined_strings, tone_speech, wav_file
from unspool.data.transcripts import Transcripts
from unspool.errors import ConfigError, DataError


def clip(seconds, level):
    """A recording that is known by its level."""
    return np.full(round(8000 * seconds), 100 * level, dtype=np.int16)


def table(folder, rows, header="file,text"):
    (folder / "table.csv").write_text("\n".join([header, *rows]))
    return str(folder / "table.csv")


def sounds(folder, number=20):
    (folder / "wavs").mkdir()
    for index in range(number):
        (folder / "wavs" / f"{index}.wav").write_bytes(wav_file(clip(0.2, index), 8000))
    return [f"wavs/{index}.wav,Number {index}" for index in range(number)]


def test_a_table_names_files_beside_it(tmp_path):
    splits = Transcripts(path=table(tmp_path, sounds(tmp_path)), valid=0.2, test=0.1).read()
    assert [len(part) for part in (splits.train, splits.valid, splits.test)] == [14, 4, 2]
    for record in (*splits.train, *splits.valid, *splits.test):
        samples = np.frombuffer(decode_sound(record["sound"], "it")[0], np.int16)
        assert record["text"] == f"Number {samples[0] // 100}" and set(record) == {"name", "text", "sound"}
    other = table(tmp_path, [f"{row},x" for row in sounds_of(20)], "path,sentence,more")
    assert len(Transcripts(path=other, file="path", text="sentence", valid=0.2).read().train) == 16


def sounds_of(number):
    return [f"wavs/{index}.wav,Number {index}" for index in range(number)]


def test_a_bad_sound_is_left_out_and_told(tmp_path):
    rows = sounds(tmp_path)
    (tmp_path / "wavs" / "3.wav").write_bytes(b"RIFF")
    splits = Transcripts(path=table(tmp_path, [*rows, "wavs/0.wav,"]), valid=0.2).read()
    assert len(splits.train) + len(splits.valid) == 19
    assert any("left out 1 of 21 records that cannot be read" in n and "3.wav" in n for n in splits.notes)
    assert any("left out 1 of 21 records without a text" in note for note in splits.notes)
    with pytest.raises(DataError, match=r"line 2: .*gone\.wav"):
        Transcripts(path=table(tmp_path, ["gone.wav,nothing"])).read()
    with pytest.raises(DataError, match="there is no column 'file'"):
        Transcripts(path=table(tmp_path, rows, "sound,text")).read()


def test_a_folder_with_tables_has_its_own_splits(tmp_path):
    rows = sounds(tmp_path)
    (tmp_path / "train.csv").write_text("\n".join(["file,text", *rows[:15]]))
    (tmp_path / "test.csv").write_text("\n".join(["file,text", *rows[15:]]))
    splits = Transcripts(path=str(tmp_path), valid=0.2).read()
    assert [len(part) for part in (splits.train, splits.valid, splits.test)] == [12, 3, 5]


def test_recordings_are_joined_within_their_split(tmp_path):
    """Each recording has a level of its own, so that it can be found again."""
    for digit in range(4):
        for speaker, name in enumerate(("ann", "bob")):
            for take in range(5):
                level = 100 + digit + 10 * speaker + 40 * take
                (tmp_path / f"{digit}_{name}_{take}.wav").write_bytes(wav_file(clip(0.1, level), 8000))
    made = Transcripts(path=str(tmp_path), test_names="*_0.wav", valid=0.25, strings=50, shortest=2, longest=4).read()
    assert [len(part) for part in (made.train, made.valid, made.test)] == [50, 17, 17]
    used = {}
    for name in ("train", "valid", "test"):
        used[name] = set()
        for record in getattr(made, name):
            samples = np.frombuffer(decode_sound(record["sound"], "it")[0], np.int16).astype(int)
            words, ends = record["text"].split(), record["ends"]
            assert 2 <= len(words) <= 4
            assert [record["text"][place] for place, _ in ends] == [word[-1] for word in words]
            levels = [round(samples[round(8000 * end) - 780 : round(8000 * end) - 20].mean() / 100) for _, end in ends]
            assert [["zero", "one", "two", "three"].index(word) for word in words] == [level % 10 for level in levels]
            assert len({(level - 100) // 10 % 4 for level in levels}) == 1  # one speaker
            used[name] |= set(levels)
    assert not used["train"] & used["valid"] and not (used["train"] | used["valid"]) & used["test"]
    assert {(level - 100) // 40 for level in used["test"]} == {0}
    assert (
        made.fingerprint
        == Transcripts(path=str(tmp_path), test_names="*_0.wav", valid=0.25, strings=50, shortest=2, longest=4)
        .read()
        .fingerprint
    )


def test_tones_are_the_same_every_time_and_end_where_they_say():
    record = tone_speech(7, (2, 2), 0.3)
    assert record == tone_speech(7, (2, 2), 0.3) != tone_speech(8, (2, 2), 0.3)
    samples = np.frombuffer(decode_sound(record["sound"], "it")[0], np.int16).astype(float)
    for place, end in record["ends"]:
        assert record["text"][place] != " "
        before, behind = (samples[round(8000 * (end + shift)) :][:60].std() for shift in (-0.03, 0.0005))
        assert before > 5 * behind


def test_strings_have_the_lengths_that_are_asked_for():
    clips = [Clip(np.ones(80, np.int16), word) for word in ("a", "b")]
    found = joined_strings(clips, 40, (1, 3), 8000, 0.1, seed=0)
    assert {len(record["text"].split()) for record in found} == {1, 2, 3} and len(found) == 40


def test_bad_options_are_refused():
    with pytest.raises(ConfigError, match=r"data\.longest=1 is less than data\.shortest=3"):
        Transcripts(corpus="tones", shortest=3, longest=1)
    with pytest.raises(ConfigError, match="tone"):
        Transcripts(corpus="tone")
    with pytest.raises(ConfigError, match="no records are given"):
        Transcripts()
