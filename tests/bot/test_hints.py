"""Webhooks in a burst: each is taken once, and a reading is wanted of every incident that is ours."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest

from bot.hints import Hints
from bot.ledger import Ledger
from bot.ports import Incident
from tests.builders import NOW, a_draft, an_entitlement

SOURCE = "pagerduty.event"


@pytest.fixture
async def paged(ledger: Ledger) -> Ledger:
    """Two requests, each with an incident."""
    for number in ("1", "2"):
        request = await ledger.receive(a_draft(number), an_entitlement(), deadline=NOW + timedelta(hours=8), jobs=())
        await ledger.record_incident(request, Incident(f"Q{number}", "", "triggered", NOW), digest="", jobs=())
    return ledger


async def readings(ledger: Ledger) -> dict[str, int]:
    """How often a reading is wanted, by request."""
    jobs = await ledger.claim(("front",), most=100, lease=60.0)
    return {job.subject: job.wanted for job in jobs if job.kind == "poll"}


async def test_a_burst_is_taken_whole_and_wants_a_reading_of_each_incident(paged: Ledger) -> None:
    hints = Hints(paged)
    await asyncio.gather(*(hints.take(f"event-{n}", f"Q{1 + n % 2}") for n in range(50)))
    assert await paged.accepted(SOURCE, [f"event-{n}" for n in range(60)]) == {f"event-{n}" for n in range(50)}
    assert set(await readings(paged)) == {"TA-1", "TA-2"}


async def test_a_delivery_that_comes_again_wants_nothing_more(paged: Ledger) -> None:
    hints = Hints(paged)
    await hints.take("event-1", "Q1")
    await asyncio.gather(*(hints.take("event-1", "Q1") for _ in range(5)))
    assert await readings(paged) == {"TA-1": 1}


async def test_an_incident_of_somebody_else_is_not_kept(paged: Ledger) -> None:
    await Hints(paged).take("event-1", "Q9")
    assert await paged.accepted(SOURCE, ["event-1"]) == set()
    assert await readings(paged) == {}


async def test_nobody_is_told_that_it_is_taken_when_it_cannot_be_committed(
    paged: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_told: object) -> None:
        raise OSError("no space left")

    hints = Hints(paged)
    with monkeypatch.context() as while_full:
        while_full.setattr(paged, "hear", full)
        told = await asyncio.gather(*(hints.take(f"event-{n}", "Q1") for n in range(3)), return_exceptions=True)
    assert [type(one) for one in told] == [OSError] * 3
    await hints.take("event-0", "Q1")
    assert await readings(paged) == {"TA-1": 1}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # a ledger of one thread can be held up
async def test_what_comes_while_the_ledger_is_busy_is_one_piece_of_work(paged: Ledger) -> None:
    hints, busy = Hints(paged), threading.Event()
    held_up = asyncio.create_task(paged._run(lambda _: busy.wait()))
    taken = [asyncio.create_task(hints.take(f"event-{n}", "Q1")) for n in range(50)]
    await asyncio.sleep(0)
    pieces = len(paged._waiting)
    busy.set()
    await asyncio.gather(held_up, *taken)
    assert pieces <= 1
    assert await readings(paged) == {"TA-1": 1}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # a ledger of one thread can be held up
async def test_whoever_comes_while_the_ledger_is_held_up_long_is_told_in_time_each(
    paged: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.hints.STORE_SECONDS", 0.02)
    hints, busy = Hints(paged), threading.Event()
    held_up = asyncio.create_task(paged._run(lambda _: busy.wait()))
    await asyncio.sleep(0)
    for event in ("event-1", "event-2"):
        with pytest.raises(TimeoutError):
            await hints.take(event, "Q1")
    busy.set()
    await held_up
    assert await paged.accepted(SOURCE, ["event-1", "event-2"]) == {"event-1", "event-2"}
