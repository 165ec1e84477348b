"""Every verb on a good day, and the bad days that are not the user's fault: Ctrl-C, a full disk, a closed pipe."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from helpers.commands import TEXT, TINY, run
from unspool import cli
from unspool.experiment.progress import asked_to_stop
from unspool.runs import checkpoint
from unspool.runs.checkpoint import checkpoints

MY_CELL = Path(__file__).parents[1] / "plugged/my_cell.py"
VERBS = [
    "runs",
    "train",
    "resume",
    "sample",
    "predict",
    "score",
    "suggest",
    "eval",
    "look",
    "export",
    "recipes",
    "serve",
    "tune-state",
    "verify",
    "verify-resume",
    "selftest",
    "doctor",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a text and a small trained run."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "good.txt").write_text(TEXT)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run("train", "char-lm", *TINY, "--run", "run")
    return folder


@pytest.fixture
def printed(capsys):
    """A command's stdout; it must end well."""

    def tell(*words):
        capsys.readouterr()
        assert run(*words) == 0
        return capsys.readouterr().out

    return tell


def command(*words, **options):
    """The command in a process of its own."""
    every = {"capture_output": True, "text": True, "timeout": 120, **options}
    return subprocess.run([sys.executable, "-m", "unspool", *map(str, words)], **every)


def test_train_tells_its_events_as_json(place, printed):
    events = [json.loads(line) for line in printed("train", "char-lm", *TINY, "--run", "new", "--json").splitlines()]
    assert [event["event"] for event in events] == ["TrainingStep", "TrainingStep", "Evaluated", "Saved", "Finished"]
    assert events[-1]["results"]["valid/contiguous/loss"] > 0


def test_train_counts_its_folders(place, printed):
    for _ in range(2):
        printed("train", "char-lm", *TINY)
    assert sorted(p.name for p in Path("runs").iterdir()) == ["char-lm", "char-lm-2"]


def verbs_of_a_run():
    """Every verb that takes a run, by name."""
    commands = typer.main.get_command(cli.app).commands
    return {verb: command for verb, command in commands.items() if command.params[0].metavar == "RUN"}


def test_latest_is_the_run_that_was_trained_last_for_every_verb(place, printed, capsys):
    for name in ("older", "newer"):
        printed("train", "char-lm", *TINY, "--run", f"runs/{name}")
    Path("runs/older/look").mkdir()  # what looking leaves behind makes no run newer
    Path("runs/empty").mkdir()
    assert set(verbs_of_a_run()) == {
        "resume",
        "sample",
        "predict",
        "score",
        "suggest",
        "eval",
        "look",
        "export",
        "tune-state",
    }
    for verb, command in verbs_of_a_run().items():
        context = command.make_context(verb, ["latest", "there"] if verb == "export" else ["latest"])
        assert context.params["run"] == Path("runs/newer")
        assert "`latest`" in command.get_help(context)
        assert "latest is runs/newer" in capsys.readouterr().err
    assert run("resume", "runs/older", "train.steps=4") == 0
    capsys.readouterr()
    assert run("sample", "latest", "--length", "3") == 0
    assert "latest is runs/older" in capsys.readouterr().err


def test_resume_goes_on_and_a_finished_run_says_how(place, capsys):
    assert run("resume", "run") == 0
    assert "unspool resume run train.steps" in capsys.readouterr().err
    assert run("resume", "run", "train.steps=4", "train.minutes=0", "--json") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["number"] for event in events if event["event"] == "TrainingStep"] == [3, 4]
    assert run("resume", "run") == 0  # the larger budget is remembered
    assert "is finished" in capsys.readouterr().err
    assert checkpoints(Path("run"))[-1].plain().overrides == ["train.steps=4", "train.minutes=0"]


def test_resume_takes_another_learning_rate(place, printed):
    printed("resume", "run", "train.steps=4", "train.learning_rate=0.5", "train.schedule=constant")
    records = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert [r["learning_rate"] for r in records if r["kind"] == "step"][-1] == 0.5


def test_resume_from_another_folder(place, printed, monkeypatch):
    os.mkdir("elsewhere")
    monkeypatch.chdir("elsewhere")
    printed("resume", "../run", "train.steps=3")
    printed("eval", "../run")


def test_patterns_hold_from_every_folder(place, printed, monkeypatch):
    printed("train", "char-lm", *TINY, "data.path=go*.txt", "--run", "new")
    monkeypatch.chdir("/")
    printed("eval", place / "new")


def test_the_same_seed_writes_the_same(place, printed):
    one, again, other = (printed("sample", "run", "--length", 40, "--seed", seed) for seed in (1, 1, 2))
    assert one == again != other


def test_streamed_text_is_the_whole_text(place, printed):
    options = ("sample", "run", "--prompt", "the ", "--length", 40, "--seed", 3)
    assert printed(*options) == json.loads(printed(*options, "--json"))[0]["text"] + "\n"


def test_sample_searches_with_beams(place, printed, capsys):
    made = json.loads(printed("sample", "run", "--beam", 3, "--count", 2, "--length", 6, "--prompt", "the", "--json"))
    assert len(made) == 2 and made[0]["log_probability"] >= made[1]["log_probability"]
    assert all(one["text"].startswith("the") for one in made)
    assert printed("sample", "run", "--beam", 3, "--length", 6, "--prompt", "the").strip() == made[0]["text"].strip()
    assert run("sample", "run", "--beam", 2, "--count", 3) == 2
    assert "finds at most 2 texts" in capsys.readouterr().err


def test_the_likeliest_comes_first(place, printed):
    made = json.loads(printed("sample", "run", "--count", 4, "--length", 10, "--seed", 1, "--json"))
    scores = [one["log_probability"] for one in made]
    assert len(made) == 4 and scores == sorted(scores, reverse=True)


def test_a_text_without_line_breaks_can_be_continued(place, printed):
    Path("flat.txt").write_text(TEXT.replace("\n", " "))
    printed("train", "char-lm", *TINY, "data.path=flat.txt", "sample.times=1", "sample.length=5", "--run", "flat")
    assert len(printed("sample", "flat", "--length", 5)) == 6


def test_eval_as_json(place, printed):
    figures = json.loads(printed("eval", "run", "--json"))
    assert {key.rpartition("/")[0] for key in figures} == {"valid/contiguous", "valid/windowed"}
    assert figures["valid/contiguous/bits_per_character"] > 0
    assert "bits per character" in printed("eval", "run", "--split", "train")


def test_eval_prints_tables_and_writes_pictures_with_their_numbers(place, printed):
    few = ["task.length=2", "task.batch_size=4", "task.epoch=1", "task.max_new_tokens=4", "core.width=8"]
    printed("train", "execute", *few, "train.steps=1", "train.threads=1", "--run", "programs")
    said = printed("eval", "programs", "--split", "test", "--pictures", "here/drawn")
    lines = said.split("test, solved (%)\n")[1].splitlines()
    assert lines[0].split() == ["digits", "of", "a", "number", "\\", "operations", "1", "2"] and len(lines) == 3
    drawn = json.loads(Path("here/drawn/solved.json").read_text())
    assert [line.split() for line in lines[1:]] == [
        [row, *(f"{100 * share:.0f}" for share in shares)]
        for row, shares in zip(drawn["rows"], drawn["values"], strict=True)
    ]
    assert Path("here/drawn/solved.png").read_bytes().startswith(b"\x89PNG")
    assert command("eval", "run", "--pictures", "there").returncode == 2, "a language model draws nothing"
    assert not Path("there").exists()


def test_recipes_and_doctor_as_json(printed):
    assert "char-lm" in json.loads(printed("recipes", "--json")) and "char-lm" in printed("recipes")
    assert "device" in json.loads(printed("doctor", "--json")) and "torch" in printed("doctor")


def test_selftest_of_a_cell_as_json(printed):
    results = json.loads(printed("selftest", "--cell", "lstm", "--json"))
    assert len(results) > 8 and all(result["case"] == "cell lstm" for result in results)


def test_a_cell_of_ones_own(place):
    trained = command("train", "char-lm", *TINY, "core.cell=mgu", "--plugin", MY_CELL, "--run", "mgu")
    assert trained.returncode == 0, trained.stderr
    sampled = command("sample", "mgu", "--length", 5, "--plugin", MY_CELL)
    assert sampled.returncode == 0 and len(sampled.stdout) >= 6, sampled.stderr
    tested = command("selftest", "--cell", f"{MY_CELL}:MinimalGated")
    assert tested.returncode == 0 and "cell mgu" in tested.stdout, tested.stdout + tested.stderr


def test_a_cell_from_an_installed_package(place):
    site = place / "site"
    info = site / "mgu-1.0.dist-info"
    info.mkdir(parents=True)
    shutil.copy(MY_CELL, site / "mgu_cell.py")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mgu\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[unspool.plugins]\nmgu = mgu_cell\n")
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))}
    tested = command("train", "char-lm", *TINY, "core.cell=mgu", "--run", "mgu", env=path)
    assert tested.returncode == 0, tested.stderr
    (site / "mgu_cell.py").write_text("import nothing_of_that_name")
    failed = command("sample", "run", env=path)
    assert failed.returncode == 2 and "error: the plug-in mgu_cell failed" in failed.stderr


def test_standard_input_is_kept(place):
    made = command("train", "char-lm", *TINY, "data.path=-", "--run", "piped", input=TEXT)
    assert made.returncode == 0, made.stderr
    assert (place / "piped/data.txt").read_text() == TEXT
    assert 'path = "piped/data.txt"' in (place / "piped/recipe.toml").read_text()
    assert run("resume", "piped", "train.steps=3") == 0
    assert run("eval", "piped") == 0
    assert command("train", "char-lm", *TINY, "data.path=-", "--run", "none", input="").returncode == 2
    assert not (place / "none").exists()


def test_ctrl_c_saves_and_says_how_to_go_on(place):
    words = ["train", "char-lm", *TINY, "train.steps=1000000", "train.minutes=0", "--run", "long", "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "unspool", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for _ in range(3):
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "unspool resume long" in err and "Traceback" not in err
    last = json.loads(out.splitlines()[-1])
    assert last["why"] == "asked" and checkpoints(Path("long"))[-1].number == last["number"]
    assert run("resume", "long", f"train.steps={last['number'] + 2}") == 0


def test_the_second_ctrl_c_means_it(capsys):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        with pytest.raises(KeyboardInterrupt), asked_to_stop(lambda: None):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert "once more" in capsys.readouterr().err


def test_a_full_disk_loses_nothing(place, monkeypatch, capsys):
    write = checkpoint.write_through

    def refuse(path, content):
        if path.name == "trainer.safetensors":
            path.write_bytes(content[:100])
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_through", refuse)
        assert run("resume", "run", "train.steps=4") == 2
    err = capsys.readouterr().err
    assert "error: no space left" in err and "hint: free some space" in err and "Traceback" not in err
    assert [c.number for c in checkpoints(Path("run"))] == [2] and not list(Path("run").rglob(".draft-*"))
    assert run("sample", "run", "--length", 3) == 0
    assert run("resume", "run", "train.steps=4") == 0
    assert checkpoints(Path("run"))[-1].number == 4


def test_a_disk_full_from_the_start_leaves_no_folder(place, monkeypatch, capsys):
    def refuse(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("unspool.files.write_through", refuse)
    assert run("train", "char-lm", *TINY, "--run", "new") == 2
    assert "error: no space left" in capsys.readouterr().err
    assert not Path("new").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_stdout_that_is_full_or_closed(place):
    with open("/dev/full", "w") as full:
        made = command("sample", "run", "--length", 5, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert made.returncode == 2 and "error: " in made.stderr and "Traceback" not in made.stderr
    piped = f"{sys.executable} -m unspool sample run --length 3000 | head -c 5"
    made = subprocess.run(piped, shell=True, capture_output=True, text=True, timeout=60)
    assert len(made.stdout) == 5 and made.stderr == ""


def test_a_terminal_without_the_letter(place):
    Path("letters.txt").write_text("héé àü ß " * 300, encoding="utf-8")
    words = ("train", "char-lm", *TINY, "data.path=letters.txt", "--run", "letters")
    assert command(*words, env={**os.environ, "PYTHONIOENCODING": "ascii"}).returncode == 0
    made = command("sample", "letters", "--prompt", "é", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert made.returncode == 0 and made.stdout.startswith("?"), made.stderr


def test_a_folder_with_strange_letters(place, capsys):
    assert run("train", "char-lm", *TINY, "--run", "a [b] 'c' [/]") == 0
    assert "a [b] 'c' [/]/" in capsys.readouterr().err
    assert run("sample", "a [b] 'c' [/]", "--length", 3) == 0


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb, printed):
    page = printed(verb, "--help")
    assert page.startswith(f"Usage: unspool {verb}") and "--json" in page


def test_the_list_of_verbs_is_whole(printed):
    page = printed("--help")
    assert sorted(VERBS) == sorted(c.name or c.callback.__name__.replace("_", "-") for c in cli.app.registered_commands)
    assert all(verb in page for verb in VERBS) and printed() == page
    assert printed("--version").strip()


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from unspool import cli\n"
        "try: cli.main(['train', '--help'])\n"
        "except SystemExit: sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
