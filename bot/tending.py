"""Steps that look after other steps: what keeps failing is told, what was overtaken is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.core.lifecycle import State
from bot.core.request import Grant, Plan, Request
from bot.errors import Fault
from bot.journey import BOT, Journey
from bot.ledger import Audit, Due, Job
from bot.ledger.kinds import kind_of
from bot.slack import troubles

STUCK = "stuck"
LOOK_AGAIN = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Tending:
    """Over the same ports as the story."""

    journey: Journey

    async def tell_stuck(self, job: Job, trouble: str) -> None:
        """A job that has failed so often is told in the channel, once, and goes on trying."""
        if kind_of(job.kind) is kind_of(STUCK):
            return
        words = troubles.stuck(job.subject, job.kind, trouble=trouble, tries=job.attempts)
        due = self._telling(job, job.subject, words, about=job.kind)
        await self.journey.ledger.accept("job.stuck", str(job.id), jobs=[due])

    def _telling(self, job: Job, subject: str, words: str, *, about: str = "") -> Due:
        since = self.journey.clock.now().isoformat()
        return Due(f"{STUCK}:{job.id}", payload={"words": words, "since": since, "about": about}, subject=subject)

    async def stuck(self, job: Job) -> datetime | None:
        """Tell the responder channel, once, what the program cannot put right by itself; not what is right by now.

        That the chat itself is away cannot be told there: what waits for it speaks for itself when it is back.
        """
        request, about = await self.journey.ledger.find(job.subject), job.payload["about"]
        if about and request is not None and about not in request.trouble:
            return None
        try:
            await self._post_once(job, (request and request.entitlement.channel) or self._channel)
        except Fault:
            if kind_of(about).lane != kind_of(STUCK).lane:
                raise
        return None

    @property
    def _channel(self) -> str:
        return self.journey.limits.responder_channel

    async def _post_once(self, job: Job, channel: str) -> None:
        chat, key = self.journey.chat, f"{job.subject}/{job.kind}"
        if await chat.find(channel, key=key, since=datetime.fromisoformat(job.payload["since"])) is None:
            await chat.post(channel, troubles.message(job.payload["words"]), key=key)

    async def look(self, job: Job) -> datetime | None:
        """A step that was overtaken may have written last: read what stands there now, and put it right."""
        request = await self.journey.ledger.request(job.subject)
        if request.plan is None or request.grant is None or request.grant.held_before:
            return None
        if request.state is State.APPROVED:
            return self.journey.clock.now() + LOOK_AGAIN  # whoever overtook it is at work
        there = await self.journey.actors[request.entitlement.action].verify(request.plan)
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
        return await self.journey.ledger.other_live_grant(grant.target, besides=request.id)

    async def _take_away(self, request: Request, plan: Plan) -> None:
        actor = self.journey.actors[request.entitlement.action]
        await actor.revoke(plan)
        if await actor.verify(plan):
            raise Fault("okta", "what an overtaken step had written is still there after it was removed")
        await self.journey.ledger.note_event(Audit(BOT, "grant.put_right", {"digest": plan.digest}), request=request.id)

    async def _tell_gone(self, job: Job, covered: str) -> None:
        """Nothing is given without somebody's decision: that it is gone is told."""
        due = self._telling(job, covered, troubles.gone(covered))
        await self.journey.ledger.note_event(Audit(BOT, "grant.found_gone"), request=covered, jobs=[due])
