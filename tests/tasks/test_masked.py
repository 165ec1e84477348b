"""Guessing what is hidden: which places, what is shown there, and that it is learned."""

import json
from collections import Counter

import pytest
import torch

from unspool import Run, build, cli
from unspool.data.batching.contiguous import RandomWindows, WindowedEval
from unspool.data.batching.masking import Masked, choose_positions
from unspool.data.splits import Splits
from unspool.errors import ConfigError, DataError
from unspool.experiment.experiment import Experiment
from unspool.recipe import load_recipe, override

SIZE = 50
CYCLE = "red orange yellow green blue violet " * 400
CORES = {
    "transformer": ["core.kind=transformer", "core.layers=1", "core.heads=2"],
    "recurrent": ["core.kind=recurrent", "core.bidirectional=true"],
}


def task(text="a b c d e f g h " * 40, seed=0, **options):
    recipe = {"task": {"kind": "masked", **options}, "seed": seed}
    return build.task(recipe, Splits(text, text, ""))


def test_of_the_chosen_eight_in_ten_are_masked_one_is_random_and_one_stays():
    ids = torch.randint(SIZE, (20_000,), generator=torch.Generator().manual_seed(1))
    batch = Masked(WindowedEval(ids, 200, 100), SIZE, 0.15, seed=3)[0]
    assert batch.positions == 100 * 30
    assert torch.equal(batch.inputs[~batch.loss_mask], batch.targets[~batch.loss_mask])
    seen, due = batch.inputs[batch.loss_mask], batch.targets[batch.loss_mask]
    shares = Counter(
        "mask" if one == SIZE else "same" if one == two else "other" for one, two in zip(seen, due, strict=True)
    )
    assert shares["mask"] / 3000 == pytest.approx(0.8, abs=0.03)
    assert shares["same"] / 3000 == pytest.approx(0.1 + 0.1 / SIZE, abs=0.02)
    assert int(due.max()) < SIZE


def test_padding_is_never_chosen_and_every_row_has_a_place():
    there = torch.arange(20) < torch.tensor([[20], [3], [1], [0]])
    chosen = choose_positions(there, 0.15, torch.Generator().manual_seed(0))
    assert not bool((chosen & ~there).any())
    assert chosen.sum(dim=1).tolist() == [3, 1, 1, 0]
    assert torch.equal(choose_positions(there, 1.0, torch.Generator()), there)


def test_a_batch_follows_from_seed_and_number_and_the_same_text_is_hidden_anew():
    ids = torch.arange(65)
    windows = RandomWindows(ids, 1, 64, seed=0)  # one window is all there is
    one, same, other = (Masked(windows, 65, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one[4].inputs, same[4].inputs)
    assert torch.equal(one[4].targets, one[5].targets) and not torch.equal(one[4].loss_mask, one[5].loss_mask)
    assert not torch.equal(one[4].loss_mask, other[4].loss_mask)


def test_an_evaluation_masks_the_same_in_every_run_and_reads_the_whole_split():
    one, other = task(seed=1, length=16), task(seed=2, length=16)
    batches, others = (t.eval_sets("valid")["masked"].batches for t in (one, other))
    assert all(torch.equal(batches[n].inputs, others[n].inputs) for n in range(batches.epoch))
    assert not torch.equal(one.train_batches()[0].inputs, other.train_batches()[0].inputs)
    read = []
    for number in range(batches.epoch):
        batch = batches[number]
        there = torch.ones_like(batch.loss_mask) if batch.mask is None else batch.mask
        read += batch.targets[there].tolist()
    assert read == one.ids["valid"][:-1].tolist()
    assert one.eval_sets("test") == {}


def test_the_mask_is_read_and_never_written():
    made = task()
    assert made.inputs.size == made.targets.size + 1 == made.preprocessor.tokenizer.size + 1
    batch = made.train_batches()[0]
    perfect = torch.nn.functional.one_hot(batch.targets, made.targets.size).float()
    for logits, right in ((perfect, batch.positions), (perfect.roll(1, -1), 0)):
        (accuracy,) = (make() for make in made.eval_sets("valid")["masked"].metrics)
        accuracy.update(logits, batch)
        assert (accuracy.total, accuracy.number) == (right, batch.positions)


def test_a_share_that_is_none_is_refused():
    with pytest.raises(ConfigError, match=r"task.share should be greater than 0"):
        task(share=0)
    with pytest.raises(ConfigError, match=r"task.share should be less than or equal to 1"):
        task(share=1.5)


@pytest.fixture(scope="module", params=CORES)
def solved(request, tmp_path_factory):
    """A run on a text where each word follows from its neighbours, on either side."""
    folder = tmp_path_factory.mktemp("masked")
    (folder / "text.txt").write_text(CYCLE)
    options = [f"data.path={folder}/text.txt", "core.width=32", "task.length=16", "train.steps=300", "train.minutes=0"]
    options += ["train.precision=float32", "train.threads=1", "evaluate.times=1", "tokenizer.min_count=1"]
    recipe = load_recipe("masked-lm", options)
    recipe["core"] = {"width": 32}
    for text in CORES[request.param]:
        override(recipe, text)
    if request.param == "transformer":
        recipe["core"]["causal"] = False
    events = list(Experiment.new(recipe, folder / "run"))
    return folder / "run", events[-1].results


def test_what_is_hidden_in_a_text_that_repeats_itself_is_found(solved):
    folder, results = solved
    assert results["valid/masked/accuracy"] >= 0.98
    text = CYCLE.split()[1:17]
    text[2], text[11] = "___", "___"  # as long as what it was trained on
    filled = Run.load(folder).predict(" ".join(text))
    first, last = filled.fills
    assert [first[0].token, last[0].token] == ["green", "red"]
    assert filled.text.split()[2] == "green" and filled.text.split()[11] == "red"
    assert first[0].score > 0.8 and first[0].score > first[1].score
    # the beginning of a text: the left alone says nothing, the right does
    assert Run.load(folder).predict(" ".join(["___", *text[3:10]])).fills[0][0].token == "green"


def test_predict_fills_blanks_and_refuses_a_text_without_one(solved, capsys):
    folder, _ = solved
    with pytest.raises(SystemExit) as stop:
        cli.main(["predict", str(folder), "green ___ violet", "--top", "2", "--json"])
    (made,) = json.loads(capsys.readouterr().out)
    assert not stop.value.code and made["predicted_text"].split() == ["green", "blue", "violet"]
    (blank,) = made["predicted_fills"]
    assert made["text"] == "green ___ violet" and blank[0]["token"] == "blue" and len(blank) == 2
    with pytest.raises(SystemExit) as stop:
        cli.main(["predict", str(folder), "green"])
    out, err = capsys.readouterr()
    assert stop.value.code == 2 and "no blank" in json.loads(out)["error"] and "no blank" in err
    with pytest.raises(DataError, match="no blank"):
        Run.load(folder).predict("green")
    with pytest.raises(ConfigError, match="does not go on with a text") as refused:
        Run.load(folder).stream("green")
    assert "unspool predict" in refused.value.hint


def test_a_run_that_goes_on_with_a_text_fills_no_blanks(tmp_path):
    options = ["train.steps=1", "train.minutes=0", "core.width=8", "data.limit=3000", "train.threads=1"]
    options += ["train.precision=float32", "evaluate.times=1", "sample.times=0"]
    list(Experiment.new(load_recipe("char-lm", options), tmp_path / "run"))
    with pytest.raises(ConfigError, match="goes on with a text") as refused:
        Run.load(tmp_path / "run").predict("a ___")
    assert "unspool sample" in refused.value.hint


def test_a_mask_of_ones_own_is_used():
    windows = WindowedEval(torch.arange(400) % 9, 50, 8)
    usual, own = (Masked(windows, 9, 0.5, seed=1, mask=mask)[0] for mask in (None, 4))
    assert torch.equal(own.loss_mask, usual.loss_mask) and own.inputs.max() < 9
    assert (own.inputs[usual.inputs == 9] == 4).all()
