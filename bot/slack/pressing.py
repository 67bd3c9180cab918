"""Pressing buttons, on cards and at home, and the small forms that some of them open.

A click is recorded before it is acknowledged; whatever needs another system runs beside that, or as a job.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

from bot.asides import Asides
from bot.authority import Attempt, Press
from bot.core.request import Answer, Person, Place, Request
from bot.errors import Fault, Refused
from bot.journey import Journey
from bot.ledger import Audit, Due, Shown
from bot.screen import looks_secret
from bot.slack import cards, forms
from bot.slack.beside import ACK_SECONDS, BUSY, Beside
from bot.slack.payload import Body, place_of, team_of, user_of

log = logging.getLogger(__name__)

NOT_IN_USE = "This card is not in use any more. Look for a newer one."
TOO_NEW = "This card is too new to be on record. Press again in a few seconds; if it has gone, on the one that stays."


@dataclass(frozen=True, slots=True)
class Look:
    """A press of a button that shows something about a request, or opens a form, and changes nothing."""

    request: Request
    action_id: str
    value: str
    team: str
    user: str
    trigger: str
    channel: str
    ts: str

    async def tell(self, journey: Journey, words: str) -> None:
        """Privately, where they pressed."""
        await journey.whisper(self.request.id, self.channel, self.user, words, receipt=self.trigger)


class _Stray(Refused):
    """A press on what is not the card that stands for a request, as far as is known."""

    def __init__(self, request: Request | None, sentence: str) -> None:
        super().__init__(sentence, rule="decision#not-the-card")
        self.request = request.id if request else ""


Do = Callable[[Look], Awaitable[None]]


class Pressing:
    """Bolt's handlers for buttons and small forms."""

    def __init__(self, journey: Journey, asides: Asides, beside: Beside) -> None:
        self._journey = journey
        self._asides = asides
        self._beside = beside

    def looks(self) -> dict[str, Do]:
        """Buttons that show something or open a form."""
        return {
            cards.DENY: self._deny,
            cards.ASK: self._ask,
            cards.SHOW_ADVICE: self._show_advice,
            cards.DETAILS: self._details,
            cards.REPLY: self._reply,
        }

    # --- deciding ---------------------------------------------------------------------------------------------------

    async def on_approve(self, ack: Any, body: Body) -> None:
        """A click is recorded before it is acknowledged; whether it counts is decided from the record."""
        action = body["actions"][0]
        value = str(action.get("value") or (action.get("selected_option") or {}).get("value") or "")
        request, _, rest = value.partition(":")
        digest, _, minutes = rest.partition(":")
        attempt = _attempt(body, Answer.APPROVE, digest=digest, minutes=int(minutes) if minutes.isdigit() else None)
        channel, ts = place_of(body)
        try:
            await self._take(request, attempt, channel, ts)
        except _Stray as stray:
            self._beside.run(self._answer_stray(stray, attempt.who, channel))
        await ack()

    async def on_deny(self, ack: Any, body: Body, view: Body) -> None:
        """A denial, with its reason, which stays in the form while it cannot be taken."""
        about = forms.about(view)
        try:
            reason = _clean(forms.read_text(view))
            attempt = _attempt(body, Answer.DENY, reason=reason, receipt=str(view["id"]))
            await self._take(str(about.get("request")), attempt, str(about.get("channel")), str(about.get("ts")))
        except Refused as refused:
            self._beside.run(self._audit_form(body, view, refused))
            await ack(response_action="errors", errors={forms.REASON: refused.sentence})
        else:
            await ack()

    async def _take(self, request: str, attempt: Attempt, channel: str, ts: str) -> None:
        """Only a press on the card that stands for the request is taken."""
        journey = self._journey
        if journey.ledger.crowded:
            raise Refused(BUSY, rule="limits#busy")
        found, shown = await asyncio.gather(journey.ledger.find(request), journey.ledger.shown(request, "card"))
        if found is None or shown is None or (shown.sent.channel, shown.sent.ts) != (channel, ts):
            raise _Stray(found, TOO_NEW if found is not None and _may_be_ours(shown, channel, ts) else NOT_IN_USE)
        payload = {**asdict(attempt), "channel": channel, "ts": ts}
        await self._record(request, Due(f"decide:{attempt.receipt}", payload=payload))

    async def _answer_stray(self, stray: _Stray, user: str, channel: str) -> None:
        await self._journey.ledger.note_event(
            Audit(user, "decision.refused", {"rule": stray.rule}), request=stray.request
        )
        await self._journey.chat.whisper(channel, user, stray.sentence)

    async def _record(self, request: str, job: Due) -> None:
        """One commit, before the acknowledgement: from then on a press is carried out, once, whatever happens."""
        await self._journey.ledger.accept("slack.press", str(job.payload["receipt"]), request=request, jobs=[job])

    # --- the other buttons ------------------------------------------------------------------------------------------

    async def on_change(self, ack: Any, body: Body) -> None:
        """A press that changes something is recorded, then acknowledged, and carried out from the record."""
        action = body["actions"][0]
        request = await self._journey.ledger.find(str(action.get("value") or ""))
        if request is not None:
            channel, _ = place_of(body)
            press = Press(str(action["action_id"]), user_of(body), team_of(body), _receipt(body), channel)
            await self._record(request.id, Due(f"press:{press.receipt}", payload=asdict(press)))
        await ack()

    def handler(self, do: Do) -> Callable[..., Awaitable[None]]:
        """A Bolt handler for what changes nothing: acknowledge, and show it beside that."""

        async def pressed(ack: Any, body: Body) -> None:
            await ack()
            value = str(body["actions"][0].get("value") or "")
            request = await self._journey.ledger.find(value.partition(":")[0])
            if request is not None:
                self._beside.run(self._show(_look(body, request, value), do))

        return pressed

    async def _show(self, look: Look, do: Do) -> None:
        """Run what a button means; whatever goes wrong is told to whoever pressed it, and refusals are audited."""
        try:
            await do(look)
        except Refused as refused:
            await self._audit_look(look, refused)
            await look.tell(self._journey, refused.sentence)
        except Exception as problem:  # the outermost edge: somebody waits for an answer
            about = {"request": look.request.id, "step": look.action_id}
            log.warning("%s", problem, exc_info=not isinstance(problem, Fault), extra=about)
            await look.tell(self._journey, "That did not work just now. Please try again in a minute.")

    async def _audit_look(self, look: Look, refused: Refused) -> None:
        detail = {"rule": refused.rule, "press": look.action_id}
        await self._journey.ledger.note_event(Audit(look.user, "press.refused", detail), request=look.request.id)

    async def _audit_form(self, body: Body, view: Body, refused: Refused) -> None:
        found = await self._journey.ledger.find(str(forms.about(view).get("request")))
        detail = {"rule": refused.rule, "press": str(view.get("callback_id", ""))}
        audit = Audit(user_of(body), "press.refused", detail)
        await self._journey.ledger.note_event(audit, request=found.id if found else "")

    async def _deny(self, look: Look) -> None:
        form = forms.deny_form(look.request.id, channel=look.channel, ts=look.ts)
        await self._journey.chat.open_modal(look.trigger, form)

    async def _ask(self, look: Look) -> None:
        form = forms.question_form(look.request.id)
        view_id = await self._journey.chat.open_modal(look.trigger, form)
        try:
            await self._responder(look)
        except Refused as refused:
            await self._audit_look(look, refused)
            instead = forms.refusal_form(refused.sentence, title=f"Ask about {look.request.id}")
            if not await self._journey.chat.update_modal(view_id, instead):
                await look.tell(self._journey, refused.sentence)

    async def _show_advice(self, look: Look) -> None:
        person = await self._responder(look)
        request, _ = await asyncio.gather(
            self._journey.quoting.for_everybody(look.request), self._asides.look_at_advice(look.request, person)
        )
        await self._journey.chat.open_modal(look.trigger, forms.advice_view(request))

    async def _details(self, look: Look) -> None:
        request = await self._journey.quoting.for_everybody(look.request)
        await self._journey.chat.open_modal(look.trigger, forms.details_view(request))
        seen = {"digest": request.evidence.digest if request.evidence else ""}
        await self._journey.ledger.note_event(Audit(look.user, "evidence.shown", seen), request=look.request.id)

    async def _reply(self, look: Look) -> None:
        number = look.value.partition(":")[2]
        question = next((one for one in look.request.questions if str(one.id) == number), None)
        if question is not None:
            form = forms.answer_form(look.request.id, question.id, question.text)
            await self._journey.chat.open_modal(look.trigger, form)

    # --- the small forms --------------------------------------------------------------------------------------------

    async def on_question(self, ack: Any, body: Body, view: Body) -> None:
        """A responder asks the requester."""
        await self._text_form(ack, body, view, self._asked)

    async def on_answer(self, ack: Any, body: Body, view: Body) -> None:
        """The requester answers."""
        await self._text_form(ack, body, view, self._answered)

    async def _text_form(
        self, ack: Any, body: Body, view: Body, then: Callable[[Request, Body, str, Body], Awaitable[None]]
    ) -> None:
        """A form with one text about one request: stored, then acknowledged; refusals appear at the field."""
        try:
            words = _clean(forms.read_text(view))
            about = forms.about(view)
            request = await self._journey.ledger.find(str(about.get("request")))
            if request is None:
                raise Refused("This request is not known here.")
            async with asyncio.timeout(ACK_SECONDS):
                await then(request, body, words, about)
        except Refused as refused:
            self._beside.run(self._audit_form(body, view, refused))
            await ack(response_action="errors", errors={forms.REASON: refused.sentence})
        except (Fault, TimeoutError):
            await ack(response_action="errors", errors={forms.REASON: "That did not work just now. Please try again."})
        else:
            await ack()

    async def _asked(self, request: Request, body: Body, words: str, about: Body) -> None:
        responder = await self._journey.authority.responder(request, team_of(body), user_of(body))
        await self._asides.ask(request, responder, words, receipt=str(body["view"]["id"]))

    async def _answered(self, request: Request, body: Body, words: str, about: Body) -> None:
        person = await self._person(team_of(body), user_of(body))
        await self._asides.answer(request, person, int(about.get("question") or 0), words)

    # --- who pressed ------------------------------------------------------------------------------------------------

    async def _responder(self, look: Look) -> Person:
        return await self._journey.authority.responder(look.request, look.team, look.user)

    async def _person(self, team: str, user: str) -> Person:
        person = await self._journey.ledger.person_by_slack(team, user)
        if person is None:
            raise Refused("Your account is not known here yet.", rule="people#unknown")
        return person


def _look(body: Body, request: Request, value: str) -> Look:
    channel, ts = place_of(body)
    return Look(
        request=request,
        action_id=str(body["actions"][0]["action_id"]),
        value=value,
        team=team_of(body),
        user=user_of(body),
        trigger=str(body["trigger_id"]),
        channel=channel,
        ts=ts,
    )


def _may_be_ours(shown: Shown | None, channel: str, ts: str) -> bool:
    """Whether it may be a card whose posting is not recorded yet, as after an answer that was lost."""
    return shown is None or (shown.sent.channel == channel and shown.sent.ts < ts)


def _attempt(
    body: Body, answer: Answer, *, digest: str = "", minutes: int | None = None, reason: str = "", receipt: str = ""
) -> Attempt:
    return Attempt(
        place=Place.SLACK,
        team=team_of(body),
        who=user_of(body),
        answer=answer,
        receipt=receipt or _receipt(body),
        digest=digest,
        minutes=minutes,
        reason=reason,
    )


def _receipt(body: Body) -> str:
    """What names one press: the same however often it is delivered, and another for the next press."""
    return f"{user_of(body)}-{body['actions'][0].get('action_ts') or body['trigger_id']}"


def _clean(words: str) -> str:
    """A text for the record; what looks like a secret is refused at its field."""
    if found := looks_secret(words):
        raise Refused(f"This looks like {found}. Remove it first.", field=forms.REASON, rule="intake#secret")
    return words
