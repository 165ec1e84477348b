"""Minutes long: every claim that a recipe makes is run (`make reproduce`).

Recipes on data of one's own look for it under the folder that UNSPOOL_DATA names, and are skipped where it is not.
"""

import os
import re
from pathlib import Path

import pytest

from unspool import config
from unspool.data.corpora import corpus
from unspool.experiment import Experiment
from unspool.run import Run
from unspool.verify import verify

DATA = {
    "char-rnn-stat453": "covid19-faq/covid19-faq.txt",
    "shakespeare-lstm": "tinyshakespeare/input.txt",
    "word-lm": "wikitext-2",
    "shakespeare-mingru": "tinyshakespeare/input.txt",
    "shakespeare-minlstm": "tinyshakespeare/input.txt",
    "shakespeare-rglru": "tinyshakespeare/input.txt",
    "shakespeare-mlstm": "tinyshakespeare/input.txt",
    "shakespeare-ssd": "tinyshakespeare/input.txt",
    "shakespeare-transformer": "tinyshakespeare/input.txt",
}
CLAIMING = [name for name in config.names() if "expect" in config.load(name)]


def test_every_recipe_that_wants_data_has_a_place_for_it():
    wanting = {name for name in CLAIMING if config.load(name).get("data", {"corpus": "none"}).get("corpus", "") == ""}
    assert wanting <= set(DATA)


@pytest.mark.slow
@pytest.mark.parametrize("name", CLAIMING)
def test_a_recipe_holds_what_it_claims(name):
    overrides = []
    if name in DATA:
        path = Path(os.environ.get("UNSPOOL_DATA", "../shared/data")) / DATA[name]
        if not path.exists():
            pytest.skip(f"{path} is not here: set UNSPOOL_DATA")
        overrides.append(f"data.path={path}")
    verdicts = verify(config.load(name, overrides), 0, lambda experiment: list(experiment)[-1].results)
    print("\n".join(["", name, *(verdict.told() for verdict in verdicts)]))
    assert all(verdict.holds for verdict in verdicts)


@pytest.mark.slow
def test_the_main_job_writes_mostly_real_words(tmp_path):
    list(Experiment.new(config.load("char-lm"), tmp_path / "run"))
    known = set(re.findall(r"[A-Za-z]+", corpus("python-docs").text))
    text = "".join(Run.load(tmp_path / "run").stream("The ", length=3000, seed=1))
    words = [word for word in re.findall(r"[A-Za-z]+", text)[1:-1] if len(word) > 2]
    share = sum(word in known for word in words) / len(words)
    print(f"\n{share:.1%} of {len(words)} words of three letters or more are words of the corpus")
    assert share > 0.8
