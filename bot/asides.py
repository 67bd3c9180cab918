"""What else happens around a request: questions, passing on, withdrawing, giving back, trying again, codes."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from datetime import datetime

from bot import page
from bot.authority import RESPONDER_SECONDS, Press, concerns, is_responder
from bot.core.lifecycle import OPEN, Event, State
from bot.core.request import Entitlement, Person, Request, Sensitivity, Standing
from bot.core.words import one_line
from bot.errors import Fault, Refused
from bot.follows import BOT, CLOSED_JOBS
from bot.journey import Journey, asked_on_page, plan_paged
from bot.ledger import Audit, Due, Job
from bot.slack import home, notices
from policies.rules import may_ask

PASSED_ON = "page.passed_on"
CODE_LETTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_code() -> str:
    """A one-time code such as `K7QF-2M9D`: eight letters that cannot be mistaken for one another."""
    letters = [secrets.choice(CODE_LETTERS) for _ in range(8)]
    return f"{''.join(letters[:4])}-{''.join(letters[4:])}"


@dataclass(frozen=True, slots=True)
class Asides:
    """Steps beside the story, over the same ports."""

    journey: Journey

    # --- what responders do -----------------------------------------------------------------------------------------

    async def ask(self, request: Request, person: Person, words: str, *, receipt: str) -> None:
        """A responder's question goes to the requester, and onto the page; once for each `receipt`."""
        if request.state not in OPEN:
            raise Refused(notices.too_late(request), rule="decision#too-late")
        audit = Audit(person.id, "question.asked", texts={"question": words})
        await self.journey.ledger.ask(request.id, person.name, words, receipt=receipt, audit=audit, jobs=_question_jobs)

    async def answer(self, request: Request, person: Person, question: int, words: str) -> None:
        """The requester's answer goes onto the card and the page, once."""
        if person.id != request.requester.id:
            raise Refused(f"Only whoever asked for {request.id} can answer.", rule="invariant#requester")
        jobs = (Due("card"), Due("dm"), Due(f"question_note:{question}-answer"))
        audit = Audit(person.id, "question.answered", {"question": question}, {"answer": words})
        stored = await self.journey.ledger.answer(question, words, request=request.id, audit=audit, jobs=jobs)
        if not stored and not await self._is_answer(request.id, question, words):
            raise Refused("That question has been answered already.", rule="question#answered")

    async def _is_answer(self, request: str, question: int, words: str) -> bool:
        """Whether exactly this is the answer already: the form was delivered twice."""
        questions = (await self.journey.ledger.request(request)).questions
        return any(one.id == question and one.answer == words for one in questions)

    async def question_note(self, job: Job) -> datetime | None:
        """A question, or its answer, as a note on the incident."""
        request, pager = await self.journey.ledger.request(job.subject), self.journey.pager
        number, _, part = job.kind.partition(":")[2].partition("-")
        question = next((one for one in request.questions if str(one.id) == number), None)
        if pager is not None and request.incident_id and question is not None:
            words = question.answer if part else question.text
            who = request.requester.name if part else question.asked_by
            verb = "answers" if part else "asks the requester"
            note = f"{request.id}, question {number}: {who} {verb}: {one_line(words, 1000)}"
            await self.journey.note(request.id, request.incident_id, note)
        return None

    async def pass_on(self, request: Request, person: Person, press: Press) -> None:
        """*Not me*: the next level is paged. Pressing twice passes on once."""
        ledger, once = self.journey.ledger, f"{request.incident_id}/{person.id}"
        audit = Audit(person.id, PASSED_ON, {"incident": request.incident_id, "receipt": press.receipt})
        told = press.reply(f"{request.id} is passed on: the next level is paged.")
        if not await ledger.accept(PASSED_ON, once, request=request.id, audit=audit, jobs=(Due("escalate"), told)):
            await ledger.schedule(request.id, [told])

    async def take(self, request: Request, person: Person, press: Press) -> None:
        """*I take it*: after the page was closed, somebody has it in Slack, so it is not paged once more."""
        if request.state not in OPEN:
            raise Refused(notices.too_late(request), rule="decision#too-late")
        await self.journey.ledger.cancel(request.id, ["repage"])
        audit = Audit(person.id, "request.taken", {"receipt": press.receipt})
        told = press.reply(f"{request.id} is yours: it is not paged again. Decide on its card.")
        await self.journey.ledger.note_event(audit, request=request.id, jobs=(told,))

    async def escalate(self, job: Job) -> datetime | None:
        """Page the level after the one that has it; at the last level it stays there and the note says so."""
        request, pager = await self.journey.ledger.request(job.subject), self.journey.pager
        if pager is None or not request.incident_id or request.state not in OPEN:
            return None
        level = 1 + await self._passes(request.id, request.incident_id)
        try:
            await pager.escalate(request.incident_id, level, look_first=job.attempts > 1)
            words = f"passed on to level {level}."
        except Fault as fault:
            if not fault.permanent:
                raise
            words = f"nobody comes after level {level - 1}, so it stays with whoever has it."
        await self.journey.note(request.id, request.incident_id, f"{request.id}: {words}")
        return None

    async def _passes(self, request: str, incident: str) -> int:
        events = await self.journey.ledger.events(request, what=PASSED_ON)
        return sum(event.detail["incident"] == incident for event in events)

    async def look_at_advice(self, request: Request, person: Person) -> None:
        """That somebody looked is recorded before they see it."""
        given = request.advice
        detail = {"leaning": given.leaning.value, "digest": given.digest} if given else {}
        await self.journey.ledger.note_event(Audit(person.id, "advice.shown", detail), request=request.id)

    async def retry(self, request: Request, person: Person, press: Press) -> None:
        """Try a failed grant again: the recorded decisions still stand and are checked again."""
        if self.journey.clock.now() >= request.deadline:
            raise Refused(f"{request.id} was approved too long ago; ask for it anew.", rule="decision#too-late")
        audit = Audit(person.id, "grant.retried", {"receipt": press.receipt})
        if not await self.journey.ledger.retry(request.id, audit=audit, jobs=(Due("grant"), Due("card"), Due("dm"))):
            raise Refused(
                f"{request.id} is not waiting to be tried again, or what was written is still being taken away.",
                rule="decision#too-late",
            )

    # --- what requesters do -----------------------------------------------------------------------------------------

    async def withdraw(self, request: Request, person: Person, press: Press) -> None:
        """The requester changed their mind."""
        if person.id != request.requester.id:
            raise Refused(f"Only whoever asked for {request.id} can withdraw it.", rule="invariant#requester")
        values = {"outcome": "Withdrawn by the requester.", "closed_at": self.journey.clock.now()}
        audit = Audit(person.id, "request.withdrawn", {"receipt": press.receipt})
        jobs = (*CLOSED_JOBS, Due("home", subject=press.who))
        if not await self.journey.ledger.move(request.id, Event.WITHDRAWN, audit=audit, values=values, jobs=jobs):
            now = await self.journey.ledger.request(request.id)  # somebody else was quicker
            raise Refused(notices.too_late(now), rule="decision#too-late")

    async def give_back(self, request: Request, person: Person, press: Press) -> None:
        """Early end: the requester or the beneficiary no longer needs it."""
        if person.id not in (request.requester.id, request.beneficiary.id):
            raise Refused(f"Only whoever holds {request.id} can give it back.", rule="invariant#holder")
        if request.state is not State.ACTIVE:
            raise Refused(f"{request.id} is not active, so there is nothing to give back.", rule="grant#not-active")
        audit = Audit(person.id, "grant.given_back", {"receipt": press.receipt})
        jobs = (Due("revoke"), Due("home", subject=press.who))
        await self.journey.ledger.end_now(request.id, audit=audit, jobs=jobs, never_granted=CLOSED_JOBS)

    # --- codes for comments on sensitive requests -------------------------------------------------------------------

    async def codes(self, job: Job) -> datetime | None:
        """For `high`: everybody who may decide gets a code of their own, by direct message, never in PagerDuty."""
        request, journey = await self.journey.ledger.request(job.subject), self.journey
        if request.entitlement.sensitivity is not Sensitivity.HIGH or not request.decidable or not request.incident_id:
            return None
        people = [one for group in request.deciding_groups for one in await self.linked_members(request, group)]
        await journey.ledger.schedule(request.id, [Due(f"code:{one.id}") for one in people])
        return None

    async def linked_members(self, request: Request, group: str) -> list[Person]:
        """The people of a group who may decide this and can be told so in Slack."""
        members = set(await self.journey.directory.members(group))
        linked = [one for one in await self.journey.ledger.people() if one.id in members and one.slack_user]
        return [one for one in linked if one.decides and not concerns(request, one)]

    async def code(self, job: Job) -> datetime | None:
        """Send one person their code for the plan as it is now."""
        request, journey = await self.journey.ledger.request(job.subject), self.journey
        person = await journey.ledger.person(job.kind.partition(":")[2])
        if person is None or person.slack_user is None or request.plan is None or not request.decidable:
            return None
        code = await journey.ledger.give_code(request.id, person.id, request.plan.digest, new_code())
        channel = await journey.chat.dm_channel(person.slack_user)
        key = f"{request.id}/code/{person.id}/{request.round}/{request.plan.digest[:16]}"
        sent = await journey.chat.find(channel, key=key, since=request.created_at) if job.attempts > 1 else None
        if sent is None:
            sent = await journey.chat.post(channel, notices.code_message(request, code), key=key)
            if job.attempts > 1:
                await journey.showing.look_later(channel)
        detail = {"to": person.id, "channel": sent.channel, "ts": sent.ts}
        await journey.ledger.note_event(Audit(BOT, "code.sent", detail), request=request.id)
        return None

    async def repage(self, job: Job) -> datetime | None:
        """The page was closed without a decision: once more, unless it is decided by now."""
        journey = self.journey
        request, shown = await journey.ledger.to_show(job.subject, "card")
        if request.state not in OPEN or journey.pager is None:
            return None
        request = await journey.quoting.for_everybody(request)
        again = page.about(request, card=journey.showing.link(shown), key=f"{request.id}/again")
        incident = await journey.pager.open_incident(again, look_first=job.attempts > 1)
        jobs = (Due("card"), Due("poll"), Due("plan_note"), Due("advice_note"), Due("resolve"))
        digest, asked = plan_paged(job, request), asked_on_page(job, request)
        await journey.ledger.replace_incident(request.id, incident, digest=digest, jobs=jobs, asked=asked)
        return None

    # --- App Home ---------------------------------------------------------------------------------------------------

    async def home(self, job: Job) -> datetime | None:
        """Draw somebody's App Home; the job's subject is their Slack user id."""
        journey, user = self.journey, job.subject
        person = await journey.ledger.person_by_slack(journey.home_team, user)
        mine = await journey.ledger.requests(person=person.id, limit=20) if person else []
        waiting, overdue = await self._decides_over(person) if person and person.decides else ([], [])
        freeze = await journey.ledger.frozen()
        frozen = f"{freeze.by}: {freeze.why}" if freeze else ""
        await journey.chat.publish_home(user, home.home(mine, waiting, overdue, frozen=frozen))
        return None

    async def _decides_over(self, person: Person) -> tuple[list[tuple[Request, str | None]], list[Request]]:
        """What waits for a responder, each with its card's address, and what could not be taken back."""
        journey = self.journey
        waiting, overdue, standing = await asyncio.gather(
            journey.ledger.requests(states=OPEN, limit=50),
            journey.ledger.overdue(),
            journey.directory.standing(person.id, max_age=RESPONDER_SECONDS),
        )
        late = [request for request in overdue if is_responder(request, person, standing)]
        return await self._with_cards([one for one in waiting if is_responder(one, person, standing)]), late

    async def _with_cards(self, theirs: list[Request]) -> list[tuple[Request, str | None]]:
        journey = self.journey
        shown = await asyncio.gather(*(journey.ledger.shown(request.id, "card") for request in theirs))
        return [
            (request, journey.chat.link(card.sent) if card else None)
            for request, card in zip(theirs, shown, strict=True)
        ]

    def offered(self, standing: Standing) -> list[Entitlement]:
        """What somebody may ask for, by title."""
        offered = [one for one in self.journey.rules.entitlements.values() if may_ask(one, standing)]
        return sorted(offered, key=lambda one: one.title.casefold())


def _question_jobs(question: int) -> tuple[Due, ...]:
    return Due("card"), Due(f"tell:question:{question}"), Due(f"question_note:{question}")
