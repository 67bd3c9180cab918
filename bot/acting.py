"""Acting: grant what was decided, and take it back. The only steps that change anything at a vendor's.

They run in the executor, which holds the writing credentials and nothing to talk to people with: whatever people are
told follows as jobs of the front. Decisions, plan and policy are checked here once more, right before the write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from bot.claims import only_while
from bot.core.lifecycle import Event, State
from bot.core.request import Grant, Plan, Request, Ruling
from bot.core.verdict import granted_minutes
from bot.errors import Fault, Refused
from bot.follows import BOT, CHANGED_JOBS, on_silence
from bot.ledger import Audit, Due, Job, Ledger, written
from bot.planning import Planning, refusal
from bot.ports import Actor, Clock
from bot.rules import Limits

REMOVED = "The access was removed and read back as gone."
GRANT_TRIES = 6
OVERDUE_AFTER = 3
MAY_BE_LEFT = (State.ACTIVE, State.FAILED, State.WITHDRAWN)
UNTIL_THAWED = timedelta(hours=1)
LATE_WRITE = timedelta(minutes=1)  # longer than a vendor may still work on what nobody waits for any more
FROZEN_JOBS = (Due("card"), Due("dm"), Due("tell:frozen"), Due("end_note"))


@dataclass(frozen=True, slots=True)
class Acting:
    """The executor's steps, and what they need."""

    ledger: Ledger
    actors: Mapping[str, Actor]
    planning: Planning
    limits: Limits
    clock: Clock

    # --- grant ------------------------------------------------------------------------------------------------------

    async def grant(self, job: Job) -> datetime | None:
        """Check the decisions, the plan and the policy once more; write; read back; only then say it is granted."""
        request = await self.ledger.with_target(job)
        if request.state is not State.APPROVED or request.plan is None:
            return None
        try:
            if not await self._still_as_approved(request, request.plan):
                return None
            return await self._apply(request, request.plan)
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
        audit = Audit(BOT, "plan.changed", self.planning.told(plan, ruling))
        silence = self.limits.on_silence(request, request.entitlement, self.clock.now())
        jobs = (*CHANGED_JOBS, Due("expire", at=request.deadline), *on_silence(silence))
        await self.ledger.reopen(request.id, plan, ruling, audit=audit, jobs=jobs)

    async def _apply(self, request: Request, plan: Plan) -> datetime | None:
        """Record, act, record. A write whose answer was lost is read back like any other."""
        actor = self.actors[request.entitlement.action]
        minutes = granted_minutes(request.decisions, minutes=request.minutes)
        covered = bool(await self.ledger.covered_by(plan.target, besides=request.id) and await actor.verify(plan))
        grant = await self.ledger.start_grant(plan, minutes, actor=BOT, writes=not covered)
        if grant is None:
            return await self._halted(request, actor, plan)
        if request.grant is not None:
            await self._look_later(request.id)
        adds = not (grant.held_before or covered)
        receipt = await self._give(actor, plan) if adds else ""
        if not (covered or await actor.verify(plan)):
            raise Fault("okta", "the access is not there after it was written")
        await self._verified(request, plan, grant, added=adds, receipt=receipt)
        return None

    async def _verified(self, request: Request, plan: Plan, grant: Grant, *, added: bool, receipt: str = "") -> None:
        minutes = granted_minutes(request.decisions, minutes=request.minutes)
        detail = {**written(plan), "held_before": grant.held_before, "added": added, "receipt": receipt}
        audit = Audit(BOT, "grant.verified", detail)
        await self.ledger.granted(request, audit=audit, jobs=partial(self._granted_jobs, minutes))

    def _granted_jobs(self, minutes: int, ends_at: datetime) -> Sequence[Due]:
        warned = Due("warn", at=self.limits.patience.warns_at(ends_at, minutes))
        return (Due("revoke", at=ends_at), warned, Due("card"), Due("dm"), Due("tell:outcome"), Due("resolve"))

    async def _halted(self, request: Request, actor: Actor, plan: Plan) -> datetime | None:
        """Stopped: there is nothing left to do. Frozen: it waits for the thaw, which makes it due at once.

        What was written before the freeze and is there gets its end: only then is it taken back on time.
        """
        freeze = await self.ledger.frozen()
        if freeze is None:
            return None
        if request.grant is not None and await actor.verify(plan):
            await self._verified(request, plan, request.grant, added=not request.grant.held_before)
            return None
        once, audit = f"{request.id}/{freeze.number}", Audit(BOT, "grant.frozen", {"freeze": freeze.number})
        await self.ledger.accept("grant.frozen", once, request=request.id, audit=audit, jobs=FROZEN_JOBS)
        return self.clock.now() + UNTIL_THAWED

    async def _give_up(self, request: Request, reason: str, *, trouble: str) -> None:
        """Nobody is told that they have it; whatever may have been written is taken away again."""
        audit = Audit(BOT, "grant.failed", {"trouble": trouble})
        values = {"outcome": f"{reason} Whatever was written is being taken away; after that it can be retried."}
        closing = Due("resolve", at=request.deadline)
        jobs = (Due("card"), Due("dm"), Due("tell:outcome"), Due("end_note"), Due("revoke"), closing)
        await self.ledger.move(request.id, Event.GAVE_UP, audit=audit, values=values, jobs=jobs)

    # --- take back --------------------------------------------------------------------------------------------------

    async def revoke(self, job: Job) -> datetime | None:
        """Take back what we added, read that it is gone, and only then say so. Never gives up."""
        request = await self.ledger.with_target(job)
        if request.state not in MAY_BE_LEFT or request.plan is None or request.grant is None:
            return None
        if request.grant.revoked_at is not None:
            return None  # done before a crash: what is there since then is not ours
        try:
            outcome, ended = await self._take_back(request, request.plan, request.grant)
        except Fault as fault:
            if job.attempts >= OVERDUE_AFTER:
                await self._overdue(request, fault)
            raise
        jobs = [Due("card"), Due("dm"), Due("tell:ended"), Due("end_note")]
        if request.revoke_overdue:
            jobs.append(Due("overdue_page"))
        if request.state is State.FAILED:
            outcome = f"The access could not be granted, and nothing is left behind. {outcome} It can be tried again."
        elif request.outcome:  # who stopped it, and what came of that
            outcome = f"{request.outcome.removesuffix(outcome).strip()} {outcome}"
        await self.ledger.taken_back(request.id, outcome=outcome, audit=ended, jobs=jobs)
        return None

    async def _overdue(self, request: Request, fault: Fault) -> None:
        audit = Audit(BOT, "revoke.overdue", {"trouble": fault.what})
        await self.ledger.mark_overdue(request.id, audit=audit, jobs=(Due("card"), Due("dm"), Due("overdue_page")))

    async def _take_back(self, request: Request, plan: Plan, grant: Grant) -> tuple[str, Audit]:
        """How it ended, in words and for the trail."""
        if grant.held_before:
            return _stays("It was held before the request, so nothing was removed.")
        if other := await self.ledger.hand_over(request.id, actor=BOT):
            return _stays(f"{other} still covers the same access, so it stays until that ends.")
        actor = self.actors[request.entitlement.action]
        await self.ledger.note_event(Audit(BOT, "revoke.writing", written(plan)), request=request.id)
        try:
            receipt = await actor.revoke(replace(plan, already=False))  # the grant says whether it is ours to remove
        except Fault as fault:
            if fault.unknown:
                await self._look_later(request.id)
            raise
        if await actor.verify(plan):
            raise Fault("okta", "the access is still there after it was removed")
        if other := await self.ledger.covered_by(grant.target, besides=request.id):
            await self.ledger.schedule(other, [Due("restore")])  # granted meanwhile, although we held the target
        return REMOVED, Audit(BOT, "grant.revoked", {**written(plan), "receipt": receipt})

    async def restore(self, job: Job) -> datetime | None:
        """What a removal for another request may have taken along is read, and put back while it is still granted."""
        request = await self.ledger.with_target(job)
        if request.state is not State.ACTIVE or request.plan is None or not _lasts(request.grant, self.clock.now()):
            return None
        actor = self.actors[request.entitlement.action]
        if await actor.verify(request.plan):
            return None
        if await self.ledger.frozen():
            return self.clock.now() + UNTIL_THAWED
        await self.ledger.note_event(Audit(BOT, "grant.writing", written(request.plan)), request=request.id)
        receipt = await self._give(actor, request.plan)
        if not await actor.verify(request.plan):
            raise Fault("okta", "the access is not there after it was put back")
        restored = {"digest": request.plan.digest, "receipt": receipt}
        await self.ledger.note_event(Audit(BOT, "grant.restored", restored), request=request.id)
        return None

    async def _give(self, actor: Actor, plan: Plan) -> str:
        """Write, unless it was stopped or frozen at the last moment; the vendor's own id of the call.

        After a lost answer reading back tells.
        """
        try:
            with only_while(partial(self.ledger.may_be_given, plan.request_id)):
                return await actor.apply(plan)
        except Fault as fault:
            if not fault.unknown:
                raise
            await self._look_later(plan.request_id)
        return ""

    async def _look_later(self, request: str) -> None:
        """What nobody heard the end of may come into force after all that follows: that is read, and put right."""
        await self.ledger.schedule(request, [Due("look", at=self.clock.now() + LATE_WRITE)])


def _stays(why: str) -> tuple[str, Audit]:
    return why, Audit(BOT, "grant.ended", {"why": why})


def _lasts(grant: Grant | None, now: datetime) -> bool:
    """Whether it is ours and not due to be taken back."""
    return grant is not None and not grant.held_before and grant.lasts(now)
