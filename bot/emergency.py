"""Stop, freeze, and take everything back: what must work when something is wrong.

Whoever may decide a request may stop it alone, before it is carried out or afterwards. An admin does the same for any
request, and for everything at once, from the command line. What is stopped is recorded first; the executor does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot import page
from bot.asides import Asides
from bot.authority import Attempt, Press
from bot.core.lifecycle import OPEN, STOPPABLE
from bot.core.request import Person, Place, Request
from bot.core.words import one_line
from bot.errors import Fault, Refused
from bot.follows import CLOSED_JOBS
from bot.journey import UNREADABLE, Journey
from bot.ledger import Audit, Due, Job, Ledger
from bot.ports import Message
from bot.slack import notices

FROZEN, THAWED = Due("frozen"), Due("thawed")
NEVER_GRANTED = (*CLOSED_JOBS, Due("announce:stopped"))
WAS_GRANTED = (Due("card"), Due("dm"), Due("tell:stopped"), Due("announce:stopped"), Due("end_note"))


async def stop(
    ledger: Ledger,
    request: Request,
    *,
    by: str,
    who: str,
    why: str = "",
    receipt: str = "",
    undecided: bool = False,
) -> None:
    """Never carry it out, or take it back now. `who` is how people are told of whoever stopped it, `by` their id.

    Whoever decides denies what is `undecided`; only an admin stops that too.
    """
    outcome = f"Stopped by {who}" + (f": {one_line(why, 500)}" if why else ".")
    audit = Audit(by, "request.stopped", {"receipt": receipt}, texts={"why": why} if why else {})
    jobs = {"never_granted": NEVER_GRANTED, "was_granted": WAS_GRANTED}
    if not await ledger.stop(request.id, outcome=outcome, audit=audit, undecided=undecided, **jobs):
        raise Refused(_nothing_to_stop(await ledger.request(request.id)), rule="stop#nothing")


def _nothing_to_stop(request: Request) -> str:
    if request.halted:
        return f"{request.id} is being taken back already. {request.outcome}"
    if request.state in STOPPABLE:
        return f"{request.id} has just changed; look at it and try again."
    if request.state in OPEN:
        return f"{request.id} is not decided yet: deny it instead."
    return f"There is nothing of {request.id} to stop: it is {request.state.value}."


async def stop_pressed(asides: Asides, request: Request, person: Person, press: Press) -> None:
    """*Stop* on the card."""
    who = f"{person.name} {page.WHERE[Place.SLACK]}"
    await stop(asides.journey.ledger, request, by=person.id, who=who, receipt=press.receipt)


@dataclass(frozen=True, slots=True)
class Emergency:
    """The front's steps."""

    journey: Journey

    async def stop(self, job: Job) -> datetime | None:
        """A comment that says so; like a decision, it counts if this person may, and is answered if not."""
        attempt, ledger = Attempt(**job.payload), self.journey.ledger
        request = await ledger.request(job.subject)
        if await ledger.has_counted(request.id, attempt.receipt):
            return None
        try:
            person = await self.journey.authority.responder_on_page(request, attempt.who)
            who = f"{person.name} {page.WHERE[Place.PAGERDUTY]}"
            await stop(ledger, request, by=person.id, who=who, receipt=attempt.receipt)
        except Refused as refused:
            await self.journey.refuse_answer(attempt, request, refused)
        except Fault as fault:
            if not fault.permanent:
                raise
            await self.journey.refuse_answer(attempt, request, Refused(UNREADABLE, rule="stop#unreadable"))
        return None

    async def frozen(self, job: Job) -> datetime | None:
        """Every channel in which requests are decided is told that nothing is granted for now."""
        freeze = await self.journey.ledger.last_freeze()
        if freeze is not None and freeze.thawed_at is None:
            await self._tell_channels(
                job, f"freeze/{freeze.number}", notices.frozen_notice(freeze.by, freeze.why), freeze.at
            )
        return None

    async def thawed(self, job: Job) -> datetime | None:
        """And that it goes on."""
        freeze = await self.journey.ledger.last_freeze()
        if freeze is not None and freeze.thawed_at is not None:
            message = notices.thawed_notice(freeze.thawed_by)
            await self._tell_channels(job, f"thaw/{freeze.number}", message, freeze.thawed_at)
        return None

    async def _tell_channels(self, job: Job, key: str, message: Message, since: datetime) -> None:
        """Each once: what an earlier try may have posted is looked for first."""
        for channel in self._channels():
            found = await self.journey.chat.find(channel, key=key, since=since) if job.attempts > 1 else None
            if found is None:
                await self.journey.chat.post(channel, message, key=key)

    def _channels(self) -> Sequence[str]:
        own = [one.channel for one in self.journey.rules.entitlements.values() if one.channel]
        return list(dict.fromkeys([self.journey.limits.responder_channel, *own]))
