"""The story of one request: receive, gather, advise, present, decide, act, end.

Every step is a job of its own (see `bot.jobs`): it reads the request, does one thing, and records what came of it
together with the jobs that follow. Any step may run twice, or again after a crash; none of them believes a click.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bot import page
from bot.calendar import next_morning
from bot.core.lifecycle import OPEN, Event, State
from bot.core.request import (
    Advice,
    Answer,
    Decision,
    Draft,
    Entitlement,
    Evidence,
    Grant,
    Leaning,
    Place,
    Plan,
    Request,
    Ruling,
    Sensitivity,
    Standing,
    Wake,
)
from bot.core.words import span
from bot.errors import Fault, Refused
from bot.ledger import Audit, Due, Job, Ledger, Shown
from bot.ports import Actor, Adviser, Brief, Chat, Clock, Directory, Message, Page, Pager, Source
from bot.slack import cards
from bot.slack.blocks import escape
from policies.rules import Guard, rule_decision, rule_execution, rule_submission

log = logging.getLogger(__name__)

BOT = "tinyapprover"
GRANT_TRIES = 6
OVERDUE_AFTER = 3
FRESH_SECONDS = 5.0
SHARED_SECONDS = 0.5  # readings begun by the same click or submission are one reading
REPAGE_AFTER = timedelta(minutes=10)
CARD_NOTE_EVERY = timedelta(seconds=30)
AFTER_THE_CARD = timedelta(seconds=0.2)  # who has just asked can wait; who is to decide should not
FIRST_READING = timedelta(seconds=5)  # nobody has commented before
UNDECIDED = OPEN | {State.APPROVED, State.FAILED}  # the page stays open
CLOSED_JOBS = (Due("card"), Due("dm"), Due("tell:outcome"), Due("resolve"))
APPROVED_JOBS = (Due("grant"), Due("card"), Due("dm"))


@dataclass(frozen=True, slots=True)
class Rules:
    """What policy hands to the story."""

    entitlements: Mapping[str, Entitlement]
    guard: Guard
    advice_prompt: str
    digest: str = ""
    protected: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Limits:
    """Deadlines and places."""

    responder_channel: str
    evidence_seconds: float = 4.0
    request_lifetime: timedelta = timedelta(hours=8)
    morning: str = "09:00 UTC"


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody tried to decide: a click or a comment, taken as it came and not yet believed.

    `digest` is the plan that was on the button (Slack) or is looked up (PagerDuty); `shown` is the place of the card.
    """

    place: str
    who: str
    answer: str
    receipt: str
    digest: str = ""
    minutes: int | None = None
    reason: str = ""
    code: str = ""
    channel: str = ""
    ts: str = ""
    written_at: str = ""


@dataclass(frozen=True, slots=True)
class Journey:
    """The steps, and the ports that they need."""

    ledger: Ledger
    chat: Chat
    directory: Directory
    actors: Mapping[str, Actor]
    sources: Sequence[Source]
    rules: Rules
    limits: Limits
    clock: Clock
    home_team: str
    pager: Pager | None = None
    adviser: Adviser | None = None

    # --- 1. receive -------------------------------------------------------------------------------------------------

    async def receive(self, draft: Draft, requester: Standing, beneficiary: Standing) -> str:
        """Refuse with a reason the person can act on, or store the request: one commit, before anything is said."""
        entitlement = self.rules.entitlements.get(draft.entitlement)
        if entitlement is None:
            raise Refused("Choose what you need from the list.", field="access", rule="intake#access")
        ruling = self._rule(draft, entitlement, requester, beneficiary)
        if not ruling.allowed:
            raise Refused(ruling.reason, field=_field_of(ruling.rule), rule=ruling.rule)
        deadline = self.clock.now() + self.limits.request_lifetime
        jobs = (Due("card"), Due("plan"), Due("gather"), Due("dm", at=self.clock.now() + AFTER_THE_CARD))
        return await self.ledger.receive(draft, entitlement, deadline=deadline, jobs=jobs)

    def _rule(
        self, draft: Draft | Request, entitlement: Entitlement, requester: Standing, beneficiary: Standing
    ) -> Ruling:
        return rule_submission(
            self.rules.entitlements,
            entitlement,
            requester=requester,
            beneficiary=beneficiary,
            minutes=draft.minutes,
            ticket=draft.ticket,
            guard=self.rules.guard,
            protected=self.rules.protected,
        )

    async def plan(self, job: Job) -> datetime | None:
        """What exactly would change, and what policy says of it with fresh readings: then it can be decided."""
        request = await self.ledger.request(job.subject)
        if request.state is not State.RECEIVED:
            return None
        try:
            plan, ruling = await self._plan_and_rule(request, max_age=SHARED_SECONDS)
        except Refused as refused:
            await self._refuse(request, Ruling(allowed=False, rule=refused.rule, reason=refused.sentence))
            return None
        if not ruling.allowed:
            await self._refuse(request, ruling)
            return None
        audit = Audit(BOT, "request.planned", {"digest": plan.digest, "rule": ruling.rule, "policy": self.rules.digest})
        values = {"plan": plan, "ruling": ruling, "planned_at": self.clock.now()}
        jobs = (Due("card"), Due("page"), Due("plan_note"), Due("dm", at=self.clock.now() + AFTER_THE_CARD))
        await self.ledger.move(request.id, Event.PLANNED, audit=audit, values=values, jobs=jobs)
        return None

    async def _plan_and_rule(self, request: Request, *, max_age: float = 0) -> tuple[Plan, Ruling]:
        plan, requester, beneficiary = await asyncio.gather(
            self._plan(request, max_age=max_age),
            self.directory.standing(request.requester.id, max_age=max_age),
            self.directory.standing(request.beneficiary.id, max_age=max_age),
        )
        return plan, self._rule(request, request.entitlement, requester, beneficiary)

    async def _plan(self, request: Request, *, max_age: float) -> Plan:
        """The plan; what another request of ours gave is not held already: it ends with the later of the two."""
        actor = self.actors[request.entitlement.action]
        plan = await actor.plan(request, max_age=max_age)
        if plan.already and await self.ledger.other_live_grant(plan.target, besides=request.id):
            return await actor.plan(request, max_age=max_age, ours=True)
        return plan

    async def _refuse(self, request: Request, ruling: Ruling) -> None:
        audit = Audit(BOT, "request.refused", {"rule": ruling.rule, "policy": self.rules.digest})
        values = {"ruling": ruling, "outcome": ruling.reason, "closed_at": self.clock.now()}
        await self.ledger.move(request.id, Event.REFUSED, audit=audit, values=values, jobs=CLOSED_JOBS)

    # --- 2. gather --------------------------------------------------------------------------------------------------

    async def gather(self, job: Job) -> datetime | None:
        """Ask every source at once, each with its own deadline; a silent one becomes a line that says so."""
        request = await self.ledger.request(job.subject)
        if request.evidence is not None:
            return None
        answers = await asyncio.gather(*(self._ask_source(source, request) for source in self.sources))
        evidence = replace(_merged(answers), gathered_at=self.clock.now())
        audit = Audit(BOT, "evidence.gathered", {"facts": len(evidence.facts), "silent": list(evidence.silent)})
        jobs = (Due("card"), Due("page"), Due("advise"))
        await self.ledger.record(request.id, audit=audit, values={"evidence": evidence}, jobs=jobs)
        return None

    async def _ask_source(self, source: Source, request: Request) -> Evidence:
        try:
            async with asyncio.timeout(self.limits.evidence_seconds):
                return await source.gather(request)
        except (Fault, TimeoutError) as problem:
            log.warning("silent: %s", problem, extra={"request": request.id, "step": "gather", "vendor": source.name})
        except Exception:  # a source that breaks is a silent source
            log.exception("broken source", extra={"request": request.id, "step": "gather", "vendor": source.name})
        return Evidence(silent=(source.name,))

    # --- 3. advise --------------------------------------------------------------------------------------------------

    async def advise(self, job: Job) -> datetime | None:
        """Ask the model, if there is one. Whatever it says or fails to say changes nothing that follows."""
        request = await self.ledger.request(job.subject)
        if request.advice is not None or request.evidence is None:
            return None
        advice = await self._advice(request, request.evidence)
        audit = Audit(BOT, "advice.given", {"leaning": advice.leaning, "model": advice.model, "note": advice.note})
        jobs = (Due("card"), Due("advice_note"))
        await self.ledger.record(request.id, audit=audit, values={"advice": advice}, jobs=jobs)
        return None

    async def _advice(self, request: Request, evidence: Evidence) -> Advice:
        if self.adviser is None:
            return Advice(Leaning.NEEDS_REVIEW, note="No model is configured, so there is no recommendation.")
        try:
            return await self.adviser.advise(_brief(request, evidence, self.rules.advice_prompt))
        except Fault as fault:
            log.warning("no advice: %s", fault, extra={"request": request.id, "step": "advise", "vendor": fault.vendor})
            return Advice(Leaning.NEEDS_REVIEW, note="The model gave no usable answer, so there is no recommendation.")

    # --- 4. present -------------------------------------------------------------------------------------------------

    async def card(self, job: Job) -> datetime | None:
        """Make the card say what the record says: post it, find it again after a lost answer, or draw it anew."""
        request, shown = await self.ledger.to_show(job.subject, "card")
        message = cards.card(request, page_url=request.incident_url)
        channel = request.entitlement.channel or self.limits.responder_channel
        await self._show(job, request, "card", channel, message, shown)
        return None

    async def dm(self, job: Job) -> datetime | None:
        """Keep the requester's own message true to the record."""
        request, shown = await self.ledger.to_show(job.subject, "dm")
        if request.requester.slack_user is not None:
            channel = await self.chat.dm_channel(request.requester.slack_user)
            await self._show(job, request, "dm", channel, cards.requester_card(request), shown)
        return None

    async def _show(
        self, job: Job, request: Request, kind: str, channel: str, message: Message, shown: Shown | None
    ) -> None:
        fingerprint = _fingerprint(message)
        if shown is not None and shown.fingerprint == fingerprint:
            return
        sent = shown.sent if shown else None
        key = f"{request.id}/{kind}"
        if sent is None and job.attempts > 1:
            sent = await self.chat.find(channel, key=key, since=request.created_at)
        try:
            if sent is None:
                sent = await self.chat.post(channel, message, key=key)
            else:
                await self.chat.update(sent, message)
        except Fault as fault:
            if fault.what == "message_not_found":
                await self.ledger.forget_message(request.id, kind)
            raise
        digest = request.plan.digest if request.plan and request.decidable else ""
        await self.ledger.show(request.id, kind, sent, digest=digest, fingerprint=fingerprint)

    async def page(self, job: Job) -> datetime | None:
        """Open the incident when the evidence is there or its deadline has passed; its text cannot be changed later."""
        request, shown = await self.ledger.to_show(job.subject, "card")
        if self.pager is None or request.incident_id:
            return None
        if request.state not in OPEN:
            await self._find_page(job, request, self.pager)
            return None
        ready_by = request.created_at + timedelta(seconds=self.limits.evidence_seconds)
        if self.clock.now() < ready_by and (request.evidence is None or request.state is State.RECEIVED):
            return ready_by
        if (wait := self._waits_until(request)) and wait > self.clock.now():
            return wait if wait < request.deadline else None
        whole = self.page_of(request, shown)
        incident = await self.pager.open_incident(whole, look_first=job.attempts > 1)
        digest = self.digest_paged(job, request)
        read = Due("poll", at=self.clock.now() + FIRST_READING)
        jobs = [Due("card"), read, Due("plan_note"), Due("advice_note"), Due("codes"), Due("resolve")]
        if not whole.link:
            jobs.append(Due("card_note"))
        await self.ledger.record_incident(request.id, incident, digest=digest, jobs=jobs)
        return None

    async def _find_page(self, job: Job, request: Request, pager: Pager) -> None:
        """A page whose answer was lost, of a request that was decided meanwhile, is found so that it gets closed."""
        if job.attempts > 1 and (incident := await pager.find(request.id)) is not None:
            await self.ledger.record_incident(request.id, incident, digest="", jobs=(Due("card"), Due("resolve")))

    def _waits_until(self, request: Request) -> datetime | None:
        """What can wait, and what is never to wake anybody, is paged in the morning if nobody has decided by then."""
        if request.can_wait or request.entitlement.wake is Wake.NEVER:
            return next_morning(request.created_at, self.limits.morning)
        return None

    def page_of(self, request: Request, shown: Shown | None, *, key: str = "") -> Page:
        """What the incident of a request says."""
        link = self._link(shown)
        urgent = request.entitlement.wake is Wake.HIGH and not request.can_wait
        return Page(
            key=key or request.id,
            title=page.title(request),
            body=page.body(request, card=link),
            urgency="high" if urgent else "low",
            escalation_policy=request.entitlement.approvers.escalation_policy,
            link=link or "",
        )

    def digest_paged(self, job: Job, request: Request) -> str:
        """The plan on a page just opened. One that was perhaps adopted may say less: the plan follows as a note."""
        return request.plan.digest if request.plan and request.decidable and job.attempts == 1 else ""

    def _link(self, shown: Shown | None) -> str | None:
        return self.chat.link(shown.sent) if shown else None

    async def plan_note(self, job: Job) -> datetime | None:
        """A plan that became known, or changed, after the page went out is added to it, and counts from then on."""
        request, paged = await self.ledger.request(job.subject), await self.ledger.paged(job.subject)
        if self.pager is None or paged is None or request.plan is None or not request.decidable:
            return None
        if paged.digest != request.plan.digest:
            await self.pager.add_note(paged.incident_id, page.plan_note(request))
            await self.ledger.plan_on_incident(request.id, request.plan.digest)
        return None

    async def card_note(self, job: Job) -> datetime | None:
        """A page that went out before the card could be posted is told where it is, once it is there."""
        request, shown = await self.ledger.to_show(job.subject, "card")
        if self.pager is None or not request.incident_id or request.state not in OPEN:
            return None
        if shown is None:
            return self.clock.now() + CARD_NOTE_EVERY
        await self.pager.add_note(request.incident_id, page.card_note(request, self.chat.link(shown.sent)))
        return None

    async def advice_note(self, job: Job) -> datetime | None:
        """The advice follows the page as a note, because the page does not wait for it."""
        request = await self.ledger.request(job.subject)
        if self.pager is not None and request.incident_id and request.advice and request.state is State.PENDING:
            await self.pager.add_note(request.incident_id, page.advice_note(request))
        return None

    # --- 5. decide --------------------------------------------------------------------------------------------------

    async def decide(self, job: Job) -> datetime | None:
        """Count an answer if this person may give it, for this plan, now; tell them kindly if not."""
        attempt = Attempt(**job.payload)
        request = await self.ledger.request(job.subject)
        try:
            decision = await self._authorise(attempt, request)
            counted = await self.ledger.decide(
                decision,
                code=attempt.code,
                approved_jobs=APPROVED_JOBS,
                closed_jobs=CLOSED_JOBS,
                jobs=(Due("card"), Due("dm"), Due("tell:progress")),
            )
            if counted is None:
                raise Refused(await self._too_late(request.id, decision), rule="decision#too-late")
        except Refused as refused:
            await self._refuse_answer(attempt, request, refused)
        return None

    async def _authorise(self, attempt: Attempt, request: Request) -> Decision:
        """Who is this, may they decide this now, and is it the plan they saw? Fresh readings, all at once."""
        by_slack = attempt.place == Place.SLACK
        find = self.ledger.person_by_slack(self.home_team, attempt.who) if by_slack else None
        person = await (find or self.ledger.person_by_pagerduty(attempt.who))
        if person is None:
            raise Refused(
                "Your account is not linked to decide requests. An admin can do that with `tinyapprover people link`.",
                rule="invariant#linked-to-decide",
            )
        answer = Answer(attempt.answer)
        standing, on_call, _ = await asyncio.gather(
            self.directory.standing(person.id, max_age=SHARED_SECONDS),
            self._on_call(request),
            self._warm(request, answer),
        )
        ruling = rule_decision(
            request.entitlement,
            approver=standing,
            approver_person=person,
            requester_id=request.requester.id,
            beneficiary_id=request.beneficiary.id,
            place=Place(attempt.place),
            on_call=on_call,
            answer=answer,
            guard=self.rules.guard,
        )
        if not ruling.allowed:
            raise Refused(ruling.reason, rule=ruling.rule)
        if attempt.minutes is not None and not 1 <= attempt.minutes <= request.minutes:
            raise Refused(f"It can be approved for at most {span(request.minutes)}.", rule="invariant#asked-for")
        return Decision(
            request_id=request.id,
            person_id=person.id,
            name=standing.name,
            answer=answer,
            place=Place(attempt.place),
            digest=await self._digest_seen(attempt, request, answer),
            at=self.clock.now(),
            minutes=attempt.minutes,
            reason=attempt.reason,
            receipt=attempt.receipt,
        )

    async def _on_call(self, request: Request) -> list[tuple[str, int]] | None:
        policy = request.entitlement.approvers.escalation_policy
        if policy is None or self.pager is None:
            return None
        return [(one.user, one.level) for one in await self.pager.on_call(policy)]

    async def _warm(self, request: Request, answer: Answer) -> None:
        """Read what acting will read again, beside the approver's own standing, so that the grant need not wait."""
        if answer is Answer.APPROVE and request.decidable:
            await self._plan_and_rule(request, max_age=SHARED_SECONDS)

    async def _digest_seen(self, attempt: Attempt, request: Request, answer: Answer) -> str:
        """The plan that was shown where the answer was given; an approval of any other is refused."""
        if answer is Answer.DENY:
            return request.plan.digest if request.plan else ""
        current = request.plan.digest if request.plan else ""
        if attempt.place == Place.SLACK:
            seen = attempt.digest
        else:
            paged = await self.ledger.paged(request.id)
            in_time = paged is not None and datetime.fromisoformat(attempt.written_at) >= paged.shown_at.replace(
                microsecond=0
            )
            seen = paged.digest if paged and in_time else ""
            self._check_code(attempt, request)
        if request.state is State.PENDING and (not current or seen != current):
            raise Refused(
                "The plan has changed since it was shown there. Look at what it says now and answer again.",
                rule="invariant#plan-shown",
            )
        return seen

    def _check_code(self, attempt: Attempt, request: Request) -> None:
        if request.entitlement.sensitivity is Sensitivity.HIGH and not attempt.code:
            raise Refused(
                f"This one needs your code, which was sent to you in Slack: approve {request.id} and then the code.",
                rule="invariant#code",
            )

    async def _too_late(self, request_id: str, decision: Decision) -> str:
        request = await self.ledger.request(request_id)
        if any(earlier.person_id == decision.person_id for earlier in request.decisions):
            return f"You have answered {request.id} already; one answer a person counts."
        return cards.too_late(request)

    async def _refuse_answer(self, attempt: Attempt, request: Request, refused: Refused) -> None:
        """Told privately in Slack, as a note on the incident; always in the audit trail."""
        detail = {"rule": refused.rule, "place": attempt.place, "answer": attempt.answer, "receipt": attempt.receipt}
        follow = Due(f"reply:{attempt.receipt}", payload={**_reply_to(attempt), "text": refused.sentence})
        await self.ledger.note_event(
            Audit(attempt.who, "decision.refused", detail), request=request.id, jobs=(follow, Due("card"))
        )

    async def reply(self, job: Job) -> datetime | None:
        """Tell one person something where they are."""
        text, place = str(job.payload["text"]), job.payload["place"]
        request = await self.ledger.request(job.subject)
        if place == Place.SLACK:
            await self.chat.whisper(job.payload["channel"], job.payload["who"], escape(text))
        elif self.pager is not None and request.incident_id:
            link = self._link(await self.ledger.shown(request.id, "card"))
            note = page.reply(request, text, receipt=job.payload["receipt"], card=link)
            await self.pager.add_note(request.incident_id, note)
        return None

    async def expire(self, job: Job) -> datetime | None:
        """Nobody decided in time."""
        audit = Audit(BOT, "request.expired")
        values = {"outcome": "Nobody decided in time.", "closed_at": self.clock.now()}
        await self.ledger.move(job.subject, Event.EXPIRED, audit=audit, values=values, jobs=CLOSED_JOBS)
        return None

    # --- 6. act -----------------------------------------------------------------------------------------------------

    async def grant(self, job: Job) -> datetime | None:
        """Check the decisions, the plan and the policy once more; write; read back; only then say it is granted."""
        request = await self.ledger.request(job.subject)
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
        """Ask again, with readings a few seconds old at most; whatever has changed stops the grant."""
        approvers = [one.person_id for one in request.decisions if one.answer is Answer.APPROVE]
        ids = [request.requester.id, request.beneficiary.id, *approvers]
        try:
            fresh, readings = await asyncio.gather(
                self._plan(request, max_age=FRESH_SECONDS),
                asyncio.gather(*(self.directory.standing(person, max_age=FRESH_SECONDS) for person in ids)),
            )
        except Refused as refused:
            await self._stop(request, Ruling(allowed=False, rule=refused.rule, reason=refused.sentence))
            return False
        ruling = self._rule_execution(request, readings)
        if not ruling.allowed:
            await self._stop(request, ruling)
            return False
        if request.grant is not None:
            return True  # begun: what our own write changed is not another plan, and `apply` carries out the old one
        if fresh.digest != plan.digest:
            await self._ask_again(request, fresh, ruling)
            return False
        return True

    async def _stop(self, request: Request, ruling: Ruling) -> None:
        """Nothing was written yet: refused. Something may have been: given up, so that it is taken away again."""
        if request.grant is None:
            await self._refuse(request, ruling)
        else:
            await self._give_up(request, ruling.reason, trouble=ruling.rule)

    def _rule_execution(self, request: Request, readings: Sequence[Standing]) -> Ruling:
        return rule_execution(
            self.rules.entitlements,
            request.entitlement,
            requester=readings[0],
            beneficiary=readings[1],
            minutes=_granted_minutes(request),
            ticket=request.ticket,
            approvers=readings[2:],
            guard=self.rules.guard,
            protected=self.rules.protected,
        )

    async def _ask_again(self, request: Request, plan: Plan, ruling: Ruling) -> None:
        audit = Audit(BOT, "plan.changed", {"digest": plan.digest})
        jobs = (Due("card"), Due("dm"), Due("plan_note"), Due("tell:again"))
        await self.ledger.reopen(request.id, plan, ruling, audit=audit, jobs=jobs)

    async def _apply(self, request: Request, plan: Plan) -> None:
        """Record, act, record. A write whose answer was lost is read back like any other."""
        actor = self.actors[request.entitlement.action]
        grant = await self.ledger.start_grant(plan, _granted_minutes(request), actor=BOT)
        if not grant.held_before:
            try:
                await actor.apply(plan)
            except Fault as fault:
                if not fault.unknown:
                    raise
        if not await actor.verify(plan):
            raise Fault("okta", "the access is not there after it was written")
        await self.ledger.granted(
            request, audit=Audit(BOT, "grant.verified", {"digest": plan.digest}), jobs=_granted_jobs
        )

    async def _give_up(self, request: Request, reason: str, *, trouble: str) -> None:
        """Nobody is told that they have it; whatever may have been written is taken away again."""
        audit = Audit(BOT, "grant.failed", {"trouble": trouble})
        values = {"outcome": f"{reason} Whatever was written is taken away again; after that it can be retried."}
        jobs = (Due("card"), Due("dm"), Due("tell:outcome"), Due("end_note"), Due("revoke"))
        await self.ledger.move(request.id, Event.GAVE_UP, audit=audit, values=values, jobs=jobs)

    # --- 7. end -----------------------------------------------------------------------------------------------------

    async def revoke(self, job: Job) -> datetime | None:
        """Take back what we added, read that it is gone, and only then say so. Never gives up."""
        request = await self.ledger.request(job.subject)
        if request.state not in (State.ACTIVE, State.FAILED) or request.plan is None or request.grant is None:
            return None
        try:
            outcome = await self._take_back(request, request.plan, request.grant)
        except Fault as fault:
            if job.attempts >= OVERDUE_AFTER and request.state is State.ACTIVE:
                audit = Audit(BOT, "revoke.overdue", {"trouble": fault.what})
                follow = (Due("card"), Due("dm"), Due("overdue_page"))
                await self.ledger.mark_overdue(request.id, audit=audit, jobs=follow)
            raise
        jobs = (Due("card"), Due("dm"), Due("tell:ended"), Due("end_note"))
        if request.state is State.FAILED:
            outcome = f"The access could not be granted, and nothing is left behind. {outcome} It can be tried again."
        await self.ledger.taken_back(request.id, outcome=outcome, audit=Audit(BOT, "grant.revoked"), jobs=jobs)
        return None

    async def _take_back(self, request: Request, plan: Plan, grant: Grant) -> str:
        if grant.held_before:
            return "It was held before the request, so nothing was removed."
        if other := await self.ledger.other_live_grant(grant.target, besides=request.id):
            return f"{other} still covers the same access, so it stays until that ends."
        actor = self.actors[request.entitlement.action]
        await actor.revoke(plan)
        if await actor.verify(plan):
            raise Fault("okta", "the access is still there after it was removed")
        return "The access was removed and read back as gone."

    async def resolve(self, job: Job) -> datetime | None:
        """Write how it ended on the incident, and close it."""
        request, paged = await self.ledger.request(job.subject), await self.ledger.paged(job.subject)
        if self.pager is None or paged is None or paged.resolved or request.state in UNDECIDED:
            return None
        await self.pager.add_note(paged.incident_id, page.outcome_note(request))
        await self.pager.resolve(paged.incident_id)
        await self.ledger.incident_resolved(request.id)
        return None

    async def end_note(self, job: Job) -> datetime | None:
        """The end of the grant, on the incident that began it."""
        request = await self.ledger.request(job.subject)
        if self.pager is not None and request.incident_id:
            await self.pager.add_note(request.incident_id, page.outcome_note(request))
        return None

    async def overdue_page(self, job: Job) -> datetime | None:
        """Access that should be gone and is not wakes somebody."""
        request = await self.ledger.request(job.subject)
        if self.pager is not None and request.revoke_overdue:
            title, body = page.overdue(request)
            alarm = Page(key=f"{request.id}/overdue", title=title, body=body, urgency="high")
            await self.pager.open_incident(alarm, look_first=job.attempts > 1)
        return None

    async def announce(self, job: Job) -> datetime | None:
        """Something that everybody in the responder channel should see, once."""
        request, shown = await self.ledger.to_show(job.subject, job.kind)
        if shown is None and request.state in OPEN:
            channel = request.entitlement.channel or self.limits.responder_channel
            await self._show(job, request, job.kind, channel, cards.page_closed(request), shown)
        return None

    async def tell(self, job: Job) -> datetime | None:
        """A new message to the requester, in the thread of their own, because a changed one notifies nobody."""
        request = await self.ledger.request(job.subject)
        if request.requester.slack_user is None:
            return None
        occasion = _occasion(request, job.kind)
        shown = await self.ledger.shown(request.id, occasion)
        message = cards.told(request, job.kind.partition(":")[2])
        if shown is None and message is not None:
            channel = await self.chat.dm_channel(request.requester.slack_user)
            await self._show(job, request, occasion, channel, message, shown)
            await self.ledger.schedule(request.requester.slack_user, [Due("home")])
        return None


def _occasion(request: Request, kind: str) -> str:
    """What is told once: an outcome once for each state, a new question to responders once for each round."""
    match kind.partition(":")[2]:
        case "outcome":
            return f"{kind}:{request.state.value}"
        case "again":
            return f"{kind}:{request.round}"
        case "progress":
            return f"{kind}:{request.round}:{len(request.decisions)}"
        case _:
            return kind


def _field_of(rule: str) -> str:
    """The form field that a rule is about."""
    place = rule.partition("#")[2]
    return {"time": "duration", "ticket": "ticket", "beneficiary-active": "for"}.get(place, "access")


def _merged(answers: Sequence[Evidence]) -> Evidence:
    return Evidence(
        facts=tuple(fact for answer in answers for fact in answer.facts),
        passages=tuple(passage for answer in answers for passage in answer.passages),
        precedents=tuple(precedent for answer in answers for precedent in answer.precedents),
        silent=tuple(name for answer in answers for name in answer.silent),
    )


def _brief(request: Request, evidence: Evidence, prompt: str) -> Brief:
    """What the model may know: the request in pseudonyms, the evidence, nobody's name or address."""
    own = request.requester.id == request.beneficiary.id
    fields = {
        "entitlement": request.entitlement.id,
        "title": request.entitlement.title,
        "sensitivity": request.entitlement.sensitivity.value,
        "minutes": str(request.minutes),
        "longest_minutes": str(request.entitlement.max_minutes),
        "for": "requester-1" if own else "beneficiary-1",
        "ticket": request.ticket or "none",
        "justification": request.justification,
    }
    precedents = [
        {"id": one.request_id, "outcome": one.outcome, "minutes": str(one.minutes)} for one in evidence.precedents
    ]
    return Brief(system=prompt, request=fields, facts=evidence.facts, passages=evidence.passages, precedents=precedents)


def _fingerprint(message: Message) -> str:
    text = json.dumps([message.text, message.blocks], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _granted_minutes(request: Request) -> int:
    shorter = [one.minutes for one in request.decisions if one.minutes is not None and one.answer is Answer.APPROVE]
    return min([request.minutes, *shorter])


def _granted_jobs(ends_at: datetime) -> Sequence[Due]:
    return (Due("revoke", at=ends_at), Due("card"), Due("dm"), Due("tell:outcome"), Due("resolve"))


def _reply_to(attempt: Attempt) -> dict[str, str]:
    return {"place": attempt.place, "who": attempt.who, "channel": attempt.channel, "receipt": attempt.receipt}
