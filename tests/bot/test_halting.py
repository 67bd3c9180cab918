"""Stop and freeze stand above every grant, in whatever order and process they come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import insert, text

from bot import emergency
from bot.core.lifecycle import Event, State
from bot.core.request import Extension, Request
from bot.emergency import FROZEN, THAWED
from bot.errors import Refused
from bot.follows import CLOSED_JOBS
from bot.ledger import Audit, Due, Ledger
from bot.ledger import tables as t
from bot.ledger.engine import open_engine
from tests.bot.conftest import HandClock
from tests.bot.test_ledger import an_answer, decide, pending
from tests.builders import NOW, a_draft, a_plan, a_ruling, an_entitlement

READ_BACK = Audit("tinyapprover", "grant.verified")
WAITERS = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
End = Callable[[Ledger, Request], Awaitable[None]]


async def approved(ledger: Ledger) -> Request:
    request = await pending(ledger)
    await decide(ledger, an_answer(request))
    return await ledger.request(request.id)


async def begin(ledger: Ledger, request: Request) -> bool:
    assert request.plan is not None
    return await ledger.start_grant(request.plan, 60, actor="tinyapprover") is not None


async def active(ledger: Ledger, request: Request) -> Request:
    assert await begin(ledger, request)
    assert await ledger.granted(request, audit=READ_BACK, jobs=lambda _: ())
    return await ledger.request(request.id)


async def an_extension(ledger: Ledger, of: Request) -> Request:
    """Approved, and begun at the vendor's."""
    assert of.grant is not None
    assert of.grant.ends_at is not None
    draft = a_draft("extension", extends=Extension(of.id, of.grant.ends_at, of.minutes))
    stored = await ledger.receive(draft, an_entitlement(), deadline=of.grant.ends_at, jobs=())
    plan = a_plan(await ledger.request(stored))
    values = {"plan": plan, "ruling": a_ruling(), "planned_at": NOW}
    assert await ledger.move(stored, Event.PLANNED, audit=READ_BACK, values=values)
    await decide(ledger, an_answer(await ledger.request(stored)))
    extension = await ledger.request(stored)
    assert await begin(ledger, extension)
    return extension


async def give_back(ledger: Ledger, request: Request) -> None:
    audit = Audit("00ualice", "grant.given_back")
    await ledger.end_now(request.id, audit=audit, jobs=[Due("revoke")], never_granted=CLOSED_JOBS)


async def stop(ledger: Ledger, request: Request) -> None:
    await emergency.stop(ledger, request, by="00ubob", who="Bob Baker in Slack", why="too much")


async def due(ledger: Ledger) -> set[str]:
    """What the executor is asked to do now."""
    return {job.kind for job in await ledger.claim(["executor"], most=9, lease=60)}


async def test_after_a_stop_no_write_begins(ledger: Ledger) -> None:
    request = await approved(ledger)
    await stop(ledger, request)
    assert not await begin(ledger, request)
    found = await ledger.request(request.id)
    assert (found.state, found.outcome) == (State.WITHDRAWN, "Stopped by Bob Baker in Slack: too much")
    assert "revoke" not in await due(ledger)


async def test_a_write_that_began_before_a_stop_is_taken_back(ledger: Ledger) -> None:
    request = await approved(ledger)
    assert await begin(ledger, request)
    await stop(ledger, request)
    assert "revoke" in await due(ledger)
    assert not await ledger.granted(request, audit=Audit("tinyapprover", "grant.verified"), jobs=lambda _: ())


@pytest.mark.parametrize("turn", range(20))
async def test_of_a_stop_and_a_beginning_at_once_nothing_is_left_behind(turn: int, ledger: Ledger) -> None:
    request = await approved(ledger)
    work = [begin(ledger, request), stop(ledger, request)]
    await asyncio.gather(*(work if turn % 2 else reversed(work)))
    began = (await ledger.request(request.id)).grant is not None
    assert began == ("revoke" in await due(ledger))


async def test_what_is_stopped_covers_nothing_any_more(ledger: Ledger) -> None:
    request = await approved(ledger)
    await begin(ledger, request)
    assert request.plan is not None
    assert await ledger.covered_by(request.plan.target, besides="TA-99") == request.id
    await stop(ledger, request)
    assert await ledger.covered_by(request.plan.target, besides="TA-99") is None


async def test_a_stop_ends_what_extends_it_as_well(ledger: Ledger) -> None:
    request = await active(ledger, await approved(ledger))
    extension = await active(ledger, await an_extension(ledger, request))
    await stop(ledger, request)
    assert await ledger.covered_by(a_plan(request).target, besides=request.id) is None
    assert (await ledger.request(extension.id)).outcome == "Stopped by Bob Baker in Slack: too much"
    revoked = {job.subject for job in await ledger.claim(["executor"], most=9, lease=60) if job.kind == "revoke"}
    assert revoked == {request.id, extension.id}


@pytest.mark.parametrize("end", [stop, give_back])
async def test_an_extension_whose_write_has_begun_is_not_granted_any_more(end: End, ledger: Ledger) -> None:
    request = await active(ledger, await approved(ledger))
    extension = await an_extension(ledger, request)
    await end(ledger, request)
    assert not await ledger.granted(extension, audit=READ_BACK, jobs=lambda _: ())
    assert (await ledger.request(extension.id)).state is State.WITHDRAWN
    assert await ledger.covered_by(a_plan(request).target, besides=request.id) is None
    revoked = {job.subject for job in await ledger.claim(["executor"], most=9, lease=60) if job.kind == "revoke"}
    assert revoked == {request.id, extension.id}


@pytest.mark.parametrize("decided", [True, False])
async def test_an_admin_stops_what_is_undecided_too(*, decided: bool, ledger: Ledger) -> None:
    request = await (approved(ledger) if decided else pending(ledger))
    await emergency.stop(ledger, request, by="admin", who="admin", why="left", undecided=True)
    found = await ledger.request(request.id)
    assert (found.state, found.outcome) == (State.WITHDRAWN, "Stopped by admin: left")
    assert await decide(ledger, an_answer(request)) is None
    with pytest.raises(Refused, match="nothing of TA-1 to stop"):
        await emergency.stop(ledger, request, by="admin", who="admin", undecided=True)


async def test_there_is_nothing_to_stop_twice_or_before_it_is_decided(ledger: Ledger) -> None:
    request = await pending(ledger)
    with pytest.raises(Refused, match="deny it instead"):
        await stop(ledger, request)
    await decide(ledger, an_answer(request))
    await stop(ledger, request)
    with pytest.raises(Refused, match="nothing of TA-1 to stop"):
        await stop(ledger, request)


async def test_a_freeze_is_seen_by_every_process_at_the_next_write(
    ledger: Ledger, database: str, clock: HandClock
) -> None:
    request = await approved(ledger)
    other = await Ledger.open(database, kind="production", now=clock.now)
    try:
        assert await other.freeze("break-in", "admin root", told=FROZEN)
        assert not await other.freeze("again", "admin root", told=FROZEN)
        assert not await begin(ledger, request)
        assert (await ledger.request(request.id)).frozen == "admin root: break-in"
        assert await other.thaw("admin root", told=THAWED)
        assert not await other.thaw("admin root", told=THAWED)
        assert await begin(ledger, request)
        assert (await ledger.request(request.id)).frozen == ""
    finally:
        await other.close()


async def test_a_write_waits_for_a_freeze_that_is_being_committed(postgres_url: str, clock: HandClock) -> None:
    """SQLite has one writer; on PostgreSQL no write may begin that the freeze in the trail is older than."""
    ledger = await Ledger.open(postgres_url, kind="production", now=clock.now)
    request = await approved(ledger)
    engine = open_engine(postgres_url)
    with engine.connect() as other:
        other.execute(insert(t.freezes), {"why": "break-in", "by": "admin root", "at": NOW})
        writing = asyncio.create_task(begin(ledger, request))
        while not (writing.done() or other.execute(WAITERS).scalar()):  # noqa: ASYNC110 - it is the server that waits
            await asyncio.sleep(0)
        other.commit()
    assert not await writing
    engine.dispose()
    await ledger.close()


async def test_a_repeated_write_is_held_up_by_a_freeze_too(ledger: Ledger) -> None:
    request = await approved(ledger)
    assert await begin(ledger, request)
    await ledger.freeze("break-in", "admin root", told=FROZEN)
    assert not await begin(ledger, request)


async def test_a_thaw_makes_what_waits_due_at_once(ledger: Ledger, clock: HandClock) -> None:
    request = await approved(ledger)
    await ledger.freeze("break-in", "admin root", told=FROZEN)
    (job,) = await ledger.claim(["executor"], most=9, lease=60)
    await ledger.thaw("admin root", told=THAWED)
    await ledger.finish(job, again_at=clock.now().replace(year=2030))
    assert [job.kind for job in await ledger.claim(["executor"], most=9, lease=60)] == ["grant"]
    assert request.id == job.subject
