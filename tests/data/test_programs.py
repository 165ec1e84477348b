"""Programs and their outputs as ids, in the order of the text and backwards."""

from itertools import product

import pytest

from unspool.data.preprocessors.generation import Generation
from unspool.data.preprocessors.preprocessor import load_preprocessor, save_preprocessor
from unspool.data.preprocessors.programs import SYMBOLS, ProgramText
from unspool.errors import DataError

RECORD = {"source": "c=7; print((5-c))", "target": "-2"}


def ids(text):
    return [SYMBOLS.index(symbol) for symbol in text]


@pytest.mark.parametrize(("source", "target"), [*product((False, True), repeat=2)])
def test_either_side_is_read_backwards_where_asked_and_predictions_are_in_the_normal_order(source, target):
    made = ProgramText(reverse_source=source, reverse_target=target)
    row = made.encode(RECORD)
    assert row.input.tolist() == ids(("))c-5((tnirp\n7=c" if source else "c=7\nprint((5-c))") + "#")
    assert row.target.tolist() == ids(("2-" if target else "-2") + ".")
    assert made.encode({"source": RECORD["source"]}).target is None
    batch = made.collate([row])
    assert batch.targets[batch.loss_mask].tolist() == row.target.tolist()
    found = made.decode(Generation([(row.target[:-1].tolist(), -0.5), (ids("31"), -2.0)]), RECORD)
    assert found.text == "-2" and found.tokens == ["-", "2"]
    assert [other.text for other in found.alternatives] == ["13" if target else "31"]


def test_the_order_is_saved_with_the_run():
    again = load_preprocessor(save_preprocessor(ProgramText(reverse_source=True, reverse_target=True)), {})
    assert isinstance(again, ProgramText) and again.reverse_source and again.reverse_target


def test_an_output_may_be_empty_and_unknown_characters_are_refused():
    assert ProgramText(reverse_target=True).encode({"source": "c", "target": ""}).target.tolist() == ids(".")
    for record, character in (({"source": "print(X)"}, "X"), ({"source": "print(1)", "target": "1#"}, "#")):
        with pytest.raises(DataError, match=f"the program knows no '{character}'"):
            ProgramText().encode(record)
