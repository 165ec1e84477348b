"""The engine runs every model the same way and leaves nothing behind; text begins and ends where it should."""

import warnings
from dataclasses import replace
from itertools import count, islice

import pytest
import torch
from torch import nn

from helpers.models import STREAMING, small
from unspool import Batch, Sampling, Tokens, Vectors, tokenizers
from unspool.errors import ConfigError, DataError, TrainingError
from unspool.generate import stream as stream_module
from unspool.generate.bias import Ban
from unspool.generate.candidates import candidates, likeliest
from unspool.generate.engine import Engine, window_start
from unspool.generate.rollout import Roller
from unspool.generate.sampling import greedy, noise, sample_tokens, sampler
from unspool.generate.state import model_fingerprint
from unspool.generate.stream import Stream, stream_text
from unspool.generate.text import StopText, banned_ids, prime, read_prompt, token_before

CHARACTERS = Tokens(28)
every_core = pytest.mark.parametrize("case", STREAMING, ids=lambda s: s.name)
TEXT = "to be or not to be that is the question\n"


def engine_of(tokenizer, seed=0, **options):
    model = small("recurrent", Tokens(tokenizer.size), seed=seed, **options)
    return Engine(model, model_fingerprint(model, {"tokenizer": tokenizer}))


CHAR = tokenizers.build("tokenizer", "char").fit("abcdefghijklmnopqrstuvwxyz \n")
WORD = tokenizers.build("tokenizer", "word").fit(TEXT * 3)
BYTE = tokenizers.build("tokenizer", "byte")


def scripted(monkeypatch, ids):
    """Streams that generate these ids."""
    left = iter(ids)
    monkeypatch.setattr(
        stream_module, "sampler", lambda *_, **__: lambda logits, position: torch.tensor([[next(left)]])
    )


# The engine


@every_core
def test_what_is_generated_is_what_a_fresh_reading_says(case):
    """Greedy, step by step and beyond a full cache, against one reading of what the core can see."""
    model, ids, looks = case.model(), case.ids(time=5), case.source_of(range(3))
    with torch.no_grad():
        model.head.weight.mul_(8)
    limit, steps = model.core.max_length, list(islice(sample_tokens(model, ids, greedy, **looks), 45))
    for step in steps:
        seen = ids[:, window_start(ids.shape[1], limit) :]
        with torch.no_grad():
            scores = model(seen, case.start(model, seen))[0][:, -1].log_softmax(-1)
        printed = scores.gather(1, step.ids).squeeze(1)
        torch.testing.assert_close(step.log_probability, printed, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(printed, scores.amax(dim=-1), atol=1e-4, rtol=1e-4)
        ids = torch.cat([ids, step.ids], dim=1)


def test_where_a_full_window_begins_follows_from_the_position():
    for limit in (1, 2, 3, 8, 24, 25):
        half = max(1, limit // 2)
        for position in range(1, 200):
            begin = window_start(position, limit)
            assert (begin % half == 0 and max(0, limit - half) < position - begin <= limit) or position <= limit
            assert begin == 0 if position <= limit else window_start(position - 1, limit) <= begin
    assert window_start(10**9, None) == 0


@pytest.mark.parametrize("ended", ["left half-way", "closed by an error", "to its end"])
def test_the_mode_of_every_part_is_what_it_was(ended):
    model = small("recurrent", CHARACTERS, dropout=0.5).train()
    model.core.eval()  # somebody froze a part of it
    modes = [module.training for module in model.modules()]
    engine, prompt = Engine(model), torch.tensor([[1, 2, 3]])
    state = engine.read(prompt)
    steps = engine.steps(state, sampler(state, Sampling()))
    if ended == "left half-way":
        next(steps)
    elif ended == "to its end":
        list(islice(steps, 5))
    else:
        with pytest.raises(ZeroDivisionError):
            list(engine.steps(state, lambda logits, position: 1 / 0))
    batch = Batch(prompt, prompt, torch.ones_like(prompt, dtype=torch.bool))
    assert torch.equal(engine.forward(batch), engine.forward(batch)), "no dropout"
    assert [module.training for module in model.modules()] == modes
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


def test_a_step_reads_nothing_back_from_the_device(monkeypatch):
    """The ids that a caller reads are the only values that leave the device."""
    case = next(s for s in STREAMING if s.name == "cell lstm")
    engine, ids = Engine(case.model()), case.ids()
    state = engine.read(ids)
    steps = engine.steps(state, sampler(state, Sampling(temperature=0.8, top_k=5, top_p=0.9, repetition_penalty=1.1)))
    next(steps)

    def read(*_, **__):
        raise AssertionError("a value was read")

    for name in ("item", "tolist", "__bool__", "__int__", "__float__", "cpu", "numpy", "nonzero"):
        monkeypatch.setattr(torch.Tensor, name, read)
    next(steps), next(steps)


def test_a_model_that_has_diverged_says_so():
    model = small("recurrent", CHARACTERS)
    with torch.no_grad():
        model.head.weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match="scores are not finite") as caught:
        next(sample_tokens(model, torch.tensor([[1]])))
    assert "earlier one of its checkpoints" in caught.value.hint


def test_a_core_that_reads_both_ways_refuses_states_and_predicts():
    model, ids = small("recurrent", CHARACTERS, bidirectional=True), torch.tensor([[1, 2, 3]])
    with pytest.raises(ConfigError, match="reads both ways: use predict"):
        Engine(model).read(ids)
    there = torch.tensor([[True, True, False]])
    scores = Engine(model).forward(Batch(ids, ids, there, there))
    alone = Engine(model).forward(Batch(ids[:, :2], ids[:, :2], there[:, :2]))
    torch.testing.assert_close(scores[:, :2], alone)
    assert Engine(model).density(Batch(ids, ids, there)) is None


def test_a_source_is_read_once():
    case = next(s for s in STREAMING if s.name == "transformer cross-attention")
    engine, looks = Engine(case.model()), case.source_of([0])
    state = engine.read(case.ids(rows=1), **looks)
    with pytest.raises(ConfigError, match="has read its source already"):
        engine.read(case.ids(rows=1), state, **looks)


# Numbers


SLIDING = {"kind": "transformer", "context": 8}


@pytest.mark.parametrize("options", [{"kind": "recurrent"}, SLIDING, {**SLIDING, "positions": "learned"}])
def test_a_roll_out_is_a_fresh_reading_of_what_can_be_seen(options):
    net, inputs = small(options, Vectors(2), seed=3), torch.randn(3, 5, 2)
    found = Roller(net)(inputs, 20)
    every = torch.cat([inputs, found], dim=1)
    for step in range(20):
        seen = every[:, window_start(5 + step, net.core.max_length) : 5 + step]
        with torch.no_grad():
            wanted = net(seen, net.start(seen))[0][:, -1]
        torch.testing.assert_close(found[:, step], wanted, atol=1e-5, rtol=1e-5)


def test_draws_of_numbers_follow_their_density_and_rows_are_strangers():
    net, one = small("recurrent", Vectors(2), components=2, seed=3), torch.randn(1, 4, 2)
    drawn = Roller(net)(one.expand(5000, -1, -1), 2, seed=1)
    torch.testing.assert_close(Roller(net)(one.expand(3, -1, -1), 2, seed=1), drawn[:3])
    assert not torch.equal(Roller(net)(one, 2, seed=2), drawn[:1])
    with torch.no_grad():
        density = net.head.density(net.hidden_states(one, net.start(one))[0][:, -1])
    first, wanted = drawn[:, 0], density.mean()[0]
    weights = density.log_weights.exp()[0, :, None]
    scale = (weights * (density.scales[0] ** 2 + density.means[0] ** 2)).sum(dim=0) - wanted**2
    assert ((first.mean(dim=0) - wanted).abs() < 4 * (scale / 5000).sqrt()).all()
    torch.testing.assert_close(first.var(dim=0), scale, rtol=0.1, atol=0)


# Draws


def test_noise_is_uniform_and_of_its_own_for_every_seed_and_position():
    many = torch.stack([noise(range(40), position) for position in range(100)])
    assert many.unique().numel() == 4000 and float(many.min()) >= 0 and float(many.max()) < 1
    assert abs(float(many.mean()) - 0.5) < 0.02
    assert abs(float(torch.corrcoef(torch.stack([many[:-1].flatten(), many[1:].flatten()]))[0, 1])) < 0.06


def test_a_ban_changes_the_draw_and_not_the_log_probabilities():
    model, prompt = small("recurrent", CHARACTERS), torch.tensor([[1, 2, 3]])
    engine = Engine(model)
    state = replace(engine.read(prompt), seed=1)
    plain = [int(step.ids) for step in islice(engine.steps(state, sampler(state, Sampling())), 60)]
    ban = sorted(set(range(28)) - {4, 5, 6})
    steps = engine.steps(state, sampler(state, Sampling(), [[id] for id in ban]))
    logits = state.logits.log_softmax(-1)[0]
    first = next(steps)
    assert int(first.ids) in (4, 5, 6) and float(first.log_probability) == pytest.approx(float(logits[first.ids]))
    assert {int(step.ids) for step in islice(steps, 60)} == {4, 5, 6} != set(plain)
    cold = engine.steps(state, sampler(state, Sampling(temperature=0.0), [[id] for id in ban]))
    assert int(next(cold).ids) == 4 + int(logits[4:7].argmax())
    with pytest.raises(ConfigError, match="every token is banned"):
        Ban([[id] for id in range(5)], 5)


def test_a_phrase_is_banned_wherever_it_begins():
    model, prompt = small("recurrent", Tokens(3)), torch.tensor([[0, 1]])
    engine = Engine(model)
    state = replace(engine.read(prompt), seed=1)
    for ban in ([[1, 2]], [[1, 2, 0], [0, 0]]):
        steps = engine.steps(state, sampler(state, Sampling(), ban))
        text = "01" + "".join(str(int(step.ids)) for step in islice(steps, 300))
        for phrase in ban:
            assert "".join(map(str, phrase)) not in text
        assert len(set(text)) == 3


# Text


def test_stop_strings_may_span_tokens():
    def until(text, *stop):
        cutter = StopText(stop)
        found = "".join(map(cutter.feed, text))
        return found + cutter.flush(), cutter.stopped

    assert until("to be or not", "or") == ("to be ", True)
    assert until("to be or not", "not!", "r n") == ("to be o", True)
    assert until("aaab", "aab") == ("a", True)
    assert until("to be o", "or") == ("to be o", False)
    assert until(["to be or not", " to be"], "or", "be") == ("to ", True)
    with pytest.raises(ConfigError, match="empty text"):
        StopText([""])


def test_a_stream_ends_before_a_stop_string_and_goes_on_behind_it(monkeypatch):
    engine = engine_of(CHAR)
    state = read_prompt(engine, CHAR, "ab")
    scripted(monkeypatch, CHAR.encode("to be\n\nor not").tolist())
    stream = Stream(engine, CHAR, state, 50, stop=["\n\n"])
    assert list(stream) == list("to be") and stream.finished == "stop"
    assert CHAR.decode(stream.state.ids[0].tolist()) == "abto be\n\n" and stream.state.pending == b""
    scripted(monkeypatch, CHAR.encode("or not").tolist())
    more = Stream(engine, CHAR, stream.state, 6, stop=["\n\n"])
    assert "".join(more) == "or not" and more.finished == "length"


def test_what_is_held_back_for_a_stop_string_is_not_lost(monkeypatch):
    engine = engine_of(CHAR)
    scripted(monkeypatch, CHAR.encode("the ends meet").tolist())
    stream = Stream(engine, CHAR, read_prompt(engine, CHAR, "a"), 13, stop=["end.", "ends of"])
    first = "".join(islice(stream, 3))
    assert first == "the " and stream.state.pending == b""
    assert "".join(stream) == "ends meet"
    scripted(monkeypatch, CHAR.encode("the ends").tolist())
    stream = Stream(engine, CHAR, read_prompt(engine, CHAR, "a"), 8, stop=["xyz"])
    stream._end.held = "x"  # left in the middle of what could have become a stop string
    state = stream.state
    assert state.pending == b"x"
    assert "".join(Stream(engine, CHAR, state, 3, stop=["q"])) == "xthe"


def test_an_unfinished_character_waits_in_the_state(monkeypatch):
    engine = engine_of(BYTE)
    scripted(monkeypatch, [*b"n", *"é".encode()[:1]])
    stream = stream_text(engine, BYTE, "a", length=2)
    assert "".join(stream) == "n" and stream.state.pending == "é".encode()[:1]
    scripted(monkeypatch, [*"é".encode()[1:], *b"!"])
    assert "".join(Stream(engine, BYTE, stream.state, 2)) == "é!"


def test_the_last_token_of_the_prompt_primes_the_text():
    """Words are not glued to a prompt, nor is there a space after a line break or where one was typed."""
    engine = engine_of(WORD)
    for prompt, wanted in (("to be", " "), ("to be\n", ""), ("to be ", ""), ("", "")):
        for seed in range(5):
            text = "".join(stream_text(engine, WORD, prompt, length=1, seed=seed))
            assert text == "\n" or ((text[:1] == " ") == (wanted == " ") and text.strip() in WORD.words)
    stream = stream_text(engine, WORD, "to be", length=8, seed=3)
    whole = "to be" + "".join(stream)
    assert WORD.decode(stream.state.ids[0].tolist()) == whole
    state = read_prompt(engine, WORD, "to be")
    more = "to be" + "".join(stream_text(engine, WORD, state=state, length=8, seed=3))
    assert more == whole
    made = candidates(engine, WORD, state, 4, Sampling(), 3, before=token_before(WORD, "to be", state.ids))
    made += likeliest(engine.model, WORD, "to be", 4, 3)
    assert all(one.text[:1] in " \n" and "  " not in one.text for one in made)


def test_unknown_words_of_a_prompt_are_told():
    engine = engine_of(WORD)
    with pytest.warns(UserWarning, match="does not know 'zebra', 'yak': read as <unk>"):
        state = read_prompt(engine, WORD, "to zebra or yak")
    assert state.ids.tolist() == [[WORD.ids["to"], 0, WORD.ids["or"], 0]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_prompt(engine, WORD, "to <unk> be")
    with pytest.raises(DataError, match="holds no token"):
        read_prompt(engine, WORD, "  ")
    with pytest.raises(DataError, match="does not know '#'"):
        read_prompt(engine_of(CHAR), CHAR, "#")


def test_unk_is_never_written_unless_asked_for():
    engine = engine_of(WORD)
    with torch.no_grad():
        engine.model.head.bias[0] = 9.0
    state = read_prompt(engine, WORD, "to be")
    assert "<unk>" not in "".join(stream_text(engine, WORD, "to be", length=100, seed=1))
    assert "<unk>" in "".join(stream_text(engine, WORD, "to be", length=10, seed=1, ban=()))
    for made in (candidates(engine, WORD, state, 20, Sampling(), 3), likeliest(engine.model, WORD, "to be", 20, 3)):
        assert len(made) == 3 and not any("<unk>" in one.text for one in made)
    assert "<unk>" in likeliest(engine.model, WORD, "to be", 5, 2, ban=())[0].text
    assert max(one.log_probability for one in likeliest(engine.model, WORD, "to be", 1, 2)) < -5, "the model's own"


def test_banned_texts_are_tokens_or_sequences_of_them():
    several = [CHAR.encode(text).tolist() for text in (" a", "the", " the")]
    assert banned_ids(CHAR, ["a", "the"]) == [[CHAR.characters.index("a")], *several]
    bpe = tokenizers.build("tokenizer", "bpe", vocabulary=280).fit(TEXT * 20)
    assert [bpe.pieces[one[0]] for one in banned_ids(bpe, ["be"]) if len(one) == 1]
    assert banned_ids(CHAR, ["<unk>"]) == []
    with pytest.raises(DataError, match="cannot spell 'zebra'"):
        banned_ids(WORD, ["zebra"])
    with pytest.raises(ConfigError, match="empty"):
        banned_ids(WORD, [""])
    engine = engine_of(CHAR)
    text = "".join(stream_text(engine, CHAR, "the ", length=2000, seed=1, ban=["e", "ab"]))
    assert len(text) == 2000 and "e" not in text and "ab" not in text and "a" in text


def test_candidates_are_streams_side_by_side():
    """Each ends before its own stop string; the first is the stream of the same seed."""
    engine = engine_of(CHAR)
    state = replace(read_prompt(engine, CHAR, "the "), seed=4)
    made = candidates(engine, CHAR, state, 60, Sampling(), 5, stop=["a", "qu"])
    texts = ["".join(Stream(engine, CHAR, replace(state, seed=seed), 60, stop=["a", "qu"])) for seed in (4,)]
    assert texts[0] in {one.text for one in made} and not any("a" in one.text for one in made)
    assert len({len(one.text) for one in made}) > 1
    for one in made:
        ids = CHAR.encode("the " + one.text)
        with torch.no_grad():
            row = torch.as_tensor(ids)[None]
            scores = engine.model(row, engine.model.start(row))[0][0].log_softmax(-1)
        known = float(scores[3:-1].gather(1, row[0, 4:, None]).sum())
        assert one.log_probability <= known + 1e-4, "the token that ended it counts"


def test_a_stream_goes_on_from_its_state_as_if_never_stopped():
    for tokenizer in (CHAR, BYTE, WORD):
        engine = engine_of(tokenizer, seed=2)
        options = {"sampling": Sampling(0.9, repetition_penalty=1.1), "ban": ()}
        whole = "".join(stream_text(engine, tokenizer, "to be", length=40, seed=9, **options))
        text, state = "", None
        for size in (1, 5, 14, 20):
            begin = {"state": state} if state else {"prompt": "to be", "seed": 9}
            stream = stream_text(engine, tokenizer, length=size, **begin, **options)
            text += "".join(stream)
            state = stream.state
        assert (text.encode() + state.pending).decode("utf-8", "replace") == (whole.encode() + b"").decode() + (
            "\ufffd" if state.pending else ""
        )
        stream = stream_text(engine, tokenizer, "to be", length=40, seed=9, **options)
        early = "".join(islice(stream, 7))
        rest = stream_text(engine, tokenizer, state=stream.state, length=40 - stream.count, **options)
        assert early + "".join(rest) == whole


def test_without_a_seed_texts_differ_and_with_one_they_do_not():
    engine = engine_of(CHAR)
    texts = ["".join(stream_text(engine, CHAR, "the ", length=30)) for _ in range(2)]
    assert texts[0] != texts[1]
    state = read_prompt(engine, CHAR, "the ")
    again = ["".join(stream_text(engine, CHAR, state=state, length=30)) for _ in range(2)]
    assert again[0] == again[1], "a state has its seed"
    other = "".join(stream_text(engine, CHAR, state=state, length=30, seed=state.seed + 1))
    assert other != again[0]


def test_an_empty_prompt_is_a_line_break_or_the_first_token():
    assert prime(small("recurrent", CHARACTERS), CHAR, "").tolist() == [CHAR.encode("\n").tolist()]
    bare = tokenizers.build("tokenizer", "char").fit("abc")
    assert prime(small("recurrent", CHARACTERS), bare, "").tolist() == [[0]]


def test_a_long_prompt_is_read_in_chunks(monkeypatch):
    model, ids = small("recurrent", CHARACTERS), torch.randint(28, (2, 50))
    whole = Engine(model).read(ids)
    monkeypatch.setattr("unspool.generate.engine.CHUNK", 7)
    torch.testing.assert_close(Engine(model).read(ids).logits, whole.logits, atol=1e-6, rtol=1e-5)


def test_long_texts_are_joined_in_blocks(monkeypatch):
    monkeypatch.setattr("unspool.generate.engine.BLOCK", 4)
    model = small("transformer", CHARACTERS, positions="learned", context=6)
    engine, numbers_ = Engine(model), count()
    state = engine.read(torch.tensor([[1, 2, 3]]))
    steps = engine.steps(state, lambda logits, position: torch.tensor([[next(numbers_) % 28]]))
    list(islice(steps, 30))
    assert steps.state.ids.tolist() == [[1, 2, 3, *range(28), 0, 1]]
    torch.testing.assert_close(steps.state.logits, engine.read(steps.state.ids).logits)
    assert isinstance(model.dropout, nn.Dropout)


@every_core
@pytest.mark.parametrize("cuts", [(1,) * 12, (5, 7), (12,)], ids=str)
def test_a_reader_gives_the_scores_of_every_position(case, cuts):
    if case.model().core.needs_source:
        pytest.skip("a reader has no source")
    model, ids = case.model(), case.ids(time=12)
    reader, found = Engine(model).reader(), []
    for part in ids.split(cuts, dim=1):
        found.append(reader.feed(part))
    assert reader.position == 12
    for end in range(1, 13):
        seen = ids[:, window_start(end, model.core.max_length) : end]
        with torch.no_grad():
            wanted = model(seen, case.start(model, seen))[0][:, -1]
        torch.testing.assert_close(torch.cat(found, dim=1)[:, end - 1], wanted, atol=1e-4, rtol=1e-4)


def test_a_reader_refuses_a_core_that_reads_both_ways():
    with pytest.raises(ConfigError, match="reads both ways"):
        Engine(small("recurrent", bidirectional=True)).reader()
