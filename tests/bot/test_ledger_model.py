"""The real ledger beside a model of a few lines: whatever happens in whatever order, they agree."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from bot.audit import broken_link
from bot.core.lifecycle import MOVES, OPEN, Event, State
from bot.core.request import Answer, Place
from bot.ledger import Audit, Due, Job, Ledger
from bot.ledger.kinds import kind_of
from tests.builders import NOW, a_decision, a_draft, a_plan, a_ruling, an_entitlement
from tests.postgres import Server

SOMEBODY = Audit("somebody", "something")
LIFETIME = timedelta(hours=8)
ROLES = ("front", "executor")
LEASE = 60.0
people = st.sampled_from(["bob", "carol", "mallory"])
places = st.sampled_from(Place)
kinds = st.sampled_from(["card", "page", "grant", "revoke", "tell:outcome"])
minutes = st.integers(0, 300)


@dataclass
class Expected:
    """What one request must amount to."""

    deadline: datetime
    needed: int
    state: State = State.RECEIVED
    approvals: set[str] = field(default_factory=set)

    def happens(self, event: Event) -> bool:
        after = MOVES.get((self.state, event))
        self.state = after or self.state
        return after is not None

    def approves(self, who: str, now: datetime) -> bool:
        if self.state is not State.PENDING or who in self.approvals or now >= self.deadline:
            return False
        self.approvals.add(who)
        if len(self.approvals) >= self.needed:
            self.happens(Event.APPROVED)
        return True

    def denies(self, who: str, now: datetime) -> bool:
        counts = self.state in OPEN and who not in self.approvals and now < self.deadline
        return counts and self.happens(Event.DENIED)


class Hold(Enum):
    """Who has a job: nobody, a claim whose lease lasts, or one whose lease has run out."""

    NOBODY, LASTS, OVER = range(3)


@dataclass
class Wanted:
    """What one job must amount to: when it is due, how often it was wanted and claimed, and who has it."""

    due: datetime
    times: int = 0
    claims: int = 0
    hold: Hold = Hold.NOBODY


Claims = list[tuple[Job, Wanted]]


class LedgerAndModel(RuleBasedStateMachine):
    """Submissions, decisions from two places, grants and ends, timers, retries and crashes, in any order."""

    requests = Bundle("requests")
    claims = Bundle("claims")
    shared = False

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.model: dict[str, Expected] = {}
        self.jobs: dict[tuple[str, str], Wanted] = {}
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.url = self.empty_database()
        self.open()

    def empty_database(self) -> str:
        return f"sqlite:///{Path(self.folder.name) / 'x.db'}"

    def open(self) -> None:
        self.ledger = self.do(Ledger.open(self.url, kind="sandbox", now=lambda: self.now))

    def teardown(self) -> None:
        self.do(self.ledger.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.folder.cleanup()

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    # --- what happens to requests -----------------------------------------------------------------------------------

    def move(self, request: str, event: Event, **values: Any) -> None:
        moved = self.do(self.ledger.move(request, event, audit=SOMEBODY, values=values))
        assert moved == self.model[request].happens(event)

    @rule(target=requests, key=st.integers(1, 5), needed=st.integers(1, 2))
    def submit(self, key: int, needed: int) -> str:
        deadline = self.now + LIFETIME
        work = self.ledger.receive(a_draft(str(key)), an_entitlement(), deadline=deadline, jobs=())
        request = str(self.do(work))
        if request not in self.model:
            self.model[request] = Expected(deadline, needed)
            self.wanted(request, "expire", deadline)
        return request

    @rule(request=requests)
    def plan(self, request: str) -> None:
        plan = a_plan(self.do(self.ledger.request(request)))
        self.move(request, Event.PLANNED, plan=plan, ruling=a_ruling(approvals=self.model[request].needed))

    @rule(request=requests, who=people, answer=st.sampled_from(Answer), place=places)
    def decide(self, request: str, who: str, answer: Answer, place: Place) -> None:
        plan, expected = self.do(self.ledger.request(request)).plan, self.model[request]
        digest = plan.digest if plan else ""
        decision = a_decision(who, answer, request_id=request, digest=digest, place=place, at=self.now)
        counted = self.do(self.ledger.decide(decision, approved_jobs=(), closed_jobs=(), jobs=()))
        counts = expected.denies if answer is Answer.DENY else expected.approves
        assert (counted is not None) == counts(who, self.now)

    @rule(request=requests, end=st.sampled_from([Event.WITHDRAWN, Event.EXPIRED, Event.REFUSED, Event.GAVE_UP]))
    def end(self, request: str, end: Event) -> None:
        self.move(request, end)

    @rule(request=requests)
    def grant(self, request: str) -> None:
        found = self.do(self.ledger.request(request))
        if found.plan is not None:
            begun = self.do(self.ledger.start_grant(found.plan, 60, actor="somebody"))
            assert (begun is not None) == (found.state is State.APPROVED)
        if found.grant is not None or found.state is State.APPROVED:
            granted = self.do(self.ledger.granted(found, audit=SOMEBODY, jobs=lambda _: ()))
            assert granted == self.model[request].happens(Event.GRANTED)

    @rule(request=requests)
    def revoke(self, request: str) -> None:
        taken = self.do(self.ledger.taken_back(request, outcome="over", audit=SOMEBODY, jobs=()))
        assert taken == self.model[request].happens(Event.TAKEN_BACK)

    @rule(request=requests)
    def retry(self, request: str) -> None:
        retried = self.do(self.ledger.retry(request, audit=SOMEBODY, jobs=()))
        assert retried == self.model[request].happens(Event.RETRIED)

    @rule(request=requests)
    def change_the_plan(self, request: str) -> None:
        found, expected = self.do(self.ledger.request(request)), self.model[request]
        if found.plan is not None:
            ruling = a_ruling(approvals=expected.needed)
            reopened = self.do(self.ledger.reopen(request, found.plan, ruling, audit=SOMEBODY, jobs=()))
            assert reopened == expected.happens(Event.PLAN_CHANGED)
            expected.approvals -= expected.approvals if reopened else set()

    # --- what happens to jobs ---------------------------------------------------------------------------------------

    @rule(passed=minutes)
    def time_passes(self, passed: int) -> None:
        self.now += timedelta(minutes=passed)

    @rule(request=requests, kind=kinds, after=minutes)
    def want(self, request: str, kind: str, after: int) -> None:
        at = self.now + timedelta(minutes=after)
        self.do(self.ledger.schedule(request, [Due(kind, at=at)]))
        self.wanted(request, kind, at)

    def wanted(self, request: str, kind: str, at: datetime) -> None:
        job = self.jobs.setdefault((request, kind), Wanted(at))
        job.due, job.times = at, job.times + 1

    @rule(target=claims)
    def claim(self) -> Claims:
        """Whatever is due and held by nobody is claimed, and nothing else."""
        claimed = self.do(self.ledger.claim(ROLES, most=100, lease=LEASE))
        due = {name for name, job in self.jobs.items() if job.due <= self.now and job.hold is not Hold.LASTS}
        assert {(job.subject, job.kind) for job in claimed} == due
        for name in due:
            self.jobs[name].hold, self.jobs[name].claims = Hold.LASTS, self.jobs[name].claims + 1
        return [(job, self.jobs[job.subject, job.kind]) for job in claimed]

    @rule(claimed=claims)
    def leases_run_out(self, claimed: Claims) -> None:
        """Those that were overtaken are told so, and change nothing."""
        for job, wanted in claimed:
            overtaken = self.do(self.ledger.renew([job], lease=-1.0))
            assert bool(overtaken) != self.is_its_own(job, wanted)
            if not overtaken:
                wanted.hold = Hold.OVER

    def is_its_own(self, job: Job, wanted: Wanted) -> bool:
        """Whether nobody else has claimed it, and it was not put away."""
        return self.jobs.get((job.subject, job.kind)) is wanted and wanted.claims == job.claim

    @rule(claimed=claims, again=st.none() | minutes)
    def finish(self, claimed: Claims, again: int | None) -> None:
        """Only the newest claim ends a job, and what was wanted meanwhile stays; an older one has it looked at."""
        again_at = None if again is None else self.now + timedelta(minutes=again)
        for job, wanted in claimed:
            self.do(self.ledger.finish(job, again_at=again_at))
            if self.is_its_own(job, wanted):
                self.put_away(job, wanted, again_at)
            elif kind_of(job.kind).role == "executor":
                self.wanted(job.subject, "look", self.now)

    def put_away(self, job: Job, wanted: Wanted, again_at: datetime | None) -> None:
        wanted.hold = Hold.NOBODY
        if job.wanted != wanted.times:
            return
        if again_at is None:
            del self.jobs[job.subject, job.kind]
        else:
            wanted.due = again_at

    @rule()
    def crash(self) -> None:
        """Whatever was claimed is claimed again after the next start; where others share the work, after its lease."""
        self.do(self.ledger.close())
        self.open()
        self.do(self.ledger.release_leases(ROLES))
        for job in self.jobs.values() if not self.shared else ():
            job.hold = Hold.NOBODY

    # --- always -----------------------------------------------------------------------------------------------------

    @invariant()
    def they_agree(self) -> None:
        for request, expected in self.model.items():
            found = self.do(self.ledger.request(request))
            assert found.state is expected.state
            approvals = {one.person_id for one in found.decisions if one.answer is Answer.APPROVE}
            assert len(approvals) == len(expected.approvals)

    @invariant()
    def nothing_waits_unseen(self) -> None:
        """When somebody must look again: at the earliest job that nobody holds."""
        free = [job.due for job in self.jobs.values() if job.hold is Hold.NOBODY]
        assert self.do(self.ledger.next_due(ROLES)) == min(free, default=None)

    @invariant()
    def the_trail_is_whole(self) -> None:
        assert broken_link(self.do(self.ledger.events())) is None


def some(examples: int) -> settings:
    slow = [HealthCheck.too_slow]
    return settings(max_examples=examples, stateful_step_count=40, suppress_health_check=slow)


def test_the_ledger_agrees_with_its_model() -> None:
    run_state_machine_as_test(LedgerAndModel, settings=some(30))


def test_it_agrees_on_postgresql(postgres: Server) -> None:
    class OnPostgresql(LedgerAndModel):
        shared = True

        def empty_database(self) -> str:
            return postgres.empty_database("model")

    run_state_machine_as_test(OnPostgresql, settings=some(8))
