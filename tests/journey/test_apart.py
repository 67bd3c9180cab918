"""Front and executor apart: they share the ledger alone, and each can be away for an hour."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.apart import ApartStory
from tests.story import opened

READONLY = "prod-readonly"
ALICE = "alice@example.com"
ADDED, REMOVED = ("add", ALICE, READONLY), ("remove", ALICE, READONLY)
HOUR = 3600


@pytest.fixture
async def apart(tmp_path: Path) -> AsyncIterator[ApartStory]:
    async with opened(ApartStory(tmp_path / "data")) as story:
        yield story


async def granted(story: ApartStory) -> None:
    await story.until(lambda: "Granted and read back" in story.card()["text"])


async def ended(story: ApartStory) -> None:
    await story.until(lambda: "Ended" in story.card()["text"])


async def resolved(story: ApartStory) -> None:
    await story.until(lambda: [incident["status"] for incident in story.incidents()] == ["resolved"])


async def test_together_they_tell_one_story(apart: ApartStory) -> None:
    await apart.asks()
    await apart.until(apart.incidents)  # what is decided sooner is never paged
    await apart.presses("bob", "approve")
    await granted(apart)
    await apart.advance(HOUR + 1)
    await ended(apart)
    assert apart.changes() == [ADDED, REMOVED]
    await resolved(apart)


async def test_a_decision_waits_for_an_executor_that_is_away_for_an_hour(apart: ApartStory) -> None:
    await apart.asks()
    await apart.stop_executor()
    await apart.presses("bob", "approve")
    await apart.until(lambda: "Approved, not granted yet" in apart.card()["text"])
    await apart.advance(HOUR)
    assert apart.members(READONLY) == []
    await apart.start_executor()
    await granted(apart)
    assert apart.changes() == [ADDED]


async def test_an_end_that_fell_due_while_the_executor_was_away_comes_at_its_start(apart: ApartStory) -> None:
    await apart.asks()
    await apart.presses("bob", "approve")
    await granted(apart)
    await apart.stop_executor()
    await apart.advance(2 * HOUR)
    assert apart.members(READONLY) == [ALICE]
    await apart.start_executor()
    await ended(apart)
    assert apart.changes() == [ADDED, REMOVED]


async def test_access_begins_and_ends_on_time_while_the_front_is_away_and_is_told_afterwards(apart: ApartStory) -> None:
    await apart.asks()
    await apart.until(apart.incidents)
    await apart.fault("okta", "PUT /groups/*", "slow", seconds=0.4)
    await apart.presses("bob", "approve")
    await apart.until(lambda: apart.calls("okta", "PUT /groups/"))
    await apart.stop_front()
    await apart.until(lambda: apart.members(READONLY) == [ALICE])
    await apart.until(lambda: apart.executor and not apart.executor.worker.running, what="it is not read back")
    await apart.advance(HOUR + 1)
    await apart.until(lambda: apart.members(READONLY) == [])
    await apart.advance(HOUR)
    await apart.start_front()
    await ended(apart)
    await apart.until(lambda: "ended" in apart.told("alice"))
    assert apart.changes() == [ADDED, REMOVED]
    await resolved(apart)


HEAVY = ("slack_bolt", "slack_sdk", "openai", "chromadb", "pdpyras", "markdown_it", "knowledge", "bot.slack", "bot.web")


def test_an_executor_loads_no_parser_of_documents_no_model_and_no_listener() -> None:
    program = f"""
import asyncio, sys
import bot.app, bot.executor
print([name for name in {HEAVY} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
