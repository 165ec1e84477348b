"""JSON schemas as regular expressions."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from unspool.errors import ConfigError
from unspool.generate.number_range import integer_pattern

DEPTH = 3
"""A schema that contains itself is followed so deep; what may be any JSON at all is nested so deep."""
MOST = 10_000
"""So many schemas are written out at most, those that are repeated counted again."""
LARGEST = 10**6
"""So many characters a pattern or a schema has at most."""
PARTS = 20
"""The patterns of all parts of a schema, those of parts of parts counted again, have at most so many times as many."""
LARGEST_NUMBER = 10**100
"""A larger bound of numbers or of repetitions is refused."""
LETTER = r'(?:[^"\\\x00-\x1f]|\\["\\/bfnrt])'
INTEGER = r"-?(?:0|[1-9][0-9]*)"
NUMBER = rf"{INTEGER}(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
COMMA, COLON = ", ?", ": ?"
DATE, TIME = r"[1-9][0-9]{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])", r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z"
FORMATS = {
    "date": DATE,
    "time": TIME,
    "date-time": f"{DATE}T{TIME}",
    "uuid": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
}
"""Texts of a format: some of them, all of which are right; dates end with the 28th."""
NOTES = {
    "title", "description", "default", "examples", "$schema", "$id", "$comment", "$defs", "definitions", "deprecated",
    "readOnly", "writeOnly",
}  # fmt: skip
"""Keywords that say nothing about which texts are right."""
TYPES: dict[str, set[str]] = {
    "string": {"minLength", "maxLength", "pattern", "format"},
    "integer": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    "number": set(),
    "boolean": set(),
    "null": set(),
    "array": {"items", "minItems", "maxItems", "prefixItems"},
    "object": {"properties", "required", "additionalProperties", "minProperties", "maxProperties"},
}
"""The keywords that may stand beside a type."""
PYTHON: dict[str, Any] = {"string": str, "boolean": bool, "null": type(None), "array": list, "object": dict}
DIGIT = re.compile(r"(?<!\\)((?:\\\\)*)\\d")
"""\\d, which stands for the digits of every script; a schema means those from 0 to 9."""


class SchemaPattern:
    """The regular expression of the JSON texts that a schema allows.

    Properties come in the order of the schema, and none that it does not name. A space may stand behind commas and
    colons. What the schema says and a regular expression cannot keep is refused, so that every text is right.

    Args:
        schema: a JSON schema, as `json.loads` gives it.

    Raises:
        ConfigError: it says something that cannot be kept, or is too large.

    >>> import re
    >>> wanted = {"type": "object", "properties": {"age": {"type": "integer", "minimum": 0}}, "required": ["age"]}
    >>> pattern = SchemaPattern(wanted).pattern
    >>> bool(re.fullmatch(pattern, '{"age": 41}')), bool(re.fullmatch(pattern, '{"age": -1}'))
    (True, False)
    """

    def __init__(self, schema: Any) -> None:
        self.root, self.patterns = schema, list[str]()  # those of its strings
        self._count = self._characters = 0
        self._within = list[str]()  # the references that are being followed
        found = self._one(schema, "#")
        if found is None:
            raise ConfigError(
                "the JSON schema allows nothing, or contains itself without an end", hint='leave out a "required"'
            )
        self.pattern = found

    def _one(self, schema: Any, where: str) -> str | None:
        """One schema; None where nothing is allowed."""
        found = self._written(schema, where)
        size = len(found or "")
        self._characters += size
        if size > LARGEST or self._characters > PARTS * LARGEST:
            raise too_large()
        return found

    def _written(self, schema: Any, where: str) -> str | None:
        """The same, of any length."""
        self._count += 1
        if self._count > MOST:
            raise ConfigError(f"the JSON schema has more than {MOST:,} parts", hint="make it smaller")
        if schema is True:
            schema = {}
        if schema is False:
            return None
        if not isinstance(schema, Mapping):
            raise _wrong("is no object", where)
        said = {key: value for key, value in schema.items() if key not in NOTES}
        for key, form in FORMS.items():
            if key in said:
                _only(said, {key, *(("type",) if key in ("enum", "const") else ())}, where)
                return form(self, said, where)
        kind = said.get("type")
        if isinstance(kind, list):
            _only(said, {"type"}, where)
            return _either([self._one({"type": one}, where) for one in kind])
        if kind is None and said:
            kind = next((one for one in ("object", "array") if TYPES[one] & said.keys()), None)
        if kind is None:
            _only(said, set(), where)
            return _anything(DEPTH)
        if not isinstance(kind, str) or kind not in TYPES:
            raise _wrong(f"has the type {kind!r}, and none of {', '.join(TYPES)}", where)
        _only(said, {"type", *TYPES[kind]}, where)
        if kind in ("array", "object"):
            return self._array(said, where) if kind == "array" else self._object(said, where)
        return self._scalar(kind, said, where)

    def _scalar(self, kind: str, said: Mapping[str, Any], where: str) -> str | None:
        """A string, a number, true, false or null."""
        if kind == "integer":
            low, high = (_number(said, key, where) for key in ("minimum", "maximum"))
            above, below = (_number(said, key, where) for key in ("exclusiveMinimum", "exclusiveMaximum"))
            least = [one for one in (low, None if above is None else above + 1) if one is not None]
            most = [one for one in (high, None if below is None else below - 1) if one is not None]
            return integer_pattern(max(least, default=None), min(most, default=None))
        if kind != "string":
            return {"number": NUMBER, "boolean": "(?:true|false)", "null": "null"}[kind]
        if len({"pattern", "format"} & said.keys()) + bool({"minLength", "maxLength"} & said.keys()) > 1:
            raise _wrong("has two of pattern, format and a length, which cannot be kept together", where)
        if "format" in said:
            if not isinstance(said["format"], str) or said["format"] not in FORMATS:
                raise _wrong(f"has the format {said['format']!r}, and none of {', '.join(FORMATS)}", where)
            return f'"{FORMATS[said["format"]]}"'
        if "pattern" in said:
            bare = DIGIT.sub(r"\1[0-9]", bare_pattern(str(said["pattern"])))
            self.patterns.append(bare)
            return f'"(?:{bare})"'
        times = _times(said, "minLength", "maxLength", where)
        return None if times is None else f'"{LETTER}{times}"'

    def _array(self, said: Mapping[str, Any], where: str) -> str | None:
        """A list."""
        if "prefixItems" in said:
            _only(said, {"type", "prefixItems"}, where)
            listed = enumerate(_list(said, "prefixItems", where))
            some = [self._one(one, f"{where}/prefixItems/{number}") for number, one in listed]
            return None if None in some else rf"\[{_joined(COMMA, map(str, some))}\]"
        entry = self._one(said["items"], f"{where}/items") if "items" in said else _anything(DEPTH - 1)
        return _sequence(entry, "[]", _bounds(said, "minItems", "maxItems", where))

    def _object(self, said: Mapping[str, Any], where: str) -> str | None:
        """An object with the properties that are named, or with any where none is."""
        needed = said.get("required", [])
        named = said.get("properties", {})
        if not isinstance(named, Mapping) or not isinstance(needed, list):
            raise _wrong("has properties that are no object, or a required that is no list", where)
        if unknown := [one for one in needed if not isinstance(one, str) or one not in named]:
            raise _wrong(f"requires {unknown[0]!r}, which is not among its properties", where)
        if "properties" not in said:
            other = said.get("additionalProperties", {})
            value = _anything(DEPTH - 1) if other in ({}, True) else self._one(other, f"{where}/additionalProperties")
            entry = None if value is None else f'"{LETTER}*"{COLON}{value}'
            return _sequence(entry, "{}", _bounds(said, "minProperties", "maxProperties", where))
        _only(said, {"type", "properties", "required", "additionalProperties"}, where)
        entries = []
        for name, one in named.items():
            value = self._one(one, f"{where}/properties/{name}")
            if value is None and name in needed:
                return None
            if value is not None:
                entries.append((f"{_literal(name)}{COLON}{value}", name in needed))
        return rf"\{{{_in_order(entries)}\}}"

    def _refer(self, said: Mapping[str, Any], where: str) -> str | None:
        """Another part of the schema."""
        name, found = str(said["$ref"]), self.root
        if not name.startswith("#"):
            raise _wrong(f"refers to {name!r}, which is not in it", where)
        for step in filter(None, name[1:].split("/")):
            step = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and step.isdecimal() and int(step) < len(found):
                found = found[int(step)]
            elif isinstance(found, Mapping) and step in found:
                found = found[step]
            else:
                raise _wrong(f"refers to {name!r}, which is not in it", where)
        if self._within.count(name) > DEPTH:
            return None
        self._within.append(name)
        made = self._one(found, name)
        self._within.pop()
        return made

    def _any_of(self, said: Mapping[str, Any], where: str) -> str | None:
        """One of several schemas."""
        return _either([self._one(one, f"{where}/anyOf/{n}") for n, one in enumerate(_list(said, "anyOf", where))])

    def _one_of(self, said: Mapping[str, Any], where: str) -> str | None:
        """Exactly one of several schemas: they have to have different types, so that no text fits two."""
        some = _list(said, "oneOf", where)
        kinds = [one.get("type") if isinstance(one, Mapping) else None for one in some]
        names = {"number" if kind == "integer" else kind for kind in kinds if isinstance(kind, str)}
        if len(names) < len(some):
            raise _wrong("has a oneOf whose schemas are not of different types", where)
        return _either([self._one(one, f"{where}/oneOf/{number}") for number, one in enumerate(some)])

    def _all_of(self, said: Mapping[str, Any], where: str) -> str | None:
        """A single schema in a list."""
        some = _list(said, "allOf", where)
        if len(some) > 1:
            raise _wrong("has an allOf of several schemas, which cannot be kept together", where)
        return self._one(some[0], f"{where}/allOf/0")

    def _enum(self, said: Mapping[str, Any], where: str) -> str | None:
        """One of several values."""
        values = _list(said, "enum", where) if "enum" in said else [said["const"]]
        if "type" in said:
            kinds = said["type"] if isinstance(said["type"], list) else [said["type"]]
            if strange := [one for one in kinds if not isinstance(one, str) or one not in TYPES]:
                raise _wrong(f"has the type {strange[0]!r}, and none of {', '.join(TYPES)}", where)
            values = [one for one in values if _is_a(one, kinds)]
        return _either([_literal(one) for one in values])


FORMS: dict[str, Callable[[SchemaPattern, Mapping[str, Any], str], str | None]] = {
    "$ref": SchemaPattern._refer,
    "enum": SchemaPattern._enum,
    "const": SchemaPattern._enum,
    "anyOf": SchemaPattern._any_of,
    "oneOf": SchemaPattern._one_of,
    "allOf": SchemaPattern._all_of,
}
"""What a schema may be instead of a type."""


def bare_pattern(pattern: str) -> str:
    r"""A pattern without `^` at its beginning and `$` at its end.

    >>> bare_pattern("^a$"), bare_pattern("a\\$")
    ('a', 'a\\$')
    """
    return re.sub(r"(?<!\\)((?:\\\\)*)\$$", r"\1", pattern.removeprefix("^"))


def _literal(value: Any) -> str:
    """A value as JSON, as a regular expression."""
    return re.escape(json.dumps(value, ensure_ascii=False, allow_nan=False))


def _either(some: list[str | None]) -> str | None:
    """One of several patterns, of those that are possible."""
    known = [one for one in some if one is not None]
    return f"(?:{_joined('|', dict.fromkeys(known))})" if known else None


def _joined(separator: str, parts: Iterable[str]) -> str:
    """Patterns one behind another. Raises: ConfigError, before they take more memory than a pattern may."""
    found, size = list[str](), 0
    for part in parts:
        found.append(part)
        size += len(part)
        if size > LARGEST:
            raise too_large()
    return separator.join(found)


def too_large() -> ConfigError:
    """The error for a schema whose regular expression is too long."""
    return ConfigError(
        f"the JSON schema is too large: its regular expression has more than {LARGEST:,} characters",
        hint="make more properties required, or nest fewer",
    )


def _anything(depth: int) -> str:
    """Any JSON, so deep."""
    scalar = rf'"{LETTER}*"|{NUMBER}|true|false|null'
    if not depth:
        return f"(?:{scalar})"
    inner = _anything(depth - 1)
    lists = (_sequence(inner, "[]", (0, None)), _sequence(f'"{LETTER}*"{COLON}{inner}', "{}", (0, None)))
    return f"(?:{scalar}|{lists[0]}|{lists[1]})"


def _sequence(entry: str | None, marks: str, bounds: tuple[int, int | None]) -> str | None:
    """Entries with commas between them, so many."""
    (low, high), (left, right) = bounds, (re.escape(mark) for mark in marks)
    if (high is not None and high < low) or (entry is None and low):
        return None
    if entry is None or high == 0:
        return left + right
    more = f"(?:{COMMA}{entry}){{{max(0, low - 1)},{'' if high is None else high - 1}}}"
    some = f"{entry}{more}"
    return f"{left}{some}{right}" if low else f"{left}(?:{some})?{right}"


def _in_order(entries: list[tuple[str, bool]]) -> str:
    """The entries of an object in their order, those that are needed and any of the others."""
    later = [f"(?:{COMMA}{entry}){'' if needed else '?'}" for entry, needed in entries]
    first = next((place for place, (_, needed) in enumerate(entries) if needed), None)
    some = entries if first is None else entries[: first + 1]  # the first one that is written is one of these
    ways = (_joined("", [entry, *later[place + 1 :]]) for place, (entry, _) in enumerate(some))
    return f"(?:{_joined('|', ways)}){'?' if first is None else ''}" if entries else ""


def _times(said: Mapping[str, Any], low: str, high: str, where: str) -> str | None:
    """How often something is repeated; None for never."""
    least, most = _bounds(said, low, high, where)
    if most is not None and most < least:
        return None
    return f"{{{least},{'' if most is None else most}}}" if least or most is not None else "*"


def _bounds(said: Mapping[str, Any], low: str, high: str, where: str) -> tuple[int, int | None]:
    """The least and the largest number of something."""
    least, most = _number(said, low, where), _number(said, high, where)
    if min(least or 0, most or 0) < 0:
        raise _wrong(f"has a {low} or {high} below zero", where)
    return least or 0, most


def _number(said: Mapping[str, Any], key: str, where: str) -> int | None:
    """A whole number of a schema."""
    value = said.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise _wrong(f"has {key} {value!r}, which is no whole number", where)
    if value is not None and abs(value) > LARGEST_NUMBER:
        raise _wrong(f"has {key} with more than 100 digits", where)
    return value


def _list(said: Mapping[str, Any], key: str, where: str) -> list[Any]:
    """A list of a schema that is not empty."""
    if not isinstance(said[key], list) or not said[key]:
        raise _wrong(f"has {key} without a list of something", where)
    return list(said[key])


def _is_a(value: Any, kinds: list[str]) -> bool:
    """Whether a value has one of some types."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    numbers = {"number": number, "integer": number and float(value).is_integer() if number else False}
    return any(numbers[kind] if kind in numbers else isinstance(value, PYTHON[kind]) for kind in kinds)


def _only(said: Mapping[str, Any], known: set[str], where: str) -> None:
    """Refuse every keyword but some."""
    if other := [key for key in said if key not in known]:
        beside = next((key for key in said if key in known), "")
        raise _wrong(f"says {other[0]!r}{f' beside {beside!r}' if beside else ''}, which cannot be kept", where)


def _wrong(what: str, where: str) -> ConfigError:
    return ConfigError(f"the JSON schema {what}, at {where}", hint="leave it out, and check it in what is written")
