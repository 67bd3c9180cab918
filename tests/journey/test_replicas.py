"""Two replicas of the whole program, on one PostgreSQL and one Slack app: every story is told once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from bot.audit import broken_link
from tests.postgres import Server
from tests.replicas import TwoReplicas
from tests.story import Json, opened

READONLY = "prod-readonly"
ALICE, BOB = "alice@example.com", "bob@example.com"


@pytest.fixture
async def story(tmp_path: Path, postgres: Server) -> AsyncIterator[TwoReplicas]:
    async with opened(TwoReplicas(tmp_path / "data", TINYAPPROVER_DATABASE_URL=postgres.empty_database())) as story:
        yield story


def keys(messages: list[Json]) -> Counter[str]:
    return Counter(str(message["metadata"]["event_payload"]["key"]) for message in messages)


async def assert_told_once(story: TwoReplicas, requests: int) -> None:
    """Each card, page, note and message once, the access given and taken back once, one chain."""
    assert set(keys(story.messages()).values()) == {1}
    for who in ("alice", "bob"):
        assert set(keys(story.dms(who)).values()) <= {1}
    assert [incident["status"] for incident in story.incidents()] == ["resolved"] * requests
    for incident in story.incidents():
        assert set(Counter(note["content"] for note in incident["notes"]).values()) == {1}
    assert story.running is not None
    events = await story.running.ledger.events()
    assert broken_link(events) is None
    once = ("request.planned", "decision.approve", "grant.started", "grant.verified", "page.opened")
    trail = Counter(event.what for event in events)
    assert [trail[what] for what in once] == [requests] * len(once)


async def test_a_story_is_told_once_by_both(story: TwoReplicas) -> None:
    request = await story.asks()
    await story.until(story.incidents)
    card = story.card()
    await asyncio.gather(*(story.presses("bob", "approve", card=card, stale=True) for _ in range(4)))
    await story.until(lambda: "Granted and read back" in story.card()["text"])
    assert story.members(READONLY) == [ALICE]
    await story.advance(3601)
    await story.until(lambda: "Ended" in story.card(request=request)["text"])
    await story.settle()
    assert story.changes() == [("add", ALICE, READONLY), ("remove", ALICE, READONLY)]
    await assert_told_once(story, 1)


async def test_stories_of_two_people_are_shared_and_each_told_once(story: TwoReplicas) -> None:
    await asyncio.gather(story.submits("alice"), story.submits("bob"))
    assert story.running is not None
    asked = [request.id for request in await story.running.ledger.requests()]
    await story.until(lambda: len(story.incidents()) == len(asked) == 2)
    cards = [await story.until(partial(story.card, button="approve", request=request)) for request in asked]
    await asyncio.gather(*(story.presses("carol", "approve", card=card, stale=True) for card in cards * 3))
    for request in asked:
        await story.until_card(request, "Granted")
    assert sorted(story.members(READONLY)) == [ALICE, BOB]
    await story.advance(3601)
    for request in asked:
        await story.until_card(request, "Ended")
    await story.settle()
    assert story.members(READONLY) == []
    await assert_told_once(story, len(asked))


async def test_work_goes_on_at_once_when_one_of_them_leaves(story: TwoReplicas) -> None:
    await story.asks()
    await story.until(story.incidents)
    assert story.other is not None
    await story.other.stop()
    story.other = None
    await story.presses("bob", "approve")
    await story.until(lambda: "Granted and read back" in story.card()["text"])
