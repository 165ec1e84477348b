"""N-grams of words and letters: which there are, where they stand, and what they are not for."""

import pytest

from helpers.commands import run
from unspool import build
from unspool.data.tokenizers.ngrams import NgramTokenizer
from unspool.errors import ConfigError


def shown(tokenizer, text):
    return [tokenizer.token(id) for id in tokenizer.encode(text).tolist()]


def test_words_pairs_and_letters():
    tokenizer = NgramTokenizer(words=2, shortest=2, longest=3, min_count=1).fit("Go on!\ngo")
    assert shown(tokenizer, "go on") == [
        *("<go>", "<g", "go", "o>", "<go", "go>"),
        *("<on>", "<go␣on>", "<o", "on", "n>", "<on", "on>"),
    ]
    assert "<!␣go>" not in tokenizer.ids, "a pair does not go over the end of a line"
    assert shown(tokenizer, "gone") == ["<g", "go", "on", "<go"], "a word that training has not"


def test_rare_ones_are_left_out_and_a_text_without_any_is_unknown():
    tokenizer = NgramTokenizer(words=1, longest=0, min_count=2).fit("to be or not to be")
    assert tokenizer.ngrams == ["<unk>", "<to>", "<be>"]
    assert tokenizer.encode("or").tolist() == [0] and tokenizer.encode(" ").tolist() == []
    assert NgramTokenizer(words=1, longest=0, min_count=1, max_size=2).fit("a b b").ngrams == ["<unk>", "<b>"]


def test_places_are_those_of_the_text():
    text = "so Fine"
    tokenizer = NgramTokenizer(words=2, shortest=4, longest=4, min_count=1).fit(text)
    found = [text[start:end] for start, end in tokenizer.offsets(text)]
    assert found == ["so", "Fine", "so Fine", "Fin", "Fine", "ine"]


def test_impossible_lengths_and_writing_are_refused(tmp_path, capsys):
    with pytest.raises(ConfigError, match=r"longest=2 is below tokenizer\.shortest=3"):
        NgramTokenizer(shortest=3, longest=2)
    assert run("train", "char-lm", "tokenizer.kind=ngrams", "--run", tmp_path / "run") == 2
    assert "no text can be written with them" in capsys.readouterr().err


def test_a_bag_does_not_depend_on_the_order_of_words():
    import torch

    recipe = {"core": {"kind": "pooled", "core": "identity", "width": 4}, "model": {"token_dropout": 0.5}}
    from unspool import Tokens

    model = build.model(recipe, Tokens(9), Tokens(2)).eval()
    ids = torch.tensor([[1, 2, 3], [3, 1, 2]])
    y, _ = model(ids, model.start(ids))
    torch.testing.assert_close(y[0, -1], y[1, -1])
    torch.testing.assert_close(y[0, -1], model.head(model.embedding(ids[0]).mean(dim=0)))


def test_token_dropout_zeroes_whole_tokens_in_training_alone():
    import torch

    from unspool import Tokens

    recipe = {"core": {"kind": "identity", "width": 8}, "model": {"token_dropout": 0.25}}
    model = build.model(recipe, Tokens(5), Tokens(2))
    ids = torch.zeros(1, 4000, dtype=torch.long)
    torch.manual_seed(0)
    y, _ = model.hidden_states(ids, model.start(ids))
    kept = y[0].abs().sum(dim=1) > 0
    assert 0.2 < 1 - kept.float().mean() < 0.3
    torch.testing.assert_close(y[0, kept], (model.embedding(ids)[0, kept]) / 0.75)
    model.eval()
    torch.testing.assert_close(model.hidden_states(ids, ())[0], model.embedding(ids))
