"""Processes on one database: a commit in one wakes the other, and on SQLite a role belongs to one of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from bot.errors import SettingsError
from bot.ledger import Due, Ledger
from tests.bot.conftest import HandClock

PATIENCE = 5.0


async def rung(ledger: Ledger, other: Ledger, role: str, due: Due) -> bool:
    """Whether wanting a job in one wakes the other's worker of a role; a ring for `card` ends the waiting."""
    heard, ended = asyncio.Event(), asyncio.Event()
    async with other.heard([role], heard.set), other.heard(["front"], ended.set):
        await asyncio.sleep(0)  # both listen
        await ledger.schedule("TA-1", [due])
        await ledger.schedule("TA-1", [Due("card")])
        async with asyncio.timeout(PATIENCE):
            await ended.wait()
        return heard.is_set()


@pytest.fixture
async def other(database: str, ledger: Ledger, clock: HandClock) -> AsyncIterator[Ledger]:
    other = await Ledger.open(database, kind="production", now=clock.now)
    yield other
    await other.close()


async def test_a_job_that_is_due_wakes_the_process_that_does_it(ledger: Ledger, other: Ledger) -> None:
    assert await rung(ledger, other, "executor", Due("grant"))


async def test_a_job_of_another_role_wakes_nobody_else(ledger: Ledger, other: Ledger) -> None:
    assert not await rung(ledger, other, "executor", Due("page"))


async def test_a_job_for_much_later_wakes_nobody(ledger: Ledger, other: Ledger, clock: HandClock) -> None:
    assert not await rung(ledger, other, "executor", Due("revoke", at=clock.now() + timedelta(minutes=5)))


async def test_many_rings_that_nobody_takes_block_nobody(ledger: Ledger, other: Ledger) -> None:
    async with other.heard(["front"], lambda: None):
        await asyncio.sleep(0)
        for _ in range(3):
            ledger._bell.ring(["front", "executor"] * 40_000)
    assert await ledger.next_due(["front"]) is None


async def test_a_second_process_of_the_same_role_is_refused_until_the_first_is_gone(
    database: str, clock: HandClock
) -> None:
    first = await Ledger.open(database, kind="production", now=clock.now, roles=["front"])
    beside = await Ledger.open(database, kind="production", now=clock.now, roles=["executor"])
    with pytest.raises(SettingsError, match=r"is the front of this database already: stop it first"):
        await Ledger.open(database, kind="production", now=clock.now, roles=["third", "front"])
    await first.close()
    await beside.close()
    await (await Ledger.open(database, kind="production", now=clock.now, roles=["third", "front"])).close()
