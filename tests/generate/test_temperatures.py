"""What the temperature does to text: the measures by hand, and the table of a trained run."""

import json

import pytest
import torch

from helpers.known import printed
from helpers.models import small
from unspool.batch import Tokens
from unspool.data.tokenizer import tokenizers
from unspool.experiment.experiment import Experiment
from unspool.generate.temperatures import TEMPERATURES, measured, sample_temperatures
from unspool.recipe import load_recipe


def test_the_measures_by_hand():
    """Of "a b a b a b" the passages are abab, baba, abab: one of three stood there before."""
    one = measured(["A b a b a b", "xyz!"], {"a", "b"}, 0.5)
    assert (one.words, one.real_words, one.distinct_words) == (7, 6 / 7, 3 / 7)
    assert one.repeated == pytest.approx(1 / 3) and one.temperature == 0.5
    assert measured(["..."], {"a"}, 1.0).real_words is None


def test_a_low_temperature_is_greedy_and_a_high_one_is_wild():
    tokenizer = tokenizers.build("tokenizer", "word").fit("one two three four five six seven eight nine ten")
    model = small(inputs=Tokens(tokenizer.size))
    with torch.no_grad():
        for weight in model.head.parameters():
            weight.mul_(6)
    low, high = sample_temperatures(model, tokenizer, {"one", "two"}, (0.01, 5.0), rows=4, length=60)
    assert low.distinct_words < high.distinct_words and low.repeated > 0.8 > high.repeated
    again = next(sample_temperatures(model, tokenizer, {"one", "two"}, (0.01,), rows=4, length=60))
    assert again == low


def test_the_command_prints_a_table_and_draws_it(tmp_path, capsys):
    (tmp_path / "text.txt").write_text("the cat sat on the mat.\n" * 100)
    options = [f"data.path={tmp_path}/text.txt", "core.width=16", "train.steps=40", "train.minutes=0", "sample.times=0"]
    list(Experiment.new(load_recipe("char-lm", [*options, "train.threads=1", "evaluate.times=1"]), tmp_path / "run"))
    capsys.readouterr()
    assert printed("look", tmp_path / "run", "--temperatures") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["temperature", "words"] and len(lines) == 1 + len(TEMPERATURES)
    assert (tmp_path / "run/look/temperatures.png").stat().st_size > 5000
    assert printed("look", tmp_path / "run", "--temperatures", "--json", "--out", tmp_path / "other") == 0
    assert [row["temperature"] for row in json.loads(capsys.readouterr().out)] == list(TEMPERATURES)
    assert printed("look", tmp_path / "run", "--temperatures", "--text", "the") == 2
    assert "draws the texts of one run" in capsys.readouterr().err
