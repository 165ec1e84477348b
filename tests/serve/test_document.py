"""A text under an editor: reads only what follows an edit, and knows what a fresh reading would know."""

import math
import random
import threading

import numpy as np
import pytest
import torch

from helpers.editing import CORES, TEXT, document_of
from helpers.models import STREAMING
from unspool import Sampling, tokenizers
from unspool.batch import Batch
from unspool.generate.engine import Engine
from unspool.serve.activity import places_of
from unspool.serve.document import Document, Shown
from unspool.serve.switches import Switch
from unspool.serve.token_ends import tokenize
from unspool.serve.writing import offers, write

every_core = pytest.mark.parametrize("core", CORES)
every_tokenizer = pytest.mark.parametrize("kind", ["char", "byte", "word", "bpe"])


def same(one, other):
    assert (
        one.tokens.ids.tolist() == other.tokens.ids.tolist() and one.tokens.ends.tolist() == other.tokens.ends.tolist()
    )
    np.testing.assert_allclose(one.bits.rows, other.bits.rows, atol=1e-5, rtol=1e-5)
    assert one.text == other.text


def fresh(document, core, kind):
    again = document_of(core, kind)
    again.show(document.shown)
    again.text = document.text
    again.read_on(document.tokens, 0, document.switches)
    same(document, again)
    np.testing.assert_allclose(document.values.rows, again.values.rows, atol=2e-3)
    return again


def test_the_surprise_is_that_of_the_model():
    document = document_of()
    document.edit(0, 0, TEXT)
    ids = torch.as_tensor(document.tokenizer.encode("\n" + TEXT))[None]
    everything = torch.ones_like(ids, dtype=torch.bool)
    scores = Engine(document.engine.model).forward(Batch(ids, ids, everything)).log_softmax(dim=-1)
    bits = -scores[0, :-1].gather(-1, ids[0, 1:, None]).squeeze(-1) / math.log(2)
    np.testing.assert_allclose(document.bits.rows[:, 0], bits.numpy(), atol=1e-5)


def test_an_edit_in_the_middle_reads_what_follows():
    document, text = document_of(), (TEXT * 30)[:2000]
    assert document.edit(0, 0, text)["tokens_read"] == 2000
    answer = document.edit(1000, 3, "home")
    assert answer["first"] == 1000 and len(answer["bits"]) == answer["tokens"] - 1000 == 1001
    assert 0 <= answer["tokens_read"] - 1001 <= math.isqrt(2000)  # from the last snapshot to the edit
    same(document, _whole(document.text))
    for letter in "the end":
        assert document.edit(len(document.text), 0, letter)["tokens_read"] == 1
    assert document.edit(len(document.text) - 3, 3, "")["tokens_read"] == 0


def _whole(text):
    document = document_of()
    document.edit(0, 0, text)
    return document


@pytest.mark.parametrize("core", ["lstm", "transformer"])
@every_tokenizer
def test_any_edits_leave_what_a_fresh_reading_gives(core, kind):
    document, dice = document_of(core, kind), random.Random(3)
    place = list(document.places.values())[-1]
    document.show(Shown(place.layer, place, 1))
    for _ in range(20):
        start = dice.randint(0, len(document.text))
        removed = dice.randint(0, min(8, len(document.text) - start))
        begin = dice.randrange(len(TEXT) - 20)
        inserted = dice.choice([TEXT[begin : begin + dice.randint(1, 20)], " ", "\n", "tt", "é", "✓", "zebra"])
        document.edit(start, removed, inserted)
        list(write(document, dice.randint(0, 3), Sampling(), 1))
    document.edit(0, 0, "")  # bytes of an unfinished character are no part of the text
    assert document.tokens.ids.tolist() == tokenize(document.tokenizer, document.text).ids.tolist()
    fresh(document, core, kind)


@pytest.mark.parametrize("core", ["lstm", "mingru", "transformer"])
def test_switches_hold_where_they_should_through_edits(core):
    document, dice = document_of(core), random.Random(5)
    document.edit(0, 0, TEXT * 3)
    place = next(iter(document.places.values()))
    document.show(Shown(place.layer))
    plain = document.bits.rows.copy()
    answer = document.switch([Switch(place.path, unit, 0.0, 50, 90) for unit in range(place.size)])
    assert answer["first"] == 50 and answer["tokens_read"] >= len(document.text) - 50
    assert np.array_equal(plain[:50], document.bits.rows[:50]) and not np.allclose(plain[51:], document.bits.rows[51:])
    for _ in range(4):
        start = dice.randint(0, 120)
        document.edit(start, dice.randint(0, 5), dice.choice(["cat", "a", "t", ""]))
        fresh(document, core, "char")
    answer = document.switch([])
    assert answer["switches"] == []
    same(document, _whole_of(core, document.text))


def _whole_of(core, text):
    document = document_of(core)
    document.edit(0, 0, text)
    return document


@pytest.mark.parametrize("case", [case for case in STREAMING if not case.source_of([0])], ids=lambda case: case.name)
def test_every_core_can_be_watched_switched_and_edited(case):
    engine, tokenizer = Engine(case.model()), tokenizers.build("tokenizer", "char").fit("abcdefghij\n")
    places = places_of(engine, engine.read(torch.zeros(1, 1, dtype=torch.long)))
    units = [place for place in places if place.kind != "attention"]

    def empty():
        document = Document(engine, tokenizer, places, threading.Lock())
        document.show(Shown(places[0].layer, units[-1] if units else None) if places else Shown())
        return document

    document = empty()
    document.edit(0, 0, "abcabcfeed\nabc" * 4)
    document.switch([Switch(place.path, 0, 1.0, 20) for place in places[:2]])
    document.edit(30, 5, "fad")
    document.edit(len(document.text), 0, "b")
    again = empty()
    again.read_on(document.tokens, 0, document.switches)
    np.testing.assert_allclose(document.bits.rows, again.bits.rows, atol=1e-5, rtol=1e-5)
    assert document.activity.keys() == {place.path for place in places if place.layer == places[0].layer}
    assert len(document.values.rows) == len(document.text) * bool(units)


def test_a_switch_changes_what_is_written_from_there_and_not_before():
    document = document_of()
    document.edit(0, 0, TEXT)
    first = "".join(event.get("text", "") for event in write(document, 40, Sampling(), 7))
    document.edit(len(TEXT), len(first), "")
    again = write(document, 40, Sampling(), 7)
    kept = [next(again)["text"] for _ in range(10)]
    gate = next(one for one in document.places.values() if one.path.endswith("output"))
    document.switch([Switch(gate.path, unit, 0.0, len(document.text)) for unit in range(gate.size)])
    rest = [event.get("text", "") for event in again]
    assert "".join(kept) == first[:10] and "".join(rest) != first[10:]
    fresh(document, "lstm", "char")


def test_what_is_seen_of_a_gate_is_the_gate():
    document = document_of()
    document.edit(0, 0, TEXT)
    place = next(one for one in document.places.values() if one.path.endswith("forget"))
    answer = document.show(Shown(place.layer, place, 3))
    assert len(answer["values"]) == len(TEXT) and all(0 < value < 1 for value in answer["values"])
    assert set(answer["activity"]) == {one.path for one in document.places.values()}
    assert document.show(Shown(place.layer, place, 4))["tokens_read"] <= 1  # the last token is looked at again
    assert document.column(0) != answer["values"]
    document.switch([Switch(place.path, 3, 1.0, 20)])
    document.show(Shown(place.layer, place, 3))
    assert document.column(20) == [1.0] * (len(TEXT) - 20) and 1.0 not in document.column(0)[:20]


def test_attention_is_by_token():
    document = document_of("transformer")
    document.edit(0, 0, TEXT[:10])
    place = next(one for one in document.places.values() if one.kind == "attention")
    found = document.show(Shown(place.layer))["activity"][place.path]
    assert found["first"] == 0 and len(__import__("base64").b64decode(found["bytes"])) == 2 * 11  # with the line break


def test_an_edit_ends_the_writing():
    document = document_of()
    events = write(document, 1000, Sampling(), 0)
    begun = [next(events)["text"] for _ in range(5)]
    document.edit(0, 0, "cat ")
    assert next(events)["done"] == "stopped" and document.text == "cat " + "".join(begun)
    full = list(write(document, 1000, Sampling(), 0, longest=12))
    assert full[-1]["done"] == "full" and len(document.text) == 12


def test_suggestions_begin_at_the_state_before_the_word():
    document = document_of()
    document.edit(0, 0, TEXT + "a go", pause=len(TEXT) + 1)
    before = document.engine.tokens_run
    assert all(one.word.startswith("go") for one in offers(document, len(document.text), 3))
    assert document.engine.tokens_run == before  # it is kept: nothing is read again
    assert len(offers(document, len(document.text) - 3, 2, keys="228")[0].word) == 3


def test_unknown_characters_are_left_out_and_said():
    document = document_of()
    answer = document.edit(0, 0, "the ☃cat é")
    assert answer["unknown"] == ["☃", "é"] and answer["ends"] == [1, 2, 3, 4, 6, 7, 8, 9]
    words = document_of(kind="word")
    assert words.edit(0, 0, "the zebra sat")["unknown"] == ["zebra"] and len(words.tokens.ids) == 3
