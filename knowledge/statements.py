"""Lists of values in SQL statements."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

_MANY = 500  # values in one statement


def portions(values: Sequence[str]) -> Iterator[list[str]]:
    """`values` in portions that fit one statement."""
    for start in range(0, len(values), _MANY):
        yield list(values[start : start + _MANY])


def marks(values: Collection[str]) -> str:
    """A question mark for each of `values`."""
    return ", ".join("?" * len(values))
