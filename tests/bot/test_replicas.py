"""Two replicas on one PostgreSQL: whatever both do at once has one outcome, and the trail has one head."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta

import pytest

from bot.audit import broken_link
from bot.core.lifecycle import Event, State
from bot.core.request import Answer, Request
from bot.errors import Fault
from bot.ledger import Audit, Due, Ledger
from tests.bot.conftest import HandClock
from tests.bot.test_ledger import an_answer, decide, received
from tests.builders import NOW, a_draft, a_plan, a_ruling, an_entitlement
from tests.postgres import Server

ROUNDS = 12


@pytest.fixture
async def replicas(postgres: Server, clock: HandClock) -> AsyncIterator[tuple[Ledger, Ledger]]:
    url = postgres.empty_database()
    opened = await asyncio.gather(*(Ledger.open(url, kind="production", now=clock.now) for _ in range(2)))
    yield opened[0], opened[1]
    for ledger in opened:
        await ledger.close()


async def pending(ledger: Ledger, key: str, *, approvals: int = 1) -> Request:
    request = await ledger.request(await received(ledger, key))
    values = {"plan": a_plan(request), "ruling": a_ruling(approvals=approvals), "planned_at": NOW}
    await ledger.move(request.id, Event.PLANNED, audit=Audit("tinyapprover", "request.planned"), values=values)
    return await ledger.request(request.id)


async def test_two_approvers_at_once_make_a_quorum_of_two(replicas: tuple[Ledger, Ledger]) -> None:
    one, two = replicas
    for n in range(ROUNDS):
        request = await pending(one, f"view-{n}", approvals=2)
        await asyncio.gather(decide(one, an_answer(request, "bob")), decide(two, an_answer(request, "carol")))
        assert (await one.request(request.id)).state is State.APPROVED


async def test_of_an_approval_and_a_denial_at_once_one_counts(replicas: tuple[Ledger, Ledger]) -> None:
    one, two = replicas
    for n in range(ROUNDS):
        request = await pending(one, f"view-{n}")
        no = an_answer(request, "carol", Answer.DENY)
        answers = await asyncio.gather(decide(one, an_answer(request, "bob")), decide(two, no))
        assert [answer is None for answer in answers].count(True) == 1


async def test_a_denial_while_the_plan_is_made_is_not_lost(replicas: tuple[Ledger, Ledger]) -> None:
    """The request changes its state between the two in which a denial counts."""
    one, two = replicas
    for n in range(ROUNDS):
        request = await one.request(await received(one, f"view-{n}"))
        planned = one.move(request.id, Event.PLANNED, audit=Audit("tinyapprover", "request.planned"))
        await asyncio.gather(planned, decide(two, an_answer(request, "bob", Answer.DENY)))
        assert (await one.request(request.id)).state is State.DENIED


async def test_a_submission_that_reaches_both_is_one_request(replicas: tuple[Ledger, Ledger]) -> None:
    for n in range(ROUNDS):
        ids = await asyncio.gather(*(received(ledger, f"view-{n}") for ledger in replicas for _ in range(4)))
        assert len(set(ids)) == 1
    assert len(await replicas[0].requests()) == ROUNDS


async def test_a_delivery_that_reaches_both_is_taken_once(replicas: tuple[Ledger, Ledger]) -> None:
    for n in range(ROUNDS):
        taken = await asyncio.gather(*(ledger.accept("slack.press", str(n)) for ledger in replicas for _ in range(4)))
        assert taken.count(True) == 1


async def test_all_that_is_told_at_once_is_one_chain(replicas: tuple[Ledger, Ledger]) -> None:
    def told(ledger: Ledger, n: int) -> asyncio.Future[None]:
        return asyncio.ensure_future(ledger.note_event(Audit("somebody", "something", {"n": n})))

    await asyncio.gather(*(told(ledger, n) for n in range(60) for ledger in replicas))
    events = await replicas[0].events()
    assert len(events) == 120
    assert broken_link(events) is None


async def test_crossing_waits_end_with_both_done(replicas: tuple[Ledger, Ledger]) -> None:
    """Each replica commits many changes together, in opposite orders: the database breaks the deadlock, we go on."""
    one, two = replicas
    ids = [await received(one, f"view-{n}") for n in range(8)]

    def record(ledger: Ledger, request: str) -> asyncio.Future[None]:
        audit, values = Audit("somebody", "something"), {"outcome": "x"}
        return asyncio.ensure_future(ledger.record(request, audit=audit, values=values, jobs=[Due("card")]))

    await asyncio.gather(*(record(one, n) for n in ids), *(record(two, n) for n in reversed(ids)))
    assert broken_link(await one.events()) is None
    assert len(await one.events()) == 8 + 16


async def test_a_restart_of_the_database_loses_nothing(replicas: tuple[Ledger, Ledger], postgres: Server) -> None:
    one, _ = replicas
    request = await received(one)
    await asyncio.to_thread(postgres.stop)
    waits = asyncio.ensure_future(asked_until_it_answers(one, request))
    await asyncio.to_thread(postgres.start)
    assert await waits == request
    assert await received(one, "view-2") != request


async def asked_until_it_answers(ledger: Ledger, request: str) -> str:
    """One call waits for some seconds; a database may need longer on a busy machine."""
    async with asyncio.timeout(60):
        while True:
            with suppress(Fault):
                return (await ledger.request(request)).id


async def test_a_database_that_stays_away_is_a_fault_that_can_be_tried_again(
    replicas: tuple[Ledger, Ledger], postgres: Server
) -> None:
    request = await received(replicas[0])
    await asyncio.to_thread(postgres.stop)
    try:
        with pytest.raises(Fault, match="database"):
            await replicas[0].request(request)
    finally:
        await asyncio.to_thread(postgres.start)
    assert (await replicas[0].request(request)).id == request


async def test_a_ring_is_heard_again_after_the_connection_was_lost(
    replicas: tuple[Ledger, Ledger], postgres: Server
) -> None:
    heard = asyncio.Event()
    async with replicas[1].heard(["front"], heard.set), asyncio.timeout(20):
        for _ in range(2):
            await heard.wait()  # connected
            heard.clear()
            await replicas[0].schedule("TA-1", [Due("card")])
            await heard.wait()
            heard.clear()
            await asyncio.to_thread(postgres.stop)
            await asyncio.to_thread(postgres.start)


async def test_a_submission_is_stored_in_time_while_the_other_replica_is_busy(replicas: tuple[Ledger, Ledger]) -> None:
    one, two = replicas
    deadline = NOW + timedelta(hours=1)

    def receive(ledger: Ledger, key: str) -> asyncio.Future[str]:
        return asyncio.ensure_future(ledger.receive(a_draft(key), an_entitlement(), deadline=deadline, jobs=[]))

    ids = await asyncio.gather(*(receive(ledger, f"{ledger is one}-{n}") for n in range(50) for ledger in (one, two)))
    assert len(set(ids)) == 100
