"""Small trainings give the figures, texts and logits that they gave before the redesign of November 2026.

`goldens.json` holds what commit 588e106 gave, with the result keys of then. To be kept in step with the working tree:
KEYS (renamed result keys), QUICK and CASES (renamed settings), and the functions in ASK (what moves from one verb to
another). `python tests/test_goldens.py FILE` measures everything and writes it to FILE.
`python tests/test_goldens.py --renew CASE...` measures what follows from noise ("drawn") alone, and puts it in
goldens.json: once, where the noise is to change. Renewed since: the forecasts, as the average of weights no longer
begins with random ones, the bits of word-lm, whose first word no longer counts among the characters, and execute,
whose numbers are drawn as the paper draws them.
"""

import json
import platform
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from hashlib import sha256
from io import StringIO
from math import isclose
from pathlib import Path
from re import fullmatch
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch

from helpers.golden_data import noises, table, tagged, text, two_languages

GOLDENS = Path(__file__).with_name("goldens.json")

KEYS = {
    r"train_(loss|seconds)": r"train/\1",
    r"(train|valid|test)_carried_(.*)": r"\1/contiguous/\2",
    r"(train|valid|test)_(windowed|masked|all|fresh)_(.*)": r"\1/\2/\3",
    r"(train|valid|test)_(tunes|chorales)_(.*)": r"\1/teacher_forced/\3",
    r"(train|valid|test)_ahead_(.*)": r"\1/one_step/\2",
    r"(train|valid|test)_rolled_(sine|trend|ar2|walk|growing)_(.*)": r"\1/free_running:\2/\3",
    r"(train|valid|test)_rolled_(.*)": r"\1/free_running/\2",
    r"(train|valid|test)_taught_(.*)": r"\1/teacher_forced/\2",
    r"(train|valid|test)_written_bleu_to_12": r"\1/generated:9_to_12_words/bleu",
    r"(train|valid|test)_written_(bleu.*|chrf|sacrebleu|diagonal|cider)": r"\1/generated/\2",
    r"(train|valid|test)_written_(seen|unseen)_(.*)": r"\1/generated:\2/\3",
    r"(train|valid|test)_executed_(.*)": r"\1/generated:\2/exact_match",
    r"(train|valid|test)_written_pieces": r"\1/generated/documents",
    r"(train|valid|test)_written_(parses|full_bars|keeps_metre|well_formed)": r"\1/generated/\2",
}
"""How old result keys are called now: the first pattern that matches a whole key says it; others are what they were."""

QUICK = [
    "train.minutes=0",
    "train.epochs=0",
    "train.precision=float32",
    "train.threads=1",
    "train.device=cpu",
    "evaluate.times=1",
    "sample.times=0",
]  # fmt: skip
"""Settings of every case, behind which its own come."""

RELATIVE, ABSOLUTE = 1e-5, 1e-7
"""How far a figure may be off: float32 on another processor, after few steps."""
LOOSER = {"captions": 2e-4, "translate-attention": 2e-4, "char-lm gla": 1e-4, "tunes": 5e-5}
"""Cases that were off by more without AVX-512 (2e-5, 3e-5, 1e-5, 3e-6), with some room: their steps amplify it."""


# ---- the cases
@dataclass(frozen=True)
class Case:
    """One small training, and what is looked at afterwards."""

    recipe: str
    settings: str = ""  # key=value, with blanks between; behind QUICK
    data: Callable[[Path], Path] | None = None  # what makes the data, where it is not the recipe's own
    splits: tuple[str, ...] = ()  # on which `unspool eval` is asked, besides the results of validation
    asks: Mapping[str, str] | None = None  # what the trained model is asked, by a name that ASK begins
    logits: bool = False  # whether the logits of some tokens are looked at
    drawn: tuple[str, ...] = ()  # old result keys that begin so follow from noise
    python: bool = False  # whether the data is Python's own, another one in another version


LETTERS = "data.valid=0.1 data.test=0.1 task.batch_size=4"
BLOCKS = "task.length=16 task.window=16 core.layers=1 core.width=16 train.steps=4"
ROWS = "data.valid=0.2 data.test=0.2 task.batch_size=8 core.width=16 core.input_width=8"
PAIRS = "task.batch_size=8 task.max_new_tokens=12 tokenizer.min_count=1 source_tokenizer.min_count=1"
SERIES = "task.batch_size=8 preprocessor.context=24 task.horizon=12 core.width=8 core.layers=1 train.steps=5"
MUSIC = "task.batch_size=8 task.documents=1 core.width=16 core.input_width=8"
TOY = "task.batch_size=16 task.epoch=4"
PIECE = {"piece": "--count 1 --temperature 0 --length 80"}
WRITES = {
    "text, greedy": "--prompt The --temperature 0 --length 40",
    "text, beams": "--prompt The --beam 3 --count 3 --length 16",
    "text, beams of nothing": "--beam 2 --count 2 --length 8",
}
SUGGESTS = {"words": "The=c --count 3", "words, anew": "The=dog= --count 3", "keystrokes": "--measure 20 --split test"}
ANSWERS = {
    "answer, greedy": "Heute=hat=die=Katze=den=Mond=,=die=Katze=sieht.",
    "answer, beams": "Heute=hat=ein=Kind=nichts=,=ein=Kind=findet. --beam 3",
}

# fmt: off
CASES = {
    "char-lm": Case("char-lm", f"""{LETTERS} task.length=32 core.width=32 core.input_width=16
        train.steps=80 train.learning_rate=0.03""", text, ("train", "test"), WRITES | SUGGESTS, True),
    "char-lm gru windows": Case("char-lm", f"""{LETTERS} task.batching=windows task.length=32 task.window=16
        core.cell=gru core.layers=2 core.width=16 train.steps=4""", text, ("test",)),
    "char-lm transformer": Case("shakespeare-transformer", f"""{LETTERS} task.length=32 task.window=32
        core.context=64 core.layers=1 core.heads=2 core.width=24
        train.optimizer=adam train.steps=60 train.learning_rate=0.02""", text, ("test",), WRITES, True),
    "char-lm mingru": Case("shakespeare-mingru", f"{LETTERS} {BLOCKS}", text, (), WRITES, True),
    "char-lm gla": Case("shakespeare-gla", f"{LETTERS} {BLOCKS}", text),
    "char-lm ssd": Case("shakespeare-ssd", f"{LETTERS} {BLOCKS}", text),
    "word-lm": Case("word-lm", f"""{LETTERS} task.length=8 task.window=8 core.width=12 core.dropout=0.1
        model.dropout=0.1 train.steps=5""", text, ("test",)),
    "masked-lm": Case("masked-lm", """data.valid=0.1 task.batch_size=4 task.length=16
        core.width=16 core.layers=1 core.heads=2 core.context=32 train.steps=40 train.learning_rate=0.02""",
        text, asks={"fills": "The=cat=___=the=___. --top 3"}),
    "classify": Case("names", f"{ROWS} train.steps=5", table, ("test",)),
    "regress": Case("names", f"{ROWS} task.kind=regress data.label=number train.steps=5", table, ("test",)),
    "classify-images": Case("shapes", """data.scenes=60 task.batch_size=8 core.width=16
        core.core.layers=1 core.core.heads=2 core.core.feed_width=16 train.steps=4"""),
    "classify-sounds": Case("spoken-digits", """data.test_names=*_0.wav data.valid=0.3 task.batch_size=4
        core.width=16 core.input_width=8 train.steps=3""", noises, ("test",)),
    "classify-numbers": Case("pass", "data.students=200 core.inner=8 core.width=8 train.steps=5"),
    "tag": Case("code-words", """data.valid=0.2 data.test=0.2 task.batch_size=8 core.width=16
        train.steps=30 train.learning_rate=0.02""", tagged, ("test",)),
    "tag code-words": Case("code-words", "data.corpus=code-words core.width=8 train.steps=2", python=True),
    "translate-attention": Case("translate-attention", f"""{PAIRS} encoder.width=16 encoder.input_width=8
        core.width=32 core.input_width=8 train.steps=60 train.learning_rate=0.03""",
        two_languages, ("test",), ANSWERS, True),
    "translate-transformer": Case("translate-transformer", f"""{PAIRS}
        encoder.width=16 encoder.layers=1 encoder.heads=2 encoder.feed_width=16
        core.width=16 core.layers=1 core.heads=2 core.feed_width=16
        train.optimizer=adam train.steps=60 train.learning_rate=0.02""", two_languages, ("test",), ANSWERS, True),
    "translate-vector": Case("translate-vector", f"""{PAIRS} encoder.width=32 encoder.input_width=8
        core.width=32 core.input_width=8 train.optimizer=adam train.steps=80 train.learning_rate=0.03""",
        two_languages, (), ANSWERS, True),
    "captions": Case("captions", """data.scenes=60 data.valid=0.2 data.test=0.2 task.batch_size=8 task.max_new_tokens=12
        encoder.width=16 encoder.layers=1 core.width=32 core.input_width=16
        train.optimizer=adam train.steps=80 train.learning_rate=0.02"""),
    "forecast": Case("forecast", f"{SERIES} model.components=0", None, ("test",), {"series": "--horizon 3"}),
    "forecast with a spread": Case("forecast", f"{SERIES} task.paths=10", drawn=("valid_rolled_",)),
    "ball": Case("ball", "task.batch_size=8 task.length=12 task.epoch=4 task.horizon=10 core.width=8 train.steps=5"),
    "reverse": Case("reverse", f"""{TOY} task.length=3 encoder.width=16 core.width=16
        train.steps=60 train.learning_rate=0.02""", logits=True),
    "execute": Case("execute", """task.batch_size=8 task.length=1 task.nesting=2 task.epoch=2
        core.width=16 core.layers=1 train.optimizer=adam train.steps=60 train.learning_rate=0.02""",
        asks={"answer": "print((3+4))"}),
    "temporal-order": Case("temporal-order", f"{TOY} train.steps=5"),
    "echo": Case("echo", "task.series=1000 train.steps=5"),
    "adding": Case("adding", f"{TOY} core.width=8 train.steps=5"),
    "copy": Case("copy", f"{TOY} core.width=8 train.steps=5"),
    "recall": Case("recall", f"{TOY} core.width=8 core.layers=1 train.steps=5"),
    "flip-flop": Case("flip-flop", f"{TOY} train.steps=5"),
    "parity": Case("parity", f"{TOY} core.width=8 train.steps=5"),
    "tunes": Case("music", f"{MUSIC} data.number=100 train.steps=10", asks=PIECE, drawn=("valid_written_",)),
    "chorales": Case("chorales", f"{MUSIC} data.number=60 train.steps=3", asks=PIECE, drawn=("valid_written_",)),
}
# fmt: on
"""Settings may stand on several lines."""


# ---- what is measured, by public doors alone
def unspool(*words: object) -> str:
    """What a command writes to stdout; it must end well."""
    from unspool.cli import main

    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
        patch.setattr("matplotlib.figure.Figure.savefig", lambda *_, **__: None)  # pictures take longer than all else
        patch.setattr("unspool.training.optimizers.has_bfloat16", lambda device: True)  # Muon as it was, everywhere
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
    assert end.value.code == 0, f"unspool {' '.join(map(str, words))}: {err.getvalue()}"
    return out.getvalue()


def measure(case: Case, folder: Path) -> dict[str, Any]:
    """Everything that is known of a case, measured in an empty folder."""
    run = folder / "run"
    (folder / "data").mkdir()
    where = [f"data.path={case.data(folder / 'data')}"] if case.data else []
    unspool("train", case.recipe, *QUICK, *where, *case.settings.split(), "--run", run)
    found: dict[str, Any] = {"results": json.loads((run / "results.json").read_text())}
    for split in case.splits:
        found["results"] |= flat(split, json.loads(unspool("eval", run, "--split", split, "--json")))
    for name, options in (case.asks or {}).items():
        ask = ASK[name.partition(",")[0]]
        found[name] = ask(run, *(word.replace("=", " ") for word in options.split()))
    if case.logits:
        found["logits"] = logits(run)
    return found


def texts(run: Path, *options: str) -> list[Any]:
    """Texts that a model writes, and their log-probabilities."""
    return [[one["text"], one["log_probability"]] for one in json.loads(unspool("sample", run, *options, "--json"))]


def answers(run: Path, *options: str) -> list[Any]:
    """What a model says to one source, and the log-probabilities."""
    (printed,) = json.loads(unspool("predict", run, *options, "--json"))
    return [[one["text"], one["log_probability"]] for one in (printed, *printed["alternatives"])]


def fills(run: Path, *options: str) -> list[Any]:
    """Tokens that may stand in each blank, and their probabilities."""
    (made,) = json.loads(unspool("predict", run, *options, "--json"))
    return [[[one["token"], one["score"]] for one in blank] for blank in made["predicted_fills"]]


def series(run: Path, *options: str) -> dict[str, list[float]]:
    """How each of the five made series goes on behind its end, where nothing is drawn."""
    from unspool.data.synthetic.five_series import five_series

    table = run.parent / "series.csv"
    rows = [f"{name},{value!r}" for name, values in five_series().items() for value in values]
    table.write_text("\n".join(["series,value", *rows]))
    printed = unspool("predict", run, "--file", table, "--column", "series=series", *options, "--json")
    return {one["series"]: one["values"] for one in json.loads(printed)}


def words(run: Path, *options: str) -> list[Any]:
    """Suggested words with their probabilities."""
    return [[*one.values()] for one in json.loads(unspool("suggest", run, *options, "--json"))]


def keystrokes(run: Path, *options: str) -> dict[str, float]:
    """What suggestions save."""
    return json.loads(unspool("suggest", run, *options, "--json"))


def piece(run: Path, *options: str) -> dict[str, Any]:
    """A piece that a model writes to a folder: what is said of it, and the checksums of its files."""
    to = run.parent / "piece"
    printed = json.loads(unspool("sample", run, *options, "--to", to, "--json"))
    printed["pieces"] = printed.pop("documents")  # as it was called
    files = sorted(file for file in to.rglob("*") if file.suffix in (".abc", ".mid"))
    return {"figures": printed} | {file.suffix: sha256(file.read_bytes()).hexdigest()[:16] for file in files}


ASK: dict[str, Callable[..., Any]] = {
    "text": texts,
    "answer": answers,
    "fills": fills,
    "series": series,
    "words": words,
    "keystrokes": keystrokes,
    "piece": piece,
}
"""What asks a trained model, by what `Case.asks` is called up to the first comma."""


def flat(split: str, figures: Mapping[str, Any]) -> dict[str, float]:
    """What `unspool eval` says, by the names that results.json uses: it was a table of tables once."""
    tables = {name: table for name, table in figures.items() if isinstance(table, Mapping)}
    named = {f"{split}_{way}_{name}": value for way, table in tables.items() for name, value in table.items()}
    return {name: value for name, value in (figures | named).items() if isinstance(value, float)}


def logits(run: Path) -> dict[str, float]:
    """Some sums over the logits of a trained model for two rows of tokens that are always the same."""
    from unspool import Run

    model = Run.load(run).model
    size = model.head.weight.shape[0]
    ids = torch.arange(24).view(2, 12) * 7 % size
    with torch.inference_mode():
        state = (
            model.start(ids)
            if model.encoder is None
            else model.start(ids, ids % 5, torch.ones_like(ids, dtype=torch.bool))
        )
        found = model(ids, state)[0].double()
    places = torch.arange(found.numel(), dtype=torch.double)
    return {
        "number": found.numel(),
        "root mean square": float(found.square().mean().sqrt()),
        "checksum": float((found.flatten() * (places * 0.7).cos()).square().mean().sqrt()),
        "largest": float(found.max()),
        "log-normalizer": float(found.logsumexp(dim=-1).mean()),
    }


# ---- the comparison
def differences(name: str, known: Any, found: Any, relative: float) -> list[str]:
    """What is not as it was, in words."""
    if isinstance(known, dict) and isinstance(found, dict):
        gone = [f"{name}/{one} is gone" for one in sorted(known.keys() - found.keys())]
        return gone + [
            d
            for one in sorted(known.keys() & found.keys())
            for d in differences(f"{name}/{one}", known[one], found[one], relative)
        ]
    if isinstance(known, list) and isinstance(found, list) and len(known) == len(found):
        pairs = enumerate(zip(known, found, strict=True))
        return [d for n, (one, other) in pairs for d in differences(f"{name}[{n}]", one, other, relative)]
    if isinstance(known, float | int) and isinstance(found, float | int):
        same = isclose(known, found, rel_tol=relative, abs_tol=ABSOLUTE)
    else:
        same = known == found
    return [] if same else [f"{name} was {known!r} and is {found!r}"]


def split_off(case: Case, found: dict[str, Any]) -> dict[str, Any]:
    """The same without seconds, and with what follows from noise in a place of its own."""
    results = {key: value for key, value in found["results"].items() if "seconds" not in key}
    drawn = {old: results.pop(old) for old in list(results) if old.startswith(case.drawn or ("no key",))}
    return found | {"results": results} | ({"drawn": drawn} if drawn else {})


def key(old: str) -> str:
    """How a result is called now."""
    found = (match.expand(now) for pattern, now in KEYS.items() if (match := fullmatch(pattern, old)))
    return next(found, old)


def renamed(known: dict[str, Any]) -> dict[str, Any]:
    """What is known, by the keys that results have now; what is drawn stands among the results again."""
    results = known["results"] | known.get("drawn", {})
    now = {key(old): value for old, value in results.items()}
    assert len(now) == len(results), "two old keys have one new name"
    return {name: value for name, value in known.items() if name != "drawn"} | {"results": now}


@pytest.fixture(scope="module")
def goldens() -> dict[str, Any]:
    """What the old code gave."""
    return json.loads(GOLDENS.read_text())


@pytest.mark.parametrize("name", CASES)
def test_a_small_training_gives_what_it_gave_before(name, goldens, tmp_path):
    if CASES[name].python and goldens["python"] != platform.python_version():
        pytest.skip(f"the corpus is that of Python {goldens['python']}")
    known = renamed(goldens["cases"][name])
    wrong = differences(name, known, measure(CASES[name], tmp_path), LOOSER.get(name, RELATIVE))
    assert not wrong, "\n".join(["", *wrong])


def test_no_case_was_dropped(goldens):
    assert goldens["cases"].keys() == CASES.keys()


def main(words: list[str]) -> None:
    """Measure, and write it down."""
    if words[:1] == ["--renew"]:
        goldens = json.loads(GOLDENS.read_text())
        for name in words[1:]:
            case, known = CASES[name], goldens["cases"][name]
            with TemporaryDirectory() as folder:
                results = measure(case, Path(folder))["results"]
            known["drawn"] = {old: results[key(old)] for old in known["drawn"]}
        file = GOLDENS
    else:
        file = Path(words[0])
        goldens = {"python": platform.python_version(), "torch": torch.__version__, "cases": {}}
        for name in words[1:] or CASES:
            with TemporaryDirectory() as folder:
                goldens["cases"][name] = split_off(CASES[name], measure(CASES[name], Path(folder)))
    file.write_text(json.dumps(goldens, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
