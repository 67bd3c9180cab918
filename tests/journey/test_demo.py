"""What somebody sees who starts the demo: a card with everything on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from bot.audience import members_see
from bot.demo import start_demo
from knowledge.memory import Knowledge
from tests.story import CHANNEL, PATIENCE, Story


class Demo(Story):
    """The demo itself."""

    def __init__(self, data_dir: Path, embedder: str) -> None:
        super().__init__(data_dir)
        self._embedder = embedder
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        self.sandbox, self.running = await start_demo(
            0, self.data_dir, self._stack, TINYAPPROVER_EMBEDDER=self._embedder
        )
        self.base = self.sandbox.world.base_url
        await self.running.warm.wait()

    async def stop(self) -> None:
        self.running = None
        await self._stack.aclose()


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[Demo]:
    async with AsyncExitStack() as stack:
        yield await begun(tmp_path, stack, embedder="none")


async def begun(data_dir: Path, stack: AsyncExitStack, *, embedder: str) -> Demo:
    """A demo that has read what was said to everybody and what was said among responders."""
    demo = Demo(data_dir, embedder)
    stack.push_async_callback(demo.close)
    await demo.open()
    assert demo.running is not None
    knowledge = demo.running.front.knowledge
    audience = members_see(CHANNEL, CHANNEL)
    async with asyncio.timeout(PATIENCE):
        while not {"name the ticket", "ten minutes"} <= await _heard(knowledge, audience):  # noqa: ASYNC110 - from outside
            await asyncio.sleep(0.02)
    return demo


async def _heard(knowledge: Knowledge, audience: frozenset[str]) -> set[str]:
    """The ends of what was said to everybody and of what was said to responders, as far as they are found."""
    said = "\n".join(one.text for one in await knowledge.search(["reading production"], 20, audience=audience))
    return {end for end in ("name the ticket", "ten minutes") if end in said}


ON_THE_CARD = (
    "2 of 3 other people in Payments hold this",
    "https://handbook.example.com/",
    "Said in Slack",
    "by Carol Chen, Bob Baker",
    "5 months old",
    "written by whoever asks",
    "For this channel alone",
    "answer requests for reading production within ten minutes",
    "approved by Bob Baker, ended",
    "1 week ago",
    "denied by Carol Chen: Reading is enough for that",
    "4 days ago",
)


async def test_the_first_card_shows_documents_chat_peers_and_earlier_requests_with_their_ages(demo: Demo) -> None:
    request = await demo.asks(why="Checkout fails since 14:00; I need the payment service's logs")
    with suppress(AssertionError):  # a quote that could not be checked in time is looked at again, and comes later
        await demo.until(lambda: not [words for words in ON_THE_CARD if words not in _with_evidence(demo, request)])
    card = _with_evidence(demo, request)
    assert [words for words in ON_THE_CARD if words not in card] == [], card


def _with_evidence(demo: Demo, request: str) -> str:
    card = str(demo.card(request=request)["blocks"])
    return card if "Earlier requests like this" in card else ""
