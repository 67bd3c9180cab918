"""The story of one request: receive, gather, advise, present, decide, act, end.

Acting is the executor's part, see `bot.acting`; everything else happens here.

Every step is a job of its own (see `bot.jobs`): it reads the request, does one thing, and records what came of it
together with the jobs that follow. Any step may run twice, or again after a crash; none of them believes a click.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from bot import advice, evidence, page
from bot.abuse import Doorkeeper, Flood
from bot.authority import Attempt, Authority
from bot.core.lifecycle import OPEN, Event, State
from bot.core.request import Draft, Place, Question, Request, Standing
from bot.errors import Fault, Refused
from bot.follows import APPROVED_JOBS, BOT, CLOSED_JOBS, PAGED_JOBS, on_silence
from bot.ledger import Audit, Due, Job, Ledger
from bot.planning import Planning, refusal
from bot.ports import Adviser, Chat, Clock, Directory, Pager, Source
from bot.quoting import Quoting
from bot.rules import Limits, Rules
from bot.showing import Showing, occasion
from bot.slack import cards, forms, notices
from bot.slack.blocks import escape
from policies.rules import may_ask

log = logging.getLogger(__name__)

CARD_NOTE_EVERY = timedelta(seconds=30)
LOOK_AGAIN = timedelta(seconds=20)  # whether what could not be checked may be quoted
PLAN_FIRST = timedelta(seconds=0.2)
AFTER_THE_CARD = timedelta(seconds=0.2)  # who has just asked can wait; who is to decide should not
FIRST_READING = timedelta(seconds=5)  # nobody has commented before
WHISPERED, A_MOMENT = "slack.whispered", timedelta(seconds=30)  # a double click is answered once
UNDECIDED_IN_TIME = "Nobody decided in time."
UNPLANNED = "The plan could not be read in time, so nobody could decide."
UNREADABLE = (
    "What has to be checked before your answer counts cannot be read, and trying again would not help, so nothing is "
    "decided by it. Ask an admin to look at your accounts."
)
UNDECIDED = OPEN | {State.APPROVED}  # the page stays open


@dataclass(frozen=True, slots=True)
class Journey:
    """The steps, and what they need: the ledger, the ports, and what the rest of the program knows."""

    ledger: Ledger
    chat: Chat
    directory: Directory
    sources: Sequence[Source]
    rules: Rules
    limits: Limits
    planning: Planning
    authority: Authority
    showing: Showing
    doorkeeper: Doorkeeper
    flood: Flood
    clock: Clock
    home_team: str
    quoting: Quoting
    pager: Pager | None = None
    adviser: Adviser | None = None

    # --- 1. receive -------------------------------------------------------------------------------------------------

    async def receive(self, draft: Draft, requester: Standing, beneficiary: Standing) -> str:
        """Refuse with a reason the person can act on, or store the request: one commit, before anything is said."""
        self.doorkeeper.check_room()
        draft = replace(draft, department=requester.department)
        entitlement = self.rules.entitlements.get(draft.entitlement)
        if entitlement is None:
            raise Refused("Choose what you need from the list.", field=forms.ACCESS, rule="intake#access")
        ruling = self.rules.at_submission(draft, entitlement, requester, beneficiary)
        if not ruling.allowed:
            field = forms.field_of(ruling.rule, may_ask=may_ask(entitlement, requester))
            raise Refused(ruling.reason, field=field, rule=ruling.rule)
        begins = self.limits.asked_from(draft, entitlement, self.clock.now())
        deadline = begins + self.limits.request_lifetime
        if draft.extends is not None:
            deadline = min(deadline, draft.extends.ends_at)
        jobs = [Due("card"), Due("plan"), Due("gather"), Due("dm", at=self.clock.now() + AFTER_THE_CARD)]
        jobs += on_silence(self.limits.on_silence(draft, entitlement, self.clock.now()))
        admit = partial(self.doorkeeper.admit, entitlement)
        try:
            return await self.ledger.receive(draft, entitlement, deadline=deadline, jobs=jobs, admit=admit)
        except Refused as refused:
            raise await self.doorkeeper.with_link(refused) from None

    async def plan(self, job: Job) -> datetime | None:
        """What exactly would change, and what policy says of it with fresh readings: then it can be decided."""
        request = await self.ledger.request(job.subject)
        if request.state is not State.RECEIVED:
            return None
        try:
            plan, ruling = await self.planning.before_deciding(request)
        except Refused as refused:
            await self.planning.refuse(request, refusal(refused))
            return None
        if not ruling.allowed:
            await self.planning.refuse(request, ruling)
            return None
        audit = Audit(BOT, "request.planned", self.planning.told(plan, ruling))
        values = {"plan": plan, "ruling": ruling, "planned_at": self.clock.now()}
        jobs = (Due("card"), Due("page"), Due("plan_note"), Due("dm", at=self.clock.now() + AFTER_THE_CARD))
        await self.ledger.move(request.id, Event.PLANNED, audit=audit, values=values, jobs=jobs)
        return None

    # --- 2. gather --------------------------------------------------------------------------------------------------

    async def gather(self, job: Job) -> datetime | None:
        """Ask every source at once, each with its own deadline; a silent one becomes a line that says so."""
        request = await self.ledger.request(job.subject)
        if request.evidence is not None:
            return None
        found = await evidence.gather(self.sources, request, seconds=self.limits.evidence_seconds)
        found = replace(found, gathered_at=self.clock.now())
        detail = {"digest": found.digest, "facts": len(found.facts), "silent": list(found.silent)}
        audit = Audit(BOT, "evidence.gathered", detail)
        jobs = (Due("card"), Due("page"), Due("advise"))
        await self.ledger.record(request.id, audit=audit, values={"evidence": found}, jobs=jobs)
        return None

    # --- 3. advise --------------------------------------------------------------------------------------------------

    async def advise(self, job: Job) -> datetime | None:
        """Ask the model, if there is one. Whatever it says or fails to say changes nothing that follows."""
        request = await self.ledger.request(job.subject)
        if request.advice is not None or request.evidence is None:
            return None
        given = await advice.ask(self.adviser, request, request.evidence, self.rules.advice_prompt)
        said = {"leaning": given.leaning, "model": given.model, "note": given.note}
        audit = Audit(BOT, "advice.given", {**said, "digest": given.digest, "prompt": given.prompt_digest})
        jobs = (Due("card"), Due("advice_note"))
        await self.ledger.record(request.id, audit=audit, values={"advice": given}, jobs=jobs)
        return None

    # --- 4. present -------------------------------------------------------------------------------------------------

    async def card(self, job: Job) -> datetime | None:
        """Make the card say what the record says: post it, find it again after a lost answer, or draw it anew."""
        request, shown = job.reading or await self.ledger.to_show(job.subject, "card")
        if shown is not None and (at := self._plan_first(request)) is not None:
            return at
        request, again = await self.quoting.on_card(request)
        message = cards.card(request, page_url=request.incident_url)
        await self.showing.to_responders(job, request, "card", message, shown)
        return self.clock.now() + LOOK_AGAIN if again else None

    def _plan_first(self, request: Request) -> datetime | None:
        """Evidence that came a moment before the plan is shown with it: an update under way would hold that one up."""
        if request.state is not State.RECEIVED or request.evidence is None or request.evidence.gathered_at is None:
            return None
        at = request.evidence.gathered_at + PLAN_FIRST
        return at if at > self.clock.now() else None

    async def dm(self, job: Job) -> datetime | None:
        """Keep the requester's own message true to the record."""
        request, shown = await self.ledger.to_show(job.subject, "dm")
        await self.showing.to_requester(job, request, "dm", cards.requester_card(request), shown)
        return None

    async def page(self, job: Job) -> datetime | None:
        """Open the incident when the evidence is there or its deadline has passed; its text cannot be changed later."""
        request, shown = await self.ledger.to_show(job.subject, "card")
        if self.pager is None or request.incident_id:
            return None
        if request.state not in OPEN:
            await self._find_page(job, request, self.pager)
            return None
        if (at := self._page_at(request)) > self.clock.now():
            return at if at < request.deadline else None
        if (again := await self.flood.holds_back(request, self.pager, card=self.showing.link(shown))) is not None:
            return again
        request = await self.quoting.for_everybody(request)
        whole = page.about(request, card=self.showing.link(shown))
        incident = await self.pager.open_incident(whole, look_first=job.attempts > 1)
        jobs = [Due("card"), Due("poll", at=self.clock.now() + FIRST_READING), *PAGED_JOBS]
        if shown is None:
            jobs.append(Due("card_note"))
        evidence = request.evidence.digest if request.evidence else ""
        digest, asked = plan_paged(job, request), asked_on_page(job, request)
        await self.ledger.record_incident(
            request.id, incident, digest=digest, evidence=evidence, jobs=jobs, asked=asked
        )
        return None

    def _page_at(self, request: Request) -> datetime:
        """With plan and evidence, or at their deadline; what can wait, or is never to wake anybody, later."""
        complete = request.evidence is not None and request.state is not State.RECEIVED
        ready = request.created_at + timedelta(seconds=0 if complete else self.limits.evidence_seconds)
        return max(ready, self.limits.asked_from(request, request.entitlement, request.created_at))

    async def _find_page(self, job: Job, request: Request, pager: Pager) -> None:
        """A page whose answer was lost, of a request that was decided meanwhile, is found so that it gets closed."""
        if job.attempts > 1 and (incident := await pager.find(request.id)) is not None:
            await self.ledger.record_incident(request.id, incident, digest="", jobs=(Due("card"), Due("resolve")))

    async def plan_note(self, job: Job) -> datetime | None:
        """A plan that became known, or changed, after the page went out is added to it, and counts from then on."""
        request, paged = await self.ledger.request(job.subject), await self.ledger.paged(job.subject)
        if self.pager is None or paged is None or request.decidable_digest in ("", paged.digest):
            return None
        await self.note(request.id, paged.incident_id, page.plan_note(request))
        await self.ledger.schedule(request.id, [Due("codes"), Due("poll")])
        await self.ledger.plan_on_incident(request.id, request.decidable_digest)
        return None

    async def card_note(self, job: Job) -> datetime | None:
        """A page that went out before the card could be posted is told where it is, once it is there."""
        request, shown = await self.ledger.to_show(job.subject, "card")
        if self.pager is None or not request.incident_id or request.state not in OPEN:
            return None
        if shown is None:
            return self.clock.now() + CARD_NOTE_EVERY
        await self.note(request.id, request.incident_id, page.card_note(request, self.chat.link(shown.sent)))
        return None

    async def advice_note(self, job: Job) -> datetime | None:
        """The advice follows the page as a note, because the page does not wait for it."""
        request = await self.ledger.request(job.subject)
        if request.advice and request.state in OPEN:
            await self._note(request, page.advice_note(await self.quoting.for_everybody(request)))
        return None

    async def _note(self, request: Request, text: str) -> None:
        if request.incident_id:
            await self.note(request.id, request.incident_id, text)

    async def note(self, request: str, incident: str, text: str) -> None:
        """Write a comment; that it stands there, and under which id, is in the trail once."""
        if self.pager is not None:
            receipt = (await self.pager.add_note(incident, text)).id
            audit = Audit(BOT, "note.written", {"incident": incident, "note": receipt})
            await self.ledger.accept("pagerduty.written", receipt, request=request, audit=audit)

    # --- 5. decide --------------------------------------------------------------------------------------------------

    async def decide(self, job: Job) -> datetime | None:
        """Count an answer if this person may give it, for this plan, now; tell them kindly if not."""
        attempt = Attempt(**job.payload)
        request = await self.ledger.request(job.subject)
        if job.attempts > 1 and await self.ledger.has_counted(request.id, attempt.receipt):
            return None
        try:
            decision = await self.authority.authorise(attempt, request)
            counted = await self.ledger.decide(
                decision,
                code=attempt.code,
                approved_jobs=APPROVED_JOBS,
                closed_jobs=CLOSED_JOBS,
                jobs=(Due("card"), Due("dm"), Due("tell:progress")),
                job=job,
            )
            if counted is None:
                raise await self.authority.too_late(decision)
        except Refused as refused:
            await self.refuse_answer(attempt, request, refused)
        except Fault as fault:
            if not fault.permanent:
                raise
            log.warning("%s", fault, extra={"request": request.id, "step": job.kind})
            await self.refuse_answer(attempt, request, Refused(UNREADABLE, rule="decision#unreadable"))
        return None

    async def refuse_answer(self, attempt: Attempt, request: Request, refused: Refused) -> None:
        """Told privately in Slack, as a note on the incident; always in the audit trail."""
        detail = {"rule": refused.rule, "place": attempt.place, "answer": attempt.answer, "receipt": attempt.receipt}
        jobs = (attempt.reply(refused.sentence), Due("card"))
        await self.ledger.note_event(Audit(attempt.who, "decision.refused", detail), request=request.id, jobs=jobs)

    async def reply(self, job: Job) -> datetime | None:
        """Tell one person something where they are."""
        text, place = str(job.payload["text"]), job.payload["place"]
        request = await self.ledger.request(job.subject)
        if place == Place.SLACK:
            if job.attempts > 1 or await self._is_news(job.subject, job.payload["who"], text, receipt=job.kind):
                await self.chat.whisper(job.payload["channel"], job.payload["who"], escape(text))
        elif job.payload.get("waits"):
            await self._note(request, page.answer_waits(text, receipt=job.payload["receipt"]))
        else:
            link = self.showing.link(await self.ledger.shown(request.id, "card"))
            there = replace(request, incident_id=job.payload.get("incident") or request.incident_id)
            await self._note(there, page.reply(request, text, receipt=job.payload["receipt"], card=link))
        return None

    async def whisper(self, request: str, channel: str, who: str, text: str, *, receipt: str) -> None:
        """Privately, where they pressed; a double click is answered once."""
        if await self._is_news(request, who, text, receipt=receipt):
            await self.chat.whisper(channel, who, escape(text))

    async def _is_news(self, request: str, who: str, text: str, *, receipt: str) -> bool:
        """Whether they were not told exactly this a moment ago."""
        same = f"{request}/{who}/{hashlib.sha256(text.encode()).hexdigest()[:16]}/"
        return await self.ledger.first_since(WHISPERED, same, receipt, self.clock.now() - A_MOMENT)

    async def expire(self, job: Job) -> datetime | None:
        """Nobody decided in time, or nobody could."""
        request = await self.ledger.request(job.subject)
        unplanned = request.state is State.RECEIVED
        audit = Audit(BOT, "request.expired")
        undecided = f"Nobody decided before {request.extends.of} ended." if request.extends else UNDECIDED_IN_TIME
        values = {"outcome": UNPLANNED if unplanned else undecided, "closed_at": self.clock.now()}
        await self.ledger.move(job.subject, Event.EXPIRED, audit=audit, values=values, jobs=CLOSED_JOBS)
        return None

    # --- 6. act: see bot.acting; 7. end ------------------------------------------------------------------------------

    async def resolve(self, job: Job) -> datetime | None:
        """Write how it ended on the incident, and close it; what failed stays open as long as it can be tried again."""
        request, paged = await self.ledger.request(job.subject), await self.ledger.paged(job.subject)
        if self.pager is None or paged is None or paged.resolved or request.state in UNDECIDED:
            return None
        if request.state is State.FAILED and self.clock.now() < request.deadline:
            return request.deadline
        await self.note(request.id, paged.incident_id, page.closing_note(request))
        await self.pager.resolve(paged.incident_id)
        await self.ledger.incident_resolved(request.id, paged.incident_id)
        return None

    async def end_note(self, job: Job) -> datetime | None:
        """The end of the grant, on the incident that began it."""
        request = await self.ledger.request(job.subject)
        await self._note(request, page.outcome_note(request))
        return None

    async def announce(self, job: Job) -> datetime | None:
        """Something that everybody in the responder channel should see, once."""
        request, shown = await self.ledger.to_show(job.subject, job.kind)
        message = notices.announced(request, job.kind.partition(":")[2])
        if shown is None and message is not None:
            await self.showing.to_responders(job, request, job.kind, message, shown)
        return None

    async def tell(self, job: Job) -> datetime | None:
        """A new message to the requester, in the thread of their own, because a changed one notifies nobody."""
        request = await self.ledger.request(job.subject)
        user, once = request.requester.slack_user, occasion(request, job.kind)
        message = notices.told(request, job.kind.partition(":")[2])
        shown = await self.ledger.shown(request.id, once)
        if user is not None and message is not None and shown is None:
            await self.showing.to_requester(job, request, once, message, shown)
            await self.ledger.schedule(user, [Due("home")])
        return None


def plan_paged(job: Job, request: Request) -> str:
    """The plan on a page just opened. One that was perhaps adopted may say less: the plan follows as a note."""
    return request.decidable_digest if job.attempts == 1 else ""


def asked_on_page(job: Job, request: Request) -> tuple[Question, ...]:
    """What was asked back and stands on a page just opened; one that was perhaps adopted may say less."""
    return tuple(request.questions) if job.attempts == 1 else ()
