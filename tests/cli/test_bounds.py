"""Bounded work before trust: what would take all memory or all time is refused with one sentence, at once."""

import gzip
import resource
import struct
import subprocess
import sys
import time
import zlib

import pytest

from helpers.commands import TEXT, TINY
from unspool.data.music.abc_reader import parse_tune
from unspool.data.readers.images import pixels
from unspool.data.readers.tables import read_table
from unspool.errors import ConfigError, DataError
from unspool.nn.size import memory

BIG = 10**9
SECONDS = 2


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bounds")
    (folder / "good.txt").write_text(TEXT)
    return folder


def bounded(call):
    """The error of a call that has little time."""
    began = time.process_time()
    with pytest.raises((ConfigError, DataError)) as caught:
        call()
    assert time.process_time() - began < SECONDS
    assert len(str(caught.value)) < 500
    return str(caught.value)


WORDS = [  # what is set, a part of the error
    ("core.layers=1000000", "core.layers should be less than or equal to 1000"),
    ("core.width=100000000", "and this machine has"),
    ("core.width=999999999999", "and this machine has"),
    ("core.width=10000000", "e+14 weights, which take"),
    ("core.width=" + "9" * 5000, "thousands of digits"),
    ("core.width=" + "9" * 4000, "digits"),
    ("core.width=" + "[" * 3000, "nested too deeply"),
    ("core.width=" + "[" * 3000 + "]" * 3000, "nested too deeply"),
    ("core.width=" + "[" * 40 + "]" * 40, "nested too deeply"),
    ("core." + "a." * 3000 + "a=1", "cannot read the key"),
    ("core.width=" + "x" * 100_000, "core.width should be a valid integer"),
    ("core." + "x" * 100_000 + "=1", "unknown option"),
]


@pytest.mark.parametrize(("word", "message"), WORDS, ids=[word[:24] for word, _ in WORDS])
def test_a_recipe_beyond_the_machine_is_refused_before_anything_is_allocated(place, word, message):
    from unspool.experiment.experiment import Experiment
    from unspool.recipe import load_recipe

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert message in bounded(lambda: Experiment.new(load_recipe("char-lm", [*TINY, word]), place / "run"))
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < BIG
    assert not (place / "run").exists()


@pytest.mark.parametrize("cores", ["transformer", "blocks", "recurrent", "convolutional", "attention-rnn"])
def test_a_model_is_counted_whatever_its_core(cores):
    from unspool import build
    from unspool.batch import Tokens

    recipe = {"core": {"kind": cores, "width": 2**22}, "encoder": {"kind": "recurrent", "width": 8}}
    source = Tokens(9) if cores == "attention-rnn" else None
    message = bounded(lambda: build.model(recipe, Tokens(9), Tokens(9), source))
    assert "weights, which take" in message and "this machine has" in message


def test_a_model_that_fits_is_built_with_the_same_random_numbers():
    import torch

    from unspool import build
    from unspool.batch import Tokens

    recipe = {"core": {"kind": "recurrent", "width": 8}}
    torch.manual_seed(3)
    before = build._model(recipe, Tokens(5), Tokens(5), None)
    torch.manual_seed(3)
    after = build.model(recipe, Tokens(5), Tokens(5))
    assert all(torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True))


def test_training_takes_more_than_using(monkeypatch):
    from torch import nn

    from unspool.nn import size

    monkeypatch.setattr(size, "memory", lambda: 1000.0)
    size.refuse_too_large(lambda: nn.Linear(10, 10))
    with pytest.raises(ConfigError, match="4 numbers each"):
        size.refuse_too_large(lambda: nn.Linear(10, 10), copies=4)
    assert memory() > 1e8


OPTIONS = [
    ["sample", "run", "--count", "1" + "0" * 23],
    ["sample", "run", "--count", "1000000"],
    ["sample", "run", "--beam", "1000000000"],
    ["sample", "run", "--length", "1" + "0" * 18],
    ["predict", "run", "--batch-size", "1000000000"],
    ["predict", "run", "--paths", "1000000000"],
    ["verify", "char-lm", "--seeds", "1000000000"],
    ["verify-resume", "char-lm", "--kills", "1000000000"],
]


@pytest.mark.parametrize("words", OPTIONS, ids=" ".join)
def test_an_option_says_how_far_it_goes(words, capsys):
    from unspool import cli

    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert end.value.code == 2 and "should be less than or equal to" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--cell", "--core"])
def test_an_empty_name_is_not_every_name(option, capsys):
    from unspool import cli

    with pytest.raises(SystemExit) as end:
        cli.main(["selftest", option, ""])
    assert end.value.code == 2 and f"unknown {option[2:]} ''" in capsys.readouterr().err


def png(width, height):
    """A black picture of one bit a pixel, packed as well as it goes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes((width // 8 + 1) * height), 9)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_picture_that_unpacks_without_end_is_refused():
    assert "more than 32 million" in bounded(lambda: pixels(png(9420, 9420), "bomb.png", 8))
    assert len(pixels(png(160, 160), "good.png", 8)) == 8 * 8 * 3


def test_a_gzip_file_that_unpacks_without_end_is_refused(tmp_path):
    file = tmp_path / "bomb.csv.gz"
    file.write_bytes(gzip.compress(b"text,label\n" + b"a,b\n" * 25_000_000, 1))
    assert "unpacks to more than" in bounded(lambda: read_table(str(file)))
    file.write_bytes(gzip.compress(b"text,label\na,b\n"))
    assert read_table(str(file))[0][0][1] == {"text": "a", "label": "b"}


def test_a_header_of_a_million_columns_takes_no_time(tmp_path):
    names = ",".join(f"c{number}" for number in range(200_000))
    file = tmp_path / "wide.csv"
    file.write_text(f"{names},c7\n1\n")
    assert "the column 'c7' is there twice" in bounded(lambda: read_table(str(file)))


TUNES = [
    "|[1-99999999999 A",
    "A" + "9" * 5000,
    "A" + "/" * 100_000,
    "A/" + "9" * 5000,
    "(3:" + "9" * 5000 + " AAA",
    "Z" + "9" * 5000,
    "[AC]" + "9" * 5000,
]


@pytest.mark.parametrize("music", TUNES, ids=[music[:12] for music in TUNES])
def test_a_tune_of_endless_numbers_is_refused(music):
    assert "a number is too long" in bounded(lambda: parse_tune(f"X:1\nT:T\nM:4/4\nL:1/8\nK:C\nA2B2c2d2|{music}\n"))


@pytest.mark.parametrize("field", ["M:" + "9" * 5000 + "/4", "Q:1/4=" + "9" * 5000, "L:1/" + "9" * 5000])
def test_a_field_of_endless_numbers_is_refused(field):
    bounded(lambda: parse_tune(f"X:1\nT:T\n{field}\nK:C\nA2B2|\n"))


def test_a_hint_lists_so_many_names_and_no_more():
    from unspool.errors import unknown

    hint = unknown("column", "x" * 10_000, [f"column {number}" for number in range(200_000)]).hint
    assert "and 199,900 more" in hint and len(hint) < 3000


def test_counting_a_model_does_not_import_what_takes_a_second():
    """Filling a tensor on the device "meta" imports torch's compiler; every verb would wait for it."""
    code = (
        "import sys; from unspool import build, load_recipe, Tokens; "
        "build.model(load_recipe('char-lm'), Tokens(90), Tokens(90)); sys.exit('torch._inductor' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
