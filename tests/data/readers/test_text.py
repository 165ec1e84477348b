"""Reading text: what comes out, what is said about it, and what is refused."""
# ruff: noqa: RUF001 (texts in other alphabets)

import io
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unspool.data.readers.decoding import decode
from unspool.data.readers.text import clean, fingerprint, in_ascii, read_text
from unspool.errors import DataError

LETTERS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=60)


def refused(path: Path | str, encoding: str = "auto") -> DataError:
    with pytest.raises(DataError) as caught:
        read_text(str(path), encoding)
    assert caught.value.hint
    return caught.value


def written(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def test_a_file_is_read_as_it_is(tmp_path: Path) -> None:
    path = written(tmp_path, "a.txt", "to be\n")
    text = read_text(str(path))
    assert (text.text, text.files, text.notes) == ("to be\n", (str(path),), ())


def test_a_folder_is_all_its_txt_files_in_order(tmp_path: Path) -> None:
    for name, content in {"b.txt": "two\n", "a/z.txt": "one", "c.TXT": "three", "d.md": "no", "a.txt": "zero"}.items():
        written(tmp_path, name, content)
    text = read_text(str(tmp_path))
    assert text.files == tuple(str(tmp_path / name) for name in ("a.txt", "a/z.txt", "b.txt", "c.TXT"))
    assert text.text == "zero\none\ntwo\nthree"


def test_a_pattern_reaches_into_folders(tmp_path: Path) -> None:
    written(tmp_path, "a.md", "one")
    written(tmp_path, "deep/er/b.md", "two")
    (tmp_path / "folder.md").mkdir()
    assert read_text(f"{tmp_path}/**/*.md").text == "one\ntwo"


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    assert read_text(str(written(tmp_path, "notes[1].txt", "here"))).text == "here"


def test_the_home_folder_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    written(tmp_path, "a.txt", "home")
    assert read_text("~/a.txt").text == "home"


def test_standard_input_is_read_as_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("né\r\n".encode("utf-16"))))
    text = read_text("-")
    assert (text.text, text.files) == ("né\n", ("-",))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert "standard input" in str(refused("-"))


def test_an_empty_file_among_others_is_noted(tmp_path: Path) -> None:
    written(tmp_path, "a.txt", "one")
    empty = written(tmp_path, "b.txt", "")
    assert read_text(str(tmp_path)).notes == (f"{empty} is empty",)
    assert read_text(str(tmp_path)).text == "one\n"


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@given(letters=LETTERS)
@settings(max_examples=20, deadline=None)
def test_marked_texts_come_back(codec: str, letters: str) -> None:
    letters = letters.lstrip("\ufeff") or "a"
    text, note = decode(letters.encode(codec), "a.txt")
    assert (text, note) == (letters, "")


@pytest.mark.parametrize(
    ("mark", "codec"),
    [
        (b"\xfe\xff", "utf-16-be"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\0\0\xfe\xff", "utf-32-be"),
        (b"\xff\xfe\0\0", "utf-32-le"),
    ],
)
def test_both_orders_of_bytes(mark: bytes, codec: str) -> None:
    assert decode(mark + "né 字".encode(codec), "a.txt") == ("né 字", "")
    plain = "Plain words without a mark.\n"
    assert decode(plain.encode(codec), "a.txt") == (plain, f"a.txt has no byte order mark: read as {codec.upper()}")
    assert decode((mark + plain.encode(codec)), "a.txt", codec)[0] == plain


def test_every_byte_is_read_as_windows_1252() -> None:
    data = b"caf\xe9 \x93quoted\x94 \x81\x8d\x8f\x90\x9d plain words around them"
    text, note = decode(data, "menu.txt")
    assert text.startswith("café “quoted” \x81\x8d\x8f\x90\x9d plain")
    assert note == "menu.txt is not UTF-8: read as Windows-1252"


FRENCH = (
    "Longtemps, je me suis couché de bonne heure. « Je m’endors. » À peine ma bougie éteinte, mes yeux se fermaient."
)
GERMAN = (
    "Als Gregor Samsa aus unruhigen Träumen erwachte, fand er sich zu einem ungeheueren Ungeziefer verwandelt: Füße"
)
POLISH = (
    "Litwo! Ojczyzno moja! ty jesteś jak zdrowie. Ile cię trzeba cenić, ten tylko się dowie, kto cię stracił. "
    "Dziś piękność twą w całej ozdobie widzę."
)


@pytest.mark.parametrize(
    "text", [FRENCH, GERMAN, "naïve", "She said “no” to the café.", "¿Qué es la vida? Un frenesí."]
)
@pytest.mark.parametrize("times", [1, 30])
def test_western_texts_are_windows_1252_however_short(text: str, times: int) -> None:
    assert decode((text * times).encode("cp1252"), "a.txt") == (
        text * times,
        "a.txt is not UTF-8: read as Windows-1252",
    )


@pytest.mark.parametrize(
    ("text", "codec", "said"),
    [
        ("Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему.", "cp1251", ""),
        ("Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему.", "koi8_r", ""),
        ("Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια.", "cp1253", ""),
        (POLISH, "cp1250", ""),
        ("吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。", "shift_jis", "cp932"),
        (
            "道可道，非常道。名可名，非常名。无名天地之始；有名万物之母。故常无，欲以观其妙；常有，欲以观其徼。",
            "gbk",
            "gb18030",
        ),
        ("모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.", "euc_kr", "cp949"),
    ],
)
def test_other_encodings_are_known_by_their_language(text: str, codec: str, said: str) -> None:
    found, note = decode(text.encode(codec), "a.txt")
    assert found == text and note.startswith(f"a.txt is not UTF-8: read as {said or codec}, ")


def test_a_text_cut_inside_a_character_stays_utf_8() -> None:
    text, note = decode(("文字" * 20).encode()[:-1], "cut.txt")
    assert text == "文字" * 19 + "文\ufffd"
    assert note == "cut.txt is UTF-8 with 1 broken character: read as U+FFFD"


@pytest.mark.parametrize(("good", "as_utf_8"), [(8, False), (9, False), (10, True), (11, True)])
def test_utf_8_has_fewer_than_one_broken_character_in_ten_beyond_ascii(good: int, as_utf_8: bool) -> None:
    text, note = decode(b"plain words " + "é".encode() * good + b"\xe9 and more", "a.txt")  # ten: nine and one broken
    assert note.startswith("a.txt is UTF-8 with 1 broken character") == as_utf_8
    assert text.count("é") == (good if as_utf_8 else 1) and text.count("\ufffd") == as_utf_8


def test_newlines_become_one_kind() -> None:
    assert decode(b"a\r\nb\rc\n\r\r\n", "a.txt")[0] == "a\nb\nc\n\n\n"


def test_a_named_encoding_is_strict(tmp_path: Path) -> None:
    path = written(tmp_path, "a.txt", "né".encode("cp1252"))
    assert read_text(str(path), "latin-1").text == "né"
    error = refused(path, "utf-8")
    assert str(error) == f"{path} is not utf-8: byte 1 cannot be read"
    assert "data.encoding=auto" in error.hint
    assert "byte 0" in str(refused(path, "undefined"))


@pytest.mark.parametrize("name", ["utf-9", "hex", "", "x" * 500])
def test_an_unknown_encoding(tmp_path: Path, name: str) -> None:
    assert str(refused(written(tmp_path, "a.txt", "a"), name)) == f"there is no text encoding {name!r}"


def test_what_is_missing(tmp_path: Path) -> None:
    assert str(refused(tmp_path / "no.txt")) == f"there is no file {str(tmp_path / 'no.txt')!r}"
    assert "there is no file" in str(refused(""))
    assert "there is no file" in str(refused("a\0b"))
    assert "there is no file" in str(refused(written(tmp_path, "a.txt", "a") / "below"))
    assert str(refused(f"{tmp_path}/*.csv")) == f"no file matches {tmp_path}/*.csv"
    (tmp_path / "bare").mkdir()
    assert str(refused(tmp_path / "bare")) == f"there is no .txt file in the folder {tmp_path / 'bare'}"
    assert "cannot read" in str(refused("x" * 5000))


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"\xff\xfe"])
def test_an_empty_file(tmp_path: Path, data: bytes) -> None:
    path = written(tmp_path, "a.txt", data)
    assert str(refused(path)) == f"there is no text in {path}: it is empty"


@pytest.mark.parametrize(
    ("data", "at"),
    [
        (b"plain\0and then", "byte 5 is the control character 0x00"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "byte 8 is the control character 0x00"),
        (b"ab" + bytes(range(1, 9)) * 9, "byte 2 is the control character 0x01"),
        (b"\xff\xfea\0b\0\0\0c\0", "byte 6 is the control character 0x00"),
    ],
)
def test_a_binary_file(tmp_path: Path, data: bytes, at: str) -> None:
    path = written(tmp_path, "a.bin", data)
    assert str(refused(path)) == f"{path} is not text: {at}"


def test_a_broken_wide_text(tmp_path: Path) -> None:
    assert "is not utf-16-le: byte" in str(refused(written(tmp_path, "a.txt", b"\xff\xfea\0b\0c")))


def test_colours_of_a_terminal_are_text() -> None:
    assert decode(b"\x1b[31mred\x1b[0m " * 20, "log.txt")[1] == ""


def test_what_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "a.txt", "a")

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert str(refused(path)) == f"cannot read {path}: permission denied"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    error = refused(tmp_path / "pipe")
    assert str(error) == f"{tmp_path / 'pipe'} is not a regular file"
    assert "data.path=-" in error.hint


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        text, _ = decode(data, "a.txt")
    except DataError as error:
        assert error.hint
    else:
        assert "\r" not in text


def test_ascii_as_unidecode_writes_it() -> None:
    assert clean("“It\u2019s” 1\u20132—3…\u202f4\u00a05 ﬁn Æsop Straße smörgåsbord łódź 字", True, False) == (
        '"It\'s" 1-2--3... 4 5 fin AEsop Strasse smorgasbord lodz Zi'
    )
    assert in_ascii("½") == "1/2"


def test_squeeze_is_for_spaces_alone() -> None:
    assert clean("a  b   \n\n\t\tc", ascii=False, squeeze=True) == "a b \n\n\t\tc"
    assert clean("a  é", ascii=False, squeeze=False) == "a  é"


@given(st.text(max_size=50))
@settings(max_examples=50, deadline=None)
def test_ascii_is_ascii(text: str) -> None:
    assert clean(text, True, True).isascii()


def test_a_fingerprint_tells_texts_apart() -> None:
    assert fingerprint("a") != fingerprint("b")
    assert len(fingerprint("\ud800")) == 64
