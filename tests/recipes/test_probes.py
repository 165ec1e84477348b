"""Probes: every recipe has one, and those of small tasks are as they are by hand."""

from dataclasses import replace

import pytest
import torch

from helpers.recipes import TEXT, quick
from unspool import build
from unspool.batch import Batch, Tokens, Vectors
from unspool.data.batching.drawn import Drawn
from unspool.data.preprocessors.language import LanguageText, MaskedText
from unspool.data.probe import beginning, select_positions
from unspool.data.splits import NoData, Splits
from unspool.data.tokenizer import tokenizers
from unspool.metrics.metric import EvalSet
from unspool.recipe import load_recipe, recipe_names
from unspool.tasks.task import Task, tasks
from unspool.tasks.temporal_order import SYMBOLS

LONGEST = 30


@pytest.fixture
def of_recipe(tmp_path):
    """What makes the task of a recipe, on data made here."""

    def made(name):
        recipe = quick(name, tmp_path)
        return build.task(recipe, build.dataset(recipe).read())

    return made


def made(kind, **options):
    return tasks.build("task", {"kind": kind, **options})


def batch_of(task, *rows, **more):
    """A batch of one row or more, all there."""
    inputs, targets = (torch.tensor([row[side] for row in rows]) for side in (0, 1))
    return Batch(inputs, targets, **{"loss_mask": torch.ones_like(inputs, dtype=torch.bool), **more})


def true_at(probe, name, row=0):
    """Where a feature is true."""
    return probe.features[name][row].nonzero().flatten().tolist()


def lengths(names):
    """How many places of each row have a name; they come first, and behind them nothing is named."""
    found = [sum(map(bool, row)) for row in names]
    assert all(all(row[:length]) for row, length in zip(names, found, strict=True))
    return found


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_has_a_probe(name, of_recipe):
    task = of_recipe(name)
    probe = task.probe("valid", 2, LONGEST) or task.probe("train", 2, LONGEST)
    batch = probe.batch
    rows, time = batch.inputs.shape[:2]
    assert rows in (1, 2) and 1 <= time <= LONGEST and not batch.carries_state
    assert batch.loss_mask.shape == (rows, time) == batch.targets.shape[:2]
    assert [len(row) for row in probe.tokens] == [len(row) for row in probe.targets] == [time] * rows
    there = torch.ones(rows, time) if batch.mask is None else batch.mask
    assert lengths(probe.tokens) == there.sum(dim=1).tolist()
    assert [[bool(said) for said in row] for row in probe.targets] == batch.loss_mask.tolist()
    for feature, values in probe.features.items():
        assert values.shape == (rows, time) and values.dtype in (torch.bool, torch.float32), feature
        asked = there.bool() & ~values.isnan()
        assert len(values[asked].unique()) > 1 and not values[~there.bool() & ~values.isnan()].any(), feature
    if task.source is None:
        assert probe.source == [] and batch.source is None
    else:
        assert lengths(probe.source) == batch.source_mask.sum(dim=1).tolist()
        assert len(probe.source) == rows and {len(row) for row in probe.source} == {batch.source.shape[1]}


@pytest.mark.parametrize("name", ["parity", "sentiment", "translate-attention", "music", "shapes"])
def test_a_passage_of_one_row_is_the_first_row_of_two(name, of_recipe):
    task = of_recipe(name)
    one, two = task.probe("train", 1, 8), task.probe("train", 2, 8)
    assert len(one.tokens) == 1 and len(two.tokens) == 2
    assert one.tokens[0] == two.tokens[0][: len(one.tokens[0])]


@pytest.mark.parametrize("name", ["char-lm", "sentiment", "translate-attention", "music", "masked-lm"])
def test_a_split_that_is_not_there_has_no_probe(name, of_recipe):
    assert of_recipe(name).probe("nowhere", 1, 8) is None


def test_a_language_model_is_watched_from_the_first_token_on():
    tokenizer = tokenizers.build("tokenizer", "char").fit(TEXT)
    task = tasks.build("task", "language", splits=Splits(TEXT, TEXT[9:]), preprocessor=LanguageText(tokenizer))
    probe = task.probe("valid", 1, 20)
    shown = [{" ": "␣", "\n": "\\n"}.get(letter, letter) for letter in TEXT[9:30]]
    assert probe.tokens == [shown[:20]] and probe.targets == [shown[1:]]
    assert probe.features["column in the line"][0].tolist() == [*range(1, 21)]
    assert task.probe("valid", 3, 20).tokens == probe.tokens  # a text is one row
    few = tasks.build("task", "language", splits=Splits(TEXT, "the"), preprocessor=LanguageText(tokenizer))
    short = few.probe("valid", 2, 9)
    assert short.tokens == [["t", "h"]] and short.targets == [["h", "e"]]


def test_words_have_the_features_of_their_text():
    text = 'He said : " it was the best of times , it was " and went .\n' * 3
    words = tokenizers.build("tokenizer", "word").fit(text)
    probe = tasks.build("task", "language", splits=Splits(text), preprocessor=LanguageText(words)).probe("train", 1, 21)
    assert probe.tokens[0][:4] == ["He", "said", ":", '"'] and probe.targets[0][16:18] == ["\\n", "He"]
    assert true_at(probe, "inside quotes") == [*range(3, 13)]
    assert probe.features["column in the line"][0, :4].tolist() == [2, 7, 9, 11]


def test_the_mask_is_a_blank_and_the_features_are_of_what_is_behind_it():
    tokenizer = tokenizers.build("tokenizer", "char").fit(TEXT)
    task = tasks.build("task", "masked", splits=Splits(TEXT), preprocessor=MaskedText(tokenizer), share=0.5)
    probe = task.probe("train", 1, 64)
    blanks = [place for place, name in enumerate(probe.tokens[0]) if name == "___"]
    assert blanks and blanks == true_at(probe, "masked")
    assert all(probe.targets[0][place] == TEXT[place].replace(" ", "␣") for place in blanks)
    assert true_at(probe, "white space") == [place for place in range(64) if TEXT[place].isspace()]


def test_temporal_order_by_hand():
    task = made("temporal-order")
    ids = [SYMBOLS.index(one) for one in "XdBaXbYcE"]  # two places of padding, whose X is none
    there = torch.tensor([[False, False] + [True] * 7])
    batch = batch_of(task, (ids, [1] * 9), mask=there, loss_mask=torch.arange(9).expand(1, -1) == 8)
    for probe, first in (
        (task.probe_of(batch), 2),
        (task.probe_of(select_positions(batch, beginning(batch, 1, 7))), 0),
    ):
        assert probe.tokens[0][first:] == list("BaXbYcE") and probe.tokens[0][:first] == [""] * first
        assert probe.targets[0] == [""] * (first + 6) + ["XY"]
        features = {name: [place - first for place in true_at(probe, name)] for name in probe.features}
        assert features == {
            "between triggers 1 and 2": [2, 3],
            "between X and trigger 2": [2, 3],
            "all triggers read": [4, 5, 6],
            "trigger 1 was X": [2, 3, 4, 5, 6],
            "trigger 2 was Y": [4, 5, 6],
            "the answer is XY": [4, 5, 6],
        }
    assert task.target_labels(range(4)) == ["XX", "XY", "YX", "YY"]


def test_three_triggers_have_eight_answers():
    task = made("temporal-order", triggers=3, batch_size=8)
    assert task.target_labels(range(8)) == ["XXX", "XXY", "XYX", "XYY", "YXX", "YXY", "YYX", "YYY"]
    probe = task.probe("valid", 8, 200)
    for tokens, said, row in zip(probe.tokens, probe.targets, range(8), strict=True):
        places = [place for place, token in enumerate(tokens) if token in ("X", "Y")]
        word, end = "".join(tokens[place] for place in places), [*filter(None, tokens)]
        assert said[len(end) - 1] == word and len(places) == 3 and tokens[0] == "B" and end[-1] == "E"
        assert true_at(probe, "between triggers 2 and 3", row) == [*range(places[1], places[2])]
        assert true_at(probe, f"the answer is {word}", row) == [*range(places[2], len(end))]
        assert true_at(probe, f"trigger 2 was {word[1]}", row) == [*range(places[1], len(end))]
        assert true_at(probe, f"between {word[0]} and trigger 2", row) == [*range(places[0], places[1])]
        other = probe.features[f"between {'XY'[word[0] == 'X']} and trigger 2"]
        assert bool(other[row].isnan().all())  # that is asked of other rows


def test_the_longest_rows_are_watched_from_their_beginnings_wherever_they_are_padded():
    probe = made("temporal-order", level="nightmare").probe("valid", 4, 12)
    assert all(row[0] == "B" and all(row) for row in probe.tokens) and probe.targets == [[""] * 12] * 4


def test_parity_by_hand():
    task = made("parity")
    probe = task.probe_of(batch_of(task, ([0, 1, 0, 1, 1], [0, 1, 1, 0, 1])))
    assert probe.tokens == [list("01011")] and probe.targets == [list("01101")]
    assert true_at(probe, "odd so far") == [1, 2, 4] and true_at(probe, "a one") == [1, 3, 4]


@pytest.mark.parametrize(
    ("logic", "ids", "tokens"),
    [("sr", [1, 0, 2, 0, 1], ["S", "·", "R", "·", "S"]), ("d", [3, 0, 2, 1, 3], ["↑1", "0", "↑0", "1", "↑1"])],
)
def test_flip_flop_by_hand(logic, ids, tokens):
    task = made("flip-flop", logic=logic)
    probe = task.probe_of(batch_of(task, (ids, [1, 1, 0, 0, 1])))
    assert probe.tokens == [tokens] and probe.targets == [list("11001")]
    assert true_at(probe, "holds a 1") == [0, 1, 4] and true_at(probe, "something happens") == [0, 2, 4]


def test_echo_by_hand():
    task = made("echo", delay=2)
    probe = task.probe_of(batch_of(task, ([1, 1, 0, 1, 0], [0, 0, 1, 1, 0])))
    assert probe.tokens == [list("11010")] and probe.targets == [list("00110")]
    ago = {ticks: true_at(probe, f"the bit {ticks} ticks ago") for ticks in range(3)}
    assert ago == {0: [0, 1, 3], 1: [1, 2, 4], 2: [2, 3]} and len(probe.features) == 3
    long = made("echo", delay=3, length=7).probe("valid", 2, 50)
    assert long.batch.inputs.shape == (2, 50)
    assert torch.equal(long.features["the bit 3 ticks ago"], long.batch.targets == 1)


def test_adding_by_hand():
    task = made("adding")
    values = [[0.5, 0.0], [0.25, 1.0], [0.5, 0.0], [0.5, 1.0], [0.125, 0.0]]
    batch = Batch(torch.tensor([values]), torch.full((1, 5, 1), 0.75), torch.tensor([[False] * 4 + [True]]))
    probe = task.probe_of(batch)
    assert probe.tokens == [["0.5 0", "0.25 1", "0.5 0", "0.5 1", "0.12 0"]] and probe.targets[0][4] == "0.75"
    assert true_at(probe, "one marked number so far") == [1, 2] and true_at(probe, "marked") == [1, 3]
    assert probe.features["the first marked number"][0].tolist() == [0, 0.25, 0.25, 0.25, 0.25]
    assert probe.features["the sum so far"][0].tolist() == [0, 0.25, 0.25, 0.75, 0.75]


def test_copy_and_recall_by_hand():
    probe = made("copy", size=8, length=2, wait=1, batch_size=3).probe("valid", 1, 99)
    a, b = probe.tokens[0][:2]
    assert probe.tokens == [[a, b, "·", "!", "·"]] and probe.targets == [["", "", "", a, b]]
    assert true_at(probe, "listens") == [0, 1] and true_at(probe, "answers") == [3, 4]
    assert probe.features["symbols left to say"].tolist() == [[2, 2, 2, 2, 1]] and true_at(probe, "waits") == [2]
    long = made("copy", size=8, length=3, wait=0).probe("valid", 1, 5)
    assert long.features["symbols left to say"].tolist() == [[3, 3, 3, 3, 2]], "what is cut off is left to say as well"
    task = made("recall", size=4)
    probe = task.probe_of(batch_of(task, ([3, 5, 1, 4, 3, 1], [0, 0, 0, 0, 1, 0]), loss_mask=torch.arange(6)[None] > 3))
    assert probe.tokens == [["k3", "v1", "k1", "v0", "k3", "k1"]]
    assert probe.targets == [["", "", "", "", "v1", "v0"]]
    assert true_at(probe, "k1 came by") == [2, 3, 4, 5] and true_at(probe, "a key") == [0, 2]


def test_a_program_is_shown_as_it_is_read():
    task = made("execute", length=2, nesting=1, batch_size=4)
    probe = task.probe("valid", 4, 99)
    for tokens, said in zip(probe.tokens, probe.targets, strict=True):
        assert "".join(tokens).split("#")[0].endswith(")") and "".join(said).endswith(".")
    assert not probe.features["inside brackets"][:, 0].any() and probe.features["a digit"].any()


def test_the_source_stays_whole_and_its_padding_has_no_name():
    task = build.task(
        {"task": {"kind": "reverse", "length": 3, "batch_size": 3}, "preprocessor": {"size": 4}, "seed": 1},
        NoData().read(),
    )
    whole = task.eval_sets("valid")["fresh"].batches[0]
    probe = task.probe("valid", 3, 2)
    assert probe.batch.inputs.shape == (3, 2) and probe.tokens[0][0] == "|"
    for names, ids, there in zip(probe.source, whole.source, whole.source_mask, strict=True):
        assert [*filter(None, names)] == [str(id) for id in ids[there].tolist()]


def test_a_model_says_the_same_of_a_row_that_was_moved_to_the_front():
    task = made("temporal-order")
    whole, model = (
        task.eval_sets("valid")["fresh"].batches[0],
        build.model(load_recipe("temporal-order"), task.inputs, task.targets),
    )
    moved = task.probe("valid", 8, 99).batch
    with torch.no_grad():
        before, after = (model.hidden_states_of(batch)[0][:8] for batch in (whole, moved))
    assert not whole.mask[:8].all(), "some rows are padded in front"
    torch.testing.assert_close(after[moved.mask], before[whole.mask[:8]])


def test_nothing_stands_behind_the_end_of_a_piece(of_recipe):
    task = of_recipe("music")
    probe = task.probe("valid", 2, 10_000)
    sizes = [len(tune) for tune in task.records["valid"][:2]]
    assert sizes[0] != sizes[1] and lengths(probe.tokens) == lengths(probe.targets) == [n + 1 for n in sizes]


def test_an_answer_that_is_said_is_counted_down(of_recipe):
    probe = of_recipe("translate-attention").probe("valid", 1, LONGEST)
    said = probe.targets[0]
    assert len(said) == len(probe.tokens[0]) and said[-1] == probe.tokens[0][0] == "\\n"
    assert probe.features["tokens left to generate"][0].tolist() == [*range(len(said), 0, -1)]


def test_an_answer_at_the_end_of_a_padded_row_moves_with_it():
    ids = torch.tensor([[[9.0], [1.0], [2.0]], [[3.0], [4.0], [5.0]]])
    there = torch.tensor([[False, True, True], [True, True, True]])
    batch = Batch(ids, ids, torch.arange(3).expand(2, -1) == 2, there)
    moved = select_positions(batch, beginning(batch, 2, 5))
    assert moved.inputs.squeeze(-1).tolist() == [[1, 2, 9], [3, 4, 5]]
    assert moved.mask.tolist() == [[True, True, False], [True, True, True]]
    assert moved.loss_mask.tolist() == [[False, True, False], [False, False, True]]
    assert select_positions(batch, beginning(batch, 1, 5)).inputs.shape == (1, 2, 1)
    whole = replace(batch, mask=None)
    assert torch.equal(select_positions(whole, beginning(whole, 2, 5)).inputs, ids)


def test_a_task_that_knows_nothing_of_this_is_watched_all_the_same():
    class Mine(Task):
        inputs, targets = Tokens(12), Vectors(3)

        def train_batches(self):
            raise NotImplementedError

        def eval_sets(self, split):
            ids = torch.arange(12).view(2, 6)
            every = torch.ones(2, 6, dtype=torch.bool)
            batches = Drawn(lambda _: Batch(ids, torch.zeros(2, 6, 3), every), seed=0, epoch=1)
            return {"mine": EvalSet(batches)} if split == "valid" else {}

    probe = Mine().probe("valid", 1, 4)
    assert probe.tokens == [list("0123")] and probe.targets == [["t=0", "t=1", "t=2", "t=3"]]
    assert probe.features == {} and probe.source == [] and Mine().probe("test", 1, 4) is None
