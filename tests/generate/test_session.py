"""Sessions score what they read, keep the last states, and go back to any of them."""

import pytest
import torch

from helpers.editing import CORES, TEXT, run_of
from unspool.batch import Batch
from unspool.generate.engine import Engine
from unspool.generate.session import RECENT, Session
from unspool.generate.suggest import suggest, suggest_keys

every_core = pytest.mark.parametrize("core", CORES)


def session_of(core="lstm", memory=2**28):
    run = run_of(core)
    return Session(Engine(run.model), run.tokenizer, memory=memory), torch.as_tensor(run.tokenizer.encode(TEXT * 3))[
        None
    ]


def scores(session, ids):
    return torch.cat(list(session.score(ids)), dim=1)


@every_core
def test_scores_are_those_of_reading_step_by_step(core):
    session, ids = session_of(core)
    engine = Engine(session.engine.model)
    state, wanted = session.state, []
    for id in ids[0]:
        wanted.append(float(state.logits.log_softmax(dim=-1)[0, id]))
        state = engine.read(id.view(1, 1), state)
    torch.testing.assert_close(scores(session, ids)[0], torch.tensor(wanted), atol=1e-5, rtol=0)
    torch.testing.assert_close(session.state.logits, state.logits, atol=1e-5, rtol=1e-5)
    assert session.position == state.position


def test_scores_are_those_of_the_whole_text():
    session, ids = session_of()
    every = torch.cat([session.state.ids, ids], dim=1)
    batch = Batch(every, every, torch.ones_like(every, dtype=torch.bool))
    whole = session.engine.forward(batch).log_softmax(dim=-1)[0, :-1]
    torch.testing.assert_close(scores(session, ids)[0], whole.gather(-1, ids[0, :, None])[:, 0], atol=1e-5, rtol=0)
    assert session.engine.tokens_run == ids.shape[1] + 1  # each once, and the line break


@every_core
def test_every_earlier_state_is_that_of_a_fresh_reading(core):
    session, ids = session_of(core)
    for part in ids.split(7, dim=1):
        scores(session, part)
    size, fresh = session.position, Engine(session.engine.model)
    for position in (1, 2, 30, 64, 65, size - 20, size - 1, size):
        wanted = fresh.read(session.state.ids[:, :position])
        torch.testing.assert_close(session.at(position).logits, wanted.logits, atol=1e-5, rtol=1e-5)
    assert session.position == size
    before = session.engine.tokens_run
    session.at(size - 1), session.at(30)
    assert session.engine.tokens_run == before  # what was asked for is kept
    assert session.rewind(30).position == 30 and all(one.position <= 30 for one in session.recent)
    torch.testing.assert_close(session.state.logits, fresh.read(session.state.ids).logits, atol=1e-5, rtol=1e-5)


def test_tokens_that_come_one_by_one_leave_snapshots_too():
    session, ids = session_of()
    for id in ids[0]:
        scores(session, id.view(1, 1))
    assert len(session.snapshots) > 5 and len(session.recent) == RECENT
    before = session.engine.tokens_run
    session.rewind(100)
    assert session.engine.tokens_run - before < 20
    fed = Session(session.engine, session.tokenizer)
    for letter in TEXT:
        fed.feed(letter)
    assert len(fed.snapshots) > 2


def test_marks_outlive_the_lack_of_memory():
    session, ids = session_of(memory=3000)
    for number, part in enumerate(ids.split(10, dim=1)):
        scores(session, part)
        if number == 2:
            session.mark()
            marked = session.position
    assert marked in [one.position for one in session.snapshots if one.marked] and len(session.snapshots) <= 10
    session.rewind(marked - 1)
    assert not [one for one in session.snapshots if one.marked]


@every_core
def test_suggestions_from_a_state_are_those_of_the_text(core):
    run = run_of(core)
    engine = Engine(run.model)

    def read(text, room):
        assert text in ("a good", "a ")
        return engine.read(torch.as_tensor(run.tokenizer.encode(text))[None])

    args = run.model, run.tokenizer, ["a good c"]
    plain, begun = suggest(*args, k=4), suggest(*args, k=4, read=read)
    assert [one.word for one in plain[0]] == [one.word for one in begun[0]]
    for one, other in zip(plain[0], begun[0], strict=True):
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-4)
    keys = run.model, run.tokenizer, ["a good "], ["228"]
    found = suggest_keys(*keys, read=read)
    assert found == suggest_keys(*keys) and {len(one.word) for one in found[0]} == {3}
