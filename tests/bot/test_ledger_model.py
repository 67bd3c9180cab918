"""The real ledger beside a model of a few lines: whatever happens in whatever order, they agree."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from bot.audit import broken_link
from bot.core.lifecycle import MOVES, OPEN, Event, State
from bot.core.request import Answer
from bot.ledger import Audit, Ledger
from tests.builders import NOW, a_decision, a_draft, a_plan, a_ruling, an_entitlement

SOMEBODY = Audit("somebody", "something")
people = st.sampled_from(["bob", "carol", "mallory"])


class Model:
    """What the ledger must amount to."""

    def __init__(self) -> None:
        self.state: dict[str, State] = {}
        self.approvals: dict[str, set[str]] = {}
        self.needed: dict[str, int] = {}

    def happens(self, request: str, event: Event) -> bool:
        after = MOVES.get((self.state[request], event))
        self.state[request] = after or self.state[request]
        return after is not None

    def approves(self, request: str, who: str) -> bool:
        if self.state[request] is not State.PENDING or who in self.approvals[request]:
            return False
        self.approvals[request].add(who)
        if len(self.approvals[request]) >= self.needed[request]:
            self.happens(request, Event.APPROVED)
        return True

    def denies(self, request: str, who: str) -> bool:
        counts = self.state[request] in OPEN and who not in self.approvals[request]
        return counts and self.happens(request, Event.DENIED)


class LedgerAndModel(RuleBasedStateMachine):
    """Submissions, decisions, grants and ends, in any order."""

    requests = Bundle("requests")

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        url = f"sqlite:///{Path(self.folder.name) / 'x.db'}"
        self.ledger = self.do(Ledger.open(url, kind="sandbox", now=lambda: NOW))

    def teardown(self) -> None:
        self.do(self.ledger.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.folder.cleanup()

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def move(self, request: str, event: Event, **values: Any) -> None:
        moved = self.do(self.ledger.move(request, event, audit=SOMEBODY, values=values))
        assert moved == self.model.happens(request, event)

    @rule(target=requests, key=st.integers(1, 5), needed=st.integers(1, 2))
    def submit(self, key: int, needed: int) -> str:
        request = str(
            self.do(
                self.ledger.receive(a_draft(str(key)), an_entitlement(), deadline=NOW + timedelta(hours=8), jobs=())
            )
        )
        self.model.state.setdefault(request, State.RECEIVED)
        self.model.approvals.setdefault(request, set())
        self.model.needed.setdefault(request, needed)
        return request

    @rule(request=requests)
    def plan(self, request: str) -> None:
        plan = a_plan(self.do(self.ledger.request(request)))
        self.move(request, Event.PLANNED, plan=plan, ruling=a_ruling(approvals=self.model.needed[request]))

    @rule(request=requests, who=people, answer=st.sampled_from(Answer))
    def decide(self, request: str, who: str, answer: Answer) -> None:
        plan = self.do(self.ledger.request(request)).plan
        decision = a_decision(who, answer, request_id=request, digest=plan.digest if plan else "")
        counted = self.do(self.ledger.decide(decision, approved_jobs=(), closed_jobs=(), jobs=()))
        counts = self.model.denies if answer is Answer.DENY else self.model.approves
        assert (counted is not None) == counts(request, who)

    @rule(request=requests, end=st.sampled_from([Event.WITHDRAWN, Event.EXPIRED, Event.REFUSED, Event.GAVE_UP]))
    def end(self, request: str, end: Event) -> None:
        self.move(request, end)

    @rule(request=requests)
    def grant(self, request: str) -> None:
        found = self.do(self.ledger.request(request))
        if found.plan is not None:
            self.do(self.ledger.start_grant(found.plan, 60, actor="somebody"))
            granted = self.do(self.ledger.granted(found, audit=SOMEBODY, jobs=lambda _: ()))
            assert granted == self.model.happens(request, Event.GRANTED)

    @rule(request=requests)
    def revoke(self, request: str) -> None:
        taken = self.do(self.ledger.taken_back(request, outcome="over", audit=SOMEBODY, jobs=()))
        assert taken == self.model.happens(request, Event.TAKEN_BACK)

    @rule(request=requests)
    def retry(self, request: str) -> None:
        retried = self.do(self.ledger.retry(request, audit=SOMEBODY, jobs=()))
        assert retried == self.model.happens(request, Event.RETRIED)

    @rule(request=requests)
    def change_the_plan(self, request: str) -> None:
        found = self.do(self.ledger.request(request))
        if found.plan is not None:
            ruling = a_ruling(approvals=self.model.needed[request])
            reopened = self.do(self.ledger.reopen(request, found.plan, ruling, audit=SOMEBODY, jobs=()))
            assert reopened == self.model.happens(request, Event.PLAN_CHANGED)
            self.model.approvals[request] -= self.model.approvals[request] if reopened else set()

    @invariant()
    def they_agree(self) -> None:
        for request, state in self.model.state.items():
            found = self.do(self.ledger.request(request))
            assert found.state is state
            approvals = {one.person_id for one in found.decisions if one.answer is Answer.APPROVE}
            assert len(approvals) == len(self.model.approvals[request])

    @invariant()
    def the_trail_is_whole(self) -> None:
        assert broken_link(self.do(self.ledger.events())) is None


TestTheLedgerAgreesWithItsModel = LedgerAndModel.TestCase
TestTheLedgerAgreesWithItsModel.settings = settings(
    max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
