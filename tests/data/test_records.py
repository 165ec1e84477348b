"""The [data] section of tasks with examples: every format, whole and broken, and which record is for what."""

import gzip
import io
import json
import tarfile
import wave

import pytest
import torch

from unspool.data.labelled import Labelled
from unspool.data.readers.sounds import read_sound
from unspool.data.records import Records
from unspool.data.sounds import Sounds, log_mel
from unspool.data.splits import Splits
from unspool.errors import ConfigError, DataError, UnspoolError
from unspool.schema import validated

ROWS = [{"text": "to be", "label": "good"}, {"text": 'or "not",\nto be', "label": "bad"}]
CSV = 'text,label\nto be,good\n"or ""not"",\nto be",bad\n'


def parquet(rows):
    import pyarrow
    from pyarrow import parquet as writer

    sink = io.BytesIO()
    writer.write_table(pyarrow.Table.from_pylist(rows), sink)
    return sink.getvalue()


FORMATS = {
    "a.csv": CSV.encode(),
    "a.tsv": CSV.replace("text,label", "text\tlabel").replace(",good", "\tgood").replace(",bad", "\tbad").encode(),
    "a.json": json.dumps(ROWS).encode(),
    "a.jsonl": "\n\n".join(json.dumps(row) for row in ROWS).encode(),
    "a.ndjson": "\n".join(json.dumps(row) for row in ROWS).encode(),
    "a.parquet": parquet(ROWS),
}


def write(folder, **files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(folder)


def texts(records):
    return sorted((record["text"], record["label"]) for record in records)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_records(name, packed, tmp_path):
    path = tmp_path / (name + ".gz" * packed)
    path.write_bytes(gzip.compress(FORMATS[name]) if packed else FORMATS[name])
    examples = Labelled(path=str(path), valid=0.0).read()
    assert texts(examples.train) == texts(ROWS)
    assert examples.files == (str(path),) and examples.valid == examples.test == []


BROKEN = {  # the file, what it holds, what the message says, what the hint says
    "an empty table": ("a.csv", "", "a.csv is empty", "at least one record"),
    "a table of names alone": ("a.csv", "text,label\n", "a.csv is empty", "at least one record"),
    "a field too many": (
        "a.csv",
        "text,label\na,b\n\nc,d,e\n",
        "line 4: 3 fields, and the first line names 2",
        "quotes",
    ),
    "a field too few after a long one": ("a.csv", 'text,label\n"a\nb",c\nd\n', "line 4: 1 fields", "quotes"),
    "a quote that never ends": ("a.csv", 'text,label\n"a,b\n', "line 2: unexpected end of data", "twice"),
    "a column twice": ("a.tsv", "text\ttext\na\tb\n", "line 1: the column 'text' is there twice", "rename"),
    "a column that is missing": ("a.csv", "txt,label\na,b\n", "line 2: there is no column 'text'", "data.text=txt"),
    "no label": ("a.csv", "text,label\na,b\nc, \n", "line 3: there is no label", "leave the record out"),
    "bad JSON": ("a.json", '[{"text": "a",\n "label": b}]', "a.json, line 2: this is not JSON", "double quotes"),
    "a bad line": (
        "a.jsonl",
        '{"text": "a", "label": "b"}\n{"text"\n',
        "a.jsonl, line 2: this is not",
        "double quotes",
    ),
    "no object": ("a.jsonl", "[1, 2]\n", "a.jsonl, line 1: a record should be an object", "write it as"),
    "no list": ("a.json", '{"text": "a"}', "a.json holds no list", "a .jsonl"),
    "a list of lists": ("a.json", "[[1]]", "a.json, record 1: a record should be an object", "write it as"),
    "a label that is null": ("a.jsonl", '{"text": "a", "label": null}', "a.jsonl, line 1: there is no label", "leave"),
    "no gzip": ("a.csv.gz", "text,label\n", "a.csv.gz is not a whole gzip file", "again"),
    "half a gzip": ("a.csv.gz", gzip.compress(CSV.encode())[:-9], "a.csv.gz is not a whole gzip file", "again"),
    "no parquet": ("a.parquet", "text", "a.parquet is not a whole parquet file", "again"),
    "binary": ("a.csv", b"\x00\x01\x02" * 9, "a.csv is not text: byte 0", "plain text"),
    "no ending": ("a.dat", CSV, "the ending of .* says nothing of its format", "data.format"),
    "a folder without any": ("notes.md", "none", "there is no .txt file in", "check the path"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_said_with_its_place(case, tmp_path):
    name, content, message, hint = BROKEN[case]
    write(tmp_path, **{name: content})
    with pytest.raises(DataError, match=message) as caught:
        Labelled(path=str(tmp_path if name == "notes.md" else tmp_path / name), valid=0.0).read()
    assert isinstance(caught.value, UnspoolError) and hint in caught.value.hint


def test_encodings(tmp_path):
    (tmp_path / "a.csv").write_bytes("text,label\ncafé,good\n".encode("cp1252"))
    path = str(tmp_path / "a.csv")
    found = Labelled(path=path, valid=0.0).read()
    assert found.train[0]["text"] == "café" and "Windows-1252" in found.notes[0]
    with pytest.raises(DataError, match=r"a.csv is not utf-8: byte 14"):
        Labelled(path=path, encoding="utf-8").read()
    (tmp_path / "a.csv").write_bytes("\ufefftext,label\r\na,b\r\n".encode())
    assert Labelled(path=path, valid=0.0).read().train == [{"text": "a", "label": "b"}]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no records are given"),
        ({"path": "a", "train_path": "b"}, "data.path and data.train_path are set"),
        ({"path": "-"}, "standard input"),
        ({"path": "a", "valid": 0.5, "test": 0.5}, "leave nothing to train on"),
        ({"path": "a", "format": "xls"}, "data.format"),
        ({"path": "a", "colum": "text"}, "colum"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        Records(**validated(Records, options, "data", "the data"))
    assert caught.value.hint


@pytest.mark.parametrize("name", ["a.csv", "a.tar.gz", "a/b*.csv"])
def test_a_file_that_is_not_there(name, tmp_path):
    with pytest.raises(DataError, match=r"there is no file|no file matches") as caught:
        Labelled(path=str(tmp_path / name)).read()
    assert "looked up from" in caught.value.hint


def numbered(number, first=0):
    return "".join(f'{{"text": "t{n}", "label": "l"}}\n' for n in range(first, first + number))


def test_shares_are_drawn_once_and_for_all_and_have_every_record_once(tmp_path):
    write(tmp_path, **{"a.jsonl": numbered(100)})
    options = {"path": str(tmp_path / "a.jsonl"), "valid": 0.1, "test": 0.2}
    one, other = Records(**options).read(), Records(**options).read()
    assert one == other and one.fingerprint == other.fingerprint
    assert [len(part) for part in (one.train, one.valid, one.test)] == [70, 10, 20]
    assert {r["text"] for part in (one.train, one.valid, one.test) for r in part} == {f"t{n}" for n in range(100)}
    assert [r["text"] for r in one.valid] != [f"t{n}" for n in range(70, 80)], "a sorted file is shuffled"
    few = Records(**options, limit=10).read()
    assert [len(part) for part in (few.train, few.valid, few.test)] == [7, 1, 2]
    with pytest.raises(DataError, match=r"too few records to split .1.: none would be left for train"):
        Records(**options | {"limit": 1, "test": 0.0}).read()


def test_a_file_of_its_own_goes_before_a_share(tmp_path):
    write(
        tmp_path,
        **{"train.jsonl": numbered(10), "dev.jsonl": numbered(3, 10), "test.jsonl.gz": gzip.compress(b'{"text": "t"}')},
    )
    found = Records(path=str(tmp_path)).read()
    assert [len(part) for part in (found.train, found.valid, found.test)] == [10, 3, 1]
    found = Records(train_path=str(tmp_path / "train.jsonl"), test_path=str(tmp_path / "dev.jsonl")).read()
    assert [len(part) for part in (found.train, found.valid, found.test)] == [9, 1, 3]
    found = Records(path=str(tmp_path / "*.jsonl"), valid=0.0).read()
    assert len(found.train) == 13
    (tmp_path / "train.jsonl").unlink()
    with pytest.raises(DataError, match=r"there is no train.csv or the like"):
        Records(path=str(tmp_path)).read()


def test_the_fingerprint_knows_the_parts_and_the_samples():
    one, other = {"text": "a"}, {"text": "b"}
    sound, noise = {"sound": b"\0\0"}, {"sound": b"\0\1"}
    found = [
        Splits([one, other]),
        Splits([one], [other]),
        Splits([other, one]),
        Splits([sound]),
        Splits([noise]),
    ]
    assert len({examples.fingerprint for examples in found}) == len(found)
    assert Splits([one], files=("a",), notes=("b",)).fingerprint == Splits([one]).fingerprint


def reviews(folder):
    for split in ("train", "test"):
        for label in ("pos", "neg"):
            write(folder, **{f"{split}/{label}/{n}.txt": f"{split} {label} {n}<br />\nit&#39;s" for n in range(4)})
    return write(folder, **{"README": "not a text", "train/urls.txt": "http://a\nhttp://b"})


def test_a_folder_of_texts_by_split_and_label(tmp_path):
    found = Labelled(path=reviews(tmp_path / "reviews"), valid=0.25).read()
    assert [len(part) for part in (found.train, found.valid, found.test)] == [6, 2, 8]
    assert all(r["text"].startswith("train") for r in found.train + found.valid)
    assert all(r["label"] == r["text"].split()[1] and r["text"].startswith("test") for r in found.test)
    assert all(r["text"].endswith("<br />\nit&#39;s") for r in found.train), "as it was written"
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "reviews", "some/where")
    same = Labelled(path=str(tmp_path / "a.tar.gz"), valid=0.25).read()
    assert same.fingerprint == found.fingerprint
    whole = (tmp_path / "a.tar.gz").read_bytes()
    for name, part in (("half.tar.gz", whole[: len(whole) // 2]), ("no.tar.gz", b"no archive")):
        (tmp_path / name).write_bytes(part)
        with pytest.raises(DataError, match=f"{name} is not a whole archive"):
            Labelled(path=str(tmp_path / name)).read()


def test_what_a_folder_parts_can_be_put_together(tmp_path):
    for part, texts in (("train", "abcdef"), ("test", "ghij")):
        (tmp_path / part / "pos").mkdir(parents=True)
        for text in texts:
            (tmp_path / part / "pos" / f"{text}.txt").write_text(text)
    apart = Labelled(path=str(tmp_path), valid=0.0).read()
    assert (len(apart.train), len(apart.test)) == (6, 4)
    mixed = Labelled(path=str(tmp_path), valid=0.2, test=0.3, together=True).read()
    sizes = [len(part) for part in (mixed.train, mixed.valid, mixed.test)]
    assert sizes == [5, 2, 3]
    found = sorted(record["text"] for part in (mixed.train, mixed.valid, mixed.test) for record in part)
    assert found == list("abcdefghij")


def test_a_folder_of_lists(tmp_path):
    write(tmp_path, **{"Arabic.txt": "Khoury\nNahas\n\n", "Irish.txt": "Adam\n  \nAhearn"})
    found = Labelled(path=str(tmp_path), valid=0.0).read()
    assert texts(found.train) == [("Adam", "Irish"), ("Ahearn", "Irish"), ("Khoury", "Arabic"), ("Nahas", "Arabic")]


def test_lines_of_label_and_text(tmp_path):
    write(tmp_path, **{"sst.train": "1 a stirring , funny film\n0 no movement\n\n2\ta tab  between\n"})
    found = Labelled(path=str(tmp_path / "sst.train"), format="label-text", valid=0.0).read()
    assert texts(found.train) == [("a stirring , funny film", "1"), ("a tab  between", "2"), ("no movement", "0")]


def test_what_is_empty_is_left_out_and_said(tmp_path):
    write(tmp_path, **{"a.csv": "n,text,label\n1,a,x\n2, ,x\n3,b,1.5\n"})
    found = Labelled(path=str(tmp_path / "a.csv"), valid=0.0).read()
    assert texts(found.train) == [("a", "x"), ("b", "1.5")]
    assert found.notes[0].endswith("a.csv: 3 rows, columns n, text, label, delimiter comma")
    assert "left out 1 of 3 records without a text" in found.notes[1] and "line 3" in found.notes[1]


def test_what_comes_again_is_taken_once(tmp_path):
    write(tmp_path, **{"Arabic.txt": "Khoury\nNahas\nKhoury", "Irish.txt": "Khoury"})
    assert len(Labelled(path=str(tmp_path), valid=0.0).read().train) == 4
    found = Labelled(path=str(tmp_path), valid=0.0, distinct=True).read()
    assert texts(found.train) == [("Khoury", "Arabic"), ("Khoury", "Irish"), ("Nahas", "Arabic")]
    assert "left out 1 of 4 records that come again" in found.notes[0]
    assert "Arabic.txt, line 3, as " in found.notes[0] and "Arabic.txt, line 1" in found.notes[0]


def wav(path, samples, rate=8000, channels=1, width=2):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as sound:
        sound.setparams((channels, width, rate, 0, "NONE", ""))
        sound.writeframes(samples)


def test_sounds(tmp_path):
    for name in ("7_george_0", "7_george_9", "3_lucas_0", "3_lucas_8"):
        wav(tmp_path / f"{name}.wav", bytes(800))
    wav(tmp_path / "3_lucas_7.wav", b"\x02\x00\x04\x00" * 100, channels=2)
    found = Sounds(path=str(tmp_path), test_names="*_0.wav", valid=0.34).read()
    assert sorted(r["name"] for r in found.test) == ["3_lucas_0.wav", "7_george_0.wav"]
    assert (len(found.train), len(found.valid)) == (1, 2)
    both = next(r for r in found.train + found.valid if r["name"] == "3_lucas_7.wav")
    assert read_sound(both["sound"]) == (b"\x03\x00" * 100, 8000) and both["label"] == "3"
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        for file in tmp_path.glob("*.wav"):
            archive.add(file, f"recordings/{file.name}")
    same = Sounds(path=str(tmp_path / "a.tar.gz"), test_names="*_0.wav", valid=0.34).read()
    assert same.fingerprint == found.fingerprint
    wav(tmp_path / "others/yes/a.wav", bytes(80))
    named = Sounds(path=str(tmp_path / "others"), label="folder", valid=0.0)
    with pytest.raises(DataError, match="there is no label in its folder"):
        named.read()  # a folder around all of them says nothing
    wav(tmp_path / "others/no/a.wav", bytes(80))
    assert sorted(r["label"] for r in named.read().train) == ["no", "yes"]


def test_sounds_that_cannot_be_read(tmp_path):
    wav(tmp_path / "ok/a_1.wav", bytes(80))
    whole = (tmp_path / "ok/a_1.wav").read_bytes()
    for name, content, message in (
        ("a.wav", b"RIFF", "a.wav is not a sound that can be read"),
        ("b.wav", whole[:-9], "b.wav ends too early"),
        ("c.wav", whole[:-80], "c.wav ends too early"),
        ("d.wav", b"no sound at all", "d.wav is not a sound that can be read"),
    ):
        with pytest.raises(DataError, match=message):
            Sounds(path=write(tmp_path / name[0], **{name: content})).read()


def test_a_sound_is_a_path_bytes_or_samples(tmp_path):
    samples = torch.tensor([0, 100, -200, 300], dtype=torch.int16)
    wav(tmp_path / "a.wav", samples.numpy().tobytes())
    for sound in (
        tmp_path / "a.wav",
        str(tmp_path / "a.wav"),
        (tmp_path / "a.wav").read_bytes(),
        samples.numpy(),
        samples.float().numpy() / 2**15,
        samples.tolist(),
    ):
        assert read_sound(sound, 8000) == (samples.numpy().tobytes(), 8000)
    for sound, sentence in (
        (tmp_path / "gone.wav", "there is no file .*gone.wav"),
        ("a\0b", "is not the name of a file"),
        (tmp_path, "is a folder"),
        (b"RIFF", "the sound is not a sound that can be read"),
        ([[0.0]], r"shape \(1, 1\) is not a sound"),
        ([], "is not a sound"),
        (["a"], "is not a sound"),
    ):
        with pytest.raises(DataError, match=sentence) as refused:
            read_sound(sound, 8000)
        assert refused.value.hint


def test_a_tone_is_loud_in_its_own_band():
    import torch

    rate = 8000
    time = torch.arange(rate) / rate
    loudest = []
    for hertz in (200, 1000, 3000):
        samples = (0.5 * 2**15 * torch.sin(2 * torch.pi * hertz * time)).to(torch.int16).numpy().tobytes()
        frames = log_mel(samples, rate, bands=20, window=0.032, hop=0.016)
        assert frames.shape == (61, 20) and bool(frames.isfinite().all())
        mel = 2595 * torch.tensor([1 + hertz / 700, 1 + rate / 2 / 700]).log10()
        middle = float(mel[0] / mel[1]) * 21 - 1  # twenty-two edges, of which the first is below all bands
        assert abs(int(frames.mean(dim=0).argmax()) - middle) < 1
        loudest.append(int(frames.mean(dim=0).argmax()))
    assert loudest == sorted(set(loudest))
    assert log_mel(bytes(20), rate).shape == (1, 40), "shorter than a frame"


def test_the_corpus_that_comes_with_python_marks_what_was_in_quotes():
    examples = Labelled(corpus="code-words", distinct=True).read()
    records = [*examples.train, *examples.valid]
    assert len(records) > 1000 and len({record["text"] for record in records}) == len(records)
    words = [pair for r in records for pair in zip(r["text"].split(), r["label"].split(), strict=True)]
    assert {label for _, label in words} == {"O", "B-code", "I-code"}
    assert {label for word, label in words if word == "for"} >= {"O", "B-code"}, "English here and code there"
    before = [("", "O"), *words]
    assert all(last != "O" for (_, last), (_, label) in zip(before, words, strict=False) if label == "I-code")
    with pytest.raises(ConfigError, match="unknown corpus of records"):
        Labelled(corpus="code-word")
    assert Labelled(path="mine.csv", corpus="code-words").corpus == "", "a file goes before a corpus"
