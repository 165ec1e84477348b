"""Hostile files and command lines by the hundred, the same in every run: one sentence each, in little time and memory.

What may happen: an exit with 0, 1 or 2 (130 or 143 for signals). What may not: a traceback, a crash, a long wait.
"""

import gzip
import io
import json
import random
import resource
import shutil
import struct
import sys
import time
import traceback
import warnings
import wave
from pathlib import Path

import pytest

from helpers.commands import TEXT, TINY
from unspool import build, cli
from unspool.cli.shared import app
from unspool.errors import UnspoolError
from unspool.recipe import load_recipe
from unspool.runs import checkpoint

FILES, LINES = 520, 600
SECONDS, BYTES = 8, 1.5e9
DEEP, LONG = "[" * 3000, "9" * 5000
TABLE = "text,label\n" + "".join(f"a film number {n},{'pos' if n % 2 else 'neg'}\n" for n in range(40))
TUNE = "X:1\nT:Air\nM:4/4\nL:1/8\nK:G\n|:G2AB c2dc|(3ABc d2 [GB]2 z2:|1 G4 A4|2 G8|]\n"
QUIET = ["train.steps=1", "evaluate.times=1", "sample.times=0", "train.threads=1", "train.precision=float32"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with data of every kind, and two small trained runs."""
    folder = tmp_path_factory.mktemp("fuzz")
    for name, content in data_files().items():
        (folder / name).write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        code, problem = outcome(["train", "char-lm", *TINY, "--run", "run"])
        assert (code, problem) == (0, "")
        outcome(["train", "char-lm", *TINY, "task.batch_size=1", "--run", "one"])  # compiles the kernel of one row
        shutil.rmtree("one")
        options = ["data.path=good.csv", "core.width=8", "task.batch_size=4", *QUIET]
        code, problem = outcome(["train", "classify", *options, "--run", "labels"])
        assert (code, problem) == (0, "")
    return folder


def data_files():
    """A small file for each reader."""
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(8000)
        file.writeframes(struct.pack("<800h", *range(800)))
    picture = b"P6\n4 4\n255\n" + bytes(range(48))
    rows = "\n".join(json.dumps({"text": f"film {n}", "label": "pos" if n % 2 else "neg"}) for n in range(40))
    return {
        "good.txt": TEXT.encode(),
        "good.csv": TABLE.encode(),
        "good.tsv": TABLE.replace(",", "\t").encode(),
        "good.jsonl": rows.encode(),
        "good.csv.gz": gzip.compress(TABLE.encode()),
        "good.conll": b"the DT\ncat NN\n\n" * 30,
        "numbers.csv": ("day,value\n" + "".join(f"{n},{n % 7}\n" for n in range(200))).encode(),
        "good.abc": "\n".join(TUNE.replace("c2", f"{a}{b}", 1) for a in "ABcdefg" for b in "ABcdefg").encode(),
        "good.json": json.dumps({"train": [[[60, 64]] * 8] * 4, "valid": [[[60]] * 8], "test": [[[60]] * 8]}).encode(),
        "good.wav": sound.getvalue(),
        "good.ppm": picture,
    }


def outcome(words):
    """The exit code of a command, run in this process, and what went wrong beyond an exit."""
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    code, problem = None, ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cli.main([str(word) for word in words])
    except SystemExit as end:
        code = end.code
    except BaseException:
        problem = traceback.format_exc()
    problem = problem or ("" if code in (0, 1, 2) else f"exit {code}")
    return code, problem or costly(began, before)


def costly(began, before):
    """What took too long or too much, in words; "" where nothing did."""
    seconds = time.process_time() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    if seconds > SECONDS or grown > BYTES:
        return f"{seconds:.1f} s and {grown / 1e6:.0f} MB"
    return ""


# mutations


def mutated(content, rng):
    """Some bytes as a stranger, a disk or a network may leave them."""
    kind = rng.randrange(10)
    at = rng.randrange(len(content) + 1)
    if kind == 0:
        return content[:at]
    if kind == 1:
        return content[:at] + bytes(rng.randrange(256) for _ in range(rng.choice((1, 8, 200)))) + content[at:]
    if kind == 2:
        return bytes(byte ^ (1 << rng.randrange(8)) if rng.random() < 0.02 else byte for byte in content)
    if kind == 3:
        return content[:at] + DEEP.encode() + content[at:]
    if kind == 4:
        return content[:at] + LONG.encode() + content[at:]
    if kind == 5:
        return rng.choice((b"", b"\0" * 100, b"\xff\xfe", b"null", b"{}", b"[]", b"\n\n\n", b"\xef\xbb\xbf"))
    if kind == 6:
        end = min(len(content), at + rng.choice((1, 10, 1000)))
        return content[:at] + content[at:end] * rng.choice((2, 50)) + content[end:]
    if kind == 7:
        digits = [place for place, byte in enumerate(content) if 48 <= byte <= 57]
        if digits:
            place = rng.choice(digits)
            wild = rng.choice((b"-1", b"0", b"1e999", b"99999999999999999999", b"NaN", b'"7"'))
            return content[:place] + wild + content[place + 1 :]
    if kind == 8:
        lines = content.split(b"\n")
        rng.shuffle(lines)
        return b"\n".join(lines)
    return content[:at] + rng.choice((b'"', b"'", b"\t", b",", b";", b"\r", b"\0", b"|", b"{", b"\xf0")) + content[at:]


WILD = (None, True, -1, 0, 2**63, 1e308, float("nan"), "", "x", "é" * 300, [], {}, [[]], {"kind": "char"}, LONG[:4000])


def with_wild_leaf(data, rng):
    """A JSON value with one value of it replaced, removed or added."""
    if isinstance(data, dict | list) and data and rng.random() < 0.85:
        data = data.copy()
        key = rng.choice(list(data) if isinstance(data, dict) else range(len(data)))
        how = rng.random()
        if how < 0.15:
            del data[key]
        elif how < 0.3 and isinstance(data, dict):
            data[rng.choice(("extra", "kind", ""))] = rng.choice(WILD)
        else:
            data[key] = with_wild_leaf(data[key], rng)
        return data
    return rng.choice(WILD)


RUN_FILES = ("recipe.toml", "about.json", "tokenizer.json", "preprocessor.json", "metrics.jsonl", "results.json",
             "model.safetensors", "trainer.safetensors", "trainer.json", "manifest.json")  # fmt: skip


def damage_run(run, name, rng):
    """Change one file of a run; mostly the manifest is written anew, as somebody who means it would."""
    step = checkpoint.checkpoints(run)[-1].path
    file = (step if (step / name).exists() else run) / name
    content = file.read_bytes()
    if file.suffix == ".json" and rng.random() < 0.7:
        new = json.dumps(with_wild_leaf(json.loads(content), rng)).encode()
    else:
        new = mutated(content, rng)
    file.write_bytes(new)
    if name in (*checkpoint.SHARED, *checkpoint.OWN) and rng.random() < 0.9:
        reseal(run, name)


def reseal(run, name):
    import hashlib

    step = run / "checkpoints" / sorted(path.name for path in (run / "checkpoints").iterdir())[-1]
    file = (run if name in checkpoint.SHARED else step) / name
    manifest = json.loads((step / "manifest.json").read_text())
    manifest["sha256"][name] = hashlib.sha256(file.read_bytes()).hexdigest()
    (step / "manifest.json").write_text(json.dumps(manifest))


READERS = [  # a file, and the recipe and settings that read it
    ("good.txt", "char-lm", []),
    ("good.csv", "classify", []),
    ("good.tsv", "classify", []),
    ("good.jsonl", "classify", []),
    ("good.csv.gz", "classify", []),
    ("good.conll", "tag", []),
    ("numbers.csv", "forecast", ["data.column=value"]),
    ("good.abc", "music", []),
    ("good.json", "chorales", []),
    ("good.ppm", "image", []),
    ("good.wav", "sound", []),
]


def read(file, recipe, options):
    """Read a file as a recipe does."""
    from unspool.data.readers.images import read_image
    from unspool.data.readers.sounds import read_sound

    if recipe == "image":
        read_image(str(file), 8)
    elif recipe == "sound":
        read_sound(str(file))
    else:
        build.dataset(load_recipe(recipe, [f"data.path={file}", *options])).read()


def test_hostile_files_of_every_reader(place):
    rng, failures, refused = random.Random(1), [], 0
    number = FILES // 2 // len(READERS) + 1
    for name, recipe, options in READERS:
        whole = Path(name).read_bytes()
        read(Path(name), recipe, options)
        for index in range(number):
            content = mutated(whole, rng)
            if name.endswith(".gz") and index % 2:
                content = gzip.compress(mutated(gzip.decompress(whole), rng))
            file = Path(f"bad-{name}")
            file.write_bytes(content)
            began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    read(file, recipe, options)
                problem = ""
            except UnspoolError as error:
                refused += 1
                problem = "" if error.hint and len(str(error)) < 20_000 else f"no hint, or too long: {str(error)[:500]}"
            except BaseException:
                problem = traceback.format_exc()
            if problem := problem or costly(began, before):
                failures.append(f"{name}, {index}: {content[:200]!r}\n{problem[-1500:]}")
    assert not failures, f"{len(failures)} failures\n" + "\n".join(failures[:8])
    assert refused > number  # the mutations do damage


def test_hostile_run_folders(place, capsys):
    rng, failures, codes = random.Random(2), [], {}
    cases = [
        (run, name) for run in ("run", "labels") for name in RUN_FILES if (run, name) != ("labels", "results.json")
    ]
    for index in range(FILES // 2 + 10):
        run, name = cases[index % len(cases)]
        shutil.rmtree("bad", ignore_errors=True)
        shutil.copytree(run, "bad")
        damage_run(Path("bad"), name, rng)
        if name.startswith(("trainer", "metrics")):
            words = ["resume", "bad", "train.steps=3"] if rng.random() < 0.7 else ["look", "bad", "--what", "losses"]
        elif run == "run":
            words = ["sample", "bad", "--length", "3", "--prompt", "the"]
        else:
            words = ["predict", "bad", "a film"]
        code, problem = outcome(words)
        codes[code] = codes.get(code, 0) + 1
        if problem:
            failures.append(f"{index}: {' '.join(words)} with a changed {name}\n{problem[-1500:]}")
    capsys.readouterr()
    assert not failures, f"{len(failures)} failures\n" + "\n".join(failures[:8])
    assert codes[2] > 50 and codes[0] > 5


VALUES = (
    "", " ", "-", "-1", "0", "1", "2", "1e400", "nan", "-inf", LONG, DEEP, "x", "é\u0301", "\x1b[2J", "a\0b", "..", "/",
    "/dev/null", "nope.txt", "good.txt", "run", "1" + "0" * 18, "--", "true", "[1]", "{a=1}", "%s", "a=b", "=", "*",
)  # fmt: skip
KEYS = ("core.width", "core.layers", "core.cell", "core.kind", "core", "task.length", "task.batch_size", "task.kind",
        "data.path", "data.valid", "data.limit", "train.steps", "train.learning_rate", "train.optimizer", "train.clip",
        "model.dropout", "model.tied", "model.start", "tokenizer.kind", "seed", "sample.prompt", "evaluate.times",
        "save.every", "expect.seeds", "about.x", "plugin", "nope", "a.b.c.d", "")  # fmt: skip
SLOW = {"verify": "nope", "verify-resume": "nope", "selftest": None, "doctor": None}
"""Verbs that would train or test for long, and the recipe that they are asked for."""
MINUTES = ("", "-1", "0", "0.002", "1e-400", "nan", "-inf", "x", LONG)
"""Values of --minutes: none that is right and long, or the command rightly trains for that long."""


def command_lines():
    """Every verb with hostile values for its options and arguments, by walking the application."""
    import typer

    rng = random.Random(3)
    group = typer.main.get_command(app)
    names = sorted(group.commands)
    for index in range(LINES):
        name = names[index % len(names)]
        words, share = [name], rng.choice((0.1, 0.3))
        for parameter in group.commands[name].params:
            option = parameter.opts[0]
            if not option.startswith("-"):
                words += argument(name, parameter.name, rng)
            elif option not in ("--help", "--device") and rng.random() < share:
                values = MINUTES if option == "--minutes" else VALUES
                words += [option] if parameter.is_flag else [option, rng.choice(values)]
        if name == "selftest" and not {"--cell", "--core"} & set(words):
            words += ["--cell", rng.choice(("", "nope", "x:y", ":"))]
        if name == "look" and "--what" not in words:  # a whole page takes longer than all else here
            words += ["--what", "losses"]
        yield words


def argument(verb, name, rng):
    """A value for an argument: often a right one, so that what comes behind it is reached."""
    if name == "recipe":
        return [SLOW.get(verb) or rng.choice(("char-lm", "char-lm", "nope", "", "good.txt", rng.choice(VALUES)))]
    if name == "overrides":
        wild = [f"{rng.choice(KEYS)}={rng.choice(VALUES)}" for _ in range(rng.randrange(3))]
        if verb == "resume":
            return wild
        return [*TINY, "data.limit=500", *wild, *(["train.steps=2"] if rng.random() < 0.9 else [])]
    if name in ("run", "runs", "runs_"):
        return [rng.choice(("run", "labels", "run", "labels", "nope", rng.choice(VALUES)))]
    return [rng.choice(VALUES)] if rng.random() < 0.7 else []


class Ended:
    """A server that ends as soon as it listens."""

    async def serve(self, sockets):
        assert sockets[0].getsockname()[1] > 0


def test_hostile_command_lines(place, capsys, monkeypatch):
    failures, codes = [], {}
    monkeypatch.setattr("unspool.serve.http.uvicorn_of", lambda server: Ended())
    for index, words in enumerate(command_lines()):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a line\n")))
        code, problem = outcome(words)
        codes[code] = codes.get(code, 0) + 1
        if problem:
            failures.append(f"{index}: {' '.join(word[:60] for word in words)!r}\n{problem[-1500:]}")
    capsys.readouterr()
    assert not failures, f"{len(failures)} failures\n" + "\n".join(failures[:8])
    assert sum(codes.values()) == LINES and codes[2] > 200 and codes[0] > 20


def hugging_face(folder):
    """A small GPT-2 as Hugging Face's library saves it."""
    from safetensors.torch import save_file

    from unspool.batch import Tokens
    from unspool.data.tokenizer import tokenizers
    from unspool.formats.huggingface import gpt2_options, gpt2_to_hf

    config = {"model_type": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 16, "n_inner": None}
    recipe = {"core": gpt2_options(config), "model": {"tied": True}}
    model = build.model(recipe, Tokens(256), Tokens(256))
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    weights = model.state_dict() | {"head.bias": model.head.weight.new_zeros(256)}
    save_file({name: value.clone() for name, value in gpt2_to_hf(weights).items()}, folder / "model.safetensors")
    index = {"weight_map": {"lm_head.weight": "model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    tokenizers.build("tokenizer", {"kind": "bpe", "vocabulary": 256}).engine.save(str(folder / "tokenizer.json"))


def hugging_face_bert(folder):
    """A small BERT as we write it, which is how their library saves it."""
    from unspool import Run, Tokens
    from unspool.data.preprocessors.language import MaskedText
    from unspool.data.tokenizer import tokenizers
    from unspool.formats.bert import bert_options
    from unspool.formats.export import write_folder

    words = tokenizers.build("tokenizer", {"kind": "wordpiece", "vocabulary": 64}).fit(
        "low lower lowest new newer " * 9
    )
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    recipe = {"core": bert_options({**sizes, "max_position_embeddings": 16}), "model": {"transform": "gelu"}}
    model = build.model(recipe, Tokens(words.size), Tokens(words.size))
    assert write_folder(Run(model, MaskedText(words)), folder) == "BertForMaskedLM"


FOLDERS = {
    "gpt2": (hugging_face, ("config.json", "tokenizer.json", "model.safetensors.index.json", "model.safetensors")),
    "bert": (hugging_face_bert, ("tokenizer.json", "config.json", "model.safetensors")),
    "bert with vocab.txt": (hugging_face_bert, ("vocab.txt", "tokenizer_config.json")),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_hostile_folders_of_hugging_face(kind, place):
    from unspool.formats.folder import read_folder

    make, files = FOLDERS[kind]
    make(Path("hf"))
    if "vocab.txt" in files:
        Path("hf/tokenizer.json").unlink()
    assert read_folder(Path("hf")).tokenizer.size > 20
    rng, failures, refused = random.Random(4), [], 0
    for index in range(80):
        name = files[index % len(files)]
        shutil.rmtree("bad", ignore_errors=True)
        shutil.copytree("hf", "bad")
        content = Path("hf", name).read_bytes()
        wild = name.endswith(".json") and rng.random() < 0.7
        new = json.dumps(with_wild_leaf(json.loads(content), rng)).encode() if wild else mutated(content, rng)
        Path("bad", name).write_bytes(new)
        began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            read_folder(Path("bad"))
            problem = ""
        except UnspoolError:
            refused, problem = refused + 1, ""
        except BaseException:
            problem = traceback.format_exc()
        if problem := problem or costly(began, before):
            failures.append(f"{index}: {name} {new[:300]!r}\n{problem[-1500:]}")
    assert not failures, f"{len(failures)} failures\n" + "\n".join(failures[:8])
    assert refused > (10 if "vocab.txt" in files else 40), "a vocabulary of other words is one too"
