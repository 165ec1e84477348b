"""Regular expressions and JSON schemas as automata."""

import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from unspool.errors import ConfigError
from unspool.generate import pattern_worker
from unspool.generate.automaton import MOST_STATES, NEVER, Automaton, distances
from unspool.generate.json_schema import LARGEST, SchemaPattern, bare_pattern

SECONDS, MEMORY = 2, 2**30
"""A pattern may take so many seconds of processor time and so many bytes to compile."""
KEPT = 8
"""So many automata of patterns are remembered, and so many of schemas: each takes up to 20 MB."""


@lru_cache(maxsize=KEPT)
def regex_automaton(pattern: str, parts: tuple[str, ...] = ()) -> Automaton:
    r"""The automaton of the texts that a regular expression matches from their beginning to their end.

    It takes what regular languages have: classes, groups, alternatives, repetitions, \d, \w, \p{L}, (?i); neither
    look-around nor back references nor \b. `^` at the beginning and `$` at the end may be there.

    Args:
        pattern: in the syntax of Rust's regex crate, which most of Python's is.
        parts: patterns that it consists of, each of which has to be one by itself.

    Raises:
        ConfigError: it cannot be compiled, or is too large.

    >>> one = regex_automaton("a|ab+")
    >>> [bool(one.accepting[one.run(0, text)]) for text in (b"a", b"abb", b"b")]
    [True, True, False]
    """
    if len(pattern) > LARGEST:
        raise _too_large()
    bare = bare_pattern(pattern)
    half = [one for one in (*parts, bare) if not balanced(one)]
    answer, table = ({"error": "", "pattern": half[0]}, b"") if half else _ask(bare, parts)
    wrong = pattern if answer.get("pattern", bare) == bare else answer["pattern"]
    if "incompatible" in answer.get("error", ""):  # no byte goes on from some state
        raise ConfigError(f"the pattern {wrong[:200]!r} allows no text at all", hint="allow some text, as [0-9]+ does")
    if "error" in answer:
        raise ConfigError(
            f"the pattern {wrong[:200]!r} cannot be used: {_reason(wrong)}",
            hint="a pattern looks like [0-9]+( (am|pm))?",
        )
    states = len(answer["accepting"])
    return Automaton(
        np.frombuffer(table, dtype=np.int32).reshape(states, 256), np.array(answer["accepting"], dtype=bool)
    )


@lru_cache(maxsize=KEPT)
def schema_automaton(schema: str) -> Automaton:
    """The automaton of JSON texts that a JSON schema allows: objects have their properties in the schema's order.

    What the schema says and an automaton cannot keep, such as `uniqueItems`, is refused. A space may come behind commas
    and colons. A schema that contains itself is followed three times.

    Args:
        schema: a JSON object.

    Raises:
        ConfigError: it is no JSON, has keywords that cannot be kept, or is too large.

    >>> one = schema_automaton('{"type": "array", "items": {"type": "boolean"}}')
    >>> bool(one.accepting[one.run(0, b"[true, false]")]), bool(one.accepting[one.run(0, b"[1]")])
    (True, False)
    """
    if len(schema) > LARGEST:
        raise ConfigError(f"the JSON schema has more than {LARGEST:,} characters", hint="make it smaller")
    try:
        made = SchemaPattern(json.loads(schema))
    except ValueError as error:
        raise ConfigError(f"the JSON schema is not JSON: {error}", hint='{"type": "object", ...}') from None
    except RecursionError:
        raise too_deep() from None
    _refuse_marks(made.patterns)
    return regex_automaton(made.pattern)


def too_deep() -> ConfigError:
    """The error for a schema whose nesting Python cannot follow."""
    return ConfigError("the JSON schema is nested too deep", hint="make it flatter, with $ref")


def _refuse_marks(patterns: Sequence[str]) -> None:
    """Refuse patterns of strings that match what ends or breaks a string of JSON."""
    if not patterns:
        return
    each = tuple(dict.fromkeys(patterns))
    one = regex_automaton("|".join(f"(?:{pattern})" for pattern in each), each)  # and none is half a group
    states, letters, following = one.edges()
    alive = distances(states, following, one.accepting) < NEVER
    outside = np.isin(letters, [*range(32), ord('"'), ord("\\")])
    if bool((outside & alive[following]).any()):
        raise ConfigError(
            'a "pattern" of the JSON schema matches a quotation mark, a backslash or a control character, which would '
            "break the string",
            hint=r"""write [^"\\\x00-\x1f] instead of a dot, and likewise for [^...], \S and \W""",
        )


def balanced(pattern: str) -> bool:
    r"""Whether no parenthesis of a pattern closes a group that it has not opened.

    >>> balanced(r"(a|[)])\)"), balanced("a)|(b")
    (True, False)
    """
    depth = inside = 0  # of groups, and of classes
    for match in re.finditer(r"\\.|\[\^?\]?|\]|\(|\)", pattern, re.DOTALL):
        mark = match[0][0]
        if mark == "[" or (mark == "]" and inside):
            inside += 1 if mark == "[" else -1
        elif mark in "()" and not inside:
            depth += 1 if mark == "(" else -1
        if depth < 0:
            return False
    return True


def _reason(pattern: str) -> str:
    """Why a pattern cannot be compiled."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return str(error)
    return "it is not a regular language (look-around, back references and \\b are not), or nested too deep"


def _too_large() -> ConfigError:
    return ConfigError(
        f"the pattern is too large: its automaton takes more than {SECONDS} seconds, 1 GB or {MOST_STATES:,} states",
        hint="bound its repetitions, as [a-z]{1,20} does, or make them fewer",
    )


def _ask(pattern: str, parts: tuple[str, ...]) -> tuple[dict[str, Any], bytes]:
    """What the worker answers, and the table behind it. Raises: ConfigError for what is too large."""
    request = {"pattern": pattern, "parts": parts, "most": MOST_STATES, "seconds": SECONDS, "memory": MEMORY}
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(Path(pattern_worker.__file__))],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=5 * SECONDS,  # of a machine that others use too
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
    except subprocess.TimeoutExpired:
        raise _too_large() from None
    line, _, table = done.stdout.partition(b"\n")
    answer = json.loads(line or '{"large": true}')
    if "missing" in answer:
        raise ConfigError("patterns and schemas need outlines-core", hint='pip install "unspool[constraints]"')
    if done.returncode or "large" in answer:
        raise _too_large()
    return answer, table
