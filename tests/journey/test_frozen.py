"""A replica that is stopped for longer than its lease, and goes on: real processes, SIGSTOP and SIGCONT."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from bot import jobs
from bot.app import SANDBOX
from bot.audit import AuditEvent, broken_link
from bot.commands import serve
from bot.config import Settings
from bot.demo import sandbox_settings
from bot.ledger import Ledger
from tests.crash import WARM, MortalStory
from tests.postgres import Server
from tests.story import Story

READONLY, ALICE = "prod-readonly", "alice@example.com"
GIVEN, TAKEN = ("add", ALICE, READONLY), ("remove", ALICE, READONLY)
LEASE = 3.0  # what takes longer is begun again: on a busy machine a cold start of a vendor's package does


def live(settings: Settings) -> None:
    """One replica, in its own process, with leases that a test can wait for.

    None is renewed, so that only the last question before a write can stop it.
    """
    jobs.LEASE_SECONDS, jobs.RENEWED_EVERY, jobs.LONGEST_WAIT = LEASE, 600.0, LEASE / 3
    asyncio.run(serve(settings, kind=SANDBOX))


class Freezer(MortalStory):
    """A story whose replicas are processes that can be stopped and go on. The first one begins alone."""

    def __init__(self, data_dir: Path, url: str) -> None:
        super().__init__(data_dir, TINYAPPROVER_DATABASE_URL=url)
        self.url = url
        self.replicas: list[BaseProcess] = []

    async def start(self, death: Any = None) -> None:
        """One replica more; on return it is connected."""
        place = self.data_dir.with_name(f"replica-{len(self.replicas)}")
        process = WARM.Process(
            target=live,
            args=(sandbox_settings(self.base, self.sandbox.world, place, **self.settings),),
            daemon=True,
        )
        process.start()
        self.replicas.append(process)
        await self.until(lambda: len(self.socket.connections) == len(self.replicas))

    async def stop(self) -> None:
        for process in self.replicas:
            process.kill()
            await asyncio.to_thread(process.join)

    async def revive(self) -> None:
        """Nobody dies here."""

    async def _busy(self) -> object:
        ledger = await self.ledger()
        try:
            return [job for job in await ledger.waiting() if job.runs or job.due <= self.sandbox.world.now()]
        finally:
            await ledger.close()

    async def ledger(self) -> Ledger:
        return await Ledger.open(self.url, kind=SANDBOX, now=self.sandbox.world.now)

    async def events(self) -> list[AuditEvent]:
        ledger = await self.ledger()
        try:
            return await ledger.events()
        finally:
            await ledger.close()

    def signal(self, which: int, number: signal.Signals) -> None:
        os.kill(self.replicas[which].pid or 0, number)

    def swap(self, frozen: int, going: int) -> None:
        """One stops in the middle of what it does, the other goes on."""
        self.signal(frozen, signal.SIGSTOP)
        self.signal(going, signal.SIGCONT)


@pytest.fixture
async def story(tmp_path: Path, postgres: Server) -> AsyncIterator[Freezer]:
    url = postgres.empty_database()
    linking = Story(tmp_path / "linking", TINYAPPROVER_DATABASE_URL=url)
    await linking.open()
    await linking.close()
    story = Freezer(tmp_path / "data", url)
    try:
        await story.open()
        await story.start()
        story.signal(1, signal.SIGSTOP)
        yield story
    finally:
        await story.close()


async def begun(story: Freezer, route: str) -> None:
    """The grant is under way in the first replica, which waits for Okta to answer; there it stops."""
    seen = story.calls("okta", route)
    await story.until(lambda: story.calls("okta", route) > seen)
    story.swap(0, 1)


async def taken_over(story: Freezer) -> None:
    """The second does it, to its end."""
    await story.until(lambda: "Granted and read back" in story.card()["text"])
    await story.advance(3601)
    await story.until(lambda: "Ended" in story.card()["text"])
    assert story.changes() == [GIVEN, TAKEN]


async def asked(story: Freezer) -> None:
    await story.asks()
    await story.until(story.incidents)
    await story.settle()


async def test_who_was_frozen_before_the_write_does_not_write(story: Freezer) -> None:
    await asked(story)
    await story.fault("okta", "PUT /groups/*", "error", status=503)
    await story.presses("bob", "approve")
    await story.until(lambda: story.calls("okta", "PUT /groups/"))
    await story.fault("okta", "GET /users/*", "slow", seconds=1.0, times=2)
    await asyncio.gather(begun(story, "GET /users/"), story.advance(10))
    await taken_over(story)
    puts = story.calls("okta", "PUT /groups/")
    story.signal(0, signal.SIGCONT)
    await story.until(lambda: story.calls("okta", "GET /users/"))
    await story.settle()
    events = await story.events()
    assert story.calls("okta", "PUT /groups/") == puts
    assert story.changes() == [GIVEN, TAKEN]
    assert [event.what for event in events].count("grant.verified") == 1
    assert broken_link(events) is None


async def test_who_was_frozen_before_a_message_does_not_send_it(story: Freezer) -> None:
    route = "POST /api/conversations.open"
    await story.fault("slack", route, "slow", seconds=1.0)
    opened = story.calls("slack", route)
    await story.asks()
    await story.until(lambda: story.calls("slack", route) > opened)
    story.swap(0, 1)
    await story.until(lambda: story.dms("alice"))
    await story.until(story.incidents)
    await story.settle()
    story.swap(1, 0)
    await story.comments("bob", "deny")
    await story.advance(20)
    await story.until(lambda: "Denied" in story.told("alice"))
    await story.settle()
    posts = [call for call in story.sandbox.world.calls if call.route == "POST /api/chat.postMessage"]
    assert sum("/dm" in str(call.body) for call in posts) == 1


async def test_a_write_that_slipped_through_is_put_right(story: Freezer) -> None:
    """It was sent before the first was frozen, and came into force after the second had taken the access back."""
    await asked(story)
    await story.fault("okta", "PUT /groups/*", "held")
    await asyncio.gather(begun(story, "PUT /groups/"), story.presses("bob", "approve"))
    await taken_over(story)
    await story.mend()
    await story.until(lambda: story.changes() == [GIVEN, TAKEN, GIVEN])
    story.signal(0, signal.SIGCONT)
    await story.until(lambda: story.changes() == [GIVEN, TAKEN, GIVEN, TAKEN])
    await story.settle()
    assert story.members(READONLY) == []
    events = await story.events()
    assert [event.what for event in events].count("grant.verified") == 1
    assert "grant.put_right" in [event.what for event in events]
    assert broken_link(events) is None
