"""Promises of every tokenizer on the shelf, and what each kind does."""

import json
import string

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unspool.data.tokenizer import TextStream, Tokenizer, load_text, save_text, tokenizers
from unspool.data.tokenizers.bpe import BREAK, BPETokenizer
from unspool.data.tokenizers.byte import ByteTokenizer
from unspool.data.tokenizers.char import CharTokenizer
from unspool.data.tokenizers.word import WordTokenizer
from unspool.errors import ConfigError, DataError

TEXT = "the cat sat on the mat,\nthe naïve cat: 字字 👩\u200d👧 e\u0301!\n\n  the end\t of the text\n" * 3
KINDS = tokenizers.kinds()
FITTED = {kind: tokenizers.build("tokenizer", kind).fit(TEXT) for kind in KINDS}
ANY = st.text(max_size=80)
every = pytest.mark.parametrize("kind", KINDS)


def streamed(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    stream = TextStream(tokenizer)
    return [*(stream.feed(id) for id in ids), stream.flush()]


@every
def test_a_tokenizer_comes_back_from_json(kind: str) -> None:
    tokenizer = FITTED[kind]
    again = load_text(save_text(tokenizer))
    assert type(again) is type(tokenizer)
    assert again.size == tokenizer.size
    assert again.to_json() == tokenizer.to_json()
    assert again.encode(TEXT).tolist() == tokenizer.encode(TEXT).tolist()
    assert json.loads(save_text(tokenizer))["kind"] == kind


@every
def test_fitting_twice_gives_the_same(kind: str) -> None:
    assert save_text(tokenizers.build("tokenizer", kind).fit(TEXT)) == save_text(FITTED[kind])


@every
def test_ids_are_whole_numbers_below_the_size(kind: str) -> None:
    ids = FITTED[kind].encode(TEXT)
    assert ids.dtype == np.int64
    assert ids.min() >= 0 and ids.max() < FITTED[kind].size
    assert torch.from_numpy(ids).dtype == torch.long
    assert FITTED[kind].encode("").tolist() == [] and FITTED[kind].decode([]) == ""


@every
def test_decode_takes_lists_arrays_and_tensors(kind: str) -> None:
    ids = FITTED[kind].encode(TEXT)
    text = FITTED[kind].decode(ids)
    assert FITTED[kind].decode(ids.tolist()) == FITTED[kind].decode(torch.from_numpy(ids)) == text
    assert text == TEXT or kind in ("word", "label", "ngrams", "wordpiece")
    assert FITTED[kind].unknown(TEXT) == []


@every
@pytest.mark.parametrize("id", [-1, 10**6])
def test_an_id_that_is_none(kind: str, id: int) -> None:
    with pytest.raises(DataError, match=f"there is no token {id}: the vocabulary has {FITTED[kind].size}") as caught:
        FITTED[kind].decode([id])
    assert caught.value.hint


@every
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_stream_adds_up_to_decode(kind: str, data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(0, FITTED[kind].size - 1), max_size=30))
    assert "".join(streamed(FITTED[kind], ids)) == FITTED[kind].decode(ids)


@every
def test_a_stream_never_splits_a_character(kind: str) -> None:
    tokenizer = FITTED[kind]
    parts = streamed(tokenizer, tokenizer.encode(TEXT).tolist())
    assert not any("\ufffd" in part for part in parts)
    assert parts[-1] == ""


def test_a_stream_says_what_is_left_and_starts_again() -> None:
    stream = TextStream(ByteTokenizer())
    assert [stream.feed(id) for id in "👩".encode()[:3]] == ["", "", ""]
    assert stream.flush() == "\ufffd"
    assert stream.feed(97) == "a"


@every
def test_tokens_can_be_shown(kind: str) -> None:
    shown = [FITTED[kind].token(id) for id in range(FITTED[kind].size)]
    assert all(text and text.isprintable() and " " not in text for text in shown)


@pytest.mark.parametrize("kind", ["byte", "bpe"])
@given(text=ANY)
@settings(max_examples=60, deadline=None)
def test_any_text_comes_back(kind: str, text: str) -> None:
    assert FITTED[kind].decode(FITTED[kind].encode(text)) == text
    assert FITTED[kind].unknown(text) == []


@pytest.mark.parametrize("kind", ["byte", "bpe", "word"])
def test_half_a_character_is_no_crash(kind: str) -> None:
    assert FITTED[kind].decode(FITTED[kind].encode("\ud800")) in ("?", "<unk>")


@given(ANY)
@settings(max_examples=60, deadline=None)
def test_characters_come_back(text: str) -> None:
    tokenizer = CharTokenizer().fit(text)
    assert tokenizer.characters == sorted(set(text))
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_half_characters_stay_apart_in_json() -> None:
    tokenizer = CharTokenizer().fit("\ud83d\ude00"[:1] + "\ude00")
    assert load_text(save_text(tokenizer)).encode("\ude00").tolist() == [1]


def test_the_printable_alphabet() -> None:
    tokenizer = CharTokenizer(alphabet="printable").fit("anything")
    assert tokenizer.size == 100
    assert tokenizer.encode("abcDEF").tolist() == [10, 11, 12, 39, 40, 41]
    assert tokenizer.decode(range(100)) == string.printable
    assert tokenizer.token(94) == "␣" and tokenizer.token(96) == "\\n"


def test_unknown_characters_are_named() -> None:
    tokenizer = CharTokenizer().fit("abc")
    with pytest.raises(DataError, match=r"^the tokenizer does not know 'd', '\\n'$") as caught:
        tokenizer.encode("add\na")
    assert "tokenizer.kind=byte" in caught.value.hint
    with pytest.raises(DataError, match="'1', '2', '3', '4', '5' and 2 more"):
        tokenizer.encode("1234567")
    with pytest.raises(DataError, match="'👩'"):
        tokenizer.encode("👩")
    assert tokenizer.unknown("cdad") == ["d"]


def test_words_by_frequency_after_the_unknown_one() -> None:
    tokenizer = WordTokenizer().fit("b a\na <unk>\n a c\n")
    assert tokenizer.words == ["<unk>", "a", "\n", "b", "c"]
    assert tokenizer.encode("a  z\n<unk>").tolist() == [1, 0, 2, 0]
    assert tokenizer.unknown("z a y z") == ["z", "y"]


def test_the_options_for_words() -> None:
    assert WordTokenizer(min_count=2).fit("a b a\n").words == ["<unk>", "a"]
    assert WordTokenizer(max_size=2).fit("a b b\n").words == ["<unk>", "b"]
    lower = WordTokenizer(lower=True).fit("A a B")
    assert lower.words == ["<unk>", "a", "b"] and lower.encode("a A").tolist() == [1, 1]


@given(ANY)
@settings(max_examples=60, deadline=None)
def test_words_come_back_but_for_white_space(text: str) -> None:
    tokenizer = WordTokenizer().fit(text)
    plain = "\n".join(" ".join(line.split()) for line in text.split("\n"))
    assert tokenizer.decode(tokenizer.encode(text)) == plain
    assert tokenizer.encode(plain).tolist() == tokenizer.encode(text).tolist()


def test_pairs_are_learnt() -> None:
    tokenizer = BPETokenizer(vocabulary=260).fit("abababab " * 50)
    assert tokenizer.size == 260
    assert len(tokenizer.encode("abab")) < 4
    assert BPETokenizer(vocabulary=5000).fit("short").size < 300
    assert BPETokenizer().decode(BPETokenizer().encode("né")) == "né"


@given(st.text(st.sampled_from("ab1' \n\t\r\x0b\x1c\u0085\u00a0\u2028\u3000.é"), max_size=40))
@settings(max_examples=200, deadline=None)
def test_cutting_a_text_into_lines_changes_no_id(text: str) -> None:
    tokenizer = FITTED["bpe"]
    assert isinstance(tokenizer, BPETokenizer)
    assert "".join(BREAK.split(text)) == text
    assert tokenizer.encode(text).tolist() == tokenizer.engine.encode(text).ids


def test_a_vocabulary_smaller_than_the_bytes() -> None:
    with pytest.raises(ConfigError, match=r"tokenizer\.vocabulary should be greater than or equal to 256"):
        tokenizers.build("tokenizer", {"kind": "bpe", "vocabulary": 255})


WORD = {"kind": "word", "min_count": 1, "lower": False, "max_size": 0, "words": ["<unk>", "a"]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ("[]", "holds no JSON object"),
        ({}, "has no field 'kind'"),
        ({"kind": 3}, "'kind' is wrong: input should be a valid string"),
        ({"kind": "chars"}, "unknown tokenizer 'chars'"),
        ({"kind": "char", "alphabet": "text"}, "has no field 'characters'"),
        ({"kind": "char", "alphabet": "none", "characters": []}, "'alphabet' is wrong: input should be 'text' or"),
        (
            {"kind": "char", "alphabet": "text", "characters": [1]},
            "'characters' is wrong: input should be a valid string",
        ),
        ({"kind": "char", "alphabet": "text", "characters": ["ab"]}, "each should be one character"),
        ({"kind": "char", "alphabet": "text", "characters": ["a", "a"]}, "each should be one character"),
        ({**WORD, "words": ["a"]}, "<unk> should stand first"),
        ({**WORD, "words": ["<unk>", "a", "a"]}, "<unk> should stand first"),
        ({**WORD, "lower": "yes"}, "'lower' is wrong"),
        ({**WORD, "min_count": 0}, "'min_count' is wrong: input should be greater than 0"),
        ({"kind": "bpe", "vocabulary": 300}, "has no field 'engine'"),
        ({"kind": "bpe", "vocabulary": 300, "engine": {"model": {}}}, "'engine' is wrong"),
    ],
)
def test_a_damaged_file(data: str | dict, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load_text(data if isinstance(data, str) else json.dumps(data))
    assert caught.value.hint


def test_an_engine_whose_tokens_are_no_bytes() -> None:
    import tokenizers as hugging_face

    other = hugging_face.Tokenizer(hugging_face.models.BPE({"▁": 0}, []))
    data = {"kind": "bpe", "vocabulary": 300, "engine": json.loads(other.to_str())}
    with pytest.raises(DataError, match="'engine' is wrong"):
        load_text(json.dumps(data))


def test_blank_lines_that_became_one_token_stay_one():
    text = "a b\n\n\nc d \n\n" * 50
    tokenizer = tokenizers.build("tokenizer", {"kind": "bpe", "vocabulary": 270}).fit(text)
    assert b"\n\n" in {piece[-2:] for piece in tokenizer.pieces}
    assert tokenizer.encode(text).tolist() == tokenizer.engine.encode(text).ids


def test_a_line_break_belongs_to_the_indentation_behind_it():
    """GPT-2's pattern: white space before a word is one piece but for its last character, line breaks included."""
    text = "if a:\n        b\n" * 40
    tokenizer = tokenizers.build("tokenizer", {"kind": "bpe", "vocabulary": 290}).fit(text)
    assert b"\n" + b" " * 7 in tokenizer.pieces
    assert [tokenizer.pieces[id] for id in tokenizer.encode("a:\n        b")][-2:] == [b"\n" + b" " * 7, b" b"]
