"""The due loop, over a real ledger and a clock that is moved by hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest

from bot import jobs
from bot.claims import Busy, ours_by_lease, running_clock, still_ours
from bot.errors import Fault
from bot.jobs import LEASE_SECONDS, Worker, back_off, longest_back_off
from bot.ledger import Due, Job, Ledger, queue
from tests.bot.conftest import HandClock
from tests.builders import NOW, a_draft, an_entitlement

ROLES = ("front", "executor")
PATIENCE = 10.0


class Shift:
    """A worker at work, and what it did."""

    def __init__(self, ledger: Ledger, clock: HandClock) -> None:
        self.ledger = ledger
        self.clock = clock
        self.ran: list[str] = []
        self.troubles: list[str] = []
        self.steps: dict[str, Callable[[Job], object]] = {}
        handlers = dict.fromkeys(("card", "page", "grant", "look", "mark"), self._handle)
        self.worker = Worker(ledger, handlers, clock, roles=ROLES, on_trouble=self._trouble)
        ledger.on_commit = self.worker.wake
        self.task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self.task = asyncio.create_task(self.worker.run())

    async def end(self) -> None:
        await self.worker.stop()
        if self.task is not None:
            await self.task

    async def _handle(self, job: Job) -> datetime | None:
        self.ran.append(job.kind)
        step = self.steps.get(job.kind)
        answer = step(job) if step else None
        if asyncio.iscoroutine(answer):
            answer = await answer
        return answer if isinstance(answer, datetime) else None

    async def _trouble(self, job: Job, trouble: str) -> None:
        self.troubles.append(f"{job.kind}: {trouble}")

    async def want(self, kind: str, *, at: datetime | None = None) -> None:
        await self.ledger.schedule("TA-1", [Due(kind, at=at)])

    async def later(self, **by: float) -> None:
        """Move the clock, and let everything that is due then run."""
        self.clock.advance(**by)
        self.worker.wake()
        await self.all_quiet()

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not holds():  # noqa: ASYNC110 - what is waited for is the product's own doing
                await asyncio.sleep(0.005)

    async def all_quiet(self) -> None:
        """Nothing runs, nothing is due and nothing is claimed: a mark that is wanted now was reached and finished."""
        marks = self.ran.count("mark")
        await self.want("mark")
        await self.until(lambda: self.ran.count("mark") > marks)
        async with asyncio.timeout(PATIENCE):
            while await self.busy():  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.005)

    async def busy(self) -> bool:
        """What was claimed may not have begun, so the ledger is asked, too."""
        now, jobs = self.clock.now(), await self.ledger.waiting()
        return bool(self.worker.running) or any(job.runs or job.due <= now for job in jobs)

    async def waiting(self) -> datetime | None:
        return await self.ledger.next_due(ROLES)


@pytest.fixture
async def shift(ledger: Ledger, clock: HandClock) -> AsyncIterator[Shift]:
    shift = Shift(ledger, clock)
    yield shift
    with suppress(asyncio.CancelledError):
        await shift.end()


async def asks(ledger: Ledger, number: int) -> str:
    """A new request, of whose card and page somebody has to take care."""
    due, deadline = [Due("card"), Due("page")], NOW + timedelta(hours=8)
    return await ledger.receive(a_draft(str(number)), an_entitlement(), deadline=deadline, jobs=due)


def failing(*faults: Exception) -> Callable[[Job], None]:
    """A step that fails in these ways, and then goes well."""
    left = list(faults)

    def step(job: Job) -> None:
        if left:
            raise left.pop(0)

    return step


async def test_a_job_runs_once_and_is_gone(shift: Shift) -> None:
    shift.begin()
    await shift.want("card")
    await shift.all_quiet()
    assert shift.ran.count("card") == 1
    assert await shift.waiting() is None


async def test_in_a_burst_the_cards_go_out_before_anything_else_about_the_new_requests(
    shift: Shift, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "BURST", 0)
    monkeypatch.setattr(jobs, "BURST_SECONDS", 1.0)
    go_on = asyncio.Event()
    shift.steps["card"] = lambda job: go_on.wait()
    shift.begin()
    await shift.all_quiet()
    count = 9
    await asyncio.gather(*(asks(shift.ledger, number) for number in range(count)))
    await shift.until(lambda: shift.ran.count("card") == count)
    assert "page" not in shift.ran
    go_on.set()
    await shift.until(lambda: shift.ran.count("page") == count)


async def test_in_a_flood_of_new_requests_not_all_cards_are_begun_at_once(
    shift: Shift, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "AT_ONCE", 2)
    go_on = asyncio.Event()
    shift.steps["card"] = lambda job: go_on.wait()
    shift.begin()
    await shift.all_quiet()
    for number in range(9):
        await asks(shift.ledger, number)
    await shift.until(lambda: shift.ran.count("card") >= 2)
    await asyncio.sleep(0.05)
    assert shift.worker.running <= 4  # as many again may have been on their way from the queue
    go_on.set()
    await shift.until(lambda: shift.ran.count("card") == 9)


async def test_with_more_cards_at_once_than_there_is_room_nothing_is_claimed_again_and_again(
    shift: Shift, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "AT_ONCE", 2)
    go_on, claims, claim = asyncio.Event(), list[object](), shift.ledger.claim

    async def counted(roles: Sequence[str], **how: Any) -> list[Job]:
        claims.append(roles)
        return await claim(roles, **how)

    monkeypatch.setattr(shift.ledger, "claim", counted)
    shift.steps["card"] = lambda job: go_on.wait()
    shift.begin()
    await shift.all_quiet()
    await asyncio.gather(*(asks(shift.ledger, number) for number in range(9)))
    assert shift.worker.running > 2
    before = len(claims)
    for _ in range(50):
        await shift.ledger.presence()
    assert len(claims) <= before + 1
    go_on.set()
    await shift.until(lambda: shift.ran.count("card") == 9)


async def test_a_card_that_is_stored_after_the_stop_is_left_to_whoever_comes_next(shift: Shift) -> None:
    shift.begin()
    await shift.all_quiet()
    await shift.end()
    await asks(shift.ledger, 1)
    assert [job.kind for job in await shift.ledger.claim(("front",), most=1, lease=60)] == ["card"]


async def test_what_is_due_later_waits_for_its_time(shift: Shift) -> None:
    shift.begin()
    await shift.want("page", at=shift.clock.now() + timedelta(minutes=10))
    await shift.later(minutes=9, seconds=59)
    assert "page" not in shift.ran
    await shift.later(seconds=1)
    assert shift.ran.count("page") == 1


async def test_a_step_may_ask_to_run_again_at_a_time(shift: Shift) -> None:
    again = shift.clock.now() + timedelta(minutes=5)
    shift.steps["card"] = lambda job: again if shift.ran.count("card") == 1 else None
    shift.begin()
    await shift.want("card")
    await shift.all_quiet()
    assert await shift.waiting() == again
    await shift.later(minutes=5)
    assert shift.ran.count("card") == 2


async def test_a_failed_step_is_tried_again_and_its_trouble_is_told(shift: Shift) -> None:
    shift.steps["card"] = failing(Fault("slack", "internal_error"))
    shift.begin()
    await shift.want("card")
    await shift.all_quiet()
    assert shift.troubles == ["card: slack: internal_error"]
    await shift.later(seconds=1)
    assert shift.ran.count("card") == 2
    assert await shift.waiting() is None


async def test_waiting_for_another_job_does_not_count_and_forgets_no_failure(shift: Shift) -> None:
    """Two removals of one access at a vendor who is down: each waits for the other, and both must become overdue."""
    tries: list[int] = []
    down, fail = Fault("okta", "500"), failing(Fault("okta", "500"), Busy(), Busy(), Fault("okta", "500"))

    def step(job: Job) -> None:
        tries.append(job.attempts)
        fail(job)

    shift.steps["grant"] = step
    shift.begin()
    await shift.want("grant")
    await shift.all_quiet()
    for _ in range(4):
        await shift.later(seconds=2)
    assert tries == [1, 2, 2, 2, 3]
    assert shift.troubles == [f"grant: {down}"] * 2


async def test_what_is_wanted_while_it_waits_for_another_job_is_due_at_once(ledger: Ledger, clock: HandClock) -> None:
    await ledger.schedule("TA-1", [Due("revoke")])
    (job,) = await ledger.claim(["executor"], most=1, lease=60)
    await ledger.schedule("TA-1", [Due("revoke")])
    await ledger.put_back(job, at=clock.now() + timedelta(hours=1))
    assert [one.attempts for one in await ledger.claim(["executor"], most=1, lease=60)] == [1]


async def test_as_long_as_the_vendor_says_nothing_is_tried(shift: Shift) -> None:
    shift.steps["card"] = failing(Fault("slack", "ratelimited", retry_after=300))
    shift.begin()
    await shift.want("card")
    await shift.all_quiet()
    assert await shift.waiting() == shift.clock.now() + timedelta(seconds=300)
    await shift.later(seconds=299)
    assert shift.ran.count("card") == 1
    await shift.later(seconds=1)
    assert shift.ran.count("card") == 2


async def test_a_mistake_of_ours_loses_no_job(shift: Shift, caplog: pytest.LogCaptureFixture) -> None:
    shift.steps["card"] = lambda job: 1 // (shift.ran.count("card") - 1)
    shift.begin()
    await shift.want("card")
    await shift.all_quiet()
    assert shift.troubles == ["card: an error of our own, see the log"]
    assert "ZeroDivisionError" in caplog.text
    await shift.later(seconds=1)
    assert await shift.waiting() is None


async def test_a_step_that_hangs_is_given_up_and_tried_again(shift: Shift, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "LONGEST_STEP", 0.05)
    shift.steps["card"] = lambda job: asyncio.Event().wait() if shift.ran.count("card") == 1 else None
    shift.begin()
    await shift.want("card")
    await shift.until(lambda: shift.troubles == ["card: took too long"])
    await shift.later(seconds=1)
    assert shift.ran.count("card") == 2


async def test_what_is_wanted_again_while_it_runs_runs_again(shift: Shift) -> None:
    go_on = asyncio.Event()
    shift.steps["card"] = lambda job: go_on.wait()
    shift.begin()
    await shift.want("card")
    await shift.until(lambda: shift.ran == ["card"])
    await shift.want("card")
    await shift.want("card")
    go_on.set()
    await shift.until(lambda: shift.ran.count("card") == 2)
    await shift.all_quiet()
    assert shift.ran.count("card") == 2


async def test_what_is_wanted_again_while_it_fails_runs_at_once(shift: Shift) -> None:
    go_on = asyncio.Event()

    async def fail_once(job: Job) -> None:
        await go_on.wait()
        if shift.ran.count("card") == 1:
            raise Fault("slack", "internal_error")

    shift.steps["card"] = fail_once
    shift.begin()
    await shift.want("card")
    await shift.until(lambda: shift.ran == ["card"])
    await shift.want("card")
    go_on.set()
    await shift.until(lambda: shift.ran.count("card") == 2)


async def test_a_running_job_is_not_run_twice_when_the_clock_jumps_past_its_lease(shift: Shift) -> None:
    go_on = asyncio.Event()
    shift.steps["grant"] = lambda job: go_on.wait()
    shift.begin()
    await shift.want("grant")
    await shift.until(lambda: shift.ran == ["grant"])
    shift.clock.advance(hours=1)
    await shift.want("mark")
    await shift.until(lambda: "mark" in shift.ran)
    assert shift.ran.count("grant") == 1
    go_on.set()
    await shift.all_quiet()
    assert shift.ran.count("grant") == 1
    assert await shift.waiting() is None


async def test_stopping_finishes_what_runs_and_takes_nothing_more(shift: Shift) -> None:
    go_on = asyncio.Event()
    shift.steps["grant"] = lambda job: go_on.wait()
    shift.begin()
    await shift.want("grant")
    await shift.until(lambda: shift.ran == ["grant"])
    await shift.worker.stop()
    await shift.want("card")
    assert shift.task is not None
    assert not shift.task.done()
    go_on.set()
    await shift.task
    assert shift.ran == ["grant"]
    left = await shift.ledger.claim(ROLES, most=9, lease=1)
    assert [job.kind for job in left] == ["card"]


async def test_what_was_in_flight_at_a_crash_runs_again_at_the_next_start(on_sqlite: str, clock: HandClock) -> None:
    """Of the only process there is; where several share the work, leases run out."""
    ledger = await Ledger.open(on_sqlite, kind="production", now=clock.now, roles=ROLES)
    await ledger.schedule("TA-1", [Due("grant")])
    await ledger.claim(ROLES, most=9, lease=LEASE_SECONDS)  # and the process is gone
    await ledger.release_leases(ROLES)
    assert [job.kind for job in await ledger.claim(ROLES, most=9, lease=1)] == ["grant"]
    await ledger.close()


async def test_a_dead_replicas_work_is_taken_over_when_its_lease_has_run_out(
    shift: Shift, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "LONGEST_WAIT", 0.1)
    await shift.want("grant")
    await shift.ledger.claim(ROLES, most=9, lease=0.2)  # and the process is gone
    shift.begin()
    await shift.until(lambda: "grant" in shift.ran)


async def test_a_job_is_late_when_nobody_has_it_whatever_the_programs_clock_says_of_leases(
    ledger: Ledger, clock: HandClock
) -> None:
    await ledger.schedule("TA-1", [Due("grant")])
    await ledger.claim(["executor"], most=1, lease=60)
    clock.advance(days=9999)
    assert await ledger.lateness(["executor"]) == 0
    clock.advance(days=-9998)
    await ledger.schedule("TA-2", [Due("revoke", at=clock.now() - timedelta(hours=1))])
    await ledger.claim(["executor"], most=1, lease=-1)
    assert await ledger.lateness(["executor"]) == 3600


async def test_while_a_lease_lasts_nobody_else_gets_the_job(ledger: Ledger, clock: HandClock) -> None:
    await ledger.schedule("TA-1", [Due("grant")])
    assert len(await ledger.claim(ROLES, most=9, lease=60)) == 1
    clock.advance(days=1)  # this replica's clock is wrong: leases do not go by it
    assert await ledger.claim(ROLES, most=9, lease=60) == []


async def test_many_who_claim_at_once_never_get_the_same_job(ledger: Ledger) -> None:
    for number in range(20):
        await ledger.schedule(f"TA-{number}", [Due("page")])
    claims = await asyncio.gather(*(ledger.claim(ROLES, most=4, lease=60) for _ in range(8)))
    claimed = [job.id for jobs in claims for job in jobs]
    left = await ledger.claim(ROLES, most=20, lease=60)
    assert len({*claimed, *(job.id for job in left)}) == len(claimed) + len(left) == 20


async def test_the_end_of_an_old_claim_changes_nothing(ledger: Ledger, clock: HandClock) -> None:
    await ledger.schedule("TA-1", [Due("page")])
    (old,) = await ledger.claim(ROLES, most=9, lease=0.0)
    (new,) = await ledger.claim(ROLES, most=9, lease=60)
    assert (new.id, new.attempts) == (old.id, 2)
    await ledger.finish(old)
    await ledger.finish(old, again_at=clock.now(), retry=True, trouble="late")
    assert await ledger.next_due(ROLES) is None  # still leased to the new claim
    await ledger.finish(new)
    assert await ledger.claim(ROLES, most=9, lease=60) == []


async def test_an_old_claim_stays_old_when_the_job_has_begun_to_count_its_tries_anew(
    ledger: Ledger, clock: HandClock
) -> None:
    await ledger.schedule("TA-1", [Due("poll")])
    (old,) = await ledger.claim(ROLES, most=9, lease=0.0)
    (new,) = await ledger.claim(ROLES, most=9, lease=60)
    await ledger.finish(new, again_at=clock.now())
    (again,) = await ledger.claim(ROLES, most=9, lease=60)
    assert again.attempts == old.attempts
    assert await ledger.renew([old, again], lease=60) == [old]
    await ledger.finish(old)
    assert await ledger.renew([again], lease=60) == []


async def test_a_slow_step_keeps_its_lease(shift: Shift, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "LEASE_SECONDS", 0.3)
    monkeypatch.setattr(jobs, "RENEWED_EVERY", 0.05)
    go_on = asyncio.Event()
    shift.steps["grant"] = lambda job: go_on.wait()
    shift.begin()
    await shift.want("grant")
    await shift.until(lambda: shift.ran == ["grant"])
    begun = time.monotonic()
    while time.monotonic() - begun < 0.6:
        assert await shift.ledger.claim(ROLES, most=9, lease=60) == []
    go_on.set()
    await shift.all_quiet()
    assert await shift.waiting() is None


async def overtaken(shift: Shift) -> None:
    """Another replica gets the job, as if this one had been frozen for longer than its lease."""
    (running,) = shift.worker._jobs()
    await shift.ledger.renew([running], lease=0.0)
    while not (theirs := await shift.ledger.claim(ROLES, most=9, lease=60)):
        pass  # the worker is looking at it at this moment
    await shift.ledger.finish(theirs[0])


async def test_whoever_was_overtaken_writes_nothing_more_and_has_it_looked_at(shift: Shift) -> None:
    go_on, written = asyncio.Event(), []

    async def write(job: Job) -> None:
        await go_on.wait()
        await still_ours()
        written.append(job.kind)

    shift.steps["grant"] = write
    shift.begin()
    await shift.want("grant")
    await shift.until(lambda: shift.ran == ["grant"])
    await overtaken(shift)
    go_on.set()
    await shift.until(lambda: "look" in shift.ran)
    assert written == []


@pytest.mark.parametrize(("slept", "writes"), [(0.0, True), (LEASE_SECONDS, False)])
async def test_a_message_is_not_sent_for_a_job_whose_lease_may_be_over(
    shift: Shift, monkeypatch: pytest.MonkeyPatch, slept: float, writes: bool
) -> None:
    """Frozen for as long as a lease, the ledger is asked; a moment later it is not, because messages are many."""
    go_on, written = asyncio.Event(), []

    async def write(job: Job) -> None:
        await go_on.wait()
        await ours_by_lease()
        written.append(job.kind)

    shift.steps["card"] = write
    shift.begin()
    await shift.want("card")
    await shift.until(lambda: shift.ran == ["card"])
    await overtaken(shift)
    monkeypatch.setattr(jobs, "running_clock", lambda: running_clock() + slept)
    go_on.set()
    await shift.until(lambda: not shift.worker.running)
    assert written == ["card"] * writes


async def test_whoever_was_overtaken_is_stopped_when_its_lease_cannot_be_renewed(
    shift: Shift, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "RENEWED_EVERY", 0.05)
    shift.steps["grant"] = lambda job: asyncio.Event().wait()
    shift.begin()
    await shift.want("grant")
    await shift.until(lambda: shift.ran == ["grant"])
    await overtaken(shift)
    await shift.until(lambda: "look" in shift.ran and not shift.worker.running)


async def test_who_still_has_the_job_may_write(shift: Shift) -> None:
    shift.steps["grant"] = lambda job: still_ours()
    shift.begin()
    await shift.want("grant")
    await shift.all_quiet()
    assert shift.troubles == []
    assert await shift.waiting() is None


async def test_a_slow_vendor_leaves_room_for_the_others(shift: Shift, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "LANE_ROOM", 3)
    monkeypatch.setattr(jobs, "LANE_ROOM", 3)
    go_on = asyncio.Event()
    shift.steps["page"] = lambda job: go_on.wait()
    shift.begin()
    for number in range(9):
        await shift.ledger.schedule(f"TA-{number}", [Due("page")])
    await shift.until(lambda: shift.ran.count("page") == 3)
    await shift.want("card")
    await shift.until(lambda: "card" in shift.ran)
    assert shift.ran.count("page") == 3
    go_on.set()
    await shift.until(lambda: shift.ran.count("page") == 9)


async def test_only_the_executor_takes_grants_and_revocations(ledger: Ledger) -> None:
    await ledger.schedule("TA-1", [Due("grant"), Due("revoke"), Due("card")])
    assert [job.kind for job in await ledger.claim(["front"], most=9, lease=60)] == ["card"]
    assert {job.kind for job in await ledger.claim(["executor"], most=9, lease=60)} == {"grant", "revoke"}


async def test_only_so_many_run_at_once_and_the_rest_follow(shift: Shift, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "AT_ONCE", 3)
    go_on = asyncio.Event()
    shift.steps["card"] = lambda job: go_on.wait()
    shift.begin()
    for number in range(8):
        await shift.ledger.schedule(f"TA-{number}", [Due("card")])
    await shift.until(lambda: len(shift.ran) == 3)
    assert shift.worker.running == 3
    go_on.set()
    await shift.until(lambda: len(shift.ran) == 8 and not shift.worker.running)


def test_waiting_doubles_up_to_a_minute_and_never_less_than_asked() -> None:
    for attempts in range(1, 40):
        longest = min(60.0, 2.0**attempts / 2)
        assert 0.7 * longest <= back_off(attempts).total_seconds() <= longest
        assert back_off(attempts, retry_after=300).total_seconds() == 300


async def test_what_a_vendor_sent_away_is_not_tried_sooner_because_it_is_wanted_again(shift: Shift) -> None:
    """Wanted while it runs, and while it waits; only a person may insist."""

    async def refuse(job: Job) -> None:
        if shift.ran.count("page") == 1:
            await shift.want("page")
            raise Fault("pagerduty", "429", status=429, retry_after=30.0)

    shift.steps["page"] = refuse
    shift.begin()
    await shift.want("page")
    await shift.all_quiet()
    await shift.want("page")
    await shift.later(seconds=29)
    assert shift.ran.count("page") == 1
    await shift.later(seconds=2)
    assert shift.ran.count("page") == 2
    assert await shift.waiting() is None


async def test_a_person_may_insist_before_the_vendors_time(shift: Shift) -> None:
    shift.steps["page"] = failing(Fault("pagerduty", "429", status=429, retry_after=30.0))
    shift.begin()
    await shift.want("page")
    await shift.all_quiet()
    assert await shift.ledger.try_now("TA-1", None, by="okta-alice") == ["page"]
    await shift.all_quiet()
    assert shift.ran.count("page") == 2


async def test_what_fails_for_hours_is_tried_more_slowly_but_never_access_that_must_go(ledger: Ledger) -> None:
    await ledger.schedule("TA-1", [Due("card"), Due("revoke")])
    for _ in range(jobs.HOPELESS_TRIES):
        claimed = {job.kind: longest_back_off(job) for job in await ledger.claim(ROLES, most=9, lease=0.0)}
    assert claimed == {"card": 300.0, "revoke": 60.0}
