"""Compiles a regular expression to an automaton, in a process of its own.

The library cannot be interrupted, and a pattern of twenty characters can ask for more states than there is memory. So
`patterns.py` runs this file as a script, with limits on its time and memory. Standard input is a JSON object with the
pattern, its parts and the limits; standard output is a line of JSON, and behind it the table of the automaton, 256
numbers of four bytes for every state.
"""

import json
import os
import sys
from array import array
from typing import Any

FIRST, LAST = 1, 0
"""Bytes that are put around every pattern, and stand in no text. Without the last one the library drops what is longer
than a match, "ab" of a|ab; without the first one it also builds the automaton that finds the pattern anywhere."""


def automaton(pattern: str, most: int) -> tuple[dict[str, Any], bytes]:
    """The automaton of a pattern: which states accept, and the table; it begins in state 0, and the last one fails."""
    from outlines_core import Index, Vocabulary

    every = Vocabulary(256, {bytes([byte]): [byte] for byte in range(256)})
    index = Index(rf"\x{FIRST:02}(?:{pattern})\x{LAST:02}", every)
    steps, ends = index.get_transitions(), index.get_final_states()
    begin = steps[index.get_initial_state()][FIRST]
    number = {state: place for place, state in enumerate(sorted(steps, key=lambda one: one != begin))}
    if len(number) > most:
        raise OverflowError
    accepting = [steps[state].get(LAST) in ends for state in number]
    table = array("i")
    for state in number:
        row = [len(number)] * 256
        for byte, following in steps[state].items():
            if byte not in (FIRST, LAST, 256):
                row[byte] = number[following]
        table.extend(row)
    table.extend([len(number)] * 256)
    return {"accepting": [*accepting, False]}, table.tobytes()


def limit(seconds: int, memory: int) -> None:
    """Bound what this process may use, where the system can, and let others go first."""
    try:
        import resource
    except ImportError:  # Windows; the caller still has its timeout
        return
    os.nice(5)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Answer the request on standard input."""
    request = json.load(sys.stdin)
    limit(request["seconds"], request["memory"])
    pattern, table = "", b""
    try:
        for pattern in (*request["parts"], request["pattern"]):
            answer, table = automaton(pattern, request["most"])
    except ValueError as error:
        answer, table = {"error": str(error), "pattern": pattern}, b""
    except (OverflowError, MemoryError):
        answer = {"large": True}
    except ImportError:
        answer = {"missing": True}
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n" + table)


if __name__ == "__main__":
    main()
