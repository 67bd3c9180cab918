"""Whatever channels and documents turn into meanwhile: a card and a page show what may be seen there at that moment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.audience import Audiences
from bot.core.request import Request
from bot.documents import Documents
from bot.errors import Fault
from bot.page import about
from bot.quoting import TAKEN_BACK, UNSURE, Quoting
from bot.slack.cards import card
from knowledge import Knowledge, Wanted
from knowledge.sources import EVERYBODY, PUBLIC, RESPONDERS, Document, Skipped
from tests.bot.conftest import HandClock
from tests.builders import a_request

HERE, OTHER = "C0ACCESS", "C0OTHER"
NUMBERS = range(4)


@dataclass
class Workspace:
    """The chat system, as far as it is asked who reads along, and a directory that knows nobody."""

    closed: bool | None = True
    asked: int = 0

    async def is_closed(self, channel: str) -> bool:
        self.asked += 1
        if self.closed is None:
            raise Fault("slack", "ratelimited")
        return self.closed and channel == HERE

    async def standing(self, _person: str, *, max_age: float = 0) -> Any:
        raise Fault("okta", "not asked here")


@dataclass
class Shelf:
    """A source whose documents change hands."""

    name: str = "shelf"
    holds: dict[int, str] = field(default_factory=lambda: {0: PUBLIC, 1: RESPONDERS, 2: HERE, 3: OTHER})
    edition: int = 1

    def read(self) -> Iterator[Document | Skipped]:
        for number, visibility in self.holds.items():
            words = f"Production access, paper{number} of edition{self.edition}."
            yield Document(f"d{number}", f"Paper {number}", words, "", "", None, visibility)


@dataclass
class Scene:
    """Real sources of evidence over a real catalogue; `told` is the evidence when it was gathered."""

    workspace: Workspace
    shelf: Shelf
    knowledge: Knowledge
    clock: HandClock
    quoting: Quoting
    told: Request

    async def gather(self) -> None:
        source = Documents(self.knowledge, self.workspace, self.quoting.audiences)  # type: ignore[arg-type]
        self.told = replace(self.told, evidence=await source.gather(self.told))

    async def turn(self, number: int, visibility: str) -> None:
        """A document is for others now, or gone; the index has read it."""
        self.shelf.holds[number] = visibility
        if visibility == "gone":
            del self.shelf.holds[number]
        await self.knowledge.index()

    async def on_card(self) -> str:
        return str(card((await self.quoting.on_card(self.told))[0]).blocks)

    async def on_page(self) -> str:
        return about(await self.quoting.for_everybody(self.told), card=None).body

    def may_see(self, words: str, audience: frozenset[str]) -> bool:
        """Whether none of these words is of a document that this audience may not see."""
        return all(self.shelf.holds.get(number) in audience for number in NUMBERS if f"paper{number}" in words)


async def a_scene(directory: Path) -> Scene:
    workspace, shelf, clock = Workspace(), Shelf(), HandClock()
    knowledge = await Knowledge.open(directory, None, embedder=Wanted("none"), sources=[shelf])
    await knowledge.index()
    quoting = Quoting(knowledge, Audiences(workspace, HERE, clock))  # type: ignore[arg-type]
    return Scene(workspace, shelf, knowledge, clock, quoting, a_request())


turns = st.tuples(st.sampled_from(NUMBERS), st.sampled_from([PUBLIC, RESPONDERS, HERE, OTHER, "gone"]))
steps = st.one_of(turns, st.sampled_from([True, False, None]), st.just("gather"))


@settings(max_examples=40)
@given(history=st.lists(steps, max_size=8))
def test_nothing_stands_anywhere_that_not_everybody_there_may_see(
    tmp_path_factory: pytest.TempPathFactory, history: Sequence[tuple[int, str] | bool | str | None]
) -> None:
    asyncio.run(_nothing_stands(tmp_path_factory.mktemp("scene"), history))


async def _nothing_stands(directory: Path, history: Sequence[tuple[int, str] | bool | str | None]) -> None:
    scene = await a_scene(directory)
    await scene.gather()
    for step in history:
        if isinstance(step, tuple):
            await scene.turn(*step)
        elif step == "gather":
            await scene.gather()
        else:
            scene.workspace.closed = bool(step) if step is not None else None
            scene.clock.advance(seconds=21)
        members = frozenset({PUBLIC, RESPONDERS, HERE}) if scene.workspace.closed else EVERYBODY
        assert scene.may_see(await scene.on_card(), members)
        assert scene.may_see(await scene.on_page(), EVERYBODY)
    await scene.knowledge.close()


@pytest.fixture
async def scene(tmp_path: Path) -> Any:
    found = await a_scene(tmp_path)
    await found.gather()
    yield found
    await found.knowledge.close()


async def test_a_closed_channel_sees_its_own_and_the_responders_papers_and_its_page_does_not(scene: Scene) -> None:
    shown, paged = await scene.on_card(), await scene.on_page()
    assert [f"paper{number}" in shown for number in NUMBERS] == [True, True, True, False]
    assert [f"paper{number}" in paged for number in NUMBERS] == [True, False, False, False]


async def test_an_answer_about_a_channel_is_good_for_a_moment_and_void_when_something_is_done_to_it(
    scene: Scene,
) -> None:
    before = scene.workspace.asked
    await scene.on_card()
    assert scene.workspace.asked == before
    scene.quoting.audiences.turned(HERE)
    await scene.on_card()
    assert scene.workspace.asked == before + 1


async def test_the_card_says_that_something_was_taken_back_or_could_not_be_checked(scene: Scene) -> None:
    assert TAKEN_BACK not in await scene.on_card()
    await scene.turn(0, "gone")
    assert TAKEN_BACK in await scene.on_card()
    scene.clock.advance(minutes=1)
    scene.workspace.closed = None
    request, again = await scene.quoting.on_card(scene.told)
    assert again
    assert UNSURE in str(card(request).blocks)


async def test_a_paper_in_other_words_is_not_quoted_in_the_old_ones(scene: Scene) -> None:
    scene.shelf.edition = 2
    await scene.knowledge.index()
    assert "edition" not in await scene.on_card()


async def test_what_nobody_can_look_up_any_more_is_not_shown(scene: Scene) -> None:
    await scene.knowledge.close()
    request, again = await scene.quoting.on_card(scene.told)
    assert (request.evidence.passages if request.evidence else None, again) == ((), True)
