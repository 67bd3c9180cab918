"""Who may answer a request, now, and for which plan. Nothing is believed of a click or a comment but who made it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

from bot.core.lifecycle import OPEN, State
from bot.core.request import Answer, Decision, Person, Place, Request, Sensitivity, Standing
from bot.core.words import span
from bot.errors import Refused
from bot.ledger import Due, Ledger
from bot.planning import SHARED_SECONDS, Planning
from bot.ports import Clock, Directory, Pager
from bot.rules import Rules
from bot.slack import notices

RESPONDER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody tried to decide: a click or a comment, taken as it came and not yet believed.

    `digest` is the plan that was on the button (Slack) or is looked up (PagerDuty); `channel` and `ts` are the card's.
    `team` is the Slack workspace of `who`.
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
    team: str = ""

    def reply(self, text: str, *, waits: bool = False) -> Due:
        """The job that tells whoever tried, where they are; `waits` when it is not decided yet whether it counts."""
        where = {"place": self.place, "who": self.who, "channel": self.channel, "receipt": self.receipt, "waits": waits}
        return Due(f"reply:{self.receipt}", payload={**where, "text": text})


@dataclass(frozen=True, slots=True)
class Press:
    """Somebody pressed a button that changes something: taken as it came and not yet believed.

    `receipt` names this press and no other; `channel` is where it was made, empty in App Home.
    """

    action: str
    who: str
    team: str
    receipt: str
    channel: str = ""

    def reply(self, text: str) -> Due:
        """The job that tells whoever pressed, where they did."""
        where = {"place": Place.SLACK, "who": self.who, "channel": self.channel}
        return Due(f"reply:{self.receipt}", payload={**where, "text": text})


@dataclass(frozen=True, slots=True)
class Authority:
    """Turns an attempt into a decision, or refuses with a reason the person can act on."""

    ledger: Ledger
    directory: Directory
    planning: Planning
    rules: Rules
    clock: Clock
    pager: Pager | None = None

    # --- deciding ---------------------------------------------------------------------------------------------------

    async def authorise(self, attempt: Attempt, request: Request) -> Decision:
        """Who is this, may they decide this now, and is it the plan they saw?"""
        person = await self._linked(attempt, request)
        standing = await self._entitled(attempt, request, person)
        _check_minutes(attempt, request)
        return Decision(
            request_id=request.id,
            person_id=person.id,
            name=standing.name,
            answer=Answer(attempt.answer),
            place=Place(attempt.place),
            digest=await self._plan_seen(attempt, request),
            at=self.clock.now(),
            minutes=attempt.minutes,
            reason=attempt.reason,
            receipt=attempt.receipt,
        )

    async def _linked(self, attempt: Attempt, request: Request) -> Person:
        by_slack = attempt.place == Place.SLACK
        find = self.ledger.person_by_slack(attempt.team, attempt.who) if by_slack else None
        person = await (find or self.ledger.person_by_pagerduty(attempt.who))
        if person is None:
            raise Refused(
                f"Members of {request.entitlement.approvers.group} decide this, and your account is not linked as "
                "theirs. If you are one of them, ask an admin to link it.",
                rule="invariant#linked-to-decide",
            )
        return person

    async def _entitled(self, attempt: Attempt, request: Request, person: Person) -> Standing:
        """Fresh readings, all at once; policy says whether they are enough."""
        place, answer = Place(attempt.place), Answer(attempt.answer)
        standing, on_call, _ = await asyncio.gather(
            self.directory.standing(person.id, max_age=SHARED_SECONDS),
            self._on_call(request),
            self._warm(request, answer),
        )
        ruling = self.rules.at_decision(request, standing, person, place=place, answer=answer, on_call=on_call)
        if not ruling.allowed:
            raise Refused(ruling.reason, rule=ruling.rule)
        return standing

    async def _on_call(self, request: Request) -> list[tuple[str, int]] | None:
        policy = request.entitlement.approvers.escalation_policy
        if policy is None or self.pager is None:
            return None
        return [(one.user, one.level) for one in await self.pager.on_call(policy)]

    async def _warm(self, request: Request, answer: Answer) -> None:
        """Read what acting will read again, beside the approver's own standing, so that the grant need not wait."""
        if answer is Answer.APPROVE and request.decidable:
            await self.planning.before_deciding(request)

    async def _plan_seen(self, attempt: Attempt, request: Request) -> str:
        """The plan that was shown where the answer was given; an approval of any other is refused."""
        current = request.plan.digest if request.plan else ""
        if attempt.answer == Answer.DENY:
            return current
        seen = attempt.digest if attempt.place == Place.SLACK else await self._plan_on_page(attempt, request)
        if request.state is State.PENDING and (not current or seen != current):
            raise Refused(
                "The plan has changed since it was shown there. Look at what it says now and answer again.",
                rule="invariant#plan-shown",
            )
        return seen

    async def _plan_on_page(self, attempt: Attempt, request: Request) -> str:
        """The plan that stood on the incident when the comment was written, in PagerDuty's whole seconds."""
        _check_code(attempt, request)
        paged = await self.ledger.paged(request.id)
        if paged is None or datetime.fromisoformat(attempt.written_at) < paged.shown_at.replace(microsecond=0):
            return ""
        return paged.digest

    async def too_late(self, decision: Decision) -> Refused:
        """Why an answer that was allowed was not counted."""
        request = await self.ledger.request(decision.request_id)
        answered = any(earlier.person_id == decision.person_id for earlier in request.decisions)
        if answered:
            words = f"You have answered {request.id} already; one answer a person counts."
        elif request.state in OPEN and decision.at >= request.deadline:
            words = f"Too late for {request.id}: the time to decide it is over. It has to be asked for anew."
        else:
            words = notices.too_late(request)
        return Refused(words, rule="decision#too-late")

    # --- the other buttons of responders ----------------------------------------------------------------------------

    async def responder(self, request: Request, slack_team: str, slack_user: str) -> Person:
        """The linked person behind a click, if they are among those who may decide this; `Refused` otherwise."""
        return await self._among_deciders(request, await self.ledger.person_by_slack(slack_team, slack_user))

    async def responder_on_page(self, request: Request, pagerduty_user: str) -> Person:
        """The same for whoever wrote a comment."""
        return await self._among_deciders(request, await self.ledger.person_by_pagerduty(pagerduty_user))

    async def _among_deciders(self, request: Request, person: Person | None) -> Person:
        if person is None or not person.decides or not is_responder(request, person, await self._standing(person)):
            raise Refused(
                f"This is for the people who decide {request.id} (members of {request.entitlement.approvers.group}, "
                "and not whoever it concerns).",
                rule="invariant#responder",
            )
        return person

    async def _standing(self, person: Person) -> Standing:
        return await self.directory.standing(person.id, max_age=RESPONDER_SECONDS)


def is_responder(request: Request, person: Person, standing: Standing) -> bool:
    """Whether somebody belongs to those who decide a request, whoever is on call."""
    in_group = not standing.groups.isdisjoint(request.deciding_groups)
    return person.decides and standing.active and in_group and not concerns(request, person)


def concerns(request: Request, person: Person) -> bool:
    """Whether they ask for it, or would get it: then they never decide it."""
    return person.id in (request.requester.id, request.beneficiary.id)


def _check_minutes(attempt: Attempt, request: Request) -> None:
    if attempt.minutes is not None and not 1 <= attempt.minutes <= request.minutes:
        raise Refused(f"It can be approved for at most {span(request.minutes)}.", rule="invariant#asked-for")


def _check_code(attempt: Attempt, request: Request) -> None:
    if request.entitlement.sensitivity is Sensitivity.HIGH and not attempt.code:
        raise Refused(
            f"This one needs your code, which was sent to you in Slack: approve {request.id} and then the code.",
            rule="invariant#code",
        )
