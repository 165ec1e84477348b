"""Ranges of whole numbers as regular expressions."""


def integer_pattern(low: int | None, high: int | None) -> str | None:
    r"""The regular expression of the whole numbers from one to another, as JSON writes them.

    Args:
        low: the least; None: there is none.
        high: the largest; None: there is none.

    Returns:
        The pattern; None where there is no such number.

    >>> integer_pattern(8, 12), integer_pattern(0, None), integer_pattern(5, 4)
    ('(?:[8-9]|1[0-2])', '(?:0|[1-9][0-9]*)', None)
    """
    if low is not None and high is not None and low > high:
        return None
    ways = []
    if low is None or low < 0:
        upper = None if low is None else -low
        below = _natural(1 if high is None or high >= 0 else -high, upper)
        ways.append(f"-(?:{'|'.join(below)})")
    if high is None or high >= 0:
        ways += _natural(max(0, low or 0), high)
    return f"(?:{'|'.join(ways)})"


def _natural(low: int, high: int | None) -> list[str]:
    """The patterns of numbers from zero on that cover a range."""
    if high is None:
        size = len(str(low))
        longer = f"[1-9][0-9]{{{size},}}" if size > 1 or low > 1 else "[1-9][0-9]*"
        if low <= 1:
            return ["0", longer] if low == 0 else [longer]
        return [*_same_length(str(low), "9" * size), longer]
    found = []
    for size in range(len(str(low)), len(str(high)) + 1):
        first = str(max(low, 10 ** (size - 1) if size > 1 else 0))
        found += _same_length(first, str(min(high, 10**size - 1)))
    return found


def _same_length(low: str, high: str) -> list[str]:
    """The patterns that cover a range of numbers with as many digits."""
    if not low:
        return [""]
    if low[0] == high[0]:
        return [low[0] + rest for rest in _same_length(low[1:], high[1:])]
    rest = len(low) - 1
    first, last, found = int(low[0]), int(high[0]), []
    if low[1:] != "0" * rest:
        found += [low[0] + one for one in _same_length(low[1:], "9" * rest)]
        first += 1
    above = []
    if high[1:] != "9" * rest:
        above = [high[0] + one for one in _same_length("0" * rest, high[1:])]
        last -= 1
    if first <= last:
        digit = str(first) if first == last else f"[{first}-{last}]"
        found.append(digit + ("[0-9]" * rest))
    return found + above
