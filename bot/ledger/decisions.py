"""Decisions, codes and questions: each counted once, in one transaction with what follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import (
    Connection,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from bot.claims import Busy
from bot.core.lifecycle import Event, State
from bot.core.request import (
    Answer,
    Decision,
    Plan,
    Request,
    Ruling,
)
from bot.core.verdict import Tally, tally
from bot.errors import Refused
from bot.ledger import tables as t
from bot.ledger.database import Audit, Due
from bot.ledger.queue import Job
from bot.ledger.requests import Requests, number_of

_DECIDE = "decide:"
_EARLIER = (
    select(t.jobs.c.id)
    .where(t.jobs.c.subject == bindparam("r"), t.jobs.c.kind.startswith(_DECIDE, autoescape=True))
    .where(t.jobs.c.id < bindparam("job"), t.jobs.c.trouble == "")
    .limit(1)
)
_NEXT_ROUND = update(t.requests).where(t.requests.c.number == bindparam("n")).values(round=t.requests.c.round + 1)


class Decisions(Requests):
    """What people answered."""

    async def decide(
        self,
        decision: Decision,
        *,
        code: str = "",
        approved_jobs: Sequence[Due],
        closed_jobs: Sequence[Due],
        jobs: Sequence[Due],
        job: Job | None = None,
    ) -> Tally | None:
        """Count one person's answer, in one transaction with its outcome; None when it came too late or twice.

        `Busy` while an answer that was taken before that of `job` is not counted yet, unless it is in trouble: a denial
        is not overtaken by an approval that was written after it. `approved_jobs` follow an approval that completes the
        quorum, `closed_jobs` a denial, `jobs` an answer that leaves the request waiting. A `code` must be unused, and
        is used up.
        """
        return await self._change(lambda c: self._decide(c, decision, code, approved_jobs, closed_jobs, jobs, job))

    def _decide(
        self,
        c: Connection,
        decision: Decision,
        code: str,
        approved_jobs: Sequence[Due],
        closed_jobs: Sequence[Due],
        jobs: Sequence[Due],
        job: Job | None,
    ) -> Tally | None:
        self._hold(c, decision.request_id)  # or two approvers at once would each count one answer
        if job is not None and c.execute(_EARLIER, {"r": decision.request_id, "job": job.id}).scalar() is not None:
            raise Busy
        request = self._load(c, decision.request_id)
        if not _may_still_be_decided(request, decision) or not self._record_decision(c, request, decision):
            return None
        if code:
            self._use_code(c, decision, code)
        needed = request.ruling.approvals if request.ruling else 1
        counted = tally((*request.decisions, decision), needed=needed, minutes=request.minutes)
        audit = _told(decision, request)
        if counted.outcome == "approved":
            self._move(c, request.id, Event.APPROVED, audit, {}, approved_jobs)
        elif counted.outcome == "denied":
            closing = {"outcome": decision.reason, "closed_at": decision.at}
            self._move(c, request.id, Event.DENIED, audit, closing, closed_jobs)
        else:
            self._append(c, request.id, audit)
            self._schedule(c, request.id, jobs)
        self._schedule(c, request.id, self.after_decision)
        return counted

    def _record_decision(self, c: Connection, request: Request, decision: Decision) -> bool:
        if any(earlier.person_id == decision.person_id for earlier in request.decisions):
            return False
        row = {
            "request_id": request.id,
            "round": request.round,
            "person_id": decision.person_id,
            "name": decision.name,
            "answer": decision.answer.value,
            "place": decision.place.value,
            "digest": decision.digest,
            "minutes": decision.minutes,
            "reason": decision.reason,
            "receipt": decision.receipt,
            "at": decision.at,
        }
        c.execute(insert(t.decisions), row)
        return True

    def _use_code(self, c: Connection, decision: Decision, code: str) -> None:
        mine = (t.codes.c.request_id == decision.request_id) & (t.codes.c.person_id == decision.person_id)
        live = mine & (t.codes.c.code == code) & (t.codes.c.digest == decision.digest) & t.codes.c.used_at.is_(None)
        if c.execute(update(t.codes).where(live).values(used_at=decision.at)).rowcount != 1:
            raise Refused(
                "This code is not yours, was used already, or is for an older plan. Use the newest one sent to you.",
                rule="invariant#code",
            )
        self._append(c, decision.request_id, Audit(decision.person_id, "code.used", {"digest": decision.digest}))

    async def give_code(self, request: str, person: str, digest: str, code: str) -> str:
        """The one-time code of a person for a plan: the one that they have, or this new one."""

        def work(c: Connection) -> str:
            mine = (t.codes.c.request_id == request) & (t.codes.c.person_id == person) & (t.codes.c.digest == digest)
            held = c.execute(select(t.codes.c.code).where(mine)).scalar()
            if held is None:
                c.execute(insert(t.codes), {"request_id": request, "person_id": person, "digest": digest, "code": code})
                self._append(c, request, Audit("tinyapprover", "code.given", {"to": person, "digest": digest}))
            return str(held or code)

        return await self._run(work)

    async def reopen(self, request: str, plan: Plan, ruling: Ruling, *, audit: Audit, jobs: Sequence[Due]) -> bool:
        """The plan is no longer the one that was approved: back to pending, in a new round of decisions.

        Codes and what the page showed belong to the round before, even if the plan becomes the old one again.
        """
        values = {"plan": plan, "ruling": ruling, "planned_at": self._now()}

        def work(c: Connection) -> bool:
            moved = self._move(c, request, Event.PLAN_CHANGED, audit, values, jobs)
            if moved:
                c.execute(_NEXT_ROUND, {"n": number_of(request)})
                c.execute(delete(t.codes).where(t.codes.c.request_id == request))
                c.execute(update(t.incidents).where(t.incidents.c.request_id == request).values(digest=""))
            return moved

        return await self._change(work)

    async def ask(
        self,
        request: str,
        asked_by: str,
        text: str,
        *,
        receipt: str,
        audit: Audit,
        jobs: Callable[[int], Sequence[Due]],
    ) -> int:
        """Store a responder's question, once for each receipt; its id, which the jobs that follow are told."""
        row = {"request_id": request, "asked_by": asked_by, "text": text, "receipt": receipt}

        def work(c: Connection) -> int:
            known = c.execute(select(t.questions.c.id).where(t.questions.c.receipt == receipt)).scalar()
            if known is not None:
                return int(known)
            key = c.execute(insert(t.questions), {**row, "asked_at": self._now()}).inserted_primary_key
            number = int(key[0]) if key else 0
            self._append(c, request, audit)
            self._schedule(c, request, jobs(number))
            return number

        return await self._change(work)

    async def answer(self, question: int, text: str, *, request: str, audit: Audit, jobs: Sequence[Due]) -> bool:
        """Store the answer to a question, once."""

        def work(c: Connection) -> bool:
            open_question = (
                (t.questions.c.id == question) & (t.questions.c.request_id == request) & (t.questions.c.answer == "")
            )
            if c.execute(update(t.questions).where(open_question).values(answer=text)).rowcount != 1:
                return False
            self._append(c, request, audit)
            self._schedule(c, request, jobs)
            return True

        return await self._change(work)


def _may_still_be_decided(request: Request, decision: Decision) -> bool:
    """A denial counts from the start; an approval only while pending, and only for the plan as it is now."""
    if decision.at >= request.deadline:
        return False
    if decision.answer is Answer.DENY:
        return request.state in (State.RECEIVED, State.PENDING)
    return request.decidable and request.plan is not None and request.plan.digest == decision.digest


def _told(decision: Decision, request: Request) -> Audit:
    """The event of a decision: by what authority, for which plan, and in whose words."""
    approvers = request.entitlement.approvers
    detail = {
        "place": decision.place.value,
        "digest": decision.digest,
        "minutes": decision.minutes,
        "receipt": decision.receipt,
        "group": approvers.group,
        "on_call": approvers.escalation_policy,
    }
    texts = {"name": decision.name, "reason": decision.reason}
    return Audit(decision.person_id, f"decision.{decision.answer}", detail, texts)
