"""Somebody else's pager notices: the heartbeat is called while all is well, and stays away when it is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from bot.emergency import FROZEN
from bot.heartbeat import ALIVE_SECONDS, Heartbeat, Watch, in_words
from bot.jobs import STUCK_TRIES
from bot.ledger import Due
from tests.story import Story

BOTH = ("front", "executor")


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def a_heartbeat(story: Story, *, every: float = 0.0) -> Heartbeat:
    assert story.running is not None
    watch = Watch(f"{story.base}/watcher/front", BOTH, story.running.front.is_connected)
    return Heartbeat(story.running.ledger, BOTH, [watch], every)


def calls(story: Story) -> int:
    return int(story.state["watcher"]["calls"].get("front", 0))


async def connected(story: Story) -> None:
    assert story.running is not None
    await story.until(story.running.front.is_connected)


async def test_it_is_called_while_all_is_well_and_not_more_often_than_it_should(
    story: Story, http: aiohttp.ClientSession
) -> None:
    await connected(story)
    heartbeat = a_heartbeat(story, every=60)
    await heartbeat.beat(http)
    await heartbeat.beat(http)
    assert calls(story) == 1
    assert heartbeat.lives() == {"front": "alive", "executor": "alive"}


@pytest.mark.parametrize("kind", ["card", "grant"])
async def test_it_stays_away_while_jobs_of_either_role_are_late(
    story: Story, http: aiohttp.ClientSession, kind: str
) -> None:
    await connected(story)
    assert story.running is not None
    await story.running.worker.stop()
    await story.running.ledger.schedule("TA-1", [Due(kind)])
    await a_heartbeat(story).beat(http)
    assert calls(story) == 1
    await story.advance(90)
    await a_heartbeat(story).beat(http)
    assert calls(story) == 1


async def test_it_stays_away_while_nobody_can_be_paged_however_often_it_is_tried(
    story: Story, http: aiohttp.ClientSession
) -> None:
    await connected(story)
    await story.fault("pagerduty", "POST /incidents", "error", times=None)
    await story.asks()
    for _ in range(STUCK_TRIES):
        await story.advance(61)
        await story.settle()
    assert story.calls("pagerduty", "POST /incidents") >= STUCK_TRIES
    await a_heartbeat(story).beat(http)
    assert calls(story) == 0
    await story.mend()
    await story.advance(61)
    await story.until(story.incidents)
    await story.settle()
    await a_heartbeat(story).beat(http)
    assert calls(story) == 1


async def test_it_is_called_while_everything_is_frozen_and_access_waits_for_that(
    story: Story, http: aiohttp.ClientSession
) -> None:
    await connected(story)
    assert story.running is not None
    await story.running.ledger.freeze("break-in", "admin root", told=FROZEN)
    await story.asks()
    await story.presses("bob", "approve")
    await story.until(lambda: "frozen" in story.card()["text"])
    await story.advance(120)
    await story.settle()
    await a_heartbeat(story).beat(http)
    assert calls(story) == 1


async def test_it_stays_away_while_slack_does_not_reach_us(story: Story, http: aiohttp.ClientSession) -> None:
    await connected(story)
    assert story.running is not None
    await story.running.front.socket.stop()
    await story.until(lambda: not story.running or not story.running.front.is_connected())
    await a_heartbeat(story).beat(http)
    assert calls(story) == 0


async def test_an_address_that_answers_nothing_disturbs_nobody(story: Story, http: aiohttp.ClientSession) -> None:
    assert story.running is not None
    heartbeat = Heartbeat(story.running.ledger, BOTH, [Watch("http://127.0.0.1:1/nobody", BOTH)], 0.0)
    await heartbeat.beat(http)
    await story.asks()


async def test_readyz_and_metrics_tell_which_role_lives(story: Story, http: aiohttp.ClientSession) -> None:
    await connected(story)
    assert story.running is not None
    await story.until(lambda: story.running and story.running.front.lives()["executor"] == "alive")
    async with http.get(f"{story.running.url}/readyz") as answer:
        ready = await answer.json()
    assert (answer.status, ready["front"], ready["executor"]) == (200, "alive", "alive")
    async with http.get(f"{story.running.url}/metrics") as answer:
        told = await answer.text()
    assert 'tinyapprover_role_seen_seconds{role="executor"}' in told
    assert "tinyapprover_frozen 0" in told


def test_a_role_that_is_away_is_told_with_when_it_was_last_seen() -> None:
    assert in_words(None) == "never seen"
    assert in_words(datetime.now(UTC)) == "alive"
    gone = datetime.now(UTC) - timedelta(seconds=ALIVE_SECONDS + 1)
    assert in_words(gone) == f"last seen {gone:%Y-%m-%d %H:%M:%S} UTC"
