"""Bytes to text: the encoding is detected, a guess is reported, and what is not text is refused."""

import codecs
import re
from typing import NamedTuple

from unspool.errors import DataError

MARKS = (  # UTF-32 before UTF-16, whose mark begins with the same two bytes
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
WIDE = {"utf-32-le": "0111", "utf-32-be": "1110", "utf-16-le": "0101", "utf-16-be": "1010"}
"""Which of four bytes are zero where the text is mostly ASCII."""

AS_NUMBERS = "unspool-as-numbers"
"""How the five bytes are read that mean nothing in Windows-1252: as the characters with their numbers."""
codecs.register_error(AS_NUMBERS, lambda error: (error.object[error.start : error.end].decode("latin-1"), error.end))  # type: ignore[attr-defined]

CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")  # tab, newlines, form feed and escape do occur in texts
SAMPLE = 1 << 16
GUESSED_FROM = 1 << 20
"""So many bytes are enough to tell a language and its encoding."""
WESTERN = {
    "Unknown", "English", "French", "German", "Spanish", "Italian", "Portuguese", "Dutch", "Swedish", "Danish",
    "Norwegian", "Finnish", "Indonesian",
}  # fmt: skip
"""Languages that Windows-1252 writes: their other encodings agree with it on nearly every letter."""
LEAST, RARE = 12, 0.03
"""Texts with fewer letters beyond ASCII than that, in number or as a share, may be Western."""
SETTING = "set data.encoding=auto, or to the encoding the file has, or "
SYLLABLES = {"Japanese": re.compile("[ぁ-ん]"), "Korean": re.compile("[가-힣]")}
"""Letters that a text of the language is full of, and that other bytes hardly ever spell."""


def decode(data: bytes, name: str, encoding: str | None = None) -> tuple[str, str]:
    r"""The text with "\n" between its lines and no byte order mark, and a note for the user ("" when all is plain).

    Args:
        data: of a file.
        name: of the file.
        encoding: a codec, or "auto": it is guessed; None: the same, where there is no setting to propose.

    >>> decode(b"caf\xe9\r\n", "menu.txt")
    ('café\n', 'menu.txt is not UTF-8: read as Windows-1252')
    """
    guess = encoding is None or encoding == "auto"
    found = guessed(data, name, setting=encoding is not None) if guess else Encoding(str(encoding))
    return plain(strict(data, name, found.codec) if found.errors == "strict" else found.text(data)), found.note


def plain(text: str) -> str:
    r"""The text with "\n" between its lines and no byte order mark."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


class Encoding(NamedTuple):
    """How bytes become text.

    Args:
        codec: by the name that Python has for it.
        errors: what is done with bytes that are not in it.
        note: what the user should know of it.
    """

    codec: str
    errors: str = "strict"
    note: str = ""

    def text(self, data: bytes, whole: bool = True) -> str:
        """The bytes as text; where they are not whole, a last character that is cut off is left out."""
        return codecs.getincrementaldecoder(self.codec)(self.errors).decode(data, whole)


def guessed(data: bytes, name: str, whole: bool = True, setting: bool = False) -> Encoding:
    """The encoding by its byte order mark, else UTF-8, UTF-16 or UTF-32, else by its letters.

    Args:
        data: of a file, or its beginning.
        name: of the file.
        whole: whether nothing follows the data.
        setting: whether `data.encoding` can say it.

    Raises:
        DataError: for what is no text.
    """
    marked = next((codec for mark, codec in MARKS if data.startswith(mark)), "")
    codec = marked or unmarked(data)
    if codec in WIDE:
        text = strict(data, name, codec, setting) if whole else Encoding(codec, "replace").text(data, whole)
        refuse_binary(text, name, codec, setting)
        return Encoding(codec, note="" if marked else f"{name} has no byte order mark: read as {codec.upper()}")
    refuse_binary(data.decode("latin-1"), name, "latin-1", setting)
    if not whole:
        data = data[: data.rfind(b"\n") + 1] or data
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return damaged(data, name)
    return Encoding("utf-8")


def unmarked(data: bytes) -> str:
    """The wide encoding whose pattern of zero bytes the data shows, or ""."""
    sample = data[: len(data) // 4 * 4][:SAMPLE]
    shares = [sample[start::4].count(0) / max(1, len(sample) // 4) for start in range(4)]
    shown = "".join("1" if share > 0.6 else "0" if share < 0.1 else "?" for share in shares)
    return next((codec for codec, zeros in WIDE.items() if zeros == shown), "")


def strict(data: bytes, name: str, encoding: str, setting: bool = True) -> str:
    """The text in this encoding, or a DataError that says which byte is not in it."""
    try:
        return data.decode(encoding)
    except LookupError:
        raise DataError(
            f"there is no text encoding {encoding!r}", hint="set data.encoding to auto, utf-8, utf-16 or cp1252"
        ) from None
    except ValueError as error:
        at = error.start if isinstance(error, UnicodeDecodeError) else 0
        raise DataError(
            f"{name} is not {encoding}: byte {at} cannot be read",
            hint=SETTING * setting + "save the file as UTF-8",
        ) from None


def damaged(data: bytes, name: str) -> Encoding:
    """Of what is not UTF-8: UTF-8 with a few bytes lost where most of it is, else what it most likely is."""
    text = data.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    beyond_ascii = len(text) - len(text.encode("ascii", "ignore"))
    if broken * 10 < beyond_ascii:
        note = f"{name} is UTF-8 with {broken} broken character{'s' * (broken > 1)}: read as U+FFFD"
        return Encoding("utf-8", "replace", note)
    codec, language = likely(data)
    if codec:
        return Encoding(codec, note=f"{name} is not UTF-8: read as {codec}, {language}")
    return Encoding("cp1252", AS_NUMBERS, f"{name} is not UTF-8: read as Windows-1252")


def likely(data: bytes) -> tuple[str, str]:
    """The legacy encoding and the language of a text by charset-normalizer; ("", "") where it may be Windows-1252.

    A guess counts only with evidence: letters that are as frequent as in the language, or many of its syllables.

    >>> likely("Все счастливые семьи похожи друг на друга, каждая несчастна по-своему.".encode("koi8-r"))
    ('koi8_r', 'Russian')
    """
    from charset_normalizer import from_bytes

    sample = data if len(data) <= GUESSED_FROM else data[:GUESSED_FROM].rpartition(b"\n")[0]
    best = from_bytes(sample).best()
    if best is None or best.language in WESTERN or best.chaos > 0.1 or best.encoding.startswith("utf"):
        return "", ""
    foreign = "".join(letter for letter in str(best) if not letter.isascii())
    spelled = len(SYLLABLES[best.language].findall(foreign)) if best.language in SYLLABLES else 0
    confident = best.coherence >= 0.2 and len(foreign) >= RARE * len(str(best))
    if len(foreign) < LEAST or not (confident or spelled >= 0.2 * len(foreign)):
        return "", ""
    try:
        data.decode(best.encoding)
    except ValueError:
        return "", ""
    return best.encoding, best.language


def refuse_binary(text: str, name: str, codec: str, setting: bool) -> None:
    """Raise where there is a zero byte, or where more than one character in twenty is a control character."""
    at = text.find("\0")
    if at < 0:
        controls = [match.start() for match in CONTROLS.finditer(text[:SAMPLE])]
        if len(controls) <= 3 + len(text[:SAMPLE]) / 20:
            return
        at = controls[0]
    raise DataError(
        f"{name} is not text: byte {len(text[:at].encode(codec))} is the control character {ord(text[at]):#04x}",
        hint="unpack or convert it to plain text" + ", or set data.encoding when it is text" * setting,
    )
