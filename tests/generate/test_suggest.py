"""Suggestions of a model whose every chance is known, over tokenizers that cut words in every way."""

import json
from math import exp, log

import pytest

from helpers.known import CHANCES, KINDS, WEIGHTS, Known, printed
from unspool import Run
from unspool.data.tokenizer import tokenizers
from unspool.errors import ConfigError, DataError
from unspool.experiment.experiment import Experiment
from unspool.generate.keystrokes import keystrokes_saved
from unspool.generate.spelling import inside
from unspool.generate.suggest import suggest
from unspool.recipe import load_recipe


@pytest.fixture(scope="module", params=KINDS)
def known(request):
    tokenizer = tokenizers.build("tokenizer", KINDS[request.param]).fit("\n".join(WEIGHTS) + "\n")
    return Known(tokenizer), tokenizer


def test_the_next_words_come_with_their_chances(known):
    (found,) = suggest(*known, ["The "], k=4)
    assert {one.word: pytest.approx(exp(one.log_probability), abs=1e-4) for one in found} == CHANCES
    assert [one.word for one in found] == list(CHANCES) and all(one.rest == one.word for one in found)


def test_a_word_is_completed_and_never_repeated(known):
    found = suggest(*known, ["The pow"], k=3)[0]
    assert all(one.log_probability < -15 for one in found[2:]), "nothing else is ever said"
    found = found[:2]
    assert [(one.word, one.rest) for one in found] == [("power", "er"), ("powder", "der")]
    assert found[0].log_probability == pytest.approx(log(0.4), abs=1e-4), "both ways to end it are added up"


def test_many_texts_at_once_are_as_each_alone(known):
    texts = ["The ", "The po", "The d", "The power on The ", "The power ", "The power on"]
    together = suggest(*known, texts, k=2)
    alone = [suggest(*known, [text], k=2)[0] for text in texts]
    assert [[one.word for one in each] for each in together] == [[one.word for one in each] for each in alone]
    assert [each[0].word for each in together[:5]] == ["power", "power", "dog", "power", "on"]


def test_where_a_space_is_missing_it_is_in_the_rest(known):
    (found,) = suggest(*known, ["The power."], k=1)
    assert (found[0].word, found[0].rest) == ("The", " The")


def test_a_narrow_beam_still_finds_the_best(known):
    assert suggest(*known, ["The p"], k=1, width=2)[0][0].word == "power"


def test_keystrokes_are_counted_by_the_rule(known):
    """k = 1: power 4 of 5, dog 1 of 3 (after its d), powder 1 of 6 (after powd), thrice on 1 of 2 and The 2 of 3."""
    text = "The power on The dog on The powder on The"
    *_, last = keystrokes_saved(*known, text, k=1, together=4)
    assert (last.words, last.keys, last.saved, last.foreseen) == (9, 29, 15, 7)
    figures = last.figures()
    assert figures["keystrokes_saved"] == 15 / 29 and figures["next_word_accuracy_at_1"] == 7 / 9
    *_, more = keystrokes_saved(*known, text, k=3)
    assert (more.saved, more.foreseen) == (15 + 4, 8)  # powder is the third guess, dog the fourth
    *_, first = keystrokes_saved(*known, text, k=1, words=2)
    assert (first.words, first.keys, first.saved) == (2, 7, 5)


def test_what_stands_inside_a_word():
    assert [inside(piece) for piece in (b"a", "é".encode(), "é".encode()[:1], b"it's", b"_1")] == [True] * 5
    assert [inside(piece) for piece in (b" ", b"a b", b".", b"\n", "—".encode(), b"")] == [False] * 6


def test_a_text_without_words_and_a_tokenizer_without_ends_are_refused():
    tokenizer = tokenizers.build("tokenizer", "char").fit("abc")
    with pytest.raises(DataError, match="no words to type"):
        list(keystrokes_saved(Known(tokenizers.build("tokenizer", "byte")), tokenizer, " ."))
    model = Known(tokenizers.build("tokenizer", "byte"))
    with pytest.raises(DataError, match="ends a word"):
        suggest(model, tokenizer, ["ab"])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suggest")
    (folder / "text.txt").write_text("the cat sat on the mat.\n" * 200)
    options = [f"data.path={folder}/text.txt", "core.width=32", "train.steps=250", "train.minutes=0"]
    options += ["train.precision=float32", "train.threads=1", "evaluate.times=1", "sample.times=0"]
    list(Experiment.new(load_recipe("char-lm", options), folder / "run"))
    list(Experiment.new(load_recipe("masked-lm", [*options, "core.heads=2", "train.steps=1"]), folder / "masked"))
    return folder


def test_a_trained_run_suggests(run, capsys):
    loaded = Run.load(run / "run")
    assert suggest(loaded.model, loaded.tokenizer, ["the cat sat on the m"], k=1)[0][0].word == "mat"
    assert printed("suggest", run / "run", "the cat sa", "--count", 2) == 0
    assert capsys.readouterr().out.splitlines()[0] == "sat"
    assert printed("suggest", run / "run", "the cat ", "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert made[0]["word"] == made[0]["rest"] == "sat" and made[0]["log_probability"] < 0


def test_what_it_saves_is_measured_on_the_held_out_text(run, capsys):
    assert printed("suggest", run / "run", "--measure", 60, "--json") == 0
    out, err = capsys.readouterr()
    figures = json.loads(out)
    assert figures["words"] == 60 and "60 words" in err
    assert figures["keystrokes_saved"] > 0.5 and figures["next_word_accuracy_at_3"] > 0.8
    assert printed("suggest", run / "run", "--measure", 5, "--split", "train") == 0
    assert "keystrokes saved" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says", "hint"),
    [
        (["run", "the", "--measure", "5"], "a text is given", "leave one"),
        (["run", "--measure", "5", "--split", "dev"], "--split should be", "valid"),
        (["run", "--measure", "5", "--split", "test"], "no words to type", "longer text"),
        (["run", "the Ä"], "", ""),
        (["masked", "the"], "does not go on with a text", "unspool predict"),
    ],
)
def test_what_cannot_be_suggested_is_refused(run, capsys, words, says, hint):
    code = printed("suggest", run / words[0], *words[1:])
    out, err = capsys.readouterr()
    if says:
        error, advice = err.splitlines()
        assert code == 2 and out == "" and says in error and hint in advice
    else:  # an unknown letter in the present word: nothing goes on with it
        assert code == 0 and out == ""
    with pytest.raises(ConfigError, match="does not go on with a text"):
        _ = Run.load(run / "masked").tokenizer
