"""Constraints: whatever the model, its tokenizer and the draws, what is generated matches, and nothing else changes."""

import re
from dataclasses import replace
from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.models import small
from unspool.batch import Tokens
from unspool.data.tokenizer import tokenizers
from unspool.errors import ConfigError
from unspool.generate import pattern_worker, patterns
from unspool.generate.automaton import MOST_STATES
from unspool.generate.candidates import candidates, likeliest
from unspool.generate.constraints import Constraint, ConstraintRule
from unspool.generate.engine import Engine
from unspool.generate.sampling import Sampling, sampler
from unspool.generate.scoring import id_scores
from unspool.generate.stream import stream_text
from unspool.generate.text import read_prompt

TEXT = "ab ba aab b\nabba a b aba bb a é ü€\n"
KINDS = {
    "char": {"kind": "char"},
    "byte": {"kind": "byte"},
    "word": {"kind": "word"},
    "bpe": {"kind": "bpe", "vocabulary": 270},
    "wordpiece": {"kind": "wordpiece", "vocabulary": 40},
}
TOKENIZERS = {name: tokenizers.build("tokenizer", dict(options)).fit(TEXT * 3) for name, options in KINDS.items()}
MODELS = {name: small(inputs=Tokens(one.size), cell="gru", seed=3) for name, one in TOKENIZERS.items()}
every_tokenizer = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module", autouse=True)
def here():
    """Small patterns compile in this process: a process for each of hundreds takes too long."""

    def ask(pattern, parts):
        try:
            return pattern_worker.automaton(pattern, MOST_STATES)
        except ValueError as error:
            return {"error": str(error)}, b""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patterns, "_ask", ask)
        yield


def written(kind, constraint, seed=0, length=30, **options):
    stream = stream_text(
        Engine(MODELS[kind]), TOKENIZERS[kind], "a", length=length, constraint=constraint, seed=seed, **options
    )
    text = "".join(stream)
    return (text.removeprefix(" ") if kind in ("word", "wordpiece") else text), stream


LEAVES = st.sampled_from(["a", "b", "ab", "[ab]", "[^a]", "é", "(?:a| b)", "€", " ", "ba?", "[a-bü]"])
PATTERNS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda some: f"(?:{'|'.join(some)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{0,2}"])).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
    ),
    max_leaves=6,
)


@every_tokenizer
@settings(max_examples=30, deadline=None)
@given(pattern=PATTERNS, seed=st.integers(0, 9), length=st.integers(1, 25))
def test_what_is_written_matches_whatever_the_pattern_and_the_length(kind, pattern, seed, length):
    constraint = Constraint.regex(pattern)
    try:
        text, stream = written(kind, constraint, seed, length)
    except ConfigError as error:
        assert re.search("needs up to|can be written|but the empty", str(error))
        return
    assert re.fullmatch(pattern, text) and constraint.matches(text)
    assert stream.count <= length and stream.state.position == stream.position


@every_tokenizer
@settings(max_examples=15, deadline=None)
@given(pattern=PATTERNS, text=st.text("ab é€ü", max_size=6))
def test_an_automaton_accepts_what_the_pattern_matches_and_nothing_else(kind, pattern, text):
    assert Constraint.regex(pattern).matches(text) == bool(re.fullmatch(pattern, text))


@every_tokenizer
def test_a_constraint_that_no_tokens_write_is_refused_with_what_is_missing(kind):
    constraint = Constraint.regex("(?:a|b)+Q")
    if kind in ("byte", "bpe"):
        assert written(kind, constraint)[0].endswith("Q")
        return
    with pytest.raises(ConfigError, match=r"nothing that the pattern .* can be written, not 'aQ' for instance: .*[qQ]"):
        written(kind, constraint)


def test_a_way_without_an_end_is_never_taken():
    """After a b nothing but Q could come, which the model does not know: b is ruled out though it fits as yet."""
    for seed in range(20):
        assert written("char", Constraint.regex("a+|a*bQ"), seed)[0].strip("a") == ""


def test_words_that_others_begin_with_are_no_dead_ends():
    """The letters of "ab" begin "abba", but the word "ab" has a space behind it."""
    for seed in range(20):
        assert written("word", Constraint.regex("abba|ab ab"), seed)[0] in ("abba", "ab ab")


@pytest.mark.parametrize("length", [5, 6, 9])
def test_the_pattern_is_complete_when_the_length_is_reached(length):
    for seed in range(10):
        text, stream = written("char", Constraint.regex("(?:aaab)+b"), seed, length)
        assert text in ("aaabb", "aaabaaabb") and stream.count <= length
    with pytest.raises(ConfigError, match="needs up to 5 tokens, more than 4") as caught:
        written("char", Constraint.regex("(?:aaab)+b"), 0, 4)
    assert caught.value.hint == "--length 5"


def test_the_end_is_as_likely_as_what_may_not_follow():
    tokenizer = TOKENIZERS["char"]
    rule = ConstraintRule(Constraint.regex("a[ab]*").for_tokenizer(tokenizer), 50)
    scores = torch.randn(1, tokenizer.size)
    after = rule(tokenizer_ids("char", "ab"), scores)
    allowed = tokenizer.encode("ab").tolist()
    shares = scores.softmax(-1)[0]
    assert after.shape == (1, tokenizer.size + 1)
    assert float(after.softmax(-1)[0, -1]) == pytest.approx(1 - float(shares[allowed].sum()), abs=1e-6)
    assert after.softmax(-1)[0, allowed].tolist() == pytest.approx(shares[allowed].tolist(), abs=1e-6)
    assert float(rule(tokenizer_ids("char", ""), scores)[0, -1]) == -torch.inf


def tokenizer_ids(kind, text):
    return torch.tensor([TOKENIZERS[kind].encode(text).tolist()], dtype=torch.long).view(1, -1)


def test_ends_come_as_often_as_the_model_leaves_the_pattern():
    """Drawn freely, a text that begins with an a goes on with a's as long as with the constraint."""
    engine, tokenizer = Engine(MODELS["char"]), TOKENIZERS["char"]
    state = read_prompt(engine, tokenizer, "a")
    rows = state.select(torch.zeros(2000, dtype=torch.long))
    a = int(tokenizer.encode("a")[0])
    first = next(engine.steps(rows, sampler(rows, Sampling(), bias=[([a], 100.0)])))
    assert set(first.ids.flatten().tolist()) == {a}
    free = list(islice(engine.steps(rows, sampler(rows, Sampling(), bias=[([a], 3.0)])), 2))
    kept = sampler(rows, Sampling(), bias=[([a], 3.0)], rule=ConstraintRule(
        Constraint.regex("a+").for_tokenizer(tokenizer), 9
    ))  # fmt: skip
    list(islice(engine.steps(rows, kept), 2))
    begun = free[0].ids == a
    share = float((begun & (free[1].ids == a)).sum() / begun.sum())
    assert float((~kept.ended).float().mean()) == pytest.approx(share, abs=0.05)


@every_tokenizer
def test_a_row_of_a_batch_is_what_it_would_be_alone(kind):
    engine, tokenizer, constraint = Engine(MODELS[kind]), TOKENIZERS[kind], Constraint.regex("(?:ab|b a|é)+")
    state = replace(read_prompt(engine, tokenizer, "a"), seed=11)
    both = candidates(engine, tokenizer, state, 12, Sampling(), 6, constraint=constraint)
    alone = []
    for row in range(6):
        one = state.select(torch.zeros(6, dtype=torch.long)).row(row)
        alone += candidates(engine, tokenizer, one, 12, Sampling(), 1, constraint=constraint)
    assert sorted(one.text for one in both) == sorted(one.text for one in alone)
    assert len({one.text for one in both}) > 1
    assert all(constraint.matches(one.text) for one in both)


def test_log_probabilities_are_the_models_own():
    engine, tokenizer = Engine(MODELS["char"]), TOKENIZERS["char"]
    state = read_prompt(engine, tokenizer, "ab")
    options = {"constraint": Constraint.regex("[ab]{5}é"), "bias": {"a": 2.0}, "tokens": True}
    drawn = candidates(engine, tokenizer, replace(state, seed=1), 9, Sampling(0.5), 4, **options)
    searched = likeliest(engine.model, tokenizer, "ab", 9, 4, **options)
    for one in [*drawn, *searched]:
        ids = tokenizer.encode(one.text).tolist()
        wanted = [score.log_probability for score in id_scores(engine, tokenizer, ids, state)]
        assert [token.id for token in one.tokens] == ids
        assert [token.log_probability for token in one.tokens] == pytest.approx(wanted, abs=1e-5)
        assert one.log_probability == pytest.approx(sum(wanted), abs=1e-4)


@every_tokenizer
def test_beams_under_a_constraint_find_the_best_of_all_texts(kind):
    """Every text of a small language scored by itself, with the end that follows it."""
    engine, tokenizer = Engine(MODELS[kind]), TOKENIZERS[kind]
    words = ["ab", "abba", "a b", "b", "ba aab", "aab"]
    found = likeliest(engine.model, tokenizer, "a", 12, 64, constraint=Constraint.choices(words), tokens=True)
    texts = [one.text.removeprefix(" ") if kind in ("word", "wordpiece") else one.text for one in found]
    assert set(texts) == set(words)
    assert len({one.text for one in found}) == len(found)  # each once, however many ways there are to spell it
    best = {}
    for text, one in zip(texts, found, strict=True):
        best[text] = max(best.get(text, -torch.inf), one.log_probability)
    state = read_prompt(engine, tokenizer, "a")
    for word in words:
        scores = id_scores(engine, tokenizer, tokenizer.encode(word).tolist(), state)
        assert best[word] >= sum(one.log_probability for one in scores) - 1e-4


def test_a_ban_of_several_tokens_gives_way_and_one_of_one_does_not():
    assert written("char", Constraint.regex("ab"), ban=("ab",))[0] == "ab"
    assert {written("char", Constraint.regex("[ab]{3}"), seed, ban=("b",))[0] for seed in range(5)} == {"aaa"}
    with pytest.raises(ConfigError, match="can be written"):
        written("char", Constraint.regex("ab"), ban=("b",))


def test_greedy_and_filters_stay_inside():
    for sampling in (
        Sampling(0.0),
        Sampling(top_k=1),
        Sampling(top_p=0.1),
        Sampling(min_p=0.9, repetition_penalty=5.0),
    ):
        assert re.fullmatch("[ab]{2,4}é", written("char", Constraint.regex("[ab]{2,4}é"), 0, 9, sampling=sampling)[0])


def test_the_state_behind_a_text_has_read_it_and_nothing_else():
    tokenizer, engine = TOKENIZERS["char"], Engine(MODELS["char"])
    for seed in range(6):
        text, stream = written("char", Constraint.regex("[ab]{1,5}"), seed)
        again = read_prompt(engine, tokenizer, "a" + text)
        assert stream.finished == "constraint" and torch.equal(stream.state.ids, again.ids)
        torch.testing.assert_close(stream.state.logits, again.logits)


def test_a_constraint_may_be_used_again_and_by_many_threads():
    from concurrent.futures import ThreadPoolExecutor

    constraint = Constraint.regex("(?:ab|ba)+é")
    wanted = [written("byte", constraint, seed)[0] for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda seed: written("byte", constraint, seed)[0], range(8)))
    assert found == wanted
    one, other = (constraint.for_tokenizer(TOKENIZERS["byte"]) for _ in range(2))
    assert one is other


def test_choices_are_refused_where_there_is_nothing_to_choose():
    for texts in ([], ["a", ""]):
        with pytest.raises(ConfigError, match="empty text is no choice"):
            Constraint.choices(texts)
    with pytest.raises(ConfigError, match="more than 20,000 characters"):
        Constraint.choices([f"{number:020b}" for number in range(10**5)])
    with pytest.raises(ConfigError, match="no text but the empty one"):
        written("char", Constraint.regex(""))
    with pytest.raises(ConfigError, match="no text at all"):
        Constraint.regex(r"[a&&b]")
    with pytest.raises(ConfigError, match="no text at all"):
        written("char", Constraint.regex(r"\x00"))
