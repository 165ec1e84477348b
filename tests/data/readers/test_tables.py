"""Tables as people write them: dialects, quotes, headers, lists, CoNLL."""

import json

import pytest
import torch

from unspool.data.features import Features
from unspool.data.labelled import Labelled
from unspool.data.preprocessors.text import TaggedText
from unspool.data.readers.tables import TableFormat, read_table
from unspool.data.tokenizer import tokenizers
from unspool.errors import ConfigError, DataError
from unspool.schema import validated

ROWS = [("a good film", "pos"), ("bad", "neg")]


def read(tmp_path, name, text, **options):
    (tmp_path / name).write_text(text, newline="")
    return read_table(str(tmp_path / name), TableFormat(**options))


def pairs(table):
    return [tuple(record.values()) for _, record in table.records]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_the_delimiter_is_detected_whatever_the_ending(name, mark, tmp_path):
    others = "".join({",", ";", "|"} - {mark})
    rows = [("text", "label"), *ROWS, (f"one {others} two", "neg")]
    table = read(tmp_path, name, "\n".join(mark.join(row) for row in rows))
    assert pairs(table) == rows[1:]
    assert list(table.records[0][1]) == ["text", "label"]


DIALECTS = {
    "a first line that names the delimiter": ("sep=;\ntext;label\na good film;pos\nbad;neg\n", {}),
    "trailing delimiters": ("text,label,,\na good film,pos,,\nbad,neg\n", {}),
    "trailing delimiters in rows alone": ("text,label\na good film,pos,\nbad,neg,,\n", {}),
    "a byte order mark, and lines that end as in Windows": ("\ufefftext;label\r\na good film;pos\r\nbad;neg\r\n", {}),
    "everything in quotes": ('"text";"label"\n"a good film";"pos"\n"bad";"neg"\n', {}),
    "no header": ("a good film,pos\nbad,neg\n", {"columns": ("text", "label")}),
    "other names than those of the header": (
        "x,y\na good film,pos\nbad,neg\n",
        {"columns": ("text", "label"), "header": True},
    ),
    "a delimiter that is given": ("text:label\na good film:pos\nbad:neg\n", {"delimiter": ":"}),
    "a delimiter that is given by its name": ("text\tlabel\na good film\tpos\nbad\tneg\n", {"delimiter": "tab"}),
    "a delimiter that is escaped": ("text\tlabel\na good film\tpos\nbad\tneg\n", {"delimiter": "\\t"}),
}


@pytest.mark.parametrize("case", DIALECTS)
def test_dialects(case, tmp_path):
    text, options = DIALECTS[case]
    table = read(tmp_path, "a.csv", text, **options)
    assert pairs(table) == ROWS
    assert list(table.records[0][1]) == ["text", "label"]


def test_a_table_of_numbers_alone_has_no_header(tmp_path):
    table = read(tmp_path, "a.csv", "7\n8\n")
    assert [record for _, record in table.records] == [{"1": "7"}, {"1": "8"}]
    assert table.summary == "2 rows, column 1, delimiter comma, no header"
    assert len(read(tmp_path, "a.csv", "7\n8\n", header=True).records) == 1


def test_quotes_in_tab_separated_text_swallow_no_row(tmp_path):
    lines = [f"film {n}\t{'pos' if n % 2 else 'neg'}" for n in range(200)]
    text = "\n".join(["text\tlabel", *lines[:100], '"I came\tpos', 'and left"\tneg', *lines[100:]])
    table = read(tmp_path, "a.tsv", text)
    assert len(table.records) == 202
    assert pairs(table)[100:102] == [('"I came', "pos"), ('and left"', "neg")]
    assert table.summary == "202 rows, columns text, label, delimiter tab, quotes are text"
    assert pairs(read(tmp_path, "a.tsv", 'text\tlabel\n"alone\tpos\n')) == [('"alone', "pos")]
    assert pairs(read(tmp_path, "a.tsv", 'text\tlabel\n"Great" film\tpos\nb\tneg\n'))[0] == ('"Great" film', "pos")
    assert pairs(read(tmp_path, "a.csv", 'text,label\n"alone,pos\n', quoting="none")) == [('"alone', "pos")]


@pytest.mark.parametrize(
    "text",
    [
        'text\tlabel\n"a\tb"\tpos\nc\tneg\n',
        'text\tlabel\n"a\nb"\tpos\nc\tneg\n',
        'text\tlabel\n"a ""b"""\tpos\nc\tneg\n',
        'text\tlabel\n"a"\tpos\n"c"\tneg\n',
    ],
    ids=["a tab", "a line break", "quotes", "a column"],
)
def test_quotes_in_tab_separated_text_enclose_fields_where_they_must(text, tmp_path):
    (first, _), (second, _) = pairs(read(tmp_path, "a.tsv", text))
    assert not first.startswith('"') and second == "c"


def test_few_bad_rows_are_left_out_and_told_and_many_are_an_error(tmp_path):
    good = ["film,pos"] * 30
    table = read(tmp_path, "a.csv", "\n".join(["text,label", *good, "a,b,c", *good]))
    assert len(table.records) == 60
    (note,) = table.notes
    assert "left out 1 of 61 rows" in note and "line 32: 3 fields, and the first line names 2 columns" in note
    with pytest.raises(DataError, match="line 3: 3 fields"):
        read(tmp_path, "a.csv", "text,label\na,b\na,b,c\n")
    lines = ['{"text": "a", "label": "b"}'] * 30
    table = read(tmp_path, "a.jsonl", "\n".join([*lines, '{"text"', *lines]))
    assert len(table.records) == 60 and "line 31: this is not JSON" in table.notes[0]
    rows = ["text,label", *good, "no label,"]
    (tmp_path / "b.csv").write_text("\n".join(rows))
    found = Labelled(path=str(tmp_path / "b.csv")).read()
    assert len(found.train) + len(found.valid) == 30 and "line 32: there is no label" in found.notes[-1]


def test_columns_are_named_as_a_command_line_can():
    for value in ("text, label", ["text", "label"]):
        assert validated(Labelled, {"path": "a.csv", "columns": value}, "data", "the data")["columns"] == (
            "text",
            "label",
        )


def test_wrong_options_are_refused():
    for options in ({"delimiter": "tabs"}, {"quoting": "single"}, {"header": "maybe"}):
        with pytest.raises(ConfigError, match=f"data\\.{next(iter(options))}"):
            validated(Labelled, {"path": "a.csv", **options}, "data", "the data")


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "conll"])
def test_a_folder_with_a_table_for_each_split(ending, tmp_path):
    for name in ("train", "valid", "test"):
        lines = {
            "csv": f"text,label\n{name},a\n",
            "tsv": f"text\tlabel\n{name}\ta\n",
            "jsonl": json.dumps({"text": name, "label": "a"}),
            "conll": f"{name} a\n",
        }
        (tmp_path / f"{name}.{ending}").write_text(lines[ending])
    found = Labelled(path=str(tmp_path)).read()
    parts = {name: getattr(found, name) for name in ("train", "valid", "test")}
    assert parts == {name: [{"text": name, "label": "a"}] for name in parts}
    assert len(found.notes) == 3


def test_a_label_that_is_zero_is_a_label(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"x": 1, "label": 0}\n{"x": 2, "label": 1}\n')
    assert {r["label"] for r in Features(path=str(tmp_path / "a.jsonl"), valid=0.0).read().train} == {"0", "1"}


def test_lists_are_words_and_nothing_becomes_its_repr(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"words": ["New York", "is"], "tags": ["B-LOC", "O"]}\n')
    found = Labelled(path=str(tmp_path / "a.jsonl"), text="words", label="tags", valid=0.0).read()
    assert found.train == [{"text": "New\u00a0York is", "label": "B-LOC O"}]
    for text, label in (('{"a": 1}', '"b"'), ('[["a"]]', '"b"'), ('"a"', '["b"]')):
        (tmp_path / "a.jsonl").write_text(f'{{"text": {text}, "label": {label}}}\n')
        with pytest.raises(DataError, match=r"line 1: the column '(text|label)' holds"):
            Labelled(path=str(tmp_path / "a.jsonl")).read()


CONLL = """-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
# NN I-NP O

-DOCSTART- -X- -X- O

Peter NNP B-NP B-PER
"""
CONLLU = """# sent_id = 1
# text = Let's go to the sea.
1-2\tLet's\t_\t_\t_\t_\t_\t_\t_\t_
1\tLet\tlet\tVERB\tVB\t_\t0\troot\t_\t_
2\t's\tus\tPRON\tPRP\t_\t1\tobj\t_\t_
2.1\tnothing\t_\t_\t_\t_\t_\t_\t_\t_
3\tgo\tgo\tVERB\tVB\t_\t1\tx\t_\tSpaceAfter=No
4\t.\t.\tPUNCT\t.\t_\t1\tpunct\t_\tSpaceAfter=No

# newpar
# sent_id = 2
1\t#\t#\tSYM\tNN\t_\t0\troot\t_\t_
"""


def test_conll_without_documents_and_comments(tmp_path):
    assert pairs(read(tmp_path, "a.conll", CONLL)) == [("EU #", "B-ORG O"), ("Peter", "B-PER")]
    table = read(tmp_path, "a.conllu", CONLLU)
    assert [(r["text"], r["label"]) for _, r in table.records] == [
        ("Let 's go .", "VERB PRON VERB PUNCT"),
        ("#", "SYM"),
    ]
    assert table.records[0][1]["xpos"] == "VB PRP VB ."
    assert table.records[0][0].endswith("a.conllu, line 4")
    found = Labelled(path=str(tmp_path / "a.conllu"), label="lemma", valid=0.0).read()
    assert sorted(r["label"] for r in found.train) == ["#", "let us go ."]
    named = Labelled(path=str(tmp_path / "a.conll"), columns=("w", "pos", "np", "ner"), text="w", label="np", valid=0.0)
    assert sorted(r["label"] for r in named.read().train) == ["B-NP", "B-NP I-NP"]


def test_a_word_of_conll_keeps_its_spaces(tmp_path):
    text = "0\u00a0000\tB-NUM\nNew York\tB-LOC\n.\tO\n"
    ((words, labels),) = pairs(read(tmp_path, "a.conll", text))
    assert words == "0\u00a0000 New\u00a0York ." and labels == "B-NUM B-LOC O"
    record = {"text": words, "label": labels}
    tagger = TaggedText(tokenizers.build("tokenizer", "word"), tokenizers.build("labels", "label"))
    for name, fitted_to in tagger.texts([record]).items():
        getattr(tagger, name).fit(fitted_to)
    row = tagger.encode(record)
    assert row.input.tolist() == [1, 2, 3] and row.target.tolist() == [1, 0, 2]
    found = tagger.decode(torch.eye(3)[row.target], record)
    assert found.tokens == ["0\u00a0000", "New\u00a0York", "."]
    assert [(span.label, span.text) for span in found.spans] == [("NUM", "0\u00a0000"), ("LOC", "New\u00a0York")]


def test_a_sentence_with_a_line_without_its_label_is_left_out(tmp_path):
    good = "a O\nb O\n\n"
    table = read(tmp_path, "a.conll", good * 15 + "a O\nb\n\n" + good)
    assert len(table.records) == 16 and "a.conll, line 47: there is no label" in table.notes[0]
    with pytest.raises(DataError, match="line 2: there is no label"):
        read(tmp_path, "a.conll", "a O\nb\n")
