"""`unspool predict` and `Run.predict`: rows in are rows out, and a bad row never ends the stream."""

import csv
import gzip
import io
import json
import sys
from statistics import NormalDist

import pytest
import torch

from helpers.commands import run as command
from unspool import Run
from unspool.data.predictions import Failure
from unspool.data.preprocessors.preprocessor import Preprocessor, load_preprocessor, preprocessors, save_preprocessor
from unspool.data.readers.streams import stream_rows
from unspool.errors import ConfigError, DataError
from unspool.experiment.experiment import Experiment
from unspool.pipelines.pipeline import USUAL_LENGTH
from unspool.recipe import load_recipe
from unspool.runs.loading import load_tokenizers

ROWS = 200
WORDS = ["good", "fine", "bad", "poor", "film", "plot", "and", "the"]
TINY = ["core.width=8", "train.steps=3", "train.minutes=0", "train.epochs=0", "train.precision=float32"]
TINY += ["train.threads=1", "evaluate.times=1"]
TASKS = ["classify", "regress", "tag"]


def text_of(number):
    """A text of one to twelve words, whatever the number is."""
    random = torch.Generator().manual_seed(number)
    size = int(torch.randint(1, 13, (1,), generator=random))
    return " ".join(WORDS[id] for id in torch.randint(len(WORDS), (size,), generator=random).tolist())


def tags_of(text):
    return " ".join("B-kind" if word in WORDS[:4] else "O" for word in text.split())


def write_csv(path, rows, delimiter=","):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def read_csv(path, delimiter=","):
    with path.open(newline="") as file:
        reader = csv.DictReader(file, delimiter=delimiter)
        return reader.fieldnames, list(reader)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run for each task, one that predicts a distribution, one that reads few tokens, and a language model."""
    folder = tmp_path_factory.mktemp("predict")
    texts = [text_of(number) for number in range(60)]
    labels = {
        "classify": ["pos" if "good" in text else "neg" for text in texts],
        "regress": [10 * len(text.split()) for text in texts],
        "tag": [tags_of(text) for text in texts],
    }
    for name in TASKS:
        rows = [{"text": text, "label": label} for text, label in zip(texts, labels[name], strict=True)]
        write_csv(folder / f"{name}.csv", rows)
    (folder / "text.txt").write_text("\n".join(texts) * 20)

    def train(name, recipe, *options):
        list(Experiment.new(load_recipe(recipe, [*TINY, *options]), folder / name))

    for name in TASKS:
        few = ["tokenizer.min_count=1"] if name == "tag" else []
        train(name, name, f"data.path={folder}/{name}.csv", *few)
    train("spread", "regress", f"data.path={folder}/regress.csv", "model.components=1")
    short = 'core={kind="transformer",width=8,heads=2,layers=1,context=16,positions="learned",causal=false}'
    train("short", "classify", f"data.path={folder}/classify.csv", short, "core.width=8", 'tokenizer={kind="word"}')
    train("language", "char-lm", f"data.path={folder}/text.txt")
    return folder


@pytest.fixture
def printed(capsys):
    """What a command says: its exit code, stdout and stderr."""

    def tell(*words):
        capsys.readouterr()
        code = command(*words)
        return code, *capsys.readouterr()

    return tell


@pytest.fixture
def table(tmp_path):
    """200 rows with columns of their own, a comma and a line break in one of them."""
    rows = [
        {"id": f"{n:03}", "text": text_of(1000 + n), "note": 'a "quote", and\na line' if n == 7 else f"note {n}"}
        for n in range(ROWS)
    ]
    return write_csv(tmp_path / "in.csv", rows), rows


OUTPUTS = {"classify": ["label", "score"], "regress": ["value"], "tag": ["tags", "spans"]}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("size", [1, 7, 64])
def test_rows_in_are_rows_out_in_order_behind_their_own_columns(task, size, trained, table, printed, tmp_path):
    path, rows = table
    out = tmp_path / "out.csv"
    code, stdout, err = printed("predict", trained / task, "--file", path, "--out", out, "--batch-size", size)
    assert code == 0 and stdout == "" and f"{ROWS} rows in" in err and "error" not in err
    names, found = read_csv(out)
    assert names == ["id", "text", "note", *OUTPUTS[task], "error"]
    assert [{name: row[name] for name in rows[0]} for row in found] == rows
    assert all(row[name] and not row["error"] for row in found for name in OUTPUTS[task])
    single = [Run.load(trained / task).predict(row["text"]).columns()[0] for row in rows[:20]]
    for row, alone in zip(found, single, strict=False):
        for name in ("label", "tags"):
            assert row.get(name) == alone.get(name)
        for name in {"score", "value"} & {*alone}:
            assert float(row[name]) == pytest.approx(alone[name], abs=1e-6, rel=1e-6)


@pytest.mark.parametrize("task", TASKS)
def test_one_input_is_a_batch_at_any_batch_size(task, trained):
    run, texts = Run.load(trained / task), [text_of(number) for number in range(90)]

    def numbers(predictions):
        printed = [prediction.as_dict() for prediction in predictions]
        if task == "classify":
            return [list(one["scores"].values()) for one in printed]
        return [[one["value"]] if task == "regress" else one["scores"] for one in printed]

    alone = numbers(run.predict(text) for text in texts)
    for size in (1, 2, 3, 32, 500):
        for one, other in zip(alone, numbers(run.predict(texts, batch_size=size)), strict=True):
            assert other == pytest.approx(one, abs=1e-6, rel=1e-6)


def test_outputs_get_a_prefix_where_the_header_has_one_of_their_names(trained, printed, tmp_path):
    rows = [{"text": text_of(n), "score": str(n), "label": "mine"} for n in range(9)]
    out = tmp_path / "out.csv"
    assert printed("predict", trained / "classify", "--file", write_csv(tmp_path / "a.csv", rows), "--out", out)[0] == 0
    names, found = read_csv(out)
    assert names == ["text", "score", "label", "predicted_label", "predicted_score", "error"]
    assert [{name: row[name] for name in rows[0]} for row in found] == rows


def test_a_bad_row_is_an_error_row_and_never_ends_the_stream(trained, printed, tmp_path):
    lines = [
        "id,text", "0,a good film", "1,", "2,   ", "3,one,too many", "4", "5,bad", "", f"7,{'good ' * 3000}", "8,xyzzy",
        '9,"a ""quote"""',
    ]  # fmt: skip
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    out = tmp_path / "out.csv"
    code, _, err = printed("predict", trained / "classify", "--file", tmp_path / "a.csv", "--out", out)
    _, found = read_csv(out)
    assert code == 0 and "4 of 9 rows have an error" in err
    assert [row["id"] for row in found] == ["0", "1", "2", "3", "4", "5", "7", "8", "9"]
    assert [bool(row["error"]) for row in found] == [False, True, True, True, True, False, False, False, False]
    assert all(bool(row["label"]) != bool(row["error"]) for row in found)
    assert "'text' is empty" in found[1]["error"]
    assert "a.csv, line 5: 3 fields, and the first line names 2 columns" in found[3]["error"]
    assert "line 6: 1 fields" in found[4]["error"] and found[4]["text"] == ""


def test_a_text_that_is_too_long_for_the_model_is_an_error_row(trained, printed):
    run = Run.load(trained / "short")
    texts = ["good film", "good " * 16, "good " * 17, "bad"]
    found = list(run.predict(texts))
    assert [isinstance(one, Failure) for one in found] == [False, False, True, False]
    assert "17 tokens" in found[2].error and "16" in found[2].error
    with pytest.raises(DataError, match="17 tokens"):
        run.predict(texts[2])
    code, out, err = printed("predict", trained / "short", *texts)
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and ["error" in row for row in rows] == [False, False, True, False] and "1 of 4 rows" in err


def test_seventeen_of_two_thousand_rows_have_an_error(trained, printed, tmp_path):
    """Empty, blank, with a field too few or too many, and longer than the model reads: each in its place."""
    bad = (
        dict.fromkeys([5, 100, 1999], "") | dict.fromkeys([6, 700], "   ") | dict.fromkeys([9, 104, 1300], "good " * 17)
    )
    short, long = [7, 102, 1201, 1400], [8, 103, 1500, 1501, 1998]
    lines = ["id,review,stars"]
    for number in range(2000):
        fields = [str(number), bad.get(number, text_of(number)), "3"]
        lines.append(",".join(fields[:2] if number in short else [*fields, "more"] if number in long else fields))
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    out = tmp_path / "out.csv"
    command = ["--file", tmp_path / "a.csv", "--column", "text=review", "--out", out]
    code, _, err = printed("predict", trained / "short", *command)
    assert code == 0 and "17 of 2,000 rows have an error" in err
    names, found = read_csv(out)
    assert names == ["id", "review", "stars", "label", "score", "error"]
    wrong = {*bad, *short, *long}
    for number, row in enumerate(found):
        assert row["id"] == str(number) and row["review"] == bad.get(number, text_of(number))
        assert bool(row["error"]) == (number in wrong) != bool(row["label"])
    assert len(found) == 2000 and found[9]["error"].startswith("it has 17 tokens") and "line 9" in found[7]["error"]


def test_a_long_row_does_not_pad_a_whole_batch(trained, monkeypatch):
    """Rows of very different lengths: the same predictions, and no more padding than memory has room for."""
    pipeline, sizes = Run.load(trained / "tag").pipeline(), []
    forward = pipeline.forward
    monkeypatch.setattr(pipeline, "forward", lambda batch: sizes.append(batch.inputs.shape) or forward(batch))
    texts = [text_of(number) for number in range(30)]
    texts[3:3], texts[20:20] = ["good " * 3000], ["bad film " * 2000]
    found = list(pipeline.predict([{"text": text} for text in texts], batch_size=4))
    assert [one.tokens for one in found] == [text.split() for text in texts]
    assert max(rows for rows, _ in sizes) == 4
    assert all(rows * length <= 4 * USUAL_LENGTH or rows == 1 for rows, length in sizes)
    assert sorted(length for _, length in sizes)[-2:] == [3000, 4000]


def test_parquet_without_pyarrow_says_what_to_install(trained, printed, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    code, _, err = printed("predict", trained / "classify", "--file", tmp_path / "a.parquet")
    assert code == 2 and "needs pyarrow" in err and "hint: pip install pyarrow\n" in err


def test_a_damaged_parquet_file_is_used_as_far_as_it_can_be_read(trained, printed, tmp_path):
    import pyarrow
    from pyarrow import parquet

    path = tmp_path / "a.parquet"
    table = pyarrow.table({"text": [text_of(n) for n in range(300)]})
    parquet.write_table(table, path, row_group_size=100, compression="none", use_dictionary=False)
    place = parquet.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data = bytearray(path.read_bytes())
    data[place : place + 20] = b"\xff" * 20
    path.write_bytes(bytes(data))
    code, out, err = printed("predict", trained / "classify", "--file", path)
    rows = [json.loads(line) for line in out.splitlines()]
    assert (
        code == 0 and ["error" in row for row in rows] == [False] * 100 + [True] and "cannot be read any further" in err
    )
    path.write_bytes(b"PAR1 and nothing more")
    code, _, err = printed("predict", trained / "classify", "--file", path)
    assert code == 2 and "is not a parquet file" in err


def test_where_nothing_could_be_read_the_exit_code_says_so(trained, printed, tmp_path):
    (tmp_path / "bad.csv").write_text("text\n \n \n")
    code, _, err = printed("predict", trained / "classify", "--file", tmp_path / "bad.csv", "--out", tmp_path / "o.csv")
    assert code == 2 and "nothing could be predicted" in err
    assert [row["error"] != "" for row in read_csv(tmp_path / "o.csv")[1]] == [True, True]
    (tmp_path / "no.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "head.csv").write_text("text\n")
    (tmp_path / "x.pdf").write_text("text\n")
    for name, says, hint in (
        ("no.csv", "has no column 'text': it has a, b", "--column text=COLUMN"),
        ("empty.csv", "is empty", "at least one row"),
        ("head.csv", "there are no rows", "correct"),
        ("none.csv", "there is no file", "check its name"),
        ("x.pdf", "says nothing of its format", ".csv"),
    ):
        code, out, err = printed("predict", trained / "classify", "--file", tmp_path / name)
        assert code == 2 and out == "" and says in err and hint in err, name
        assert "Traceback" not in err


def test_a_file_that_ends_too_early_is_used_as_far_as_it_can_be_read(trained, printed, tmp_path):
    packed = gzip.compress("".join(["text\n", *(f"{text_of(n)}\n" for n in range(5000))]).encode())
    (tmp_path / "half.csv.gz").write_bytes(packed[: len(packed) // 2])
    code, out, err = printed("predict", trained / "classify", "--file", tmp_path / "half.csv.gz")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and len(rows) > 1000 and ["error" in row for row in rows] == [False] * (len(rows) - 1) + [True]
    assert "cannot be read any further" in err
    (tmp_path / "no.csv.gz").write_bytes(b"not packed")
    code, _, err = printed("predict", trained / "classify", "--file", tmp_path / "no.csv.gz")
    assert code == 2 and "cannot be read any further: not a gzipped file" in err and "Traceback" not in err


CONTENT = {
    "a.csv": "n,text\n1,a good film\n2,bad\n",
    "a.tsv": "n\ttext\n1\ta good film\n2\tbad\n",
    "a.jsonl": '{"n": 1, "text": "a good film"}\n\n{"n": 2, "text": "bad"}\n',
    "a.txt": "a good film\nbad\n",
    "a.conll": "a O\ngood B-kind\nfilm O\n\nbad B-kind\n",
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("name", [*CONTENT, "a.parquet"])
@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_every_format_in_gives_the_same_in_every_format_out(name, packed, ending, trained, printed, tmp_path):
    if name == "a.parquet":
        import pyarrow
        from pyarrow import parquet

        if packed:
            pytest.skip("parquet files are packed inside")
        rows = [{"n": 1, "text": "a good film"}, {"n": 2, "text": "bad"}]
        parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / name)
    else:
        content = CONTENT[name].encode()
        (tmp_path / (name + ".gz" * packed)).write_bytes(gzip.compress(content) if packed else content)
    out = tmp_path / f"out.{ending}"
    assert printed("predict", trained / "classify", "--file", tmp_path / (name + ".gz" * packed), "--out", out)[0] == 0
    taken = "predicted_" if name == "a.conll" else ""  # it has labels of its own
    if ending == "jsonl":
        found = [json.loads(line) for line in out.read_text().splitlines()]
        assert all(sum(row[taken + "scores"].values()) == pytest.approx(1) for row in found)
    else:
        found = read_csv(out, "\t" if ending == "tsv" else ",")[1]
    assert [row["text"] for row in found] == ["a good film", "bad"]
    for row, text in zip(found, ["a good film", "bad"], strict=True):
        alone = Run.load(trained / "classify").predict(text)
        assert row[taken + "label"] == alone.label and float(row[taken + "score"]) == pytest.approx(
            alone.score, abs=1e-6
        )


def test_standard_input_is_a_line_each(trained, printed, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("a good film\n\nbad\n"))
    code, out, err = printed("predict", trained / "classify")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [row["text"] for row in rows] == ["a good film", "", "bad"] and "1 of 3 rows" in err
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    code, out, err = printed("predict", trained / "classify")
    assert code == 2 and out == "" and "no input is given" in err and "--file TABLE.csv" in err
    assert ["error" in row for row in rows] == [False, True, False]


def test_columns_are_named_and_labels_are_cut(trained, printed, tmp_path):
    path = write_csv(tmp_path / "a.csv", [{"review": "a good film", "text": ""}, {"review": "bad", "text": ""}])
    code, out, _ = printed("predict", trained / "classify", "--file", path, "--column", "text=review", "--top", 1)
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and all(row["scores"] == {row["label"]: row["score"]} for row in rows)
    code, out, _ = printed("predict", trained / "classify", "good", "bad", "--json")
    assert code == 0 and [row["text"] for row in json.loads(out)] == ["good", "bad"]
    for column in ("text", "txt=review"):
        code, out, err = printed("predict", trained / "classify", "--file", path, "--column", column)
        assert code == 2 and out == "" and "the fields are text" in err


def test_nothing_is_overwritten(trained, printed, tmp_path):
    out = tmp_path / "out.csv"
    out.write_text("years of work")
    code, _, err = printed("predict", trained / "classify", "good", "--out", out)
    assert code == 2 and "is there already" in err and out.read_text() == "years of work"
    code, _, err = printed("predict", trained / "classify", "good", "--out", tmp_path / "out.txt")
    assert code == 2 and "says nothing of its format" in err
    code, _, err = printed("predict", trained / "classify", "good", "--out", tmp_path / "no/out.csv")
    assert code == 2 and "cannot write" in err
    code, _, err = printed("predict", trained / "classify", "good", "--file", tmp_path / "a.csv")
    assert code == 2 and "both given" in err


def test_a_language_model_is_refused(trained, printed):
    code, out, err = printed("predict", trained / "language", "good")
    assert code == 2 and out == "" and "unspool sample" in err
    with pytest.raises(ConfigError) as refused:
        Run.load(trained / "language").predict("good")
    assert "unspool sample" in refused.value.hint


def test_a_span_has_the_offsets_of_its_characters(trained):
    run = Run.load(trained / "tag")
    labels = run.preprocessor.target_labels(range(run.preprocessor.targets.size))
    tokenizer, text = run.preprocessor.tokenizer, "the  good bad\tfilm and   fine"
    wanted = ["O", "B-kind", "B-kind", "O", "O", "B-kind"]
    logits = torch.nn.functional.one_hot(torch.tensor([labels.index(tag) for tag in wanted]), len(labels)) * 9.0
    found = run.preprocessor.decode(logits, {"text": text})
    assert found.tags == wanted and found.tokens == text.split()
    assert [(span.label, span.text) for span in found.spans] == [("kind", "good"), ("kind", "bad"), ("kind", "fine")]
    assert all(text[span.start : span.end] == span.text and span.score > 0.9 for span in found.spans)
    assert len(tokenizer.encode(text)) == len(wanted)
    printed = run.predict(text)
    assert printed.tokens == text.split() and len(printed.tags) == len(printed.scores) == 6


def test_a_regression_tells_an_interval_where_it_predicts_a_distribution(trained, printed, tmp_path):
    value = Run.load(trained / "spread").predict("a good film")
    assert value.low < value.value < value.high
    plain = Run.load(trained / "regress").predict("a good film")
    assert plain.low is None and plain.high is None and plain.as_dict() == {"value": plain.value}
    assert plain.columns() == [{"value": plain.value}]
    path = write_csv(tmp_path / "a.csv", [{"text": "good"}, {"text": "a bad film"}])
    assert printed("predict", trained / "spread", "--file", path, "--out", tmp_path / "out.csv")[0] == 0
    names, rows = read_csv(tmp_path / "out.csv")
    assert names == ["text", "value", "low", "high", "error"]
    assert all(float(row["low"]) < float(row["value"]) < float(row["high"]) for row in rows)


def test_the_interval_holds_nine_of_ten_of_what_is_predicted(trained):
    """A mixture of one Gaussian: the ends are its quantiles, in the unit of the data."""
    run = Run.load(trained / "spread")
    row = run.preprocessor.encode({"text": "a good film"})
    density = run.pipeline().engine.density(run.preprocessor.collate([row]))
    assert density.means.shape == (1, 1, 1)
    ends = [NormalDist(float(density.means[0, 0]), float(density.scales[0, 0])).inv_cdf(p) for p in (0.05, 0.95)]
    found, fitted = run.predict("a good film"), run.preprocessor.fitted()
    wanted = [end * fitted["scale"] + fitted["mean"] for end in ends]
    assert [found.low, found.high] == pytest.approx(wanted, rel=1e-3)


def test_the_stream_is_lazy(trained):
    """No more is read than the batches that are sorted together."""
    run, read = Run.load(trained / "classify"), 0

    def texts():
        nonlocal read
        for number in range(100_000):
            read += 1
            yield text_of(number % 50)

    predictions = run.predict(texts(), batch_size=2)
    assert read == 0
    next(predictions)
    assert read <= 64
    for _ in range(63):
        next(predictions)
    assert read <= 64
    next(predictions)
    assert read <= 128


def test_a_file_is_read_as_it_is_needed(tmp_path):
    with (tmp_path / "a.jsonl").open("w") as file:
        file.write('{"text": "good"}\n' * 100_000 + "not JSON\n")
    rows = stream_rows(str(tmp_path / "a.jsonl"), "text")
    assert next(rows) == {"text": "good"}
    rows.close()


def test_a_mapping_may_use_the_column_of_training(trained):
    run = Run.load(trained / "classify")
    alone = run.predict("a good film")
    named = Run(run.model, run.preprocessor, {**run.recipe, "data": {**run.recipe["data"], "text": "review"}})
    assert named.predict({"review": "a good film"}) == named.predict({"text": "a good film"}) == alone
    assert named.predict({"text": "a good film", "review": "bad"}) == alone, "a field is meant before a column"
    with pytest.raises(DataError, match="'text'"):
        run.predict({"review": "a good film"})


def test_a_table_on_standard_input_keeps_its_columns(trained, printed, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("id;text\n1;a good film\n2\n"))
    code, out, err = printed("predict", trained / "classify")
    good, bad = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and "1 of 2 rows" in err and (good["id"], bad["id"]) == ("1", "2")
    assert good["label"] == Run.load(trained / "classify").predict("a good film").label
    assert "standard input, line 3: 1 fields" in bad["error"]


def test_a_table_without_a_header_is_read_as_in_training(trained, printed, tmp_path):
    """The options of [data] hold for a file with the same ending."""
    (tmp_path / "a.csv").write_text("a good film:pos\nbad:neg\n" * 20)
    options = [f"data.path={tmp_path}/a.csv", "data.columns=text,label", "data.delimiter=:"]
    list(Experiment.new(load_recipe("classify", [*TINY, *options]), tmp_path / "run"))
    code, out, _ = printed("predict", tmp_path / "run", "--file", tmp_path / "a.csv")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and len(rows) == 40 and rows[0]["text"] == "a good film" and rows[1]["label"] == "neg"
    assert {row["predicted_label"] for row in rows} <= {"pos", "neg"}


def test_predict_takes_a_string_a_mapping_and_an_iterable(trained):
    run = Run.load(trained / "classify")
    alone = run.predict("a good film")
    assert run.predict({"text": "a good film"}) == alone
    two = list(run.predict(["a good film", {"text": "a good film"}]))
    assert [one.label for one in two] == [alone.label] * 2
    assert all(one.scores == pytest.approx(alone.scores, abs=1e-6) for one in two)
    assert list(run.predict(text for text in ("a good film",))) == [alone]
    assert list(run.predict([])) == []
    errors = list(run.predict(["", {}, {"text": None}, {"other": "a"}]))
    assert all(isinstance(error, Failure) and "'text'" in error.error for error in errors)
    with pytest.raises(DataError, match="'text' is empty"):
        run.predict("")
    assert list(alone.scores) == ["neg", "pos"], "in the order of the labels"
    assert alone.score == max(alone.scores.values()) == alone.scores[alone.label]


@pytest.mark.parametrize("task", [*TASKS, "language"])
def test_a_preprocessor_that_was_saved_encodes_the_same(task, trained):
    run, folder = Run.load(trained / task), trained / task
    again = load_preprocessor((folder / "preprocessor.json").read_text(), load_tokenizers(folder))
    record = "a good film" if task == "language" else {"text": "a good film"}
    assert torch.equal(again.encode(record).input, run.preprocessor.encode(record).input)
    assert save_preprocessor(again) == save_preprocessor(run.preprocessor) == (folder / "preprocessor.json").read_text()
    assert again.options() == run.preprocessor.options() and again.fitted() == run.preprocessor.fitted()


@pytest.mark.parametrize("kind", preprocessors.kinds())
def test_what_a_preprocessor_takes_back_has_types(kind):
    cls = preprocessors.find(kind)
    assert bool(cls.learned) is (cls.restore is not Preprocessor.restore)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("not JSON", "not valid JSON"),
        ("{}", "kind: Field required"),
        ('{"kind": "none", "options": {}, "fitted": {}}', "'none'"),
        ('{"kind": "labelled-text", "options": {"max_length": "x"}, "fitted": {}}', "there is no"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_a_damaged_preprocessor_is_refused(text, says):
    with pytest.raises(DataError, match=says):
        load_preprocessor(text, {})
