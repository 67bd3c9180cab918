"""Near duplicates: the newest stays, and nothing that is the only one of its kind goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowledge.catalogue import Catalogue, Row
from knowledge.chunks import chunks
from knowledge.folding import fold
from knowledge.search import Result, search
from knowledge.sources import CHAT, EVERYBODY, PUBLIC, RESPONDERS, Document

READING = "Reading lasts {}. One approval by the owner of the system is enough, and the reason names a ticket."


def document(name: str, title: str, text: str, year: int = 2026, visibility: str = PUBLIC) -> Document:
    return Document(name, title, f"# {title}\n{text}", "", name, datetime(year, 1, 1, tzinfo=UTC), visibility)


NEW = document("new", "Production access", READING.format("four hours"))
OLD = document("old", "Production access (2023)", READING.format("five working days"), 2023)
COPY = document("copy", "Production access", READING.format("four hours"), 2024)
ORDERS = document("orders", "Runbook: orders", READING.format("four hours"))
STOCK = document("stock", "Runbook: stock", READING.format("four hours"))
SHORT = document("short", "Production access", "Reading is asked for in Slack.", 2020)
SECRET = document("secret", "Production access", READING.format("a year, for the merger"), 2027, RESPONDERS)


def found_in(path: Path, documents: Sequence[Document], audience: frozenset[str] = EVERYBODY) -> list[Result]:
    catalogue = Catalogue(path / "catalogue.db")
    catalogue.sources = ("test",)
    for one in documents:
        catalogue.store("test", one, chunks(one, len), "")
    found = search(catalogue, ["how long may reading last"], 20, None, audience)
    catalogue.close()
    return found


@pytest.mark.parametrize("documents", [[NEW, OLD, COPY], [OLD, COPY, NEW], [COPY, NEW, OLD]])
def test_of_a_page_its_earlier_self_and_its_copy_the_newest_is_shown(tmp_path: Path, documents: list[Document]) -> None:
    assert [one.file for one in found_in(tmp_path, documents)] == ["new"]


@pytest.mark.parametrize("other", [STOCK, SHORT])
def test_pages_that_say_something_else_or_of_something_else_stay(tmp_path: Path, other: Document) -> None:
    assert {one.file for one in found_in(tmp_path, [ORDERS if other is STOCK else NEW, other])} >= {other.id}


def test_what_a_place_may_not_see_neither_shows_nor_hides_anything_there(tmp_path: Path) -> None:
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    shown = found_in(tmp_path / "with", [NEW, SECRET])
    assert [(one.file, one.text) for one in shown] == [
        (one.file, one.text) for one in found_in(tmp_path / "without", [NEW])
    ]


def test_responders_are_shown_the_newer_page_that_is_for_them(tmp_path: Path) -> None:
    assert [one.file for one in found_in(tmp_path, [NEW, SECRET], frozenset({PUBLIC, RESPONDERS}))] == ["secret"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations([NEW, OLD, COPY, ORDERS, STOCK, SHORT]))
def test_the_order_of_reading_changes_nothing(tmp_path_factory: pytest.TempPathFactory, order: list[Document]) -> None:
    found = found_in(tmp_path_factory.mktemp("order"), order)
    assert [one.file for one in found] == [one.file for one in found_in(tmp_path_factory.mktemp("again"), order[::-1])]
    assert {one.file for one in found} == {"new", "orders", "stock", "short"}


ROW = Row("1", "d1", "Pay", "", "", "who releases a payout", "h", "", "", PUBLIC, "page", (), None)
_rows = st.lists(
    st.builds(
        lambda n, title, text, year, kind: replace(
            ROW,
            id=str(n),
            doc_id=f"d{n}",
            title=title,
            text=text,
            kind=kind,
            updated_at=datetime(year, 1, 1, tzinfo=UTC),
        ),
        st.integers(0, 30),
        st.sampled_from(["Pay", "Pay (old)", "Stock"]),
        st.sampled_from(["who releases a payout", "who releases a payout now", "who counts the stock", "red"]),
        st.integers(2020, 2026),
        st.sampled_from(["page", CHAT]),
    ),
    max_size=12,
    unique_by=lambda row: row.id,
)


@given(_rows)
def test_whatever_is_folded_away_has_a_newer_twin_that_is_kept_and_chat_never_is(rows: list[Row]) -> None:
    kept = fold(rows)
    for row in set(rows) - set(kept):
        assert row.kind != CHAT
        assert any(
            one.updated_at >= row.updated_at and one.title.split()[0] == row.title.split()[0]
            for one in kept
            if one.updated_at and row.updated_at
        )


@given(_rows)
def test_nothing_is_invented_and_the_first_stays_in_its_place(rows: list[Row]) -> None:
    kept = fold(rows)
    assert set(kept) <= set(rows)
    assert len(set(kept)) == len(kept)
    if rows:
        assert kept[0].title.split()[0] == rows[0].title.split()[0]
