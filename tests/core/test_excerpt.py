"""A long passage is shown from where it speaks of what is asked for."""

from __future__ import annotations

from bot.core.excerpt import excerpt, words_of
from tests.builders import an_entitlement

ABOUT = words_of(an_entitlement("prod-readonly", title="Production, read only"))
LONG = "Production is where orders live.\n" + "Everybody is careful there. " * 8


def test_a_short_passage_is_shown_as_it_is() -> None:
    assert excerpt("First.\nprod-readonly lasts an hour.", ABOUT, 280) == "First.\nprod-readonly lasts an hour."


def test_a_long_one_begins_where_its_name_stands() -> None:
    assert excerpt(f"{LONG}\nprod-readonly\nIt lasts an hour.", ABOUT, 280) == "… prod-readonly\nIt lasts an hour."


def test_a_row_of_a_table_keeps_its_heads() -> None:
    table = f"{LONG}\nAccess | Longest\nprod-root | 1 hour\nprod-readonly | 8 hours"
    assert excerpt(table, ABOUT, 280) == "Access | Longest\n… prod-readonly | 8 hours"


def test_the_first_of_equals_counts_and_a_passage_about_something_else_is_shown_from_its_beginning() -> None:
    assert excerpt(f"{LONG}\nProduction again.", ABOUT, 280).startswith("Production is where")
    assert excerpt("Cooking.\n" + "Salt. " * 60, ABOUT, 280).startswith("Cooking.")
    assert excerpt("", ABOUT, 280) == ""
