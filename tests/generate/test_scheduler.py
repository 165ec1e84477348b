"""The scheduler gives each request what it would get alone, is fair, keeps its limits and survives everything."""

from dataclasses import replace
from re import fullmatch
from threading import Event

import pytest
import torch

from helpers.models import small
from unspool import Sampling, Tokens, tokenizers
from unspool.errors import BusyError, DataError, LimitError, UnspoolError
from unspool.generate.compiled.lowering import lower
from unspool.generate.compiled.rows import CompiledRows
from unspool.generate.compiled.runner import Runner
from unspool.generate.constraints import Constraint
from unspool.generate.draws import Drawing
from unspool.generate.engine import Engine
from unspool.generate.jobs import Limits, Request
from unspool.generate.prompts import PART
from unspool.generate.scheduler import Scheduler
from unspool.generate.scoring import id_scores
from unspool.generate.stream import stream_text
from unspool.generate.text import banned_ids, prime, token_before

CHAR = tokenizers.build("tokenizer", "char").fit("abcdefghijklmnopqrstuvwxyz \n")
BYTE = tokenizers.build("tokenizer", "byte")
CORES = {
    "lstm": {"cell": "lstm"},
    "gru": {"cell": "gru", "layers": 2},
    "mingru": {"core": "blocks", "cell": "mingru"},
    "transformer": {"core": "transformer", "layers": 2, "heads": 2, "context": 16},
    "learned": {"core": "transformer", "layers": 1, "heads": 2, "context": 12, "positions": "learned"},
}


def engine_for(tokenizer, core="recurrent", **options):
    model = small(core, Tokens(tokenizer.size), width=12, **options)
    with torch.no_grad():
        model.head.weight.mul_(3)
    return Engine(model)


@pytest.fixture
def open_scheduler():
    """A function that opens schedulers; all are stopped behind the test."""
    opened = []

    def make(engine=None, tokenizer=CHAR, **limits):
        opened.append(Scheduler(engine or engine_for(tokenizer), tokenizer, Limits(**limits)))
        return opened[-1]

    yield make
    for one in opened:
        one.stop()


def request(engine, prompt, tokenizer=CHAR, **options):
    ids = prime(engine.model, tokenizer, prompt)
    return Request(ids[0].tolist(), before=token_before(tokenizer, prompt, ids), **options)


PROMPTS = ["to be", "a", "once upon a time there was", "x" * (PART + 9), "", "the end of it"]


@pytest.mark.parametrize("core", CORES)
def test_many_at_once_are_each_alone(core, open_scheduler):
    engine = engine_for(CHAR, **CORES[core])
    scheduler, jobs = open_scheduler(engine), []
    options = [
        {"length": 40 + 7 * number, "sampling": Sampling(temperature=0.7 + number / 20), "stop": ("q",)}
        for number in range(len(PROMPTS))
    ]
    for number, (prompt, option) in enumerate(zip(PROMPTS, options, strict=True)):
        drawing = Drawing(option["sampling"], tuple(map(tuple, banned_ids(CHAR, ["e", "ab"]))))
        made = request(engine, prompt, length=option["length"], drawing=drawing, seed=number, stop=("q",), keep=True)
        jobs.append(scheduler.submit(made))
    texts = [job.text() for job in jobs]
    scheduler.stop(30.0)
    for number, (prompt, option) in enumerate(zip(PROMPTS, options, strict=True)):
        alone = stream_text(engine, CHAR, prompt, seed=number, ban=["e", "ab"], **option)
        assert "".join(alone) == texts[number]
        assert torch.equal(alone.state.ids, jobs[number].states[0].ids)
        torch.testing.assert_close(alone.state.logits, jobs[number].states[0].logits, atol=1e-4, rtol=1e-4)


CHOICES = [
    ["ab", "abc d", "abc c and so on"],
    [f"{a}{b} {a}{b}{a}" for a in "abcdef" for b in "abcdefgh "],
    ["xyz"],
    None,
    ["a", "aa", "aaa", "aaaa", "aaaaa", "b" * 20],
    ["the cat", "the dog", "the dog and the cat", "a cat"],
]


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("buffer", [0, 1])
def test_constraints_are_those_of_texts_alone(core, buffer, open_scheduler):
    """With a buffer of one they pause behind every token, and come back at another place of the batch."""
    engine = engine_for(CHAR, **CORES[core])
    scheduler, jobs = open_scheduler(engine), []
    banned = banned_ids(CHAR, ["e", "d a"])
    options = {"length": 24, "sampling": Sampling(0.9, repetition_penalty=1.2), "stop": ("c c",), "ban": ["e", "d a"]}
    each = [None if texts is None else Constraint.choices(texts) for texts in CHOICES]
    for number, (prompt, constraint) in enumerate(zip(PROMPTS, each, strict=True)):
        own = (
            None if constraint is None else constraint.for_tokenizer(CHAR, [one[0] for one in banned if len(one) == 1])
        )
        drawing = Drawing(options["sampling"], tuple(map(tuple, banned)))
        made = request(
            engine, prompt, length=24, drawing=drawing, seed=number, stop=("c c",), keep=True, constraint=own
        )
        jobs.append(scheduler.submit(replace(made, buffer=buffer, top=0)))
    for number, (prompt, constraint) in enumerate(zip(PROMPTS, each, strict=True)):
        alone = stream_text(engine, CHAR, prompt, seed=number, constraint=constraint, **options)
        pieces = list(jobs[number])
        assert "".join(alone) == "".join(piece.text for piece in pieces)
        assert alone.finished == pieces[-1].finished and alone.count == jobs[number].tokens_written
        assert torch.equal(alone.state.ids, jobs[number].states[0].ids)
        assert alone.state.pending == jobs[number].states[0].pending


class Later:
    """A compiled loop that is ready when it has been asked for some times."""

    precision = "float32"

    def __init__(self, model, times):
        self.model, self.left = model, times

    def runner(self, wait=False):
        self.left -= 1
        return None if self.left > 0 else Runner(lower(self.model))


@pytest.mark.parametrize("core", ["lstm", "learned"])
@pytest.mark.parametrize("times", [1, 3])
def test_the_compiled_loop_takes_over(core, times, open_scheduler, monkeypatch):
    """At once, or while texts are live: they go on as they would have gone on."""
    monkeypatch.setattr("unspool.generate.scheduler.INTERVAL", 0.02)
    engine = engine_for(CHAR, **CORES[core])
    wanted = ["".join(stream_text(engine, CHAR, prompt, length=90, seed=7)) for prompt in PROMPTS[:4]]
    engine.compiled = Later(engine.model, times)
    scheduler = open_scheduler(engine)
    jobs = [scheduler.submit(request(engine, prompt, length=90, seed=7)) for prompt in PROMPTS[:4]]
    found = [job.text() for job in jobs]
    jobs = [scheduler.submit(request(engine, prompt, length=90, seed=7, keep=True)) for prompt in PROMPTS[:4]]
    assert found == wanted == [job.text() for job in jobs]
    assert isinstance(scheduler._rows, CompiledRows)


def test_several_texts_of_one_prompt_have_seeds_of_their_own(open_scheduler):
    engine = engine_for(CHAR)
    scheduler = open_scheduler(engine)
    job = scheduler.submit(request(engine, "to be", length=20, seed=4, count=3, top=2))
    pieces = list(job)
    texts = ["".join(piece.text for piece in pieces if piece.row == row) for row in range(3)]
    assert texts[0] == "".join(stream_text(engine, CHAR, "to be", length=20, seed=4)) and len(set(texts)) == 3
    assert job.tokens_read == 5
    first = [piece for piece in pieces if piece.row == 0 and piece.id is not None]
    scores = list(id_scores(engine, CHAR, CHAR.encode("to be" + texts[0]).tolist()))[5:]
    for piece, score in zip(first, scores, strict=True):
        assert piece.log_probability == pytest.approx(score.log_probability, abs=1e-4)
        assert [value for _, value in piece.top] == sorted((value for _, value in piece.top), reverse=True)


@pytest.mark.parametrize("core", CORES)
def test_the_scores_of_a_prompt_are_those_of_its_tokens(core, open_scheduler):
    engine, text = engine_for(CHAR, **CORES[core]), "the quick brown fox " * 16
    job = open_scheduler(engine).submit(request(engine, text, length=3, seed=2, top=1, echo=True, keep=True))
    job.text()
    wanted = list(id_scores(engine, CHAR, CHAR.encode(text).tolist(), top=1))
    assert job.prompt_scores[0] == (None, ())
    for (value, likely), one in zip(job.prompt_scores[1:], wanted[1:], strict=True):
        assert value == pytest.approx(one.log_probability, abs=1e-4)
        assert likely[0][1] == pytest.approx(max(one.top.values()), abs=1e-4)
    assert torch.equal(job.states[0].ids[0, : len(text)], torch.as_tensor(CHAR.encode(text)))


def test_a_text_goes_on_from_a_state_and_reads_nothing(open_scheduler):
    engine = engine_for(BYTE)
    scheduler = open_scheduler(engine, BYTE)
    first = scheduler.submit(request(engine, "été", BYTE, length=15, seed=7, keep=True))
    begun = first.text()
    second = scheduler.submit(Request(state=first.states[0], length=15, before=1, keep=True))
    whole = scheduler.submit(request(engine, "été", BYTE, length=30, seed=7))
    assert begun + second.text() == whole.text() and second.tokens_read == 0
    assert second.states[0].position == 5 + 30


def test_a_slow_reader_pauses_alone(open_scheduler):
    engine = engine_for(CHAR)
    scheduler = open_scheduler(engine)
    slow = scheduler.submit(request(engine, "slow", length=200, seed=1, buffer=10))
    assert slow.wait(10.0)
    quick = scheduler.submit(request(engine, "quick", length=300, seed=2, buffer=10))
    assert len(quick.text()) == 300
    assert slow.paused and len(slow._pieces) <= 12 and not slow.done
    assert slow.text() == "".join(stream_text(engine, CHAR, "slow", length=200, seed=1))


def test_whoever_leaves_harms_nobody(open_scheduler):
    engine = engine_for(CHAR)
    scheduler = open_scheduler(engine, length=10**6)
    gone = [scheduler.submit(request(engine, "gone", length=10**6, seed=n, buffer=8)) for n in range(3)]
    stays = scheduler.submit(request(engine, "stays", length=100, seed=9, buffer=200))
    for job in gone:
        assert job.wait(10.0)
        job.cancel()
    assert stays.text() == "".join(stream_text(engine, CHAR, "stays", length=100, seed=9))
    for job in gone:
        assert [piece.finished for piece in job if piece.finished] == ["cancelled"]
    scheduler.stop(5.0)
    assert scheduler.counts() == {"requests": 0, "live": 0}


def test_more_than_fits_waits_for_its_turn(open_scheduler):
    engine = engine_for(CHAR)
    scheduler = open_scheduler(engine, live=2)
    jobs = [scheduler.submit(request(engine, "abc", length=20, seed=n)) for n in range(9)]
    for number, job in enumerate(jobs):
        assert job.text() == "".join(stream_text(engine, CHAR, "abc", length=20, seed=number))


def test_memory_is_a_limit_and_one_text_always_fits(open_scheduler):
    engine = engine_for(CHAR)
    scheduler = open_scheduler(engine, memory=1)
    jobs = [scheduler.submit(request(engine, "abc", length=5, seed=n)) for n in range(3)]
    assert [len(job.text()) for job in jobs] == [5, 5, 5]


def test_a_text_that_is_too_short_for_its_constraint_is_cut(open_scheduler):
    scheduler = open_scheduler()
    own = Constraint.regex("[abc]{2}d*e{4}f").for_tokenizer(CHAR)  # 7 at least
    for seed in range(5):
        whole, cut = (list(scheduler.submit(Request([1], length=n, seed=seed, constraint=own))) for n in (400, 6))
        assert (whole[-1].finished, cut[-1].finished) == ("constraint", "length")
        text, part = ("".join(piece.text for piece in pieces) for pieces in (whole, cut))
        assert fullmatch("[abc]{2}d*e{4}f", text) and part == text[:6]  # as if there were more room
        assert len(scheduler.submit(Request([1], length=7, seed=seed, constraint=own)).text()) == 7
    assert scheduler.submit(Request([1], length=0, constraint=own)).text() == ""
    assert scheduler.counts() == {"requests": 0, "live": 0}


def test_limits_are_named(open_scheduler):
    scheduler = open_scheduler(prompt=4, length=6, live=2, waiting=0)
    for asked, what in (
        (Request([0] * 5), "the prompt has 5 tokens"),
        (Request([0], length=7), "7 tokens are asked for"),
        (Request([0], length=1, count=3), "3 texts are asked for"),
    ):
        with pytest.raises(LimitError, match=what):
            scheduler.submit(asked)
    held, go = Event(), Event()
    scheduler.call(lambda: (held.set(), go.wait(10.0)))
    held.wait(10.0)
    jobs = [scheduler.submit(Request([0], length=1)) for _ in range(2)]
    with pytest.raises(BusyError, match="2 requests are under way"):
        scheduler.submit(Request([0], length=1))
    go.set()
    assert [len(job.text()) for job in jobs] == [1, 1]


def test_time_is_a_limit(open_scheduler):
    engine = engine_for(CHAR)
    scheduler = open_scheduler(engine, seconds=0.3, length=10**7)
    job = scheduler.submit(request(engine, "abc", length=10**7, seed=1, buffer=5))
    assert job.wait(10.0)
    while not job.done:
        job._news.wait(1)  # nothing is taken: it pauses, and its time is over all the same
    assert [piece.finished for piece in job if piece.finished] == ["time"]


def test_what_fails_fails_alone(open_scheduler, monkeypatch):
    engine = engine_for(CHAR)
    scheduler = open_scheduler(engine)
    bad = scheduler.submit(Request([999], length=5))  # no such id
    with pytest.raises(UnspoolError):
        bad.text()
    banned = scheduler.submit(Request([0], length=5, drawing=Drawing(ban=tuple((id,) for id in range(CHAR.size)))))
    with pytest.raises(UnspoolError, match="every token is banned"):
        banned.text()
    real, broken = scheduler._rows.advance, iter([MemoryError("none left")])

    def advance(ids):
        error = next(broken, None)
        if error:
            raise error
        real(ids)

    monkeypatch.setattr(scheduler._rows, "advance", advance)
    with pytest.raises(UnspoolError, match="none left"):
        scheduler.submit(request(engine, "abc", length=20)).text()
    assert len(scheduler.submit(request(engine, "abc", length=20)).text()) == 20


def test_functions_run_between_steps(open_scheduler):
    scheduler = open_scheduler()
    assert scheduler.call(lambda: 5).result(10) == 5
    with pytest.raises(DataError, match="no"):
        scheduler.call(lambda: (_ for _ in ()).throw(DataError("no"))).result(10)


def test_stopping_lets_what_is_under_way_end(open_scheduler):
    engine = engine_for(CHAR)
    scheduler = open_scheduler(engine)
    job = scheduler.submit(request(engine, "abc", length=200, seed=1))
    scheduler.stop(30.0)
    assert len(job.text()) == 200
    for refused in (lambda: scheduler.submit(Request([0])), lambda: scheduler.call(int)):
        with pytest.raises(BusyError, match="stopping"):
            refused()


def test_stopping_at_once_ends_everything(open_scheduler):
    engine = engine_for(CHAR)
    scheduler = open_scheduler(engine, length=10**7, live=1)
    jobs = [scheduler.submit(request(engine, "abc", length=10**7, seed=1, buffer=4)) for _ in range(3)]
    assert jobs[0].wait(10.0)
    scheduler.stop()
    assert all(job.done for job in jobs)


def test_snapshots_are_kept_on_the_way(open_scheduler):
    engine = engine_for(CHAR)
    made = request(engine, "to be " * 60, length=100, seed=1, every=30, keep=True)
    job = open_scheduler(engine).submit(made)
    job.text()
    assert [one.position for one in job.snapshots] == [PART, 360, 390, 420, 450]
    again = open_scheduler(engine).submit(Request(state=replace(job.snapshots[2], seed=1), length=70, before=0))
    assert again.text() == "".join(stream_text(engine, CHAR, "to be " * 60, length=100, seed=1))[30:]
