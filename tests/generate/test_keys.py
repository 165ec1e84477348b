"""T9: what keys allow, ranked by models whose every chance is known, over tokenizers that cut words in every way."""

import json
from math import exp

import pytest
import torch

from helpers.known import KINDS, Known, printed
from helpers.models import small
from unspool.batch import Tokens
from unspool.data.keypad import keys_of
from unspool.data.tokenizer import tokenizers
from unspool.errors import DataError
from unspool.experiment.experiment import Experiment
from unspool.generate.keystrokes import Typed, compare_keys
from unspool.generate.spelling import PHONE, Pattern
from unspool.generate.suggest import suggest_keys
from unspool.recipe import load_recipe

TEXT = "The power on The. The pow on The. The powder on The. The dog on The.\n"


@pytest.fixture(scope="module", params=KINDS)
def known(request):
    tokenizer = tokenizers.build("tokenizer", KINDS[request.param]).fit(TEXT)
    return Known(tokenizer), tokenizer


def on_keys(model, tokenizer, texts, keys, **options):
    return suggest_keys(model, tokenizer, texts, keys, width=8, **options)


def test_words_on_keys_come_with_their_chances(known):
    (found,) = on_keys(*known, ["The "], ["769"])
    assert (found[0].word, found[0].rest) == ("pow", "pow")
    assert exp(found[0].log_probability) == pytest.approx(0.3, abs=1e-4), "and not the 0.9 of all that begins so"
    assert all(one.log_probability < -12 for one in found[1:]), "nothing else is ever said"
    (found,) = on_keys(*known, ["The "], ["769"], complete=True)
    assert [one.word for one in found[:3]] == ["power", "pow", "powder"]
    assert [exp(one.log_probability) for one in found[:3]] == pytest.approx([0.4, 0.3, 0.2], abs=1e-4)


def test_a_space_that_is_missing_is_in_the_rest(known):
    (found,) = on_keys(*known, ["The"], ["364"], k=1)
    assert (found[0].word, found[0].rest) == ("dog", " dog")


def test_several_words_are_found_together(known):
    """After the end of "The power on" comes "The" again; the candidates of the last word are behind the best before."""
    (found,) = on_keys(*known, ["The "], ["76937 66 843"])
    assert (found[0].word, found[0].rest) == ("The", "power on The")
    assert found[0].log_probability == pytest.approx(0, abs=1e-3), "of the last word alone"
    (found,) = on_keys(*known, ["The"], ["364 66"], k=1)
    assert found[0].rest == " dog on"


def test_many_texts_at_once_are_as_each_alone(known):
    texts, keys = ["The ", "The power on The ", "The", "The "], ["769", "364", "76937", "364 66"]
    together = on_keys(*known, texts, keys, k=1)
    assert [each[0].rest for each in together] == ["pow", "dog", " power", "dog on"]
    assert together == [on_keys(*known, [text], [one], k=1)[0] for text, one in zip(texts, keys, strict=True)]


def test_the_ranking_is_that_of_all_words_of_the_vocabulary():
    words = "good home gone hone hood goof Good the he in goods, on. gone-by hoods 4663 göne день"
    tokenizer = tokenizers.build("tokenizer", "word").fit(words)
    model = small(inputs=Tokens(tokenizer.size), width=12)
    ids = torch.as_tensor(tokenizer.encode("in the"))[None]
    with torch.no_grad():
        scores = model(ids, model.start(ids))[0][0, -1].log_softmax(-1)
    chances: dict[str, float] = {}
    for word in words.split():
        if word not in ("день", "goods,", "on.", "gone-by") and keys_of(word) == "4663":
            chance = exp(float(scores[tokenizer.ids[word]]))  # any next word ends this one
            chances[word.lower()] = chances.get(word.lower(), 0.0) + chance
    (found,) = suggest_keys(model, tokenizer, ["in the"], ["4663"], k=16)
    assert [one.word.lower() for one in found] == sorted(chances, key=lambda word: -chances[word])
    assert [exp(one.log_probability) for one in found] == pytest.approx(
        sorted(chances.values(), reverse=True), rel=1e-4
    )


@pytest.mark.parametrize("kind", ["char", "byte", "bpe"])
def test_accented_letters_are_found_by_their_base_letter(kind):
    """Of bytes the first half of an é may become one, and nothing of another key."""
    text = "un café. un café. un café. un cage. ещё\n" * 3
    options = {"vocabulary": 262} if kind == "bpe" else {}
    tokenizer = tokenizers.build("tokenizer", kind, **options).fit(text)
    model = small(inputs=Tokens(tokenizer.size))
    found = {one.word.lower() for one in suggest_keys(model, tokenizer, ["un "], ["3"], k=99, width=100)[0]}
    assert {"e", "é"} <= found and {keys_of(word) for word in found} == {"3"}


def test_unfinished_characters_fit_only_where_a_letter_of_the_key_begins_so():
    pattern = Pattern("3", PHONE, 0, 0)
    assert pattern.begins(0, b"\xc3") and not pattern.begins(0, "я".encode()[:1])
    assert pattern.begins(1, "\u0301".encode()[:1]) and not pattern.begins(1, b"\xc3"), "a mark, and no letter more"


def test_known_words_come_first():
    tokenizer = tokenizers.build("tokenizer", "byte")
    model = Known(tokenizer), tokenizer
    (plain,) = on_keys(*model, ["The "], ["769"])
    (found,) = on_keys(*model, ["The "], ["769"], known={plain[1].word.lower()})
    assert [one.word for one in found[:2]] == [plain[1].word, "pow"]


def test_kspc_by_hand():
    """Home is the second: 4 + NEXT + space; bad is not offered: 22 2 3 by multi-tap with a NEXT, and a space."""
    typed = Typed()
    for word, offers in (("good", ["good", "home"]), ("Home", ["good", "home"]), ("bad", ["ace"])):
        typed.type(word, offers)
    assert (typed.keys, typed.characters, typed.words, typed.first, typed.offered) == (5 + 6 + 6, 5 + 5 + 4, 3, 1, 2)
    assert typed.kspc == 17 / 14


def test_the_ways_to_type_are_compared():
    tokenizer = tokenizers.build("tokenizer", "char").fit(TEXT)
    known = Known(tokenizer), tokenizer
    text = "The power on The dog on The pow on The"
    *_, found = compare_keys(*known, text, "dog on the", words=100)
    ways = found.ways
    words = text.split()[1:]
    assert found.words == len(words) == 9 and found.skipped == 0
    characters = sum(len(word) + 1 for word in words)
    assert all(way.characters == characters for way in ways.values())
    assert ways["T9, dictionary of the same text"].keys == characters, "each word is the only one on its keys"
    assert ways["multi-tap"].keys == sum(taps_of(word) + 1 for word in words)
    assert ways["T9, model in context"].keys == characters
    savings = found.letters
    assert savings is not None and savings.kspc == (savings.keys - savings.saved + savings.words) / characters


def taps_of(word):
    """By hand: p is 7, o 666 NEXT with m, n or o beside it, w 9, e 33, r 777, t 8, h 44, n 66, d 3, g 4."""
    return {"power": 1 + 3 + 1 + 2 + 3, "pow": 1 + 3 + 1, "The": 1 + 2 + 2, "on": 3 + 1 + 2, "dog": 1 + 3 + 1}[word]


def test_a_text_in_another_script_cannot_be_typed():
    tokenizer = tokenizers.build("tokenizer", "byte")
    with pytest.raises(DataError, match="no words to type"):
        list(compare_keys(Known(tokenizer), tokenizer, "день и ночь", "the"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    (folder / "text.txt").write_text("the cat sat on the mat.\n" * 200)
    options = [f"data.path={folder}/text.txt", "core.width=32", "train.steps=150", "train.minutes=0"]
    options += ["train.precision=float32", "train.threads=1", "evaluate.times=1", "sample.times=0"]
    list(Experiment.new(load_recipe("char-lm", options), folder / "run"))
    word = ["tokenizer.kind=word", "tokenizer.punctuation=true", "train.steps=20"]
    list(Experiment.new(load_recipe("char-lm", [*options, *word]), folder / "words"))
    return folder


def test_the_command_ranks_what_keys_allow(runs, capsys):
    assert printed("suggest", runs / "run", "the cat ", "--keys", "728") == 0
    assert capsys.readouterr().out.splitlines()[0] == "sat"
    assert printed("suggest", runs / "run", "the", "--keys", "228 728", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["rest"] == " cat sat"


def test_the_command_prints_the_table(runs, capsys):
    assert printed("suggest", runs / "words", "--measure-keys", 20) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0].split() == ["keystrokes", "per", "character", "KSPC", "first", "offered", "published"]
    assert len(out.splitlines()) == 6 and "20 words" in err
    assert printed("suggest", runs / "words", "--measure-keys", 20, "--json") == 0
    ways = json.loads(capsys.readouterr().out)["ways"]
    assert ways[1]["kspc"] == 1.0 and ways[0]["published"] == 2.03


@pytest.mark.parametrize(
    ("words", "says", "hint"),
    [
        (["--keys", "46x"], "'x' is no key", '--keys "4663 63"'),
        (["--keys", ""], "no key is pressed", '--keys "4663"'),
        (["--keys", "99999"], "no word of this model lies on the keys '99999'", "--complete"),
        (["--keys", "99999", "--complete"], "no word of this model", "2 is abc"),
        (["--complete"], "which words --keys allow", "--keys"),
        (["--keys", "46", "--measure-keys", "5"], "--keys are given", "leave one"),
        (["--measure", "4", "--measure-keys", "5"], "two tables", "leave one"),
    ],
)
def test_what_cannot_be_typed_is_refused(runs, capsys, words, says, hint):
    assert printed("suggest", runs / "words", *words) == 2
    out, err = capsys.readouterr()
    error, advice = err.splitlines()[-2:]
    assert out == "" and says in error and hint in advice


def test_without_its_training_text_it_still_ranks(runs, capsys):
    text = runs / "text.txt"
    kept = text.read_text()
    text.write_text("something else\n" * 100)
    try:
        assert printed("suggest", runs / "run", "the cat ", "--keys", "728") == 0
        out, err = capsys.readouterr()
        assert out.splitlines()[0] == "sat" and "note: without the training text" in err
    finally:
        text.write_text(kept)
