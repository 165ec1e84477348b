"""`unspool sample --prompt FILE`: pieces of one's own are gone on with, and files that cannot be are refused."""

import json
from fractions import Fraction

import pytest

from helpers.known import printed
from unspool.data.music.abc_reader import parse_tune
from unspool.data.music.chorales import as_score
from unspool.data.music.midi import midi, read_midi
from unspool.data.music.notes import Note, Score
from unspool.data.music.tune_grammar import tune
from unspool.experiment.experiment import Experiment
from unspool.recipe import load_recipe

SMALL = ["core.width=8", "train.steps=2", "train.minutes=0", "train.threads=1", "train.precision=float32"]
SMALL += ["evaluate.times=1", "sample.times=0", "task.documents=0", "data.number=20"]
CHORDS = [(67, 64, 60, 48), (69, 65, 60, 53), (), (67, 62, 59, 43)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pieces")
    for name in ("music", "chorales"):
        list(Experiment.new(load_recipe(name, SMALL), folder / name))
    text = tune(0, 3)
    (folder / "tune.abc").write_text(text)
    scale = [Note(Fraction(beat), Fraction(1), pitch) for beat, pitch in enumerate((62, 64, 66, 67, 69, 71, 73, 74))]
    (folder / "tune.mid").write_bytes(midi(Score(scale, title="scalé")))
    (folder / "tied.mid").write_bytes(midi(Score([*scale[:3], Note(Fraction(3), Fraction(2), 67)])))
    (folder / "choir.mid").write_bytes(midi(as_score(CHORDS)))
    (folder / "strange.abc").write_text("X:1\nT:Żółć\nM:4/4\nL:1/8\nK:C\nC{D}DEF GABc|\n")
    (folder / "two.mid").write_bytes(midi(as_score([(67, 60)])))
    (folder / "tune.xml").write_text("<score-partwise/>")
    return folder


def sampled(place, run, prompt, to, *options):
    return printed("sample", place / run, "--prompt", place / prompt, "--to", place / to, "--length", 30, *options)


@pytest.mark.parametrize("prompt", ["tune.abc", "tune.mid"])
def test_a_tune_is_gone_on_with(place, capsys, prompt):
    to = f"out-{prompt[-3:]}"
    assert sampled(place, "music", prompt, to, "--count", 2, "--seed", 1, "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["documents"] == 2 and f"goes on from {place / prompt}" in err and "prompt ends after" in err
    wanted, seconds = {
        "tune.abc": ((place / "tune.abc").read_text().rstrip("\n"), parse_tune(tune(0, 3)).score().seconds),
        "tune.mid": ("X:1\nT:scale\nM:4/4\nL:1/8\nK:D\nD2E2 F2G2|A2B2 c2d2|", 8 * 0.4),
    }[prompt]
    assert float(err.partition("ends after ")[2].split()[0]) == pytest.approx(seconds, abs=0.06)
    assert [path.read_text().startswith(wanted) for path in (place / to).glob("*.abc")] == [True, True]


def test_the_notes_of_the_prompt_come_first(place, capsys):
    assert sampled(place, "chorales", "choir.mid", "choir", "--seed", 2) == 0
    assert "goes on from" in capsys.readouterr().err
    (path,) = (place / "choir").glob("*.mid")
    notes = read_midi(path.read_bytes(), "x").notes
    wanted = read_midi((place / "choir.mid").read_bytes(), "y").notes
    begun = [(note.start, note.pitch) for note in notes if note.start < len(CHORDS)]
    assert begun == [(note.start, note.pitch) for note in wanted]


def test_text_can_be_streamed_behind_a_piece(place, capsys):
    assert printed("sample", place / "music", "--prompt", place / "tune.abc", "--length", 5, "--seed", 0) == 0
    out, err = capsys.readouterr()
    assert out.startswith("X:1\nT:The") and "prompt ends after" in err


@pytest.mark.parametrize(
    ("run", "prompt", "says"),
    [
        ("music", "gone.abc", "there is no file"),
        ("music", "strange.abc", "the model's tunes are written without '{'"),
        ("music", "tied.mid", "written without '-'"),
        ("music", "two.mid", "two notes sound at once at beat 0"),
        ("chorales", "gone.mid", "there is no file"),
        ("music", "tune.xml", "they are read from .abc, .mid and .midi"),
        ("chorales", "tune.xml", "they are read from .abc, .mid and .midi"),
    ],
)
def test_a_piece_that_cannot_be_gone_on_with_is_refused(place, capsys, run, prompt, says):
    assert sampled(place, run, prompt, "never") == 2
    out, err = capsys.readouterr()
    error, hint = err.splitlines()
    assert out == "" and says in error and hint.startswith("hint: ") and not (place / "never").exists()
