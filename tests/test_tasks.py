"""Each generated task against its definition, worked out again in plain Python for every row."""

import pytest
import torch

from unspool.batch import Tokens
from unspool.errors import ConfigError
from unspool.tasks.task import tasks
from unspool.tasks.temporal_order import LEVELS, SYMBOLS, THREE

GENERATED = {
    "temporal-order": {"level": "moderate"},
    "echo": {"delay": 4, "series": 50, "length": 7},
    "copy": {},
    "adding": {"length": 11},
    "parity": {},
    "flip-flop": {},
    "recall": {},
    "reverse": {},
}


def made(kind, **options):
    return tasks.build("task", {"kind": kind, **options})


@pytest.mark.parametrize("kind", GENERATED)
def test_batches_follow_from_seed_and_number_and_exams_are_others(kind):
    one, same, other = (made(kind, **GENERATED[kind], seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.batches()[5].inputs, same.batches()[5].inputs)
    assert not torch.equal(one.batches()[5].inputs, other.batches()[5].inputs)
    assert not torch.equal(one.batches()[5].inputs, one.batches()[6].inputs)
    seen = [one.batches()[0].inputs] + [next(iter(one.exams(s).values()))[0].inputs for s in ("valid", "test")]
    assert not any(torch.equal(a, b) for i, a in enumerate(seen) for b in seen[:i])
    assert one.batches().epoch > 0


@pytest.mark.parametrize("kind", GENERATED)
def test_a_perfect_answer_is_marked_as_such_and_a_wrong_one_not(kind):
    task = made(kind, **GENERATED[kind])
    batch = task.batches()[0]
    if isinstance(task.writes, Tokens):
        perfect = torch.nn.functional.one_hot(batch.targets, task.writes.size).float()
        wrong = perfect.roll(1, dims=-1)
    else:
        perfect, wrong = batch.targets.float(), batch.targets + 0.5
    for scores, value in ((perfect, 1.0), (wrong, 0.0)):
        marks = task.mark(scores, batch)
        amount, over = marks["accuracy"]
        assert over == batch.positions and amount == value * over
        assert task.figures("valid", 0.5, {"accuracy": value})["accuracy"] == value


@pytest.mark.parametrize("level", [*LEVELS, "three"])
def test_temporal_order(level):
    task = made("temporal-order", triggers=3) if level == "three" else made("temporal-order", level=level)
    (shortest, longest), *places = THREE if level == "three" else LEVELS[level]
    lengths, found = set(), set()
    for number in range(20):
        batch = task.batches()[number]
        assert batch.counts.sum(dim=1).tolist() == [1] * 32 and bool(batch.counts[:, -1].all())
        for ids, there, target in zip(batch.inputs, batch.present, batch.targets, strict=True):
            word = "".join(SYMBOLS[i] for i in ids[there])
            assert there.int().diff().min() >= 0, "padding stands in front"
            assert shortest <= len(word) <= longest and word[0] == "B" and word[-1] == "E"
            triggers = [(t, s) for t, s in enumerate(word) if s in "XY"]
            assert len(triggers) == len(places) and all(
                a <= t <= b for (t, _), (a, b) in zip(triggers, places, strict=True)
            )
            assert set(word[1:-1]) <= set("XYabcd")
            assert int("".join(str("XY".index(s)) for _, s in triggers), 2) == target[-1]
            lengths.add(len(word))
            found.add(int(target[-1]))
    assert found == set(range(task.writes.size))
    assert {shortest, longest} <= lengths or level == "nightmare", "both ends of the range are drawn"


def test_echo_says_again_what_it_heard_across_chunks_and_never_across_series():
    task = made("echo", delay=4, series=50, length=7, batch_size=3)
    batches = task.batches()
    assert batches.epoch == 8 and [batches[n].continues for n in range(9)] == [False] + [True] * 7 + [False]
    for series in range(2):
        chunks = [batches[8 * series + n] for n in range(8)]
        heard, said = (torch.cat([getattr(c, name) for c in chunks], dim=1) for name in ("inputs", "targets"))
        assert heard.shape == (3, 50)
        assert torch.equal(said[:, 4:], heard[:, :-4]) and not said[:, :4].any()
    assert torch.equal(batches[0].inputs, task.batches()[0].inputs), "in whatever order they are asked for"


def test_copy():
    batch = made("copy", size=6, length=4, wait=3).batches()[0]
    for ids, target, counts in zip(batch.inputs.tolist(), batch.targets.tolist(), batch.counts.tolist(), strict=True):
        assert ids[4:7] == [6] * 3 and ids[7] == 7 and ids[8:] == [6] * 3 and max(ids[:4]) < 6
        assert counts == [False] * 7 + [True] * 4 and target[7:] == ids[:4]


def test_adding():
    batch = made("adding", length=9).batches()[0]
    for row, target in zip(batch.inputs, batch.targets, strict=True):
        marked = [t for t in range(9) if row[t, 1] == 1]
        assert len(marked) == 2 and marked[0] < 4 <= marked[1]
        assert float(target[-1]) == pytest.approx(float(row[marked, 0].sum()))


def test_parity():
    batch = made("parity", length=17).batches()[0]
    for ids, target in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        assert target == [sum(ids[: t + 1]) % 2 for t in range(17)]


@pytest.mark.parametrize("logic", ["sr", "d"])
def test_flip_flop(logic):
    batch = made("flip-flop", logic=logic).batches()[0]
    for ids, target in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        held = None
        for id, said in zip(ids, target, strict=True):
            if logic == "sr":
                held = {0: held, 1: 1, 2: 0}[id]
            elif id >= 2:  # the clock is up
                held = id - 2
            assert said == held


def test_recall():
    batch = made("recall", size=7, pairs=5).batches()[0]
    for ids, target, counts in zip(batch.inputs.tolist(), batch.targets.tolist(), batch.counts.tolist(), strict=True):
        pairs = dict(zip(ids[:10:2], [v - 7 for v in ids[1:10:2]], strict=True))
        assert len(pairs) == 5 and counts == [False] * 10 + [True] * 5
        assert sorted(ids[10:]) == sorted(pairs) and target[10:] == [pairs[key] for key in ids[10:]]
    with pytest.raises(ConfigError, match="8 pairs need as many keys"):
        made("recall", size=7, pairs=8)


def test_reverse():
    lengths = set()
    for number in range(5):
        batch = made("reverse", size=6, length=4).batches()[number]
        for row in range(len(batch.inputs)):
            there, looked = batch.present[row], batch.source_present[row]
            source, said = batch.source[row, looked].tolist(), batch.targets[row, there].tolist()
            assert said == [*source[::-1], 6] and batch.inputs[row, there].tolist() == [6, *said[:-1]]
            assert max(source) < 6 and torch.equal(batch.counts, batch.present)
            lengths.add(len(source))
    assert lengths == {1, 2, 3, 4}
