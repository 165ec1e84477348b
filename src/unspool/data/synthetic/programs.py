"""Small Python programs that print one number."""

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Literal, NamedTuple

NAMES = "abcdefghijklmnopqrstuvw"  # x counts the loops


class Code(NamedTuple):
    """Lines to run first, an expression, its value, and the value of each operation in the order of execution."""

    lines: tuple[str, ...]
    expression: str
    value: int
    steps: tuple[int, ...] = ()  # a loop has two: what it adds in all, and the sum

    def text(self) -> str:
        """All of it as Python reads it."""
        return "\n".join((*self.lines, f"print({self.expression})"))

    def printed(self) -> str:
        """What Python prints."""
        return str(self.value)


OperationName = Literal["pair", "multiply", "condition", "variable", "loop", "sum"]
PAPER: tuple[OperationName, ...] = ("pair", "multiply", "condition", "variable", "loop")
"""The operations of Zaremba and Sutskever's programs; "sum" is a pair that is always added."""


def program(random: Random, length: int, nesting: int, names: Sequence[OperationName] = PAPER) -> Code:
    """A program whose numbers have up to `length` digits and whose operations are `nesting` deep.

    Each operation is as likely as the others of those names.

    >>> code = program(Random(2), length=4, nesting=3)
    >>> print(code.text())
    l=927 if 4122<9928 else 3477
    for x in range(2):l-=9523
    f=l
    print((6448-f))
    >>> code.printed(), code.steps
    ('24567', (927, 19046, -18119, 24567))
    """
    code = number(random, length)
    letters = random.sample(NAMES, nesting)
    for depth in range(nesting):
        code = OPERATIONS[random.choice(names)](random, code, length, letters[depth])
    return code


def addition(random: Random, length: int) -> Code:
    """The sum of two numbers of exactly `length` digits.

    >>> addition(Random(0), length=2).text()
    'print((59+63))'
    """
    first, second = (random.randrange(10 ** (length - 1), 10**length) for _ in range(2))
    return Code((), f"({first}+{second})", first + second, (first + second,))


def number(random: Random, length: int) -> Code:
    """A number of up to that many digits, each as likely as the others: nine in ten have them all."""
    value = random.randrange(1, 10**length)
    return Code((), str(value), value)


def pair(random: Random, inner: Code, length: int, name: str, always_plus: bool = False) -> Code:
    """The sum or the difference of the inner expression and a number, either first."""
    other, inner = number(random, length), parenthesized(inner)
    first, second = (inner, other) if random.random() < 0.5 else (other, inner)
    plus = always_plus or random.random() < 0.5
    value = first.value + second.value if plus else first.value - second.value
    expression = f"({first.expression}{'+' if plus else '-'}{second.expression})"
    return Code(inner.lines, expression, value, (*inner.steps, value))


def multiply(random: Random, inner: Code, length: int, name: str) -> Code:
    """The inner expression times a small number."""
    times, inner = random.randint(2, 4 * length), parenthesized(inner)
    value = inner.value * times
    return Code(inner.lines, f"({inner.expression}*{times})", value, (*inner.steps, value))


def condition(random: Random, inner: Code, length: int, name: str) -> Code:
    """The inner expression or a number, as one number is less than another or not."""
    low, high, other = (number(random, length) for _ in range(3))
    inner = parenthesized(inner)
    value = inner.value if low.value < high.value else other.value
    expression = f"{inner.expression} if {low.expression}<{high.expression} else {other.expression}"
    return Code(inner.lines, expression, value, (*inner.steps, value))


def variable(random: Random, inner: Code, length: int, name: str) -> Code:
    """The inner expression under a name, and the name with a number."""
    lines = (*inner.lines, f"{name}={inner.expression}")
    return pair(random, Code(lines, name, inner.value, inner.steps), length, name)


def loop(random: Random, inner: Code, length: int, name: str) -> Code:
    """The inner expression under a name, and a number added to it or taken away a few times."""
    times, step, plus = random.randint(1, 4 * length), number(random, length), random.random() < 0.5
    lines = (
        *inner.lines,
        f"{name}={inner.expression}",
        f"for x in range({times}):{name}{'+' if plus else '-'}={step.value}",
    )
    added = times * step.value
    value = inner.value + added if plus else inner.value - added
    return Code(lines, name, value, (*inner.steps, added, value))


OPERATIONS: dict[str, Callable[[Random, Code, int, str], Code]] = {
    "pair": pair,
    "multiply": multiply,
    "condition": condition,
    "variable": variable,
    "loop": loop,
    "sum": partial(pair, always_plus=True),
}


def parenthesized(code: Code) -> Code:
    """The same, to be put into another expression."""
    return code._replace(expression=f"({code.expression})") if " " in code.expression else code
