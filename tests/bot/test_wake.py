"""Processes on one database: a commit in one wakes the other, and on SQLite a role belongs to one of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from bot.errors import SettingsError
from bot.ledger import Due, Ledger
from tests.bot.conftest import HandClock

PATIENCE = 5.0


class Ear:
    """Hears a bell, and can wait for it."""

    def __init__(self) -> None:
        self._heard = asyncio.Event()

    def wake(self) -> None:
        self._heard.set()

    async def hears(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self._heard.wait()
        self._heard.clear()

    @property
    def heard(self) -> bool:
        return self._heard.is_set()


@asynccontextmanager
async def listening(ledger: Ledger, role: str) -> AsyncIterator[Ear]:
    """Somebody who hears what is rung from now on."""
    ear = Ear()
    async with ledger.heard([role], ear.wake):
        await ear.hears()
        yield ear


async def rung(ledger: Ledger, other: Ledger, role: str, due: Due) -> bool:
    """Whether wanting a job in one wakes the other's worker of a role; a ring for `card` ends the waiting."""
    async with listening(other, role) as ear, listening(other, "front") as end:
        await ledger.schedule("TA-1", [due])
        await ledger.schedule("TA-2", [Due("card")])
        await end.hears()
        return ear.heard


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


async def test_rings_that_nobody_takes_block_nobody(on_sqlite: str, clock: HandClock) -> None:
    ledger = await Ledger.open(on_sqlite, kind="production", now=clock.now)
    async with listening(ledger, "front"):
        ledger._bell.ring(["front"] * 100_000)
    await ledger.close()


async def test_a_second_process_of_the_same_role_is_refused_until_the_first_is_gone(
    on_sqlite: str, clock: HandClock
) -> None:
    first = await Ledger.open(on_sqlite, kind="production", now=clock.now, roles=["front"])
    beside = await Ledger.open(on_sqlite, kind="production", now=clock.now, roles=["executor"])
    with pytest.raises(SettingsError, match=r"is the front of this database already: stop it first"):
        await Ledger.open(on_sqlite, kind="production", now=clock.now, roles=["third", "front"])
    await first.close()
    await beside.close()
    await (await Ledger.open(on_sqlite, kind="production", now=clock.now, roles=["third", "front"])).close()
