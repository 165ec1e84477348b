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


@pytest.mark.parametrize(
    ("digits", "read"),
    [
        (0, "j=85\nfor x in range(8):j+=120\nprint((j+7))#"),
        (2, "j=85\nfor x in range(08):j+=120\nprint((j+07))#"),
        (3, "j=085\nfor x in range(008):j+=120\nprint((j+007))#"),
    ],
)
def test_numbers_are_filled_up_with_zeros_and_the_output_is_not(digits, read):
    record = {"source": "j=85; for x in range(8):j+=120; print((j+7))", "target": "1052"}
    row = ProgramText(digits=digits).encode(record)
    assert row.input.tolist() == ids(read) and row.target.tolist() == ids("1052.")
    backwards = ProgramText(digits=digits, reverse_source=True).encode(record)
    assert backwards.input.tolist() == ids(read[-2::-1] + "#")


@pytest.mark.parametrize(("reverse", "written"), [(False, "+0007;-0005;-5."), (True, "+7000;-5000;5-.")])
def test_a_scratchpad_is_generated_before_the_output_and_is_not_given_to_the_user(reverse, written):
    made = ProgramText(reverse_target=reverse, digits=2, scratchpad=True)
    row = made.encode({"source": "c=7; print((c-12))", "target": "-5", "steps": (7, -5)})
    assert row.target.tolist() == ids(written)
    found = made.decode(Generation([(row.target[:-1].tolist(), -0.5), (ids("8"), -2.0)]), RECORD)
    assert found.text == "-5" and found.tokens == ["-", "5"] and found.alternatives[0].text == "8"
    assert made.encode(RECORD).target.tolist() == ids("2-." if reverse else "-2."), "without steps only the output"
    assert ProgramText(digits=2).encode({"source": "c", "target": "-5", "steps": (7, -5)}).target.tolist() == ids("-5.")


def test_the_options_are_saved_with_the_run():
    again = load_preprocessor(save_preprocessor(ProgramText(True, True, digits=9)), {})
    assert isinstance(again, ProgramText)
    assert again.options() == {"reverse_source": True, "reverse_target": True, "digits": 9, "scratchpad": False}


def test_an_output_may_be_empty_and_unknown_characters_are_refused():
    assert ProgramText(reverse_target=True).encode({"source": "c", "target": ""}).target.tolist() == ids(".")
    for record, character in (({"source": "print(X)"}, "X"), ({"source": "print(1)", "target": "1#"}, "#")):
        with pytest.raises(DataError, match=f"the program knows no '{character}'"):
            ProgramText().encode(record)
