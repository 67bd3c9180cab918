"""Who may see what: channels, people and moves mixed at random, and never a restricted row in a public place."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowledge.catalogue import Catalogue
from knowledge.chunks import chunks
from knowledge.search import search
from knowledge.sources import EVERYBODY, PUBLIC, RESPONDERS, Author, Document, Held, Skipped, Step
from knowledge.vectors import Place, Shelf
from tests.knowledge.conftest import Open

PLACES = (PUBLIC, RESPONDERS, "C0PAY", "C0HR")
_steps = st.tuples(st.integers(0, 5), st.sampled_from([*PLACES, "deleted"]), st.sampled_from(["alice", "bob"]))
_audiences = st.frozensets(st.sampled_from(PLACES))


def _thread(number: int, visibility: str, author: str) -> Document:
    return Document(
        f"t{number}", f"Thread {number}", f"{author} asks for the merger keys, {number}", "", "", None, visibility,
        authors=(Author(author, author),),
    )  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(_steps, max_size=20), audience=_audiences)
def test_an_audience_sees_exactly_what_its_place_may_see_now(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[int, str, str]], audience: frozenset[str]
) -> None:
    catalogue = Catalogue(tmp_path_factory.mktemp("audience") / "catalogue.db")
    catalogue.sources = ("chat",)
    now: dict[str, tuple[str, str]] = {}
    for number, place, author in history:
        now.pop(f"t{number}", None)
        if place == "deleted":
            catalogue.forget([f"t{number}"])
            continue
        document = _thread(number, place, author)
        catalogue.store("chat", document, chunks(document, len), "")
        now[document.id] = (place, author)
    found = search(catalogue, ["merger keys"], 20, None, audience)
    expected = {(name, *it) for name, it in now.items() if it[0] in audience}
    assert {(f"t{one.title[-1]}", one.visibility, one.authors[0].id) for one in found} == expected
    catalogue.close()


class Channel:
    """A channel that may become private."""

    name = "channel"

    def __init__(self) -> None:
        self.threads = [_thread(number, PUBLIC, "alice") for number in range(3)]

    def read(self) -> Iterator[Document | Skipped]:
        yield from self.threads

    def become(self, visibility: str) -> None:
        self.threads = [replace(thread, visibility=visibility) for thread in self.threads]


async def test_a_channel_that_becomes_private_leaves_public_answers_and_the_public_vectors(opened: Open) -> None:
    channel = Channel()
    async with opened(None, sources=[channel]) as knowledge:
        first = await knowledge.index()
        channel.become("C0PAY")
        moved = await knowledge.index()
        assert await knowledge.search(["merger keys"], audience=EVERYBODY) == []
        assert await knowledge.search(["merger keys"], audience=EVERYBODY | {"C0HR"}) == []
        members = await knowledge.search(["merger keys"], audience=EVERYBODY | {"C0PAY"})
        channel.become(PUBLIC)
        await knowledge.index()
        again = await knowledge.search(["merger keys"])
    assert (first.embedded, moved.embedded) == (3, 0)
    assert len(members) == len(again) == 3
    assert all(one.cosine is not None for one in (*members, *again))


def test_vectors_of_one_place_are_never_searched_for_another(tmp_path: Path) -> None:
    import numpy as np

    shelf = Shelf(tmp_path)
    build = shelf.fresh("f" * 16)
    index = shelf.open(build)
    places = [Place(name, f"in {name}") for name in (*PLACES, "any name, even this")]
    index.add(places, np.eye(5, 8, dtype=np.float32))
    asked = np.ones((1, 8), dtype=np.float32)
    for place in places:
        assert index.nearest(asked, 10, frozenset({place.visibility})) == [[place.id]]
    assert index.nearest(asked, 10, frozenset()) == [[]]
    index.close()
    again = shelf.open(build)
    assert again.places() == set(places)
    assert again.answers()
    again.remove(places[1:])
    assert again.places() == {places[0]}
    again.close()


def test_a_catalogue_of_another_version_is_read_anew(tmp_path: Path) -> None:
    old = Catalogue(tmp_path / "catalogue.db")
    document = _thread(1, PUBLIC, "alice")
    old.store("chat", document, chunks(document, len), "")
    old._db.execute("PRAGMA user_version = 1")
    old.close()
    new = Catalogue(tmp_path / "catalogue.db")
    new.sources = ("chat",)
    assert new.document_ids("chat") == set()
    new.store("chat", document, chunks(document, len), "")
    assert len(search(new, ["merger"], 5, None)) == 1
    new.close()


async def test_what_somebody_wrote_is_marked_as_theirs_by_id_address_or_name(opened: Open) -> None:
    async with opened(None, sources=[Channel()]) as knowledge:
        await knowledge.index()
        by_alice = await knowledge.passages(["merger keys"], people=frozenset({"ALICE", "00ualice"}))
        by_bob = await knowledge.passages(["merger keys"], people=frozenset({"bob"}))
    assert {one.theirs for one in by_alice} == {True}
    assert {one.theirs for one in by_bob} == {False}


class Room:
    """A followed source with one place, which is open to somebody at a time."""

    name = "room"

    def __init__(self) -> None:
        self.open_to = "C0PAY"

    async def changes(self, held: Held) -> AsyncGenerator[Step, None]:
        yield Step((replace(_thread(1, self.open_to, "alice"), id="room/1/t1"),))

    async def again(self, document_id: str) -> Step:
        return Step()

    def place_of(self, document_id: str) -> str:
        return "room/1/" if document_id.startswith("room/1/") else ""

    async def visibility_now(self, place: str) -> str:
        return self.open_to


async def test_a_document_does_not_take_a_channels_visibility_by_its_path(opened: Open, folder: Path) -> None:
    room = Room()
    (folder / "room" / "1").mkdir(parents=True)
    (folder / "room" / "1" / "open.md").write_text("# Open\n\nThe merger keys are in the safe.")
    (folder / "room" / "1" / "shut.md").write_text("---\nvisibility: responders\n---\n# Shut\n\nThe merger keys: 4711.")
    async with opened(folder, kind="none", sources=[room]) as knowledge:
        await knowledge.index()
        await knowledge.follow()
        while_closed = {one.title for one in await knowledge.search(["merger keys"])}
        room.open_to = PUBLIC
        once_open = {one.title for one in await knowledge.search(["merger keys"], audience=EVERYBODY | {"C0PAY"})}
    assert (while_closed, once_open) == ({"Open"}, {"Open", "Thread 1"})
