"""Each generated task against its definition, worked out again in plain Python for every row."""

import re
from collections import Counter
from contextlib import redirect_stdout
from io import StringIO
from itertools import product
from random import Random

import pytest
import torch

from unspool import build
from unspool.batch import Tokens
from unspool.data.predictions import Text
from unspool.data.preprocessors.programs import SYMBOLS as SYMBOLS_OF_PROGRAMS
from unspool.data.splits import NoData
from unspool.data.synthetic.programs import Code, addition, condition, loop, multiply, pair, program, variable
from unspool.data.synthetic.programs import number as operand
from unspool.errors import ConfigError
from unspool.metrics.drawings import heatmap_lines
from unspool.runs.evaluation import evaluate_generation
from unspool.tasks.execute import SLIDES
from unspool.tasks.temporal_order import LEVELS, SYMBOLS, THREE

GENERATED = {
    "temporal-order": {"level": "moderate"},
    "echo": {"delay": 4, "series": 50, "length": 7},
    "copy": {},
    "adding": {"length": 11},
    "parity": {},
    "flip-flop": {},
    "recall": {},
    "execute": {"length": 2, "batch_size": 8},
    "reverse": {},
}


def made(kind, seed=0, preprocessor=(), **options):
    recipe = {"task": {"kind": kind, **options}, "preprocessor": dict(preprocessor), "seed": seed}
    return build.task(recipe, NoData().read())


@pytest.mark.parametrize("kind", GENERATED)
def test_batches_follow_from_seed_and_number_and_evaluations_have_others(kind):
    one, same, other = (made(kind, **GENERATED[kind], seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.train_batches()[5].inputs, same.train_batches()[5].inputs)
    assert not torch.equal(one.train_batches()[5].inputs, other.train_batches()[5].inputs)
    assert not torch.equal(one.train_batches()[5].inputs, one.train_batches()[6].inputs)
    seen = [one.train_batches()[0].inputs] + [
        next(iter(one.eval_sets(s).values())).batches[0].inputs for s in ("valid", "test")
    ]
    assert not any(torch.equal(a, b) for i, a in enumerate(seen) for b in seen[:i])
    assert one.train_batches().epoch > 0


@pytest.mark.parametrize("kind", GENERATED)
def test_a_perfect_answer_is_marked_as_such_and_a_wrong_one_not(kind):
    task = made(kind, **GENERATED[kind])
    batch = task.train_batches()[0]
    if isinstance(task.targets, Tokens):
        perfect = torch.nn.functional.one_hot(batch.targets, task.targets.size).float()
        wrong = perfect.roll(1, dims=-1)
    else:
        perfect, wrong = batch.targets.float(), batch.targets + 0.5
    for logits, value in ((perfect, 1.0), (wrong, 0.0)):
        metrics = [make() for make in next(iter(task.eval_sets("valid").values())).metrics]
        for metric in metrics:
            metric.update(logits, batch)
        (accuracy,) = (metric for metric in metrics if "accuracy" in metric.compute())
        assert accuracy.number == batch.positions and accuracy.total == value * batch.positions
        assert accuracy.compute() == {"accuracy": value}


@pytest.mark.parametrize("level", [*LEVELS, "three"])
def test_temporal_order(level):
    task = made("temporal-order", triggers=3) if level == "three" else made("temporal-order", level=level)
    (shortest, longest), *places = THREE if level == "three" else LEVELS[level]
    lengths, found = set(), set()
    for number in range(20):
        batch = task.train_batches()[number]
        assert batch.loss_mask.sum(dim=1).tolist() == [1] * 32 and bool(batch.loss_mask[:, -1].all())
        for ids, there, target in zip(batch.inputs, batch.mask, batch.targets, strict=True):
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
    assert found == set(range(task.targets.size))
    assert {shortest, longest} <= lengths or level == "nightmare", "both ends of the range are drawn"


def test_echo_says_again_what_it_heard_across_chunks_and_never_across_series():
    task = made("echo", delay=4, series=50, length=7, batch_size=3)
    batches = task.train_batches()
    assert batches.epoch == 8 and [batches[n].carries_state for n in range(9)] == [False] + [True] * 7 + [False]
    for series in range(2):
        chunks = [batches[8 * series + n] for n in range(8)]
        heard, said = (torch.cat([getattr(c, name) for c in chunks], dim=1) for name in ("inputs", "targets"))
        assert heard.shape == (3, 50)
        assert torch.equal(said[:, 4:], heard[:, :-4]) and not said[:, :4].any()
    assert torch.equal(batches[0].inputs, task.train_batches()[0].inputs), "in whatever order they are asked for"


def test_copy():
    batch = made("copy", size=6, length=4, wait=3).train_batches()[0]
    for ids, target, loss_mask in zip(
        batch.inputs.tolist(), batch.targets.tolist(), batch.loss_mask.tolist(), strict=True
    ):
        assert ids[4:7] == [6] * 3 and ids[7] == 7 and ids[8:] == [6] * 3 and max(ids[:4]) < 6
        assert loss_mask == [False] * 7 + [True] * 4 and target[7:] == ids[:4]


def test_copy_is_measured_after_other_waits_too():
    task = made("copy", length=2, wait=3, measured_waits=[0, 50], batch_size=4)
    sets = task.eval_sets("valid")
    assert [*sets] == ["fresh", "wait_0", "wait_50"] and [one.at_end for one in sets.values()] == [False, True, True]
    assert [one.batches[0].inputs.shape[1] for one in sets.values()] == [7, 4, 54]
    assert torch.equal(sets["wait_50"].batches[1].inputs[:, :2], sets["fresh"].batches[1].inputs[:, :2])
    assert bool((sets["wait_50"].batches[0].inputs[:, 2:52] == 8).all()), "silence"
    assert task.train_batches()[0].inputs.shape[1] == 7


def test_adding():
    batch = made("adding", length=9).train_batches()[0]
    for row, target in zip(batch.inputs, batch.targets, strict=True):
        marked = [t for t in range(9) if row[t, 1] == 1]
        assert len(marked) == 2 and marked[0] < 4 <= marked[1]
        assert float(target[-1]) == pytest.approx(float(row[marked, 0].sum()))


def test_parity():
    batch = made("parity", length=17).train_batches()[0]
    for ids, target in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        assert target == [sum(ids[: t + 1]) % 2 for t in range(17)]


@pytest.mark.parametrize("logic", ["sr", "d"])
def test_flip_flop(logic):
    batch = made("flip-flop", logic=logic).train_batches()[0]
    for ids, target in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        held = None
        for id, said in zip(ids, target, strict=True):
            if logic == "sr":
                held = {0: held, 1: 1, 2: 0}[id]
            elif id >= 2:  # the clock is up
                held = id - 2
            assert said == held


def test_recall():
    batch = made("recall", size=7, pairs=5).train_batches()[0]
    for ids, target, loss_mask in zip(
        batch.inputs.tolist(), batch.targets.tolist(), batch.loss_mask.tolist(), strict=True
    ):
        pairs = dict(zip(ids[:10:2], [v - 7 for v in ids[1:10:2]], strict=True))
        assert len(pairs) == 5 and loss_mask == [False] * 10 + [True] * 5
        assert sorted(ids[10:]) == sorted(pairs) and target[10:] == [pairs[key] for key in ids[10:]]
    with pytest.raises(ConfigError, match="8 pairs need as many keys"):
        made("recall", size=7, pairs=8)


def printed_by_python(text):
    out = StringIO()
    with redirect_stdout(out):
        exec(text, {})
    return out.getvalue().strip()


def test_programs_print_what_python_prints():
    for seed in range(600):
        length, nesting = 1 + seed % 6, 1 + seed % 4
        code = program(Random(seed), length, nesting)
        text, printed = code.text(), code.printed()
        assert printed_by_python(text) == printed
        assert set(text + printed) <= set(SYMBOLS_OF_PROGRAMS) - {"#"}


def test_the_steps_of_a_program_are_the_values_of_its_operations():
    for seed in range(300):
        code = program(Random(seed), 1 + seed % 4, 1 + seed % 3)
        assert code.steps[-1] == code.value and len(code.steps) == 1 + seed % 3 + code.text().count("for ")
    inner = pair(Chosen([500, 0.1, 0.9]), Code((), "20", 20), 3, "")
    looped = loop(Chosen([4, 30, 0.1]), inner, 3, "a")
    assert multiply(Chosen([2]), looped, 3, "").steps == (-480, 120, -360, -720)
    assert addition(Random(0), 2).steps == (122,)


def test_the_programs_of_the_slides_are_of_this_kind():
    """Each operation in turn, with the choices of chance written down, gives the lecture's two programs."""
    first = Code(("j=8584", "for x in range(8):j+=920"), "j", 8584 + 8 * 920)
    first = pair(Chosen([1500, 0.9, 0.1]), first, 4, "")
    first = variable(Chosen([7567, 0.1, 0.1]), first, 4, "b")
    assert first.text() == "j=8584\nfor x in range(8):j+=920\nb=(1500+j)\nprint((b+7567))"
    second = variable(Chosen([5347, 0.1, 0.9]), Code((), "8827", 8827), 4, "i")
    second = variable(Chosen([8704, 0.1, 0.1]), second, 4, "c")
    second = condition(Chosen([2641, 8500, 5308]), second, 4, "")
    assert second.text() == "i=8827\nc=(i-5347)\nprint((c+8704) if 2641<8500 else 5308)"
    assert (first.steps, second.steps) == ((17444, 25011), (3480, 12184, 12184))
    for code, answer in ((first, 25011), (second, 12184)):
        assert printed_by_python(code.text()) == str(code.value) == str(answer)


class Chosen(Random):
    """Chance whose every answer is known."""

    def __init__(self, answers):
        super().__init__()
        self.answers = iter(answers)

    def next(self, *between):
        return next(self.answers)

    random = randint = randrange = next


def test_execute_asks_for_the_answer_alone():
    batch = made("execute", length=2, nesting=2, batch_size=20).train_batches()[0]
    for ids, there, target, loss_mask in zip(batch.inputs, batch.mask, batch.targets, batch.loss_mask, strict=True):
        text, _, begun = "".join(SYMBOLS_OF_PROGRAMS[i] for i in ids[there]).partition("#")
        answer = "".join(SYMBOLS_OF_PROGRAMS[i] for i in target[loss_mask])
        assert answer == printed_by_python(text) + "." and answer.startswith(begun)


def levels_of(curriculum, number, batch_size=1200):
    """How often each length and nesting comes in a batch of programs of up to three digits and two operations."""
    task = made("execute", length=3, nesting=2, curriculum=curriculum, growth=10, batch_size=batch_size)
    return task.levels(number, torch.Generator().manual_seed(1))


def test_without_a_curriculum_every_program_is_the_hardest():
    assert all(Counter(levels_of("none", number)) == {(3, 2): 1200} for number in (0, 5, 10_000))


def test_the_naive_curriculum_adds_digits_and_then_an_operation_with_one_digit():
    reached = [levels_of("naive", number, batch_size=4) for number in range(80)]
    assert all(len(set(levels)) == 1 for levels in reached), "a batch is of one level"
    assert [levels[0] for levels in reached[::10]] == [(1, 1), (2, 1), (3, 1), (1, 2), (2, 2), (3, 2), (3, 2), (3, 2)]
    assert reached[9][0] == (1, 1) and reached[59][0] == (3, 2), "ten batches of each"
    assert levels_of("naive", 10**9, batch_size=1) == [(3, 2)]


def even(levels):
    """Whether each of the six levels comes as often as the others, by a chi-square test at 0.1 % and 5 degrees."""
    counted, expected = Counter(levels), len(levels) / 6
    assert set(counted) == {(length, nesting) for length in (1, 2, 3) for nesting in (1, 2)}
    return sum((counted[level] - expected) ** 2 / expected for level in counted) < 20.5


def test_the_mix_draws_length_and_nesting_evenly_and_each_for_itself():
    assert even(levels_of("mix", 0)) and even(levels_of("mix", 10_000)), "at every time"


@pytest.mark.parametrize(("number", "level"), [(0, (1, 1)), (10, (2, 1)), (35, (1, 2)), (10_000, (3, 2))])
def test_the_combined_curriculum_is_half_naive_and_half_mixed(number, level):
    levels = levels_of("combined", number)
    assert levels[::2] == [level] * 600 and even(levels[1::2])


def test_numbers_are_drawn_evenly_up_to_their_digits():
    drawn = [operand(Random(seed), length=2).value for seed in range(9900)]
    assert set(drawn) == set(range(1, 100))
    assert 0.88 < sum(value >= 10 for value in drawn) / len(drawn) < 0.94, "ten in eleven have two digits"


def test_sums_alone_are_added_and_an_addition_has_all_its_digits():
    programs = [program(Random(seed), 9, 1, ["sum"]) for seed in range(200)]
    assert all(re.fullmatch(r"print\(\(\d{1,9}\+\d{1,9}\)\)", text) for text in map(Code.text, programs))
    sums = [addition(Random(seed), 9) for seed in range(200)]
    assert all(re.fullmatch(r"print\(\(\d{9}\+\d{9}\)\)", text) for text in map(Code.text, sums))
    assert all(printed_by_python(code.text()) == code.printed() for code in programs + sums)


def test_reverse():
    lengths = set()
    for number in range(5):
        batch = made("reverse", preprocessor={"size": 6}, length=4).train_batches()[number]
        for row in range(len(batch.inputs)):
            there, looked = batch.mask[row], batch.source_mask[row]
            source, said = batch.source[row, looked].tolist(), batch.targets[row, there].tolist()
            assert said == [*source[::-1], 6] and batch.inputs[row, there].tolist() == [6, *said[:-1]]
            assert max(source) < 6 and torch.equal(batch.loss_mask, batch.mask)
            lengths.add(len(source))
    assert lengths == {1, 2, 3, 4}


def test_executing_is_measured_by_length_and_nesting_for_sums_and_for_the_slides():
    """A pipeline that is right for short programs and wrong for others gets the values of that, cell by cell."""
    task = made("execute", length=2, nesting=2, batch_size=20)
    generated = task.generation_sets("valid")["generated"]

    class Short:
        def predict(self, records, batch_size):
            for record in records:
                text = record["target"] if len(record["source"]) < 24 else "?"
                yield Text(text, list(text), -1.0)

    found, drawn = evaluate_generation(Short(), generated)
    values = {group.removeprefix(":"): value for (group, _), value in found.items()}
    assert values["addition"] == 1.0 and values["slides"] == 0.0, "a sum is short, the slides' programs are long"
    assert values["length_1_nesting_1"] > values["length_2_nesting_2"]
    assert [len(row) for row in drawn["solved"].values] == [2, 2]
    cells = [[values[f"length_{n}_nesting_{m}"] for m in (1, 2)] for n in (1, 2)]
    assert drawn["solved"].values == cells and (drawn["solved"].rows, drawn["solved"].columns) == (["1", "2"],) * 2
    counted = [
        [len(record["source"]) < 24 for record in generated.records if record["group"] == f"length_{n}_nesting_{m}"]
        for n, m in product((1, 2), repeat=2)
    ]
    assert [share for row in cells for share in row] == [sum(short) / 100 for short in counted]
    assert heatmap_lines(drawn["solved"])[0] == "digits of a number \\ operations    1    2"
    assert len(generated.records) == 5 * 5 * 20 + 2
    large = made("execute", length=1, nesting=1, operations=["multiply"], batch_size=400)
    assert len(large.generation_sets("valid")["generated"].records) == 2 * 2 * 400 + 2
    assert all(record["target"] == printed_by_python(record["source"]) for record in generated.records[::25])


def test_programs_to_generate_are_those_that_were_read_before():
    """The first cell that is as hard as training has the programs of the batches that are read, teacher-forced."""
    task = made("execute", length=2, nesting=2, batch_size=20, epoch=5)
    records = task.generation_sets("valid")["generated"].records
    cell = [record["source"] for record in records if record["group"] == "length_2_nesting_2"]
    batches = task.eval_sets("valid")["fresh"].batches
    texts = [
        "".join(SYMBOLS_OF_PROGRAMS[i] for i in ids[here]).partition("#")[0]
        for number in range(5)
        for ids, here in zip(batches[number].inputs, batches[number].mask, strict=True)
    ]
    assert texts == cell


def test_no_program_of_an_evaluation_is_ever_trained_on_and_only_the_chosen_operations_are_used():
    task = made("execute", length=1, nesting=1, batch_size=300, operations=["pair"], curriculum="none", epoch=2)

    def programs(batches):
        rows = [row for n in range(2) for row in zip(batches[n].inputs, batches[n].mask, strict=True)]
        texts = {"".join(SYMBOLS_OF_PROGRAMS[i] for i in ids[there]).partition("#")[0] for ids, there in rows}
        assert all(re.fullmatch(r"print\(\(\d[+-]\d\)\)", text) for text in texts)
        return texts

    train, valid, test = (
        programs(task.train_batches()),
        *(programs(task.eval_sets(name)["fresh"].batches) for name in ("valid", "test")),
    )
    assert len(train) > 100 and min(len(valid), len(test)) > 10
    assert not train & valid and not train & test and not valid & test
    with pytest.raises(ConfigError, match="names none"):
        made("execute", operations=[])


def test_the_slides_programs_print_what_they_should():
    assert all(printed_by_python(text) == printed for text, printed in SLIDES)
