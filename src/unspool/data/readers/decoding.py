"""Bytes to text: the encoding is detected, the user is told of a guess, and what is not text is refused."""

import codecs
import re

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

WINDOWS = "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(256))
"""Windows-1252, where the five bytes that mean nothing in it stand for themselves."""

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
SYLLABLES = {"Japanese": re.compile("[ぁ-ん]"), "Korean": re.compile("[가-힣]")}
"""Letters that a text of the language is full of, and that other bytes hardly ever spell."""


def decode(data: bytes, name: str, encoding: str = "auto") -> tuple[str, str]:
    r"""The text with "\n" between its lines and no byte order mark, and a note for the user ("" when all is plain).

    >>> decode(b"caf\xe9\r\n", "menu.txt")
    ('café\n', 'menu.txt is not UTF-8: read as Windows-1252')
    """
    text, note = guessed(data, name) if encoding == "auto" else (strict(data, name, encoding), "")
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"), note


def guessed(data: bytes, name: str) -> tuple[str, str]:
    """The text by its byte order mark, else as UTF-8, UTF-16 or UTF-32, else by its letters, and the note."""
    marked = next((codec for mark, codec in MARKS if data.startswith(mark)), "")
    codec = marked or unmarked(data)
    if codec in WIDE:
        text = strict(data, name, codec)
        refuse_binary(text, name, codec)
        return text, "" if marked else f"{name} has no byte order mark: read as {codec.upper()}"
    refuse_binary(data.decode("latin-1"), name, "latin-1")
    try:
        return data.decode("utf-8"), ""
    except UnicodeDecodeError:
        return damaged(data, name)


def unmarked(data: bytes) -> str:
    """The wide encoding whose pattern of zero bytes the data shows, or ""."""
    sample = data[: len(data) // 4 * 4][:SAMPLE]
    shares = [sample[start::4].count(0) / max(1, len(sample) // 4) for start in range(4)]
    shown = "".join("1" if share > 0.6 else "0" if share < 0.1 else "?" for share in shares)
    return next((codec for codec, zeros in WIDE.items() if zeros == shown), "")


def strict(data: bytes, name: str, encoding: str) -> str:
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
            hint="set data.encoding=auto, or to the encoding the file has, or save the file as UTF-8",
        ) from None


def damaged(data: bytes, name: str) -> tuple[str, str]:
    """What is not UTF-8: as UTF-8 with a few bytes lost where most of it is, else as what it most likely is."""
    text = data.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    beyond_ascii = len(text) - len(text.encode("ascii", "ignore"))
    if broken * 10 < beyond_ascii:
        return text, f"{name} is UTF-8 with {broken} broken character{'s' * (broken > 1)}: read as U+FFFD"
    codec, language = likely(data)
    if codec:
        return data.decode(codec), f"{name} is not UTF-8: read as {codec}, {language}"
    return codecs.charmap_decode(data, "strict", WINDOWS)[0], f"{name} is not UTF-8: read as Windows-1252"


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


def refuse_binary(text: str, name: str, codec: str) -> None:
    """Raise where there is a zero byte, or where more than one character in twenty is a control character."""
    at = text.find("\0")
    if at < 0:
        controls = [match.start() for match in CONTROLS.finditer(text[:SAMPLE])]
        if len(controls) <= 3 + len(text[:SAMPLE]) / 20:
            return
        at = controls[0]
    raise DataError(
        f"{name} is not text: byte {len(text[:at].encode(codec))} is the control character {ord(text[at]):#04x}",
        hint="unpack or convert it to plain text, or set data.encoding when it is text",
    )
