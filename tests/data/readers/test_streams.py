"""`unspool predict` reads the same records as training: every dialect, encoding and format, a row at a time."""
# ruff: noqa: RUF001 (Russian letters look like others)

import gzip
import io
import json
import sys
import tracemalloc

import pytest

from unspool.data.predictions import Failure
from unspool.data.readers import streams
from unspool.data.readers.streams import options_for, stream_rows
from unspool.data.readers.tables import TableFormat, read_table
from unspool.errors import ConfigError, DataError

GOOD, BAD = {"text": "a good film", "label": "pos"}, {"text": "bad", "label": "neg"}
TWO = [GOOD, BAD]
RUSSIAN = "Все счастливые семьи похожи друг на друга"
CONLL = """-DOCSTART- -X- O

a O
good B-kind
film O

bad B-kind
"""
LINE = "{}\t{}\t_\t{}\t_\t_\t0\t_\t_\t_\n"
CONLLU = "# sent_id = 1\n1-2\tIt's" + "\t_" * 8 + "\n" + LINE.format(1, "It", "PRON") + LINE.format(2, "'s", "AUX")
CASES = {  # name, text or bytes, options of [data], the records
    "comma": ("a.csv", "text,label\na good film,pos\nbad,neg\n", {}, TWO),
    "semicolon": ("a.csv", "text;label\na good film;pos\nbad;neg\n", {}, TWO),
    "semicolon in a tsv": ("a.tsv", "text;label\na good film;pos\nbad;neg\n", {}, TWO),
    "tab in a csv": ("a.csv", "text\tlabel\na good film\tpos\nbad\tneg\n", {}, TWO),
    "tab": ("a.tsv", "text\tlabel\na good film\tpos\nbad\tneg\n", {}, TWO),
    "pipe": ("a.csv", "text|label\na good film|pos\nbad|neg\n", {}, TWO),
    "sep=": ("a.csv", "sep=;\ntext;label\na good film;pos\nbad;neg\n", {}, TWO),
    "sep=,": ("a.csv", "sep=,\ntext,label\na good film,pos\nbad,neg\n", {}, TWO),
    "a line break in quotes": (
        "a.csv", 'text,label\n"a good\nfilm, ""so""",pos\nbad,neg\n', {},
        [{"text": 'a good\nfilm, "so"', "label": "pos"}, BAD],
    ),
    "trailing commas": ("a.csv", "text,label,,\na good film,pos,,\nbad,neg,,\n", {}, TWO),
    "trailing commas in rows": ("a.csv", "text,label\na good film,pos,\nbad,neg,,\n", {}, TWO),
    "byte order mark": ("a.csv", "\ufefftext;label\r\na good film;pos\r\nbad;neg\r\n", {}, TWO),
    "UTF-16": ("a.csv", "\ufefftext;label\na good film;pos\nbad;neg\n".encode("utf-16-le"), {}, TWO),
    "Windows-1252": (
        "a.csv", b"text,label\ncaf\xe9 \x93bon\x94 \x81,pos\nbad,neg\n", {},
        [{"text": "café “bon” \x81", "label": "pos"}, BAD],
    ),
    "Russian": (
        "a.csv", ("text,label\n" + f"{RUSSIAN},a\n" * 9).encode("koi8-r"), {}, [{"text": RUSSIAN, "label": "a"}] * 9
    ),
    "a given encoding": ("a.csv", "text,label\nnaïve,pos\n".encode("cp437"), {"encoding": "cp437"}, [
        {"text": "naïve", "label": "pos"}
    ]),
    "no header": ("a.csv", "a good film,pos\nbad,neg\n", {"columns": ("text", "label")}, TWO),
    "numbers alone": ("a.csv", "7\n8\n", {}, [{"1": "7"}, {"1": "8"}]),
    "a given delimiter": ("a.csv", "text:label\na good film:pos\nbad:neg\n", {"delimiter": ":"}, TWO),
    "quotes that are text": (
        "a.tsv", 'text\tlabel\n"I came\tpos\nand left"\tneg\n', {},
        [{"text": '"I came', "label": "pos"}, {"text": 'and left"', "label": "neg"}],
    ),
    "quotes in tabs": ("a.tsv", 'text\tlabel\n"a\tb"\tpos\nbad\tneg\n', {}, [{"text": "a\tb", "label": "pos"}, BAD]),
    "conll": ("a.conll", CONLL, {}, [
        {"text": "a good film", "label": "O B-kind O"}, {"text": "bad", "label": "B-kind"}
    ]),
    "conll with tabs": (
        "a.conll", "-DOCSTART-\t-X-\tO\n\nNew York\tNNP\tB-LOC\n.\t.\tO\n", {},
        [{"text": "New\xa0York .", "label": "B-LOC O"}],
    ),
    "conll in a txt": ("a.txt", CONLL, {"format": "conll"}, [
        {"text": "a good film", "label": "O B-kind O"}, {"text": "bad", "label": "B-kind"}
    ]),
    "conll with names": ("a.conll", "a DT O\nb NN X\n", {"columns": ("text", "pos", "label")}, [
        {"text": "a b", "pos": "DT NN", "label": "O X"}
    ]),
    "jsonl": ("a.jsonl", '{"text": "a good film", "label": "pos"}\n\n{"text": "bad", "label": "neg"}\n', {}, TWO),
    "json": ("a.json", json.dumps(TWO), {}, TWO),
}  # fmt: skip


def written(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("case", CASES)
def test_predict_reads_the_same_records_as_training(case, packed, tmp_path):
    name, content, given, wanted = CASES[case]
    content = content if isinstance(content, bytes) else content.encode()
    path = written(tmp_path, name + ".gz" * packed, gzip.compress(content) if packed else content)
    trained = [record for _, record in read_table(path, TableFormat(**given)).records]
    assert trained == wanted
    options = options_for(path, {"path": path, **given})
    assert list(stream_rows(path, "text", options, ["text"])) == trained


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_the_same_of_conllu_and_parquet(packed, tmp_path):
    content = gzip.compress(CONLLU.encode()) if packed else CONLLU
    path = written(tmp_path, "a.conllu" + ".gz" * packed, content)
    (row,) = stream_rows(path, "text")
    assert row == read_table(path).records[0][1]
    assert (row["text"], row["label"], row["upos"]) == ("It 's", "PRON AUX", "PRON AUX")
    import pyarrow
    from pyarrow import parquet

    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(TWO), buffer)
    path = written(
        tmp_path, "a.parquet" + ".gz" * packed, gzip.compress(buffer.getvalue()) if packed else buffer.getvalue()
    )
    assert list(stream_rows(path, "text")) == [record for _, record in read_table(path).records] == TWO


def test_the_dialect_of_a_long_table_is_told_by_its_beginning(tmp_path, monkeypatch):
    """Quotes around a tab behind the beginning, a row and a letter that the beginning ends in, and every chunk."""
    rows = [{"text": f'one\ttwo\tthree\nthé "{n}" end', "label": "pos"} for n in range(300)]
    fields = "".join(f'"one\ttwo\tthree\nthé ""{n}"" end"\tpos\n' for n in range(300))
    path = written(tmp_path, "a.tsv", "text\tlabel\n" + fields)
    for size in range(120, 220):
        monkeypatch.setattr(streams, "PEEKED", size)
        assert list(stream_rows(path, "text")) == [record for _, record in read_table(path).records] == rows, size
    path = written(tmp_path, "c.tsv", "text\tlabel\n" + "good\tpos\n" * 300 + '"bad\tneg\n' * 3)
    assert [row["text"] for row in stream_rows(path, "text")][-3:] == ['"bad'] * 3, "a quote swallows no rows"
    for size in range(12, 60):
        monkeypatch.setattr(streams, "PEEKED", size)
        path = written(tmp_path, "b.csv", "text;label\nthé end;pos\nthé end;neg\n")
        assert [row["label"] for row in stream_rows(path, "text")] == ["pos", "neg"], size


def test_what_is_not_in_the_encoding_of_the_beginning_ends_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "PEEKED", 40)
    path = written(tmp_path, "a.csv", b"text,label\n" + b"good,pos\n" * 9 + b"caf\xe9,neg\nend,neg\n")
    assert [row["text"] for row in stream_rows(path, "text")][-2:] == ["caf\ufffd", "end"]


BROKEN = {
    "fields": ("a.csv", "id;text\n1;a\n2;b;c\n3\n4;d\n", ["1", "2", "3", "4"], [2, 3],
        "line 3: 3 fields, and the first line names 2"),
    "quotes": ("a.csv", 'id,text\n1,a\n2,"b"c\n4,d\n', ["1", None, "4"], [2], "line 3: ',' expected after '\"'"),
    "open quotes": ("a.csv", 'id,text\n1,a\n2,"b\n4,d\n', ["1", None], [2], "line 3: unexpected end of data"),
    "json": ("a.jsonl", '{"id": "1"}\n{"id"\n[1]\n{"id": "4"}\n', ["1", None, None, "4"], [2, 3],
        "line 2: this is not JSON"),
    "json list": ("a.json", '[{"id": "1"}, 7, {"id": "4"}]', ["1", None, "4"], [2], "record 2: a record should be"),
    "conllu": ("a.conllu", LINE.format(1, "a", "X") + "\n1\tb\n\n" + LINE.format(1, "c", "X"), ["1", None, "1"], [2],
               "line 3: this line has not 10 columns"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_bad_row_is_a_failure_in_its_place_with_what_could_be_read(case, tmp_path):
    name, content, ids, bad, says = BROKEN[case]
    rows = list(stream_rows(written(tmp_path, name, content), "text"))
    found = [getattr(row, "row", {}) if isinstance(row, Failure) else row for row in rows]
    assert [row.get("id") for row in found] == ids
    failures = [number for number, row in enumerate(rows, start=1) if isinstance(row, Failure)]
    assert failures == bad and f"{name}, {says}" in rows[bad[0] - 1].error


def test_words_without_labels_are_sentences(tmp_path):
    path = written(tmp_path, "a.conll", "New\nYork\n\n-DOCSTART-\n\nParis\n")
    assert list(stream_rows(path, "words")) == [{"words": "New York"}, {"words": "Paris"}]
    options = options_for(path, {"path": "b.conll", "columns": ["words", "tags"]})
    assert list(stream_rows(path, "words", options)) == [{"words": "New York"}, {"words": "Paris"}]
    path = written(tmp_path, "b.conll", "New B\nYork\n\nParis B\n")
    assert list(stream_rows(path, "text")) == [{"text": "New York"}, {"text": "Paris", "label": "B"}]
    with pytest.raises(DataError, match="there is no label"):
        read_table(path)


def test_a_header_counts_though_training_had_none(tmp_path):
    data = {"path": "a.csv", "columns": "text, label"}
    path = written(tmp_path, "b.csv", "id,text\n1,good\n")
    assert list(stream_rows(path, "text", options_for(path, data), ["text"])) == [{"id": "1", "text": "good"}]
    path = written(tmp_path, "b.tsv", "text\ngood\n")
    assert options_for(path, data) == TableFormat() and options_for("-", data) == TableFormat()
    assert list(stream_rows(path, "text", options_for(path, data), ["text"])) == [{"text": "good"}]


def test_standard_input_may_be_a_table(monkeypatch):
    def rows(content, wanted=("text",)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
        return list(stream_rows("-", "text", wanted=wanted))

    assert rows("id;text\n1;to be\n2\n")[0] == {"id": "1", "text": "to be"}
    assert rows('{"text": "to be", "id": 1}\n{"text": "or"}\n') == [{"text": "to be", "id": 1}, {"text": "or"}]
    for lines in (["to be; or not", "a;b"], ["text", "to be"], ['{"other": 1}'], ['"', 'x"']):
        assert rows("\n".join(lines) + "\n") == [{"text": line} for line in lines]
    assert rows("") == []


def test_a_file_that_cannot_be_read_says_why(tmp_path):
    for name, content, says in (
        ("a.csv", "", "is empty"),
        ("a.jsonl", b"\0" * 99, "is not text"),
        ("a.csv", "a,a\n1,2\n", "the column 'a' is there twice"),
        ("a.parquet", b"PAR1", "is not a whole parquet file"),
        ("a.csv", "text\n", ""),
    ):
        path = written(tmp_path, name, content)
        if says:
            with pytest.raises(DataError, match=says):
                list(stream_rows(path, "text"))
        else:
            assert list(stream_rows(path, "text")) == []
    for name in ("none.csv", "none.json", "none.parquet", "none.csv.gz"):
        with pytest.raises(DataError, match="there is no file"):
            list(stream_rows(str(tmp_path / name), "text"))
    with pytest.raises(ConfigError, match="says nothing of its format"):
        list(stream_rows("a.pdf", "text"))
    with pytest.raises(DataError, match="there is no text encoding 'utf-9'"):
        list(stream_rows(written(tmp_path, "a.csv", "a\n"), "text", TableFormat(encoding="utf-9")))


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.conll", "a.txt"])
def test_memory_is_constant(name, tmp_path):
    line = {
        "a.csv": "a good film;pos\n",
        "a.jsonl": '{"text": "a good film"}\n',
        "a.conll": "film\tO\n\n",
        "a.txt": "x\n",
    }
    path = tmp_path / name
    path.write_text("text;label\n" * (name == "a.csv") + line[name] * 60_000)
    list(stream_rows(str(path), "text"))  # imports
    tracemalloc.start()
    assert sum(1 for _ in stream_rows(str(path), "text")) == 60_000
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 24e6, "not the beginning with its rows, but all rows"
