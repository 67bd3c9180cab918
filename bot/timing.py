"""What time does to a request beside its story: reminders, passing on, warnings before the end, overdue removals.

Each step is a job that was due at its time. It may run much later, after an outage or with another clock, so it does
only what is still true, and once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot import page
from bot.asides import PASSED_ON, Asides
from bot.core.lifecycle import OPEN, State
from bot.core.request import Request
from bot.follows import BOT
from bot.journey import Journey
from bot.ledger import Audit, Due, Job
from bot.ports import Pager
from bot.slack import notices

AGAIN_SOON = timedelta(minutes=1)
OVERDUE_PAGED = "page.overdue"


@dataclass(frozen=True, slots=True)
class Timing:
    """Steps beside the story, over the same ports."""

    journey: Journey
    asides: Asides

    # --- nobody answers ---------------------------------------------------------------------------------------------

    async def remind(self, job: Job) -> datetime | None:
        """The channel is reminded once; not when it is due to be passed on already, which says more."""
        request = await self.journey.ledger.request(job.subject)
        if self._still_waits(request) and self.journey.clock.now() < datetime.fromisoformat(job.payload["until"]):
            await self._announce(job, request, "remind")
        return None

    async def silence(self, job: Job) -> datetime | None:
        """The next level is paged, and the channel is told, once."""
        request, journey = await self.journey.ledger.request(job.subject), self.journey
        if journey.pager is None or not self._still_waits(request):
            return None
        if (at := await self._heard_nothing(request)) > journey.clock.now():
            return at
        await self._announce(job, request, "silence")
        audit = Audit(BOT, PASSED_ON, {"incident": request.incident_id, "why": "silence"})
        once = f"{request.id}/{request.round}"
        await journey.ledger.accept("silence", once, request=request.id, audit=audit, jobs=(Due("escalate"),))
        return None

    async def _heard_nothing(self, request: Request) -> datetime:
        """When those who were paged first have been silent for long enough, however late their page was."""
        paged = await self.journey.ledger.paged(request.id)
        if paged is None:
            return self.journey.clock.now() + AGAIN_SOON
        return paged.shown_at + self.journey.limits.patience.escalate_after(request.entitlement)

    async def fallback(self, job: Job) -> datetime | None:
        """From now on the fallback group that the catalogue names decides as well; each of them is told."""
        request, journey = await self.journey.ledger.request(job.subject), self.journey
        named = request.entitlement.fallback
        if named is None or not self._still_waits(request):
            return None
        if request.state is State.RECEIVED:
            return journey.clock.now() + AGAIN_SOON  # there is no plan that they could decide
        audit = Audit(BOT, "request.fallback", {"group": named.group})
        jobs = (Due("card"), Due("dm"), Due("codes"), Due("fallback_people"))
        opened = await journey.ledger.open_to(request.id, named.group, audit=audit, jobs=jobs)
        if opened or named.group in request.deciding_groups:
            await self._announce(job, request, "fallback")
        return None

    async def fallback_people(self, job: Job) -> datetime | None:
        """Who in the fallback group is to be told."""
        request, journey = await self.journey.ledger.request(job.subject), self.journey
        if request.ruling is not None and request.ruling.fallback_group:
            people = await self.asides.linked_members(request, request.ruling.fallback_group)
            await journey.ledger.schedule(request.id, [Due(f"nudge:{person.id}") for person in people])
        return None

    async def nudge(self, job: Job) -> datetime | None:
        """One person of the fallback group hears where the card is."""
        journey = self.journey
        request, shown = await journey.ledger.to_show(job.subject, "card")
        person = await journey.ledger.person(job.kind.partition(":")[2])
        if person is None or person.slack_user is None or not self._still_waits(request):
            return None
        once = f"nudge:{person.id}:{request.round}"
        if await journey.ledger.shown(request.id, once) is None:
            message = notices.decide_as_fallback(request, card=journey.showing.link(shown))
            await journey.showing.to_person(job, request, once, message, user=person.slack_user)
        return None

    def _still_waits(self, request: Request) -> bool:
        return request.state in OPEN and self.journey.clock.now() < request.deadline

    async def _announce(self, job: Job, request: Request, what: str) -> None:
        """In the responder channel, under the card, once for each round of decisions."""
        once = f"{what}:{request.round}"
        if await self.journey.ledger.shown(request.id, once) is not None:
            return
        card = await self.journey.ledger.shown(request.id, "card")
        message = notices.waits(request, what, card=self.journey.showing.link(card))
        await self.journey.showing.to_responders(job, request, once, message, None)

    async def listing(self, job: Job) -> datetime | None:
        """The page that lists what is too many; the job's subject is the incident."""
        pager = self.journey.pager
        return await self.journey.flood.close(job.subject, pager) if pager is not None else None

    # --- it ends soon -----------------------------------------------------------------------------------------------

    async def warn(self, job: Job) -> datetime | None:
        """Whoever holds the access hears that it ends, unless another grant goes on with it."""
        request, journey = await self.journey.ledger.request(job.subject), self.journey
        ends_at = request.grant.ends_at if request.grant else None
        user = request.beneficiary.slack_user or request.requester.slack_user
        if request.state is not State.ACTIVE or ends_at is None or user is None or journey.clock.now() >= ends_at:
            return None
        if await journey.ledger.shown(request.id, "ending") is None and not await self._goes_on(request, ends_at):
            await journey.showing.to_person(job, request, "ending", notices.ends_soon(request, ends_at), user=user)
        return None

    async def _goes_on(self, request: Request, ends_at: datetime) -> bool:
        target = request.grant.target if request.grant else ""
        other = await self.journey.ledger.covered_by(target, besides=request.id)
        grant = (await self.journey.ledger.request(other)).grant if other else None
        return grant is not None and (grant.ends_at is None or grant.ends_at > ends_at)

    # --- access that should be gone ---------------------------------------------------------------------------------

    async def overdue_page(self, job: Job) -> datetime | None:
        """Access that should be gone and is not wakes somebody, again and again; gone at last, those pages close."""
        request, journey = await self.journey.ledger.request(job.subject), self.journey
        if journey.pager is None:
            return None
        events = await journey.ledger.events(request.id)
        opened = [str(event.detail["incident"]) for event in events if event.what == OVERDUE_PAGED]
        if not request.revoke_overdue:
            await self._close(request, opened, journey.pager)
            return None
        incident = await journey.pager.open_incident(page.overdue(request, len(opened)), look_first=job.attempts > 1)
        await journey.ledger.note_event(Audit(BOT, OVERDUE_PAGED, {"incident": incident.id}), request=request.id)
        return journey.clock.now() + journey.limits.patience.repage

    async def _close(self, request: Request, incidents: Sequence[str], pager: Pager) -> None:
        for incident in incidents:
            await self.journey.note(request.id, incident, page.outcome_note(request))
            await pager.resolve(incident)
