"""A step that was overtaken, or not answered, is looked at: what it wrote last is read, and put right.

A step of the executor's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bot.core.lifecycle import State
from bot.core.request import Grant, Plan, Request
from bot.errors import Fault
from bot.follows import BOT
from bot.ledger import Audit, Job, Ledger, written
from bot.ports import Actor, Clock
from bot.stuck import news

LOOK_AGAIN = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Looking:
    """Over the same ports as acting."""

    ledger: Ledger
    actors: Mapping[str, Actor]
    clock: Clock

    async def look(self, job: Job) -> datetime | None:
        """A step that was overtaken or not answered may have written last: read what stands there, and put it right."""
        request = await self.ledger.with_target(job)
        if request.plan is None or request.grant is None or request.grant.held_before:
            return None
        if request.state is State.APPROVED:
            return self.clock.now() + LOOK_AGAIN  # whoever overtook it is at work
        if request.state is State.ACTIVE and not request.grant.lasts(self.clock.now()):
            return None  # it is due to be taken back, and that looks by itself
        there = await self.actors[request.entitlement.action].verify(request.plan)
        covered = await self._covered(request, request.grant)
        if there and not covered:
            await self._take_away(request, request.plan)
        if covered and not there:
            await self._tell_gone(job, covered)
        return None

    async def _covered(self, request: Request, grant: Grant) -> str | None:
        """The request under which the access is held rightly: this one, or another of the same access."""
        if request.state is State.ACTIVE:
            return request.id
        return await self.ledger.covered_by(grant.target, besides=request.id)

    async def _take_away(self, request: Request, plan: Plan) -> None:
        actor = self.actors[request.entitlement.action]
        await self.ledger.note_event(Audit(BOT, "revoke.writing", written(plan)), request=request.id)
        receipt = await actor.revoke(replace(plan, already=False))  # the grant says whether it is ours to remove
        if await actor.verify(plan):
            raise Fault("okta", "what a step had written late is still there after it was removed")
        put_right = Audit(BOT, "grant.put_right", {**written(plan), "receipt": receipt})
        await self.ledger.note_event(put_right, request=request.id)

    async def _tell_gone(self, job: Job, covered: str) -> None:
        """Nothing is given without somebody's decision: that it is gone is told."""
        told = news(self.clock, job, covered, gone=covered)
        await self.ledger.note_event(Audit(BOT, "grant.found_gone"), request=covered, jobs=[told])
