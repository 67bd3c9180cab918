"""Acting: grant what was decided, and take it back. The only steps that change anything at a vendor's.

They run in the executor, which holds the writing credentials and nothing to talk to people with: whatever people are
told follows as jobs of the front. Decisions, plan and policy are checked here once more, right before the write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bot.core.lifecycle import Event, State
from bot.core.request import Grant, Plan, Request, Ruling
from bot.core.verdict import granted_minutes
from bot.errors import Fault, Refused
from bot.follows import BOT, CHANGED_JOBS
from bot.ledger import Audit, Due, Job, Ledger, written
from bot.planning import Planning, refusal
from bot.ports import Actor, Clock

REMOVED = "The access was removed and read back as gone."
GRANT_TRIES = 6
OVERDUE_AFTER = 3
TARGET_IS_BUSY = timedelta(seconds=0.5)


@dataclass(frozen=True, slots=True)
class Acting:
    """The executor's steps, and what they need."""

    ledger: Ledger
    actors: Mapping[str, Actor]
    planning: Planning
    clock: Clock

    # --- grant ------------------------------------------------------------------------------------------------------

    async def grant(self, job: Job) -> datetime | None:
        """Check the decisions, the plan and the policy once more; write; read back; only then say it is granted."""
        request = await self.ledger.with_target(job)
        if request is None:
            return self.clock.now() + TARGET_IS_BUSY
        if request.state is not State.APPROVED or request.plan is None:
            return None
        try:
            if not await self._still_as_approved(request, request.plan):
                return None
            await self._apply(request, request.plan)
        except Fault as fault:
            if job.attempts < GRANT_TRIES:
                raise
            await self._give_up(request, "The access could not be granted.", trouble=fault.what)
        return None

    async def _still_as_approved(self, request: Request, plan: Plan) -> bool:
        """Ask again; whatever has changed stops the grant."""
        try:
            fresh, ruling = await self.planning.before_acting(request)
        except Refused as refused:
            fresh, ruling = plan, refusal(refused)
        if not ruling.allowed:
            await self._refuse(request, ruling)
            return False
        if request.grant is not None:
            return True  # begun: what our own write changed is not another plan, and `apply` carries out the old one
        if fresh.digest != plan.digest:
            await self._ask_again(request, fresh, ruling)
            return False
        return True

    async def _refuse(self, request: Request, ruling: Ruling) -> None:
        """Nothing was written yet: refused. Something may have been: given up, so that it is taken away again."""
        if request.grant is None:
            await self.planning.refuse(request, ruling)
        else:
            await self._give_up(request, ruling.reason, trouble=ruling.rule)

    async def _ask_again(self, request: Request, plan: Plan, ruling: Ruling) -> None:
        """As at the beginning: with a page if there was none yet, and until the same deadline."""
        detail = {"digest": plan.digest, "rule": ruling.rule, "policy": self.planning.rules.digest}
        audit = Audit(BOT, "plan.changed", detail)
        jobs = (*CHANGED_JOBS, Due("expire", at=request.deadline))
        await self.ledger.reopen(request.id, plan, ruling, audit=audit, jobs=jobs)

    async def _apply(self, request: Request, plan: Plan) -> None:
        """Record, act, record. A write whose answer was lost is read back like any other."""
        actor = self.actors[request.entitlement.action]
        minutes = granted_minutes(request.decisions, minutes=request.minutes)
        covered = bool(await self.ledger.covered_by(plan.target, besides=request.id) and await actor.verify(plan))
        grant = await self.ledger.start_grant(plan, minutes, actor=BOT, writes=not covered)
        adds = not (grant.held_before or covered)
        if adds:
            await _write(actor, plan)
        if not (covered or await actor.verify(plan)):
            raise Fault("okta", "the access is not there after it was written")
        audit = Audit(BOT, "grant.verified", {**written(plan), "held_before": grant.held_before, "added": adds})
        await self.ledger.granted(request, audit=audit, jobs=_granted_jobs)

    async def _give_up(self, request: Request, reason: str, *, trouble: str) -> None:
        """Nobody is told that they have it; whatever may have been written is taken away again."""
        audit = Audit(BOT, "grant.failed", {"trouble": trouble})
        values = {"outcome": f"{reason} Whatever was written is being taken away; after that it can be retried."}
        jobs = (Due("card"), Due("dm"), Due("tell:outcome"), Due("end_note"), Due("revoke"))
        await self.ledger.move(request.id, Event.GAVE_UP, audit=audit, values=values, jobs=jobs)

    # --- take back --------------------------------------------------------------------------------------------------

    async def revoke(self, job: Job) -> datetime | None:
        """Take back what we added, read that it is gone, and only then say so. Never gives up."""
        request = await self.ledger.with_target(job)
        if request is None:
            return self.clock.now() + TARGET_IS_BUSY
        if request.state not in (State.ACTIVE, State.FAILED) or request.plan is None or request.grant is None:
            return None
        try:
            outcome = await self._take_back(request, request.plan, request.grant)
        except Fault as fault:
            if job.attempts >= OVERDUE_AFTER:
                await self._overdue(request, fault)
            raise
        jobs = (Due("card"), Due("dm"), Due("tell:ended"), Due("end_note"))
        removed = Audit(BOT, "grant.revoked", written(request.plan))
        ended = removed if outcome == REMOVED else Audit(BOT, "grant.ended", {"why": outcome})
        if request.state is State.FAILED:
            outcome = f"The access could not be granted, and nothing is left behind. {outcome} It can be tried again."
        await self.ledger.taken_back(request.id, outcome=outcome, audit=ended, jobs=jobs)
        return None

    async def _overdue(self, request: Request, fault: Fault) -> None:
        audit = Audit(BOT, "revoke.overdue", {"trouble": fault.what})
        await self.ledger.mark_overdue(request.id, audit=audit, jobs=(Due("card"), Due("dm"), Due("overdue_page")))

    async def _take_back(self, request: Request, plan: Plan, grant: Grant) -> str:
        if grant.held_before:
            return "It was held before the request, so nothing was removed."
        if other := await self.ledger.hand_over(request.id, actor=BOT):
            return f"{other} still covers the same access, so it stays until that ends."
        actor = self.actors[request.entitlement.action]
        await self.ledger.note_event(Audit(BOT, "revoke.writing", written(plan)), request=request.id)
        await actor.revoke(replace(plan, already=False))  # the grant says whether it is ours to remove
        if await actor.verify(plan):
            raise Fault("okta", "the access is still there after it was removed")
        return REMOVED


async def _write(actor: Actor, plan: Plan) -> None:
    """A write whose answer was lost may have been done: reading back tells."""
    try:
        await actor.apply(plan)
    except Fault as fault:
        if not fault.unknown:
            raise


def _granted_jobs(ends_at: datetime) -> Sequence[Due]:
    return (Due("revoke", at=ends_at), Due("card"), Due("dm"), Due("tell:outcome"), Due("resolve"))
