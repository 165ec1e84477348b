"""WordPiece: what it learns, what it loses, and that its ids are those of the library for BERT."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unspool.data.preprocessors.language import MaskedText
from unspool.data.preprocessors.text import LabelledText, TaggedText
from unspool.data.tokenizer import TextStream, load_text, save_text, tokenizers
from unspool.data.tokenizers.wordpiece import SPECIAL, WordPieceTokenizer
from unspool.errors import DataError

TEXT = "low lower lowest new newer newest, wide wider widest. " * 20
FITTED = WordPieceTokenizer(vocabulary=80).fit(TEXT)


def known(*words, **options):
    tokenizer = WordPieceTokenizer(**options)
    tokenizer.know([*SPECIAL, *words])
    return tokenizer


def tokens(tokenizer, text):
    return [tokenizer.token(id) for id in tokenizer.encode(text).tolist()]


def test_the_longest_pieces_are_taken_from_the_left():
    tokenizer = known("un", "##aff", "##able", "##affable", "##a", "able")
    assert tokens(tokenizer, "unaffable able") == ["un", "##affable", "able"]
    assert tokens(tokenizer, "unaffx") == ["[UNK]"], "a word is unknown as a whole"
    assert tokens(tokenizer, "un" * 60) == ["[UNK]"], "longer than a hundred characters"


def test_the_vocabulary_begins_with_the_special_tokens_and_the_characters():
    letters = sorted(set(TEXT) - {" "})
    assert FITTED.words[:5] == list(SPECIAL)
    assert FITTED.words[5 : 5 + len(letters)] == letters
    assert FITTED.words[5 + len(letters) : 5 + 2 * len(letters)] == [f"##{letter}" for letter in letters]
    assert tokens(FITTED, "lowest newer") == ["lowest", "newer"] and FITTED.size <= 80
    assert (FITTED.mask, FITTED.frame) == (4, (2, 3))


def test_rare_characters_are_given_up_in_a_small_vocabulary():
    tokenizer = WordPieceTokenizer(vocabulary=32).fit("aaaa bbb cc dd ee ff gg z\n" * 3)
    assert tokenizer.unknown("aa b z q") == ["z", "q"] and tokenizer.size <= 32


def test_case_and_accents():
    assert known("a").normalized("Ä") == "a" and known("ä", accents="keep").normalized("Ä") == "ä"
    assert known(lower=False).normalized("Ä é") == "Ä é" and known(lower=False, accents="strip").normalized("Ä") == "A"


def test_a_text_comes_back_normalized():
    text = "Newest,  the LOW\n\nwider."
    assert FITTED.normalized(text) == "newest , the low wider ."
    plain = "newest , low wider ."
    assert FITTED.decode(FITTED.encode("Newest,  LOW\n\nwider.")) == plain
    assert FITTED.encode(plain).tolist() == FITTED.encode("Newest,  LOW\n\nwider.").tolist()


def test_what_is_lost_is_told():
    assert FITTED.lost("Zoo low ZOO x") == ["zoo", "zoo", "x"] and FITTED.unknown("Zoo low ZOO x") == ["zoo", "x"]
    assert FITTED.decode(FITTED.encode("zoo low")) == "<unk> low"
    assert FITTED.unknown("\n") == [] and not len(FITTED.encode("\n"))


def test_offsets_are_places_in_the_text_as_it_was_written():
    text = "LÖWER,\n zoo newest"
    found = [text[first:last] for first, last in FITTED.offsets(text)]
    assert "".join(found) == "LÖWER,zoonewest" and len(found) == len(FITTED.encode(text))
    assert FITTED.offsets("") == []


def test_special_tokens_in_a_text_are_plain_characters():
    tokenizer = known("[", "]", "mask", "cls")
    assert tokens(tokenizer, "[MASK][CLS]") == ["[", "mask", "]", "[", "cls", "]"]


@given(st.text(max_size=60))
@settings(max_examples=80, deadline=None)
def test_lines_change_no_id_and_a_stream_adds_up(text):
    plain = text.encode("utf-8", "replace").decode()
    ids = FITTED.encode(text).tolist()
    assert ids == FITTED.engine.encode(plain, add_special_tokens=False).ids
    assert len(FITTED.offsets(text)) == len(ids)
    stream = TextStream(FITTED)
    assert "".join([*(stream.feed(id) for id in ids), stream.flush()]) == FITTED.decode(ids)


def test_it_is_saved_as_data_and_checked():
    saved = json.loads(save_text(FITTED))
    assert saved.keys() == {"kind", "vocabulary", "lower", "accents", "words"}
    assert load_text(json.dumps(saved)).encode(TEXT).tolist() == FITTED.encode(TEXT).tolist()
    for change, says in (
        ({"words": ["a"]}, r"\[PAD\] is missing"),
        ({"words": [*SPECIAL, "a", "a"]}, "each should be there once"),
        ({"accents": "some"}, "'accents' is wrong"),
        ({"vocabulary": 3}, "'vocabulary' is wrong"),
    ):
        with pytest.raises(DataError, match=says):
            load_text(json.dumps(saved | change))


def test_a_text_has_its_frame_and_a_tagged_one_has_none():
    labels = tokenizers.build("labels", "label").fit("O\nB\n")
    low = FITTED.ids["low"]
    text = {"text": "low low low"}
    assert LabelledText(FITTED, labels).encode(text).input.tolist() == [2, low, low, low, 3]
    assert LabelledText(FITTED, labels, max_length=4).encode(text).input.tolist() == [2, low, low, 3]
    ends = LabelledText(FITTED, labels, max_length=3, truncate="last").encode({"text": "low new"})
    assert ends.input.tolist() == [2, FITTED.ids["new"], 3]
    assert TaggedText(FITTED, labels).encode({"text": "low low", "label": "O B"}).input.tolist() == [low, low]


def test_a_blank_is_the_mask():
    text = MaskedText(FITTED)
    assert text.encode({"text": "low ___"}).input.tolist() == [FITTED.ids["low"], 4]
    assert text.inputs == text.targets
