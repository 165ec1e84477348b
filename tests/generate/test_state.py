"""A state is a value: saved, loaded, forked and rewound, for every core that can be streamed."""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import helpers
from helpers.commands import run
from helpers.models import STREAMING, small
from helpers.states import MORE, begin, engine_of, go_on
from unspool import Run, Sampling, Tokens, tokenizers
from unspool.errors import CheckpointError, ConfigError
from unspool.generate.engine import Engine
from unspool.generate.sampling import sampler
from unspool.generate.session import Session, unfinished
from unspool.generate.state import State, digest_of, load_state, model_fingerprint, row_seed
from unspool.generate.stream import Stream
from unspool.nn.part import tensors

every_core = pytest.mark.parametrize("case", STREAMING, ids=lambda s: s.name)
SYMBOLS = tokenizers.build("tokenizer", "char").fit("abcdefghijk")  # as many as a subject's tokens

OTHER_PROCESS = """
import sys, torch
from pathlib import Path
from safetensors.torch import save_file
sys.path.insert(0, sys.argv[2])
from helpers.models import STREAMING
from helpers.states import engine_of, go_on
from unspool.generate.state import load_state

torch.set_num_threads(1)
folder, found = Path(sys.argv[1]), {}
for number, subject in enumerate(STREAMING):
    engine = engine_of(subject)
    found[f"ids{number}"], found[f"logits{number}"] = go_on(engine, load_state(folder / str(number), engine))
save_file(found, folder / "found")
"""


def together(state):
    return torch.cat([value.double().flatten() for _, value in tensors(state.core)] + [state.logits.double().flatten()])


def agree(one: State, other: State, tolerance=1e-5):
    assert one.position == other.position and torch.equal(one.ids, other.ids)
    torch.testing.assert_close(one.logits, other.logits, atol=tolerance, rtol=tolerance)


# Saved and loaded


def test_a_state_goes_on_in_another_process_bit_for_bit(tmp_path):
    """For every core: stopped in the middle, saved, and gone on with elsewhere = never stopped."""
    wanted = {}
    for number, case in enumerate(STREAMING):
        engine = engine_of(case)
        state, _ = begin(case, engine)
        steps = engine.steps(state, sampler(state, Sampling(temperature=0.8, repetition_penalty=1.2)))
        list(islice(steps, 7))
        steps.state.save(tmp_path / str(number))
        wanted[f"ids{number}"] = torch.cat([step.ids for step in islice(steps, MORE)], dim=1)
        wanted[f"logits{number}"] = steps.state.logits
    code = [sys.executable, "-c", OTHER_PROCESS, str(tmp_path), str(Path(helpers.__file__).parents[1])]
    subprocess.run(code, check=True)
    found = load_file(tmp_path / "found")
    for name, value in wanted.items():
        assert torch.equal(found[name], value), f"{STREAMING[int(name.strip('idslogt'))].name}: {name}"


@every_core
def test_a_state_comes_back_from_its_file(case, tmp_path):
    engine = engine_of(case)
    state, _ = begin(case, engine)
    state = replace(state, pending=b"\xc3")
    state.save(tmp_path / "state")
    again = load_state(tmp_path / "state", engine)
    assert (again.pending, again.seed, again.weights) == (b"\xc3", 5, state.weights)
    assert state.tensors().keys() == again.tensors().keys()
    assert all(torch.equal(value, again.tensors()[name]) for name, value in state.tensors().items())
    assert all(a.dtype == b.dtype for (_, a), (_, b) in zip(tensors(state.core), tensors(again.core), strict=True))


def small_engine(seed=0):
    model = small("recurrent", Tokens(11), seed=seed)
    return Engine(model, model_fingerprint(model, {"tokenizer": SYMBOLS}))


IDS = torch.tensor([[1, 2, 3]])


def test_a_state_of_other_weights_or_tokenizers_is_refused(tmp_path):
    engine = small_engine()
    engine.read(IDS).save(tmp_path / "state")
    with pytest.raises(CheckpointError, match="a model with other weights or tokenizers") as caught:
        load_state(tmp_path / "state", small_engine(seed=1))
    assert "read the text again" in caught.value.hint
    other = Engine(engine.model, model_fingerprint(engine.model, {"tokenizer": tokenizers.build("tokenizer", "byte")}))
    with pytest.raises(CheckpointError, match="other weights or tokenizers"):
        load_state(tmp_path / "state", other)
    with torch.no_grad():
        next(engine.model.parameters()).view(-1)[3] += 1e-3
    assert model_fingerprint(engine.model, {"tokenizer": SYMBOLS}) != engine.weights, (
        "weights that changed are other weights"
    )


def resealed(path, **changes):
    """The same state with other tensors, sealed anew, as somebody would who wants to do harm."""
    values = load_file(path)
    with path.open("rb") as file:
        header = json.loads(file.read(8 + int.from_bytes(file.read(8), "little") - 8))["__metadata__"]
    for name, value in changes.items():
        name = name.replace("_", ".")
        values.pop(name, None)
        if value is not None:
            values[name] = value
    save_file(values, path, {**header, "sha256": digest_of(values)})


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"core_0_0_0": None}, "core.0.0.0 is missing"),
        ({"core_9": torch.zeros(1, 8)}, "core.9 is not part of this model"),
        ({"core_0_0_0": torch.zeros(1, 9)}, r"core.0.0.0 is float32 \(1, 9\)"),
        ({"core_0_0_0": torch.zeros(1, 8, dtype=torch.int64)}, "core.0.0.0 is int64"),
        ({"core_0_0_0": torch.zeros(8)}, "core.0.0.0 is float32"),
        ({"logits": torch.zeros(1, 12)}, "logits is float32"),
        ({"logits": None}, "the logits or the ids are missing"),
        ({"ids": torch.tensor([[1, 99]])}, "the ids are not those of this model"),
        ({"ids": torch.zeros(1, 0, dtype=torch.int64)}, "the ids are not those of this model"),
        ({"ids": torch.zeros(2, 2, dtype=torch.int64)}, "ids is int64"),
        ({"source": torch.zeros(1, 2, 8)}, "source is not part of this model|the model cannot go on"),
        ({"core_0_0_0": torch.full((1, 8), torch.nan)}, "diverged"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(tmp_path, changes, what):
    engine, path = small_engine(), tmp_path / "state"
    engine.read(IDS).save(path)
    resealed(path, **changes)
    if "source" in changes:
        return  # a model without attention ignores a source
    with pytest.raises(Exception, match=what) as caught:
        load_state(path, engine)
    assert caught.value.hint


def test_caches_of_another_shape_are_refused(tmp_path):
    case = next(s for s in STREAMING if s.name == "transformer gpt-2")
    engine, path = engine_of(case), tmp_path / "state"
    state, _ = begin(case, engine)
    state.save(path)
    keys = state.tensors()["core.1.0"]
    resealed(path, core_1_0=keys[:, :, :5].contiguous())
    with pytest.raises(CheckpointError, match="cannot be used"):
        load_state(path, engine)


def test_files_that_are_no_states_are_refused(tmp_path):
    engine, path = small_engine(), tmp_path / "state"
    with pytest.raises(CheckpointError, match="there is no state"):
        load_state(path, engine)
    with pytest.raises(CheckpointError, match="is not a file"):
        load_state(tmp_path, engine)
    path.write_text("not a state")
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        load_state(path, engine)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="is not a saved state"):
        load_state(path, engine)
    engine.read(IDS).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        load_state(path, engine)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CheckpointError, match="does not match its checksum"):
        load_state(path, engine)
    with pytest.raises(CheckpointError, match="cannot write"):
        engine.read(IDS).save(tmp_path / "nowhere" / "state")


# A value


@every_core
def test_going_on_from_a_state_does_not_change_it(case):
    engine = engine_of(case)
    state, _ = begin(case, engine)
    again = engine.read(case.ids(rows=1, time=1, seed=3), state)  # from now on a cache is written in place
    before = together(again).clone()
    first = go_on(engine, again)
    second = go_on(engine, again)
    read = engine.read(case.ids(rows=1, time=2, seed=4), again)
    assert torch.equal(before, together(again)) and read.position == again.position + 2
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
    forked = go_on(engine, again.fork())
    assert torch.equal(forked[0], first[0]) and torch.equal(forked[1], first[1])


@every_core
def test_fork_and_rewind_equal_a_fresh_reading(case):
    engine = engine_of(case)
    state, looks = begin(case, engine)
    session = Session(engine, SYMBOLS, state)
    text = "".join(session.write(30, seed=1)) + "".join(islice(session.write(50), 40))
    last = session.state
    assert len(text) == 70 and last.position == 79
    assert session.text == SYMBOLS.decode(last.ids[0].tolist()) and session.text.endswith(text)
    agree(last, engine.read(last.ids, **looks))
    for position in (79, 70, 41, 26, 12, 9, 3):
        there = session.rewind(position)
        agree(there, engine.read(last.ids[:, :position], **looks))
    session = Session(engine, SYMBOLS, last)
    there = session.rewind(-20)
    fresh = replace(engine.read(last.ids[:, :59], **looks), seed=there.seed)
    agree(there, fresh)
    assert torch.equal(go_on(engine, there)[0], go_on(engine, fresh)[0])
    session.feed("abc")
    ids = torch.cat([last.ids[:, :59], torch.tensor([[0, 1, 2]])], dim=1)
    agree(session.state, engine.read(ids, **looks))
    agree(there, fresh, 0)


@every_core
def test_reading_at_once_in_pieces_and_step_by_step_agree(case):
    """Beyond the end of a full cache too: where its window begins follows from the position alone."""
    engine, looks = engine_of(case), case.source_of([0])
    ids = case.ids(rows=1, time=63)
    whole = engine.read(ids, **looks)
    pieces = engine.read(ids[:, :20], **looks)
    for piece in ids[:, 20:].split([1, 4, 30, 8], dim=1):
        pieces = engine.read(piece, pieces)
    agree(whole, pieces)
    stepped = engine.read(ids[:, :3], **looks)
    script = iter(ids[:, 3:].split(1, dim=1))
    steps = engine.steps(stepped, lambda logits, position: next(script))
    list(islice(steps, 60))
    agree(whole, steps.state)
    for one in ids[:, 3:].split(1, dim=1):
        stepped = engine.step(stepped, one)
    agree(whole, stepped)


@every_core
def test_rows_of_a_batch_go_on_as_if_alone(case):
    engine, ids, looks = engine_of(case), case.ids(), case.source_of(range(3))
    batch = replace(engine.read(ids, **looks), seed=8)
    together_, _ = go_on(engine, batch, 30)
    for row in range(3):
        alone, _ = go_on(engine, batch.row(row), 30)
        assert torch.equal(alone, together_[row : row + 1])
        if not looks:
            fresh = replace(engine.read(ids[row : row + 1]), seed=row_seed(8, row))
            assert torch.equal(go_on(engine, fresh, 30)[0], alone)


def test_a_state_tells_what_it_is():
    engine = small_engine()
    state = replace(engine.read(IDS), seed=7, pending=b"\xc3")
    assert repr(state) == "State(position 3, 0.1 kB, seed 7, pending b'\\xc3')"
    assert repr(state.select(torch.tensor([0, 0]))).startswith("State(2 rows, position 3")
    stream = Stream(engine, SYMBOLS, state, 5)
    "".join(stream)
    assert repr(stream) == "Stream(position 8, 5 of 5 tokens, ended by length)"
    session = Session(engine, SYMBOLS)
    assert repr(session) == "Session(position 0, 0 snapshots, 0.0 MB)"
    session.feed("abcdefghijk" * 5)
    assert repr(session).startswith("Session(position 55, 3 snapshots")


def test_a_state_is_an_ordinary_tensor():
    """It may be trained from, although it was made in inference mode."""
    engine = small_engine()
    state = engine.read(IDS)
    assert not any(value.is_inference() or value.requires_grad for value in state.tensors().values())
    logits, _ = engine.model(IDS, state.core)
    logits.sum().backward()
    steps = engine.steps(state, sampler(state, Sampling()))
    next(steps)
    assert not any(value.is_inference() for value in steps.state.tensors().values())


# Sessions


def test_a_session_keeps_few_snapshots_and_little_memory():
    engine, text = small_engine(), "abcdefghijk" * 300
    session = Session(engine, SYMBOLS)
    session.feed(text)
    apart = [b.position - a.position for a, b in zip(session.snapshots, session.snapshots[1:], strict=False)]
    assert 60 < len(session.snapshots) < 140 and min(apart) >= 16 and max(apart) <= 58
    size = session.snapshots[0].state.size
    frugal = Session(engine, SYMBOLS, memory=10 * size)
    frugal.feed(text)
    positions = [one.position for one in frugal.snapshots]
    assert 4 <= len(positions) <= 10 and positions == sorted(positions)
    assert max(b - a for a, b in zip([0, *positions], [*positions, 3300], strict=True)) < 1500
    for position in (3299, 2000, 1000, 5):
        agree(frugal.rewind(position), session.rewind(position))


def test_a_fork_of_a_session_goes_its_own_way():
    session = Session(small_engine(), SYMBOLS)
    session.feed("abcdefghijk" * 20)
    fork = session.fork()
    fork.feed("abc")
    assert session.state.position == 220 and fork.text == session.text + "abc"
    agree(fork.rewind(220), session.state)
    assert Session(session.engine, SYMBOLS).fork().is_empty


def test_a_session_goes_on_behind_what_others_have_read():
    engine = small_engine()
    session, other = Session(engine, SYMBOLS), Session(engine, SYMBOLS)
    session.feed("abc"), other.feed("abc")
    between = engine.read(torch.as_tensor(SYMBOLS.encode("defg"))[None], session.state)
    last = engine.read(torch.as_tensor(SYMBOLS.encode("hij"))[None], between)
    session.go_on(last, [between])
    other.feed("defg"), other.feed("hij")
    assert session.text == "abcdefghij" and session.snapshots[-1].position == 7
    agree(session.rewind(8), other.rewind(8))


def test_a_session_writes_only_what_is_taken_from_it():
    engine = small_engine()
    session, other = Session(engine, SYMBOLS), Session(engine, SYMBOLS)
    session.feed("abc"), other.feed("abc")
    first = "".join(islice(session.write(50, seed=3), 10))
    second = "".join(session.write(10))
    assert session.state.position == 23 and session.text == "abc" + first + second
    assert first + second == "".join(other.write(20, seed=3)), "a session goes on as if never stopped"
    with pytest.raises(ConfigError, match="cannot go to token 24 of 23"):
        session.rewind(24)
    with pytest.raises(ConfigError, match="cannot go to token -23"):
        session.rewind(-23)
    assert session.rewind(3).position == 3 and session.text == "abc"


def test_a_rewind_into_a_character_knows_its_first_bytes():
    byte = tokenizers.build("tokenizer", "byte")
    session = Session(Engine(small("recurrent", Tokens(256))), byte)
    session.feed("né")
    assert session.state.pending == b"" and session.rewind(2).pending == b"\xc3"
    assert unfinished(byte, torch.tensor([list("👩".encode()[:3])])) == "👩".encode()[:3]


# At the command line


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A run of words and one of bytes, that learned nothing."""
    folder = tmp_path_factory.mktemp("runs")
    for name, tokenizer in (
        ("words", tokenizers.build("tokenizer", "word").fit("to be or not to be that is the question\n" * 2)),
        ("bytes", tokenizers.build("tokenizer", "byte")),
    ):
        Run(small("recurrent", Tokens(tokenizer.size), seed=1, cell="gru"), tokenizer).save(folder / name)
    return folder


def sampled(capsysbinary, *words):
    assert run("sample", *words) == 0
    found = capsysbinary.readouterr()
    return found.out, found.err.decode()


@pytest.mark.parametrize("name", ["words", "bytes"])
def test_sample_goes_on_from_a_saved_state_as_if_never_stopped(saved, tmp_path, capsysbinary, name):
    state, options = tmp_path / "my.state", ("--ban", "") if name == "words" else ()
    whole, _ = sampled(capsysbinary, saved / name, "--prompt", "to be", "--length", 60, "--seed", 3, *options)
    first, _ = sampled(
        capsysbinary, saved / name, "--prompt", "to be", "--length", 23, "--seed", 3, "--save-state", state, *options
    )
    second, _ = sampled(capsysbinary, saved / name, "--state", state, "--length", 37, *options)
    assert first[:-1] + second == whole
    loaded = Run.load(saved / name)
    there = loaded.load_state(state)
    assert there.position == 23 + len(loaded.tokenizer.encode("to be"))
    assert "".join(loaded.stream(state=there, length=37, sampling=Sampling(0.8), ban=())).encode() == second[:-1]


def test_sample_tells_unknown_words_and_ends_before_a_stop_string(saved, capsysbinary):
    out, err = sampled(capsysbinary, saved / "words", "--prompt", "to zebra", "--length", 50, "--seed", 1)
    assert "note: the model does not know 'zebra': read as <unk>" in err and b"<unk>" not in out
    stopped, _ = sampled(capsysbinary, saved / "words", "--prompt", "to", "--length", 90, "--stop", "or not")
    assert b"or not" not in stopped
    banned, _ = sampled(capsysbinary, saved / "words", "--length", 200, "--ban", "be", "--ban", "the question")
    assert b"be" not in banned.split() and b"the question" not in banned and b"the" in banned
    texts, _ = sampled(
        capsysbinary, saved / "words", "--prompt", "to", "--count", 4, "--length", 40, "--stop", "or", "--json"
    )
    assert len(json.loads(texts)) == 4 and all(" or" not in one["text"] for one in json.loads(texts))


def test_states_that_make_no_sense_are_refused(saved, tmp_path, capsys):
    state = tmp_path / "my.state"
    assert run("sample", saved / "words", "--length", 3, "--save-state", state) == 0
    capsys.readouterr()
    for words, says in (
        (["bytes", "--state", state], "a model with other weights or tokenizers"),
        (["words", "--state", tmp_path / "none"], "there is no state"),
        (["words", "--beam", "2", "--state", state], "--state cannot be used with it"),
        (["words", "--count", "2", "--save-state", state], "--save-state cannot be used with it"),
        (["words", "--save-state", tmp_path / "nowhere" / "x"], "there is no folder"),
        (["words", "--stop", ""], "empty text"),
        (["words", "--ban", "zebra"], "cannot spell 'zebra'"),
    ):
        assert run("sample", saved / words[0], *words[1:]) == 2
        out, err = capsys.readouterr()
        assert out == "" and says in err and "hint: " in err and "Traceback" not in err
