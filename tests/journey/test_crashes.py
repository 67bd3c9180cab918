"""`kill -9` at every commit of one whole story: whatever was being done, the end is the same."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import policies
from bot.audit import broken_link
from tests.crash import Death, MortalStory
from tests.story import CHANNEL, PATIENCE, Story

READONLY = "prod-readonly"
ALICE = "alice@example.com"
SHARES = 5
AT_ONCE = 4
HANGS = 12.0


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory in which bob and carol are linked, and nothing has happened yet; and policies of one entry."""
    place = tmp_path_factory.mktemp("linked")
    _one_policy(place / "policies")

    async def link() -> None:
        story = Story(place, TINYAPPROVER_POLICIES=place / "policies")
        await story.open()
        await story.close()

    asyncio.run(link())
    return place


def _one_policy(place: Path) -> None:
    """Reading the whole catalogue is most of a start."""
    ours = Path(policies.__file__).parent
    (place / "catalogue").mkdir(parents=True)
    for name in ("catalogue/prod-readonly.yml", "guardrails.cedar", "guardrails.cedarschema", "advice.md"):
        shutil.copy(ours / name, place / name)


@asynccontextmanager
async def mortal(linked: Path, place: Path, death: Death | None = None) -> AsyncIterator[MortalStory]:
    shutil.copytree(linked, place, ignore=shutil.ignore_patterns("*.bell"))
    story = MortalStory(place, TINYAPPROVER_POLICIES=place / "policies")
    try:
        await story.open(death)
        yield story
    finally:
        await story.close()


async def told(story: MortalStory) -> None:
    """One whole story, as people live it: bob answers when he was paged."""
    await story.asks()
    await story.until(story.incidents)
    await story.presses("bob", "approve")
    await story.until(lambda: "Granted and read back" in story.card()["text"])
    await story.until(lambda: story.incidents()[0]["status"] == "resolved")
    await story.advance(3601)
    await story.until(lambda: "Ended" in story.card()["text"])
    await story.until(lambda: any("ended" in message["text"] for message in story.dms("alice")))
    await story.settle()


def keys(messages: list[dict[str, object]]) -> Counter[str]:
    """How often each message of ours was posted, by the key in its metadata."""
    told = (str(message["metadata"]["event_payload"]["key"]) for message in messages)  # type: ignore[index]
    return Counter(key for key in told if not key.startswith("away:"))  # a slow start is told, rightly


async def assert_told_once(story: MortalStory) -> None:
    """Everything happened, and nothing of it twice."""
    assert keys(story.messages(CHANNEL)) == {"TA-1/card": 1}
    assert keys(story.dms("alice")) == {"TA-1/dm": 1, "TA-1/tell:outcome:active": 1, "TA-1/tell:ended": 1}
    assert [incident["status"] for incident in story.incidents()] == ["resolved"]
    notes = Counter(note["content"] for note in story.incidents()[0]["notes"])
    assert set(notes.values()) == {1}
    assert story.changes() == [("add", ALICE, READONLY), ("remove", ALICE, READONLY)]
    assert story.members(READONLY) == []
    await story.stop()
    events = await story.events()
    assert broken_link(events) is None
    trail = Counter(event.what for event in events)
    once = ("request.received", "request.planned", "decision.approve", "grant.started", "grant.verified")
    assert [trail[what] for what in (*once, "grant.revoked", "page.opened")] == [1] * 7


@pytest.fixture(scope="module")
def commits(linked: Path, tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many commits an undisturbed story takes, give or take some."""
    place = tmp_path_factory.mktemp("undisturbed") / "data"

    async def count() -> None:
        async with mortal(linked, place) as story:
            await told(story)
            assert await story.terminate() == 0
            await assert_told_once(story)

    asyncio.run(count())
    return int((place / "commits").read_text())


@pytest.mark.parametrize("share", range(SHARES))
async def test_killed_at_any_commit_the_end_is_the_same(share: int, commits: int, linked: Path, tmp_path: Path) -> None:
    """Every other one just before it is committed: what was done outside is not recorded then."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def die_at(n: int) -> int:
        async with turns, mortal(linked, tmp_path / str(n), Death(n, before=n % 2 == 0)) as story:
            await told(story)
            await assert_told_once(story)
            return story.deaths

    deaths = await asyncio.gather(*(die_at(n) for n in range(1 + share, commits + 1, SHARES)))
    assert sum(deaths) >= len(deaths) - 2


async def test_a_press_survives_a_kill_right_after_its_acknowledgement(linked: Path, tmp_path: Path) -> None:
    async with mortal(linked, tmp_path / "data") as story:
        await story.asks()
        await story.until(story.incidents)
        message = await story.until(lambda: story.dms("alice")[0])
        await story.settle()
        story.socket.ack_seconds = PATIENCE
        await story.act("alice", "slack.click", ts=message["ts"], action_id="withdraw")
        assert story.process is not None
        story.process.kill()
        await story.until(lambda: "Withdrawn" in story.card()["text"])
        await story.until(lambda: story.incidents()[0]["status"] == "resolved")
        await story.settle()
        await story.stop()
        assert [event.what for event in await story.events()].count("request.withdrawn") == 1


async def test_sigterm_lets_a_grant_that_runs_come_to_its_end_and_exits_with_0(linked: Path, tmp_path: Path) -> None:
    async with mortal(linked, tmp_path / "data") as story:
        await story.asks()
        await story.fault("okta", "PUT /groups/*", "slow", seconds=0.5)
        await story.presses("bob", "approve")
        await story.until(lambda: story.calls("okta", "PUT /groups/"))
        assert await story.terminate() == 0
        assert story.members(READONLY) == [ALICE]
        assert "grant.verified" in [event.what for event in await story.events()]


async def test_sigterm_while_it_starts_ends_it_in_order_too(linked: Path, tmp_path: Path) -> None:
    async with mortal(linked, tmp_path / "data") as story:
        assert await story.terminate() == 0


async def test_a_stop_does_not_wait_for_a_model_that_hangs_and_asks_it_again_at_the_start(story: Story) -> None:
    await story.fault("openai", "*", "slow", seconds=HANGS)
    await story.asks()
    await story.until(lambda: story.calls("openai", "POST"))
    assert story.running is not None
    story.running.worker.grace_seconds = 0.1
    started = time.monotonic()
    await story.stop()
    assert time.monotonic() - started < HANGS / 2
    await story.start()
    await story.until(lambda: "AI suggestion" in story.notes())
