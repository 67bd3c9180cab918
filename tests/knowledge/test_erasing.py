"""What is erased is in no file any more, and is not read again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.errors import Fault
from knowledge import Knowledge
from knowledge.sources import CHAT, Author, Document, Skipped
from tests.knowledge.conftest import Open

ALICE, BOB = Author("U0ALICE", "Alice Archer"), Author("U0BOB", "Bob Baker")
SECRETS = ("xylophone", "quokkas", "zwieback", "Archer", "wyvern")


def thread(text: str, *authors: Author, name: str = "1") -> Document:
    title = f"{authors[0].name} in #general: {text[:20]}"
    return Document(f"chat/{name}", title, text, "", f"chat/{name}", None, kind=CHAT, authors=authors)


class Chat:
    """A source that tells what it was given, whoever is forgotten."""

    name = "chat"

    def __init__(self, *documents: Document) -> None:
        self.documents = list(documents)

    def read(self) -> Iterator[Document | Skipped]:
        yield from self.documents


def readable(data: Path, words: tuple[str, ...] = SECRETS) -> set[str]:
    """The words that stand in any file of the index, in any usual encoding; stemming takes an ending."""
    found = set()
    for path in (data / "knowledge").rglob("*"):
        if path.is_file() and "models" not in path.parts:
            held = path.read_bytes().lower()
            stems = {word: word.lower()[:6] for word in words}
            found |= {
                word
                for word, stem in stems.items()
                if any(stem.encode(way) in held for way in ("utf-8", "utf-16-le", "utf-16-be"))
            }
    return found


def vectors_of(data: Path) -> set[Path]:
    return {path for path in (data / "knowledge" / "vectors").iterdir() if path.is_dir()}


async def test_no_word_of_somebody_who_is_forgotten_stays_in_any_file(
    opened: Open, folder: Path, tmp_path: Path
) -> None:
    (folder / "page.md").write_text("# Zebra\n\nKeys rotate in May.")
    theirs = thread("The xylophone of the quokkas is a wyvern", ALICE)
    mention = thread("ask @Alice Archer about zwieback", BOB, name="2")
    others = thread("The kettle is on the third floor", BOB, name="3")
    chat = Chat(theirs, mention, others)
    async with opened(folder, sources=[chat]) as knowledge:
        await knowledge.index()
    assert readable(tmp_path / "data") == set(SECRETS)
    before = vectors_of(tmp_path / "data")
    async with opened(folder, sources=[chat]) as knowledge:
        await knowledge.warm()
        assert await knowledge.forget_people(["U0ALICE"]) == ["chat/1", "chat/2"]
        assert readable(tmp_path / "data") == set()
        found = await knowledge.search(["kettle", "keys rotate"], 10)
    assert {result.title for result in found} == {others.title, "Zebra"}
    assert all(result.cosine is not None for result in found)
    assert readable(tmp_path / "data") == set()
    assert len(vectors_of(tmp_path / "data")) == 1
    assert vectors_of(tmp_path / "data").isdisjoint(before)


async def test_what_a_source_still_tells_of_them_is_not_taken_in(opened: Open, tmp_path: Path) -> None:
    chat = Chat(
        thread("The xylophone is a wyvern", ALICE, BOB), thread("The kettle is on the third floor", BOB, name="3")
    )
    async with opened(None, kind="none", sources=[chat]) as knowledge:
        await knowledge.index()
        await knowledge.forget_people([ALICE.id])
    shutil.rmtree(tmp_path / "data" / "knowledge" / "vectors", ignore_errors=True)
    (tmp_path / "data" / "knowledge" / "catalogue.db").write_bytes(b"damaged" * 500)
    async with opened(None, kind="none", sources=[chat]) as knowledge:
        assert (await knowledge.index()).documents == 1
        assert await knowledge.search(["xylophone"]) == []
    assert readable(tmp_path / "data", ("xylophone", "wyvern")) == set()


async def test_a_page_stays_and_its_author_is_named_no_more(opened: Open, tmp_path: Path) -> None:
    page = replace(thread("Keys rotate in May", ALICE, BOB), title="Keys", kind="document")
    async with opened(None, kind="none", sources=[Chat(page)]) as knowledge:
        await knowledge.index()
        assert await knowledge.forget_people([ALICE.id]) == []
        assert (await knowledge.search(["keys rotate"]))[0].authors == (BOB,)
        assert (await knowledge.index()).change.new == 0
        assert (await knowledge.search(["keys rotate"]))[0].authors == (BOB,)
    assert readable(tmp_path / "data", ("Archer",)) == set()


async def test_a_list_of_the_forgotten_that_cannot_be_read_opens_nothing(opened: Open, tmp_path: Path) -> None:
    async with opened(None, kind="none") as knowledge:
        await knowledge.forget_people([ALICE.id])
    (tmp_path / "data" / "knowledge" / "forgotten.json").write_text("{")
    with pytest.raises(Fault, match="cannot be read"):
        async with opened(None, kind="none"):
            pass


async def test_the_list_of_the_forgotten_names_nobody(opened: Open, tmp_path: Path) -> None:
    async with opened(None, kind="none") as knowledge:
        await knowledge.forget_people([ALICE.id], up_to=7)
        await knowledge.forget_people([BOB.id], up_to=5)
        assert knowledge.erased_up_to == 7
    written = (tmp_path / "data" / "knowledge" / "forgotten.json").read_text()
    assert ALICE.id not in written
    assert BOB.id not in written


# --- what vanished ---------------------------------------------------------------------------------------------------


async def _without_a_page(knowledge: Knowledge, folder: Path) -> None:
    (folder / "gone.md").write_text("# Gone\n\nThe xylophone of the quokkas is a wyvern.")
    (folder / "stays.md").write_text("# Stays\n\nThe kettle is on the third floor.")
    await knowledge.index()
    (folder / "gone.md").unlink()
    await knowledge.index()


async def test_what_vanished_is_in_no_file_a_week_later(opened: Open, folder: Path, tmp_path: Path) -> None:
    async with opened(folder) as knowledge:
        await _without_a_page(knowledge, folder)
        in_a_week = datetime.now(UTC) + timedelta(days=7)
        assert not await knowledge.forget_leftovers_in_time(in_a_week - timedelta(hours=1))
        assert await knowledge.forget_leftovers_in_time(in_a_week)
        assert readable(tmp_path / "data") == set()
        assert not await knowledge.forget_leftovers_in_time(in_a_week)
        found = await knowledge.search(["where is the kettle"])
        assert (found[0].title, found[0].cosine is not None) == ("Stays", True)


async def test_a_damaged_catalogue_that_was_put_aside_goes_with_the_rest(
    opened: Open, folder: Path, tmp_path: Path
) -> None:
    async with opened(folder, kind="none") as knowledge:
        await _without_a_page(knowledge, folder)
    path = tmp_path / "data" / "knowledge" / "catalogue.db"
    path.write_bytes(b"spoiled" + path.read_bytes()[7:])
    async with opened(folder, kind="none") as knowledge:
        assert list(path.parent.glob("*.damaged*"))
        await knowledge.forget_leftovers()
        assert not list(path.parent.glob("*.damaged*"))


async def test_vectors_that_nobody_can_make_anew_now_go_too(opened: Open, indexed: Path) -> None:
    async with opened(kind="none") as knowledge:
        await knowledge.forget_leftovers()
    assert vectors_of(indexed) == set()
    async with opened() as knowledge:
        assert (await knowledge.index()).embedded == 0
        assert (await knowledge.search(["break-glass"]))[0].cosine is not None
