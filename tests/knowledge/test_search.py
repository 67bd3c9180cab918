"""Ranking, and queries that try to be syntax."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowledge.catalogue import Catalogue
from knowledge.chunks import chunks
from knowledge.search import fuse, match_expression, search, tidy
from knowledge.sources import EVERYBODY, Document


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    one = Catalogue(tmp_path_factory.mktemp("catalogue") / "catalogue.db")
    one.sources = ("test",)
    document = Document(
        "a.md", "Keys", "Ask for prod-readonly AND nothing NEAR it; use id:42 (really).", "", "a.md", None
    )
    one.store("test", document, chunks(document, len), "")
    return one


_SYNTAX = st.sampled_from(
    ['"', "AND", "OR", "NOT", "NEAR(", ")", "*", "^", "prefix:", "{a b}:", "-", "+", "'", ";", "\x00", "\ud800"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(_SYNTAX, st.text(max_size=20)), max_size=12).map(" ".join))
def test_no_query_is_a_syntax_error(catalogue: Catalogue, query: str) -> None:
    search(catalogue, tidy([query]), 5, None)


@given(st.text(max_size=60))
def test_raw_text_never_leaves_its_quotes(text: str) -> None:
    expression = match_expression(text)
    assert expression.count('"') == 2 * len(expression.split(" OR ")) or not expression


def test_names_are_searched_whole_and_filler_words_not_at_all() -> None:
    assert match_expression("May I have prod-readonly, please?") == '"prod-readonly"'
    assert match_expression("what is it") == '"what" OR "is" OR "it"'
    assert match_expression("?!") == ""


@pytest.mark.parametrize("query", ["prod-readonly", "READONLY", "id:42", "asking for keys", 'x" OR "keys'])
def test_words_are_found_in_any_form(catalogue: Catalogue, query: str) -> None:
    assert [result.title for result in search(catalogue, [query], 5, None)] == ["Keys"]


def test_lists_are_fused_by_weighted_rank() -> None:
    scores = fuse([(1.0, ["a", "b"]), (3.0, ["b", "c"])])
    assert list(scores) == ["b", "c", "a"]
    assert scores["b"] == pytest.approx(1 / 22 + 3 / 21)


def test_queries_are_few_short_and_different() -> None:
    assert tidy(["  a\nb ", "a b", "", "c" * 5000]) == ["a b", "c" * 999 + "…"]
    assert len(tidy(str(n) for n in range(50))) == 8


def test_hidden_rows_stay_hidden_whichever_index_names_them(tmp_path: Path) -> None:
    one = Catalogue(tmp_path / "catalogue.db")
    one.sources = ("test",)
    document = Document("b", "Secret", "The merger.", "", "", None, visibility="restricted")
    stored = chunks(document, len)
    one.store("test", document, stored, "")
    assert one.rows([stored[0].id], EVERYBODY) == {}
    assert one.bm25('"merger"', 5, EVERYBODY) == {}
    assert not one.knows('"merger"', EVERYBODY)
    one.close()
