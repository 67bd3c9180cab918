"""Ranking by words: which of them count, and what others' passages may not do to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from knowledge import catalogue as catalogue_module
from knowledge.catalogue import Catalogue
from knowledge.chunks import Chunk
from knowledge.sources import PUBLIC, Document

EVERYBODY = frozenset({PUBLIC})


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    held = Catalogue(tmp_path / "catalogue.db")
    held.sources = ("a source",)
    yield held
    held.close()


def keep(catalogue: Catalogue, name: str, text: str, visibility: str = PUBLIC) -> None:
    document = Document(name, name, text, "", name, None, visibility)
    chunk = Chunk(id=name, heading="", anchor="", prefix="", text=text, text_hash=name)
    catalogue.store("a source", document, [chunk], "whole")


def test_the_passage_with_the_rare_word_comes_first(catalogue: Catalogue) -> None:
    for number in range(20):
        keep(catalogue, f"common-{number}", "access to the database is access")
    keep(catalogue, "rare", "the heron database")
    assert next(iter(catalogue.bm25('"database" OR "heron" OR "access"', 3, EVERYBODY))) == "rare"
    assert len(catalogue.bm25('"database" OR "heron"', 50, EVERYBODY)) == 21


def test_words_that_are_in_too_many_passages_do_not_count(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue_module, "_WEIGHED", 5)
    for number in range(6):
        keep(catalogue, f"common-{number}", "access to the database")
    keep(catalogue, "rare", "a heron")
    assert list(catalogue.bm25('"access" OR "heron" OR "nowhere"', 50, EVERYBODY)) == ["rare"]
    assert len(catalogue.bm25('"access" OR "database" OR "nowhere"', 50, EVERYBODY)) == 6
    assert list(catalogue.bm25('"nowhere"', 50, EVERYBODY)) == []


def test_better_passages_that_may_not_be_seen_hide_none_that_may(catalogue: Catalogue) -> None:
    for number in range(40):
        keep(catalogue, f"private-{number}", "heron", visibility="C0PRIVATE")
    for number in range(3):
        keep(catalogue, f"public-{number}", "a heron among many other birds of the large lake")
    assert list(catalogue.bm25('"heron"', 3, EVERYBODY)) == ["public-0", "public-1", "public-2"]
    found = catalogue.bm25('"heron"', 3, EVERYBODY | {"C0PRIVATE"})
    assert [name.split("-")[0] for name in found] == ["private"] * 3
