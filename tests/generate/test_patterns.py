"""Patterns and JSON schemas as automata, and those that are refused with little work."""

import json
import re
import time
import tracemalloc

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.models import small
from unspool.batch import Tokens
from unspool.data.tokenizer import tokenizers
from unspool.errors import ConfigError
from unspool.generate import pattern_worker, patterns
from unspool.generate.automaton import MOST_STATES
from unspool.generate.constraints import Constraint
from unspool.generate.engine import Engine
from unspool.generate.json_schema import SchemaPattern
from unspool.generate.number_range import integer_pattern
from unspool.generate.patterns import regex_automaton, schema_automaton
from unspool.generate.stream import stream_text

BYTE = tokenizers.build("tokenizer", "byte")
MODEL = small(inputs=Tokens(256), cell="gru", width=6, seed=2)
NODE = {"type": "object", "properties": {"v": {"type": "null"}, "next": {"$ref": "#"}}, "required": ["v"]}
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 6},
        "age": {"type": "integer", "minimum": -3, "exclusiveMaximum": 120},
        "mail": {"type": "string", "pattern": "^[a-z]{1,4}@[a-z]+|\\d$"},
        "tags": {"type": "array", "items": {"enum": ["a", 'b"\\', None]}, "minItems": 1, "maxItems": 3},
    },
    "required": ["age"],
    "additionalProperties": False,
}
SCHEMAS = [
    PERSON, NODE, {}, True, {"type": "object"}, {"type": "array"}, {"type": "number"}, {"type": ["integer", "null"]},
    {"const": {"a\n": [1, "é", {"b": False}]}}, {"enum": [1, "x", None], "type": "string"},
    {"anyOf": [{"type": "boolean"}, {"type": "array", "items": {"type": "integer", "maximum": -7}}]},
    {"oneOf": [{"type": "string", "maxLength": 2}, {"type": "number"}]}, {"allOf": [{"type": "null"}]},
    {"type": "array", "prefixItems": [{"type": "null"}, {"type": "boolean"}]},
    {"type": "object", "additionalProperties": {"type": "boolean"}, "minProperties": 1, "maxProperties": 2},
    {"type": "object", "properties": {'q"\\.*': {"type": "boolean"}, "é": {"type": "null"}, "z": {"type": "null"}}},
    {"type": "string", "format": "date"}, {"type": "string", "format": "time"}, {"type": "string", "format": "uuid"},
    {"type": "string", "format": "date-time"}, {"properties": {}}, {"title": "t", "type": "string", "description": "d"},
    {"$defs": {"x": {"type": "integer", "minimum": 5, "maximum": 5}}, "type": "array", "items": {"$ref": "#/$defs/x"}},
    {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}, "maxItems": 2}}},
]  # fmt: skip


@pytest.fixture
def here(monkeypatch):
    """Patterns compile in this process."""
    monkeypatch.setattr(patterns, "_ask", lambda pattern, parts: pattern_worker.automaton(pattern, MOST_STATES))


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda one: json.dumps(one)[:40])
def test_every_text_of_a_schema_is_valid(schema, here):
    constraint = Constraint.json_schema(json.dumps(schema))
    check = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
    found = set()
    for seed in range(4):
        text = "".join(stream_text(Engine(MODEL), BYTE, "", length=70, constraint=constraint, seed=seed))
        check.validate(json.loads(text))
        found.add(text)
    assert constraint.matches(text) and found


RIGHT = [
    (PERSON, '{"age": 119}', '{"age": 120}'),
    (PERSON, '{"name":"x", "age":-3, "tags":[null, "b\\"\\\\"]}', '{"age":0,"name":"x"}'),
    (NODE, '{"v":null,"next":{"v":null}}', '{"next":{"v":null}}'),
    ({"type": "object"}, '{"a":[1,{"b":"c"}], "d":null}', "[]"),
    ({"type": "number"}, "-1.5e+10", "01"),
    ({"enum": [1, "x"], "type": "string"}, '"x"', "1"),
    ({"type": "string"}, '"é\\n\\"€"', '"a"b"'),
    ({"type": "string", "maxLength": 2}, '"\\n\\n"', '"abc"'),
    ({"type": "array", "items": {"type": "null"}, "maxItems": 0}, "[]", "[null]"),
]


@pytest.mark.parametrize(("schema", "right", "wrong"), RIGHT)
def test_a_schema_takes_what_is_right_and_nothing_else(schema, right, wrong, here):
    one = Constraint.json_schema(schema)
    assert one.matches(right) and not one.matches(wrong)


@settings(max_examples=60, deadline=None)
@given(st.integers(-3000, 3000), st.integers(0, 400), st.booleans(), st.booleans(), st.integers(-5000, 5000))
def test_a_range_of_numbers_has_those_from_one_end_to_the_other(low, size, open_below, open_above, other):
    high = low + size
    pattern = integer_pattern(None if open_below else low, None if open_above else high)
    for value in {low, high, low - 1, high + 1, other, 0, (low + high) // 2, -low, 10 * high}:
        wanted = (open_below or low <= value) and (open_above or value <= high)
        assert bool(re.fullmatch(pattern, str(value))) == wanted, (pattern, value)
    assert not re.fullmatch(pattern, "-0") and not re.fullmatch(pattern, "007")


REFUSED = [
    ({"type": "array", "uniqueItems": True}, "says 'uniqueItems' beside 'type'"),
    ({"type": "integer", "multipleOf": 3}, "says 'multipleOf'"),
    ({"type": "number", "minimum": 0}, "says 'minimum'"),
    ({"type": "object", "patternProperties": {}}, "says 'patternProperties'"),
    ({"not": {"type": "null"}}, "says 'not'"),
    ({"allOf": [{"type": "null"}, {"type": "string"}]}, "allOf of several"),
    ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "not of different types"),
    ({"anyOf": [{"type": "null"}], "type": "string"}, "says 'type' beside 'anyOf'"),
    ({"type": "string", "pattern": "a", "minLength": 2}, "two of pattern, format and a length"),
    ({"type": "string", "pattern": ".*"}, "matches a quotation mark"),
    ({"type": "string", "pattern": 'a"'}, "matches a quotation mark"),
    ({"type": "string", "pattern": "a)|(b"}, "unbalanced parenthesis"),
    ({"type": "string", "format": "email"}, "the format 'email'"),
    ({"type": "object", "properties": {"a": {}}, "required": ["b"]}, "requires 'b'"),
    ({"type": "foo"}, "the type 'foo'"),
    ({"type": "string", "minLength": -1}, "below zero"),
    ({"type": "string", "minLength": "x"}, "no whole number"),
    ({"type": "string", "minLength": 3, "maxLength": 2}, "allows nothing"),
    ({"$ref": "#"}, "without an end"),
    ({"$ref": "#/$defs/x"}, "refers to '#/\\$defs/x'"),
    ({"$ref": "http://x/y"}, "refers to 'http"),
    ({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "without an end"),
    ({"enum": []}, "enum without a list"),
    ({"required": 5, "properties": {}}, "required that is no list"),
    ({"type": "array", "items": 3}, "is no object, at #/items"),
    (False, "allows nothing"),
    ([], "is no object, at #"),
    (
        {"anyOf": [{"$ref": "#/anyOf/1"}, {"anyOf": [{"$ref": "#"}, {"$ref": "#"}, {"$ref": "#"}]}]},
        "10,000 parts|allows",
    ),
]


@pytest.mark.parametrize(("schema", "message"), REFUSED, ids=lambda one: str(one)[:40])
def test_a_schema_that_could_not_be_kept_is_refused(schema, message, here):
    with pytest.raises(ConfigError, match=message):
        schema_automaton(json.dumps(schema))


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(a", "missing \\)"),
        ("a)|(b", "unbalanced"),
        (r"(?=a)b", "not a regular language"),
        (r"(a)\1", "not a regular language"),
        (r"\bfoo", "not a regular language"),
        ("*", "nothing to repeat"),
        ("[" * 10**4, "unterminated"),
    ],
)
def test_a_pattern_that_is_none_is_refused(pattern, message):
    with pytest.raises(ConfigError, match=message):
        regex_automaton(pattern)


def test_a_process_of_its_own_says_the_same(monkeypatch):
    pattern = "(?:a|ab)*[^x-é]?"
    regex_automaton.cache_clear()
    apart = regex_automaton(pattern)
    monkeypatch.setattr(patterns, "_ask", lambda pattern, parts: pattern_worker.automaton(pattern, MOST_STATES))
    regex_automaton.cache_clear()
    here = regex_automaton(pattern)
    for text in ("", "a", "ab", "aab", "abé", "abü", "x", "aa€"):
        assert bool(apart.accepting[apart.run(0, text.encode())]) == bool(here.accepting[here.run(0, text.encode())])
        assert bool(apart.accepting[apart.run(0, text.encode())]) == bool(re.fullmatch(pattern, text))


HOSTILE = [
    "(?:a|b)*a(?:a|b){20}",
    "((a{100}){100}){100}",
    "x" * 10**6 + "x",
]


@pytest.mark.parametrize("pattern", HOSTILE, ids=lambda one: one[:20])
def test_a_pattern_beyond_reason_takes_bounded_work(pattern, monkeypatch):
    """The limits are those of the process that compiles; a second is enough to see them hold."""
    monkeypatch.setattr(patterns, "SECONDS", 1)
    began = time.process_time()
    with pytest.raises(ConfigError, match="the pattern is too large") as caught:
        regex_automaton(pattern)
    assert time.process_time() - began < 2 and len(str(caught.value)) < 200


def test_schemas_beyond_reason_take_bounded_work(here):
    deep = '{"items":' * 3000 + "{}" + "}" * 3000
    wide = {"type": "object", "properties": {f"p{number}": {"type": "null"} for number in range(20_000)}}
    for schema in (deep, json.dumps(wide), "{" * 10**5, '{"enum": [NaN]}', '{"a":' * 10**6, ""):
        with pytest.raises(ConfigError, match=r"nested too deep|10,000 parts|is not JSON|characters|no list"):
            schema_automaton(schema)


def nested(schema, times, around):
    for _ in range(times):
        schema = around(schema)
    return schema


def optional(schema):
    return {"type": "object", "properties": {**{f"p{number}": {"type": "null"} for number in range(10)}, "z": schema}}


LONG = {"$defs": {"a": {"enum": ["x" * 900_000]}}}
MULTIPLIED = {
    "optional properties in optional ones": nested({}, 8, optional),
    "lists in lists": nested({}, 90, lambda schema: {"type": "array", "items": schema}),
    "nine thousand values of any kind": {"type": "object", "properties": {f"p{number}": {} for number in range(9000)}},
    "nine thousand long texts": LONG | {"prefixItems": [{"$ref": "#/$defs/a"}] * 9000},
    "either of them": LONG | {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}] * 4000},
    "as properties": LONG | {"properties": {f"p{number}": {"$ref": "#/$defs/a"} for number in range(9000)}},
}  # fmt: skip


@pytest.mark.parametrize("name", MULTIPLIED)
def test_a_schema_whose_pattern_would_fill_the_memory_takes_bounded_memory(name):
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError, match="its regular expression has more than 1,000,000 characters"):
            SchemaPattern(MULTIPLIED[name])
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"properties": {}, "required": [{}]}, "requires {}, which is not among"),
        ({"type": "string", "format": []}, r"the format \[\], and none of"),
        ({"enum": [1], "type": [[]]}, r"the type \[\], and none of"),
        ({"enum": [1], "type": "whole"}, "the type 'whole', and none of"),
        ({"type": "integer", "minimum": 10**1000}, "minimum with more than 100 digits"),
    ],
)
def test_what_is_no_name_or_no_number_is_named(schema, message):
    with pytest.raises(ConfigError, match=message):
        SchemaPattern(schema)


def test_the_patterns_of_a_schema_are_looked_at_in_one_process(monkeypatch):
    asked, ask = [], patterns._ask
    monkeypatch.setattr(patterns, "_ask", lambda *words: asked.append(words) or ask(*words))
    schema = {"properties": {f"p{n}": {"type": "string", "pattern": f"[a-z]{{{n}}}"} for n in range(1, 20)}}
    one = schema_automaton(json.dumps(schema | {"required": ["p3"]}))
    assert bool(one.accepting[one.run(0, b'{"p3":"abc"}')]) and len(asked) == 2 and len(asked[0][1]) == 19
    schema["properties"]["p7"]["pattern"] = "a(?=b)"
    with pytest.raises(ConfigError, match=r"the pattern 'a\(\?=b\)' cannot be used: it is not a regular language"):
        schema_automaton(json.dumps(schema))


def test_a_missing_library_is_named(monkeypatch, tmp_path):
    (tmp_path / "outlines_core.py").write_text("raise ImportError")
    monkeypatch.syspath_prepend(tmp_path)
    regex_automaton.cache_clear()
    with pytest.raises(ConfigError, match="need outlines-core") as caught:
        regex_automaton("abc")
    assert caught.value.hint == 'pip install "unspool[constraints]"'


def test_the_pattern_of_a_schema_is_one_that_python_reads():
    assert re.fullmatch(SchemaPattern(PERSON).pattern, '{"name":"a","age":7,"mail":"ab@cd"}')
