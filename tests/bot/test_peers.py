"""How many colleagues hold what is asked for, in words."""

from __future__ import annotations

import pytest

from bot.peers import held_by
from bot.ports import Headcount


@pytest.mark.parametrize(
    ("people", "holders", "says"),
    [
        ("abcde", "abcx", "3 of 5 other people in Payments hold this"),
        ("ab", "a", "1 of 2 other people in Payments holds this"),
        ("a", "", "0 of 1 other person in Payments hold this"),
        ("", "ab", "nobody else is in Payments"),
    ],
)
def test_colleagues_are_counted(people: str, holders: str, says: str) -> None:
    assert held_by(Headcount(frozenset(people)), list(holders), "Payments") == says


def test_what_could_not_be_counted_to_the_end_says_at_least() -> None:
    told = held_by(Headcount(frozenset("abcde"), complete=False), ["a", "b"], "Payments")
    assert told == "at least 2 of at least 5 other people in Payments hold this"
