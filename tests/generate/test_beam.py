"""Beam search against enumeration, greedy writing and rescoring, over cores of every sort."""

from itertools import islice, product

import pytest
import torch

from helpers.models import STREAMING, small
from unspool import Batch, Tokens, sample_tokens, watch
from unspool.checks.cases import SIZE, Case
from unspool.errors import ConfigError
from unspool.generate.beam import beam_search
from unspool.generate.candidates import likeliest
from unspool.generate.sampling import greedy

CORES = {
    "lstm": {"kind": "recurrent"},
    "one vector": {"kind": "recurrent", "cell": "gru", "conditioning": "always"},
    "transformer": {"kind": "transformer", "layers": 2, "context": 24},
    "transformer cross-attention": {"kind": "transformer", "layers": 2, "context": 24, "cross_attention": True},
    "attention-rnn": {"kind": "attention-rnn"},
}
every_core = pytest.mark.parametrize("name", CORES)
END = 3


def opinionated(name, size=4, sharp=6.0):
    """A model that has opinions, and what three rows look at, where it looks."""
    model = small(CORES[name], Tokens(size), seed=5)
    with torch.no_grad():
        model.head.weight.mul_(sharp)
    looks = {}
    if model.core.needs_source:
        there = torch.arange(5) < torch.tensor([[5], [2], [3]])
        looks = {"source": torch.randn(3, 5, 8), "source_mask": there}
    return model, looks


@torch.no_grad()
def log_probability(model, prompt, ids, looks):
    """The sum over the continuation, scored in one reading."""
    row = torch.tensor([[*prompt, *ids]])
    logits, _ = model(row[:, :-1], model.start(row, **looks))
    scores = logits.log_softmax(-1)[0, len(prompt) - 1 :]
    return float(scores[torch.arange(len(ids)), torch.tensor(ids)].sum())


def one(looks, row):
    return {name: value[row : row + 1] for name, value in looks.items()}


@every_core
@pytest.mark.parametrize("strength", [0.0, 0.8])
def test_a_beam_as_wide_as_everything_finds_the_true_best(name, strength):
    model, looks = opinionated(name)
    prompt, length = [[1, 2], [0, 0], [2, 1]], 3
    found = beam_search(model, torch.tensor(prompt), length, 4**length, end=END, length_penalty=strength, **looks)
    words = [w for size in range(length + 1) for w in product(range(END), repeat=size)]
    for row, beams in enumerate(found):
        wanted = []
        for word in words:
            whole = [*word] if len(word) == length else [*word, END]
            score = log_probability(model, prompt[row], whole, one(looks, row)) / ((5 + len(whole)) / 6) ** strength
            wanted.append((score, list(word), len(word) < length))
        wanted.sort(key=lambda entry: -entry[0])
        assert len(beams) == len(wanted) == len({tuple(b.ids) for b in beams})
        assert [b.score for b in beams] == pytest.approx([score for score, _, _ in wanted], abs=1e-4)
        assert (beams[0].ids, beams[0].finished) == wanted[0][1:]


@every_core
def test_a_beam_of_one_is_greedy(name):
    model, looks = opinionated(name, size=9)
    prompt = torch.tensor([[1], [0], [2]])
    written = torch.cat([drawn.ids for drawn in islice(sample_tokens(model, prompt, greedy, **looks), 12)], dim=1)
    assert [beams[0].ids for beams in beam_search(model, prompt, 12, 1, **looks)] == written.tolist()
    for row, (beam,) in enumerate(beam_search(model, prompt, 12, 1, end=END, **looks)):
        whole = written[row].tolist()
        cut = whole.index(END) if END in whole else 12
        assert (beam.ids, beam.finished) == (whole[:cut], END in whole)


@every_core
def test_scores_are_those_of_reading_what_was_written_and_rows_are_strangers(name):
    model, looks = opinionated(name, size=6, sharp=3.0)
    prompt = torch.tensor([[1, 4], [0, 0], [2, 5]])
    found = beam_search(model, prompt, 10, 4, end=END, length_penalty=0.6, **looks)
    ended = set()
    for row, beams in enumerate(found):
        assert len(beams) == 4 and [b.score for b in beams] == sorted((b.score for b in beams), reverse=True)
        for beam in beams:
            whole = beam.ids + [END] * beam.finished
            assert END not in beam.ids and (beam.finished or len(beam.ids) == 10)
            again = log_probability(model, prompt[row].tolist(), whole, one(looks, row))
            assert beam.log_probability == pytest.approx(again, abs=1e-3)
            assert beam.score == pytest.approx(again / ((5 + len(whole)) / 6) ** 0.6, abs=1e-3)
            ended.add(beam.finished)
        (alone,) = beam_search(model, prompt[row : row + 1], 10, 4, end=END, length_penalty=0.6, **one(looks, row))
        assert [b.ids for b in alone] == [b.ids for b in beams]
    assert True in ended


def test_a_length_penalty_makes_answers_longer():
    model, looks = opinionated("attention-rnn", sharp=2.0)
    prompt = torch.tensor([[1], [0], [2]])
    sizes = [
        sum(len(beams[0].ids) for beams in beam_search(model, prompt, 8, 50, end=END, length_penalty=strength, **looks))
        for strength in (0.0, 3.0)
    ]
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("name", ["attention-rnn", "transformer cross-attention"])
def test_coverage_counts_what_was_looked_at(name):
    model, looks = opinionated(name, size=9)
    prompt = torch.tensor([[1, 2], [0, 2], [2, 2]])
    plain = beam_search(model, prompt, 6, 3, end=END, **looks)
    covered = beam_search(model, prompt, 6, 3, end=END, coverage_penalty=0.5, **looks)
    for row in range(3):
        assert sorted(b.ids for b in plain[row]) == sorted(b.ids for b in covered[row])
        for beam in covered[row]:
            ids = torch.tensor([[*prompt[row].tolist(), *beam.ids, *([END] * beam.finished)]])[:, :-1]
            with watch(model.core) as trace, torch.no_grad():
                model(ids, model.start(ids, **one(looks, row)))
            if name == "attention-rnn":
                looked = torch.cat(trace["attention.weights"])  # (T, S)
            else:
                layers = [trace[f"layers.{layer}.cross_attention.weights"][0] for layer in range(2)]
                looked = torch.stack(layers).mean(dim=(0, 2))[0]  # (T, S)
            total = looked[1:].sum(dim=0)[looks["source_mask"][row]]
            wanted = beam.log_probability + 0.5 * float(total.clamp(1e-6, 1).log().sum())
            assert beam.score == pytest.approx(wanted, abs=1e-3)
    assert not any(getattr(part, "watcher", None) for part in model.core.modules())
    with pytest.raises(ConfigError, match="needs attention"):
        beam_search(opinionated("lstm")[0], prompt, 3, 2, coverage_penalty=0.1)


def test_a_core_with_an_end_ends_the_search():
    model = small("transformer", Tokens(5), positions="learned", context=8)
    (beams,) = beam_search(model, torch.zeros(1, 3, dtype=torch.long), 50, 2)
    assert [len(b.ids) for b in beams] == [6, 6]  # the last is never read


@pytest.mark.parametrize("case", STREAMING, ids=lambda s: s.name)
def test_every_core_can_be_searched(case: Case):
    model, prompt = case.model(), case.ids(rows=3, time=2)
    looks = case.source_of(range(3))
    found = beam_search(model, prompt, 5, 3, **looks)
    for row, beams in enumerate(found):
        ids = torch.tensor([[*prompt[row].tolist(), *beam.ids] for beam in beams])
        rows = case.source_of([row] * 3)
        targets, loss_mask = ids[:, 1:], torch.zeros(3, 6, dtype=torch.bool)
        loss_mask[:, 1:] = True
        batch = Batch(ids[:, :-1], targets, loss_mask, **rows)
        mean = -sum(b.log_probability for b in beams) / int(loss_mask.sum())
        assert float(model.loss(batch)[0].detach()) == pytest.approx(mean, abs=1e-4)
    assert max(max(b.ids) for beams in found for b in beams) < SIZE


def test_text_is_searched_too():
    from unspool import tokenizers

    tokenizer = tokenizers.build("tokenizer", "char").fit("abc\n")
    texts = likeliest(opinionated("lstm")[0], tokenizer, "ab", 5, 3)
    assert len(texts) == 3 and all(len(t.text) == 5 for t in texts)
    assert [t.log_probability for t in texts] == sorted((t.log_probability for t in texts), reverse=True)


@torch.no_grad()
def diverse(model, prompt, length, groups, size, diversity):
    """Diverse beam search as the paper has it, one group of one prompt at a time: its ids and log-probabilities."""
    beams = [[((), 0.0)] for _ in range(groups)]
    for _ in range(length):
        chosen = []
        for group, mine in enumerate(beams):
            ways = []
            for ids, total in mine:
                row = torch.tensor([[*prompt, *ids]])
                scores = model(row, model.start(row))[0][0, -1].log_softmax(-1).tolist()
                ways += [
                    (total + value - diversity * chosen.count(id), (*ids, id), total + value)
                    for id, value in enumerate(scores)
                ]
            best = sorted(ways, key=lambda way: -way[0])[:size]
            beams[group] = [(ids, total) for _, ids, total in best]
            chosen += [ids[-1] for ids, _ in beams[group]]
    return beams


@pytest.mark.parametrize("name", ["lstm", "transformer"])
@pytest.mark.parametrize(("groups", "size", "diversity"), [(2, 2, 0.7), (3, 1, 2.0), (2, 3, 50.0)])
def test_diverse_groups_are_those_of_the_paper(name, groups, size, diversity):
    model, _ = opinionated(name, size=6, sharp=3.0)
    found = beam_search(model, torch.tensor([[1, 4], [0, 2]]), 5, groups * size, groups=groups, diversity=diversity)
    for prompt, beams in zip(([1, 4], [0, 2]), found, strict=True):
        wanted = dict(one for group in diverse(model, prompt, 5, groups, size, diversity) for one in group)
        assert {tuple(beam.ids) for beam in beams} == set(wanted)
        for beam in beams:
            assert beam.log_probability == pytest.approx(wanted[tuple(beam.ids)], abs=1e-4)


def test_one_group_is_plain_beam_search_and_none_apart_are_given_once():
    model, _ = opinionated("lstm", size=6, sharp=3.0)
    prompt = torch.tensor([[1, 4], [0, 2]])
    plain = beam_search(model, prompt, 8, 4, end=END, length_penalty=0.5)
    assert plain == beam_search(model, prompt, 8, 4, end=END, length_penalty=0.5, groups=1, diversity=9.0)
    same = beam_search(
        model, prompt, 8, 8, end=END, length_penalty=0.5, groups=2
    )  # without a penalty both find the same
    for one, other in zip(plain, same, strict=True):
        assert [beam.ids for beam in one] == [beam.ids for beam in other]
    with pytest.raises(ConfigError, match="4 beams cannot be kept in 3 equal groups"):
        beam_search(model, prompt, 8, 4, groups=3)


def test_diverse_groups_differ_more():
    model, _ = opinionated("lstm", size=9, sharp=6.0)
    prompt = torch.tensor([[1, 4]])
    first = [
        len({beam.ids[0] for beam in beam_search(model, prompt, 6, 6, groups=groups, diversity=20.0)[0]})
        for groups in (1, 6)
    ]
    assert first[0] < first[1] == 6


def test_a_finished_beam_is_not_held_against_the_others():
    model, _ = opinionated("lstm", size=6, sharp=3.0)
    with torch.no_grad():
        model.head.bias[END] = 50.0  # every beam ends at once, and stays as it is
    (beams,) = beam_search(model, torch.tensor([[1, 4]]), 4, 2, end=END, groups=2, diversity=1.0)
    assert [(beam.ids, beam.finished) for beam in beams] == [([], True)]
