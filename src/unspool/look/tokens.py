"""The tokens that a model read, and how they are set as text."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TokenRows:
    """What was read, row by row: input tokens, targets, and the tokens of the source; "" is padding."""

    tokens: list[list[str]]
    targets: list[list[str]]
    source: list[list[str]] = field(default_factory=list)

    def before(self, row: int, position: int, count: int = 20) -> str:
        """The text that ends with this position."""
        return join_tokens(self.tokens[row][max(0, position - count) : position + 1])


def join_tokens(tokens: Sequence[str]) -> str:
    """Tokens as text, words with a space between.

    >>> join_tokens(["a", "b"]), join_tokens(["an", "end"]), join_tokens(["an", "␣end"])
    ('ab', 'an end', 'an␣end')
    """
    return (" " if are_words(tokens) else "").join(tokens)


def are_words(tokens: Sequence[str]) -> bool:
    """Whether tokens are whole words, between which stand spaces, and not pieces of a text.

    >>> are_words(["a", "b"]), are_words(["an", "end"]), are_words(["an", "␣end"])
    (False, True, False)
    """
    return any(len(token.replace("\\n", "")) > 1 for token in tokens) and not any("␣" in token for token in tokens)


def with_spaces(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Rows whose words are followed by a space.

    >>> with_spaces([["an", "end"], ["a", "b"]])
    [['an ', 'end '], ['a', 'b']]
    """
    return [[f"{token} " if token else token for token in row] if are_words(row) else list(row) for row in rows]
