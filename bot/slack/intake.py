"""What people press in Slack: parsed here, recorded, acknowledged, and handed to the story.

Every handler does at most one local commit before the acknowledgement. Whatever needs another system runs beside it,
or as a job; whatever is refused is said where the person is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from bot.asides import Asides
from bot.core.request import Answer, Draft, Person, Place, Request, Standing
from bot.errors import Fault, Refused
from bot.journey import Attempt, Journey
from bot.ledger import Audit, Due
from bot.people import as_person, identify
from bot.screen import looks_secret
from bot.slack import cards, forms, home
from bot.slack.blocks import escape, unescape

if TYPE_CHECKING:
    from slack_bolt.async_app import AsyncApp

log = logging.getLogger(__name__)

READING_SECONDS = 60.0
READINGS_KEPT = 5_000
ACK_SECONDS = 2.2
SHORTCUT, MESSAGE_SHORTCUT, COMMAND = "request_access", "request_access_from_message", "/access"

Body = Mapping[str, Any]


@dataclass(slots=True)
class Readings:
    """Who somebody is and what they hold, read when their form opened; shared by everything about that form."""

    read: Callable[[str], Awaitable[tuple[Person, Standing]]]
    _kept: OrderedDict[str, tuple[float, asyncio.Task[tuple[Person, Standing]]]] = field(default_factory=OrderedDict)

    def start(self, user: str) -> asyncio.Task[tuple[Person, Standing]]:
        """Begin a reading, unless one is under way or younger than a minute."""
        at, task = self._kept.get(user, (0.0, None))
        if task is None or time.monotonic() - at > READING_SECONDS or _failed(task):
            task = asyncio.ensure_future(self.read(user))
            task.add_done_callback(_seen)
            self._kept[user] = (time.monotonic(), task)
            while len(self._kept) > READINGS_KEPT:
                self._kept.popitem(last=False)
        return task

    async def get(self, user: str) -> tuple[Person, Standing]:
        """The reading made when the form opened, however long they took to fill it in; else a new one."""
        _, task = self._kept.get(user, (0.0, None))
        return await asyncio.shield(task if task is not None and not _failed(task) else self.start(user))


def _failed(task: asyncio.Task[Any]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _seen(task: asyncio.Task[Any]) -> None:
    """A reading that failed is read again by whoever needs it."""
    if not task.cancelled():
        task.exception()


class Intake:
    """Registers the handlers on a Bolt app. `domains` are those whose people may be linked automatically."""

    def __init__(self, journey: Journey, asides: Asides, *, domains: tuple[str, ...]) -> None:
        self._journey = journey
        self._asides = asides
        self._domains = domains
        self._readings = Readings(self._read)
        self._beside: set[asyncio.Task[None]] = set()

    def register(self, app: AsyncApp) -> None:
        """Every name that the manifest and the cards use, in one place."""
        app.shortcut(SHORTCUT)(self._on_open)
        app.shortcut(MESSAGE_SHORTCUT)(self._on_open)
        app.command(COMMAND)(self._on_open)
        app.action(home.OPEN_FORM)(self._on_open)
        app.options(forms.ACCESS)(self._on_typed)
        app.action(forms.ACCESS)(self._on_chosen)
        app.action(forms.FOR)(self._on_beneficiary)
        app.view(forms.REQUEST)(self._on_request)
        app.action(cards.APPROVE)(self._on_approve)
        app.action(cards.APPROVE_LESS)(self._on_approve)
        app.view(forms.DENY_REASON)(self._on_deny)
        app.view(forms.QUESTION)(self._on_question)
        app.view(forms.ANSWER)(self._on_answer)
        app.event("app_home_opened")(self._on_home)
        for action_id, press in self._presses().items():
            app.action(action_id)(_pressed(self, press))
        app.error(self._on_error)

    def _presses(self) -> dict[str, Callable[[Press], Awaitable[None]]]:
        """Buttons whose press needs a look at the request first."""
        return {
            cards.DENY: self._deny,
            cards.ASK: self._ask,
            cards.SHOW_ADVICE: self._show_advice,
            cards.DETAILS: self._details,
            cards.NOT_ME: self._not_me,
            cards.RETRY: self._retry,
            cards.TAKE: self._take_it,
            cards.WITHDRAW: self._withdraw,
            cards.GIVE_BACK: self._give_back,
            cards.REPLY: self._reply,
        }

    # --- asking -----------------------------------------------------------------------------------------------------

    async def _on_open(self, ack: Any, body: Body) -> None:
        """Open the form at once; who they are is read meanwhile, and a refusal replaces the form."""
        await ack()
        user = _user(body)
        self._readings.start(user)
        words = unescape(str((body.get("message") or {}).get("text", "")))
        self._run(self._open_form(user, str(body["trigger_id"]), words))

    async def _open_form(self, user: str, trigger: str, words: str) -> None:
        view_id = await self._journey.chat.open_modal(trigger, forms.request_form(user, justification=words))
        try:
            await self._readings.get(user)
        except Refused as refused:
            await self._journey.chat.update_modal(view_id, forms.refusal_form(refused.sentence))

    async def _read(self, user: str) -> tuple[Person, Standing]:
        journey = self._journey
        person = await identify(
            user,
            ledger=journey.ledger,
            chat=journey.chat,
            directory=journey.directory,
            home_team=journey.home_team,
            domains=self._domains,
        )
        return person, await journey.directory.standing(person.id, max_age=READING_SECONDS)

    async def _on_typed(self, ack: Any, body: Body) -> None:
        """The typeahead offers only what this person may ask for."""
        try:
            async with asyncio.timeout(ACK_SECONDS):
                _, standing = await self._readings.get(_user(body))
        except (Refused, Fault, TimeoutError):
            await ack(options=[])
            return
        await ack(options=forms.access_options(self._asides.offered(standing), str(body.get("value", ""))))

    async def _on_chosen(self, ack: Any, body: Body) -> None:
        """Draw the form again with the limits of what was chosen."""
        await ack()
        chosen = str(body["actions"][0]["selected_option"]["value"])
        entitlement = self._journey.rules.entitlements.get(chosen)
        if entitlement is not None:
            words = forms.justification_of(body["view"])
            view = forms.request_form(_user(body), entitlement=entitlement, justification=words)
            self._run(self._journey.chat.update_modal(str(body["view"]["id"]), view))

    async def _on_beneficiary(self, ack: Any, body: Body) -> None:
        """Reading about somebody else starts when they are chosen."""
        await ack()
        self._readings.start(str(body["actions"][0].get("selected_user") or _user(body)))

    async def _on_request(self, ack: Any, body: Body, view: Body) -> None:
        """Check, commit, acknowledge: in that order, and nothing else before the acknowledgement."""
        try:
            async with asyncio.timeout(ACK_SECONDS):
                await self._submit(_user(body), view)
        except Refused as refused:
            self._run(self._audit_refusal(_user(body), refused))
            await ack(response_action="errors", errors={refused.field or forms.ACCESS: refused.sentence})
        except (Fault, TimeoutError):
            sentence = "Your account cannot be looked up right now, so nothing was sent. Try again in a minute."
            await ack(response_action="errors", errors={forms.ACCESS: sentence})
        else:
            await ack()

    async def _submit(self, user: str, view: Body) -> str:
        filled = forms.read_request(view, user)
        if found := looks_secret(f"{filled.justification}\n{filled.ticket}"):
            raise Refused(
                f"This looks like {found}. Remove it, and replace it wherever it is used: it has been on screen.",
                field=forms.JUSTIFICATION,
                rule="intake#secret",
            )
        person, standing = await self._readings.get(user)
        beneficiary, their_standing = await self._beneficiary(filled, user, person, standing)
        draft = Draft(
            key=f"slack.view/{view['id']}",
            entitlement=filled.access,
            requester=person,
            beneficiary=beneficiary,
            minutes=filled.minutes,
            justification=filled.justification,
            ticket=filled.ticket,
            can_wait=filled.can_wait,
            origin="slack",
        )
        return await self._journey.receive(draft, standing, their_standing)

    async def _beneficiary(
        self, filled: forms.Filled, user: str, person: Person, standing: Standing
    ) -> tuple[Person, Standing]:
        if filled.beneficiary == user:
            return person, standing
        try:
            them, theirs = await self._readings.get(filled.beneficiary)
        except Refused:
            raise Refused(
                "This person cannot be given access here: they need a full, active account.", field=forms.FOR
            ) from None
        return as_person(theirs, them), theirs

    async def _audit_refusal(self, user: str, refused: Refused) -> None:
        await self._journey.ledger.note_event(Audit(user, "request.refused", {"rule": refused.rule}))

    # --- deciding ---------------------------------------------------------------------------------------------------

    async def _on_approve(self, ack: Any, body: Body) -> None:
        """A click is recorded before it is acknowledged; whether it counts is decided from the record."""
        action = body["actions"][0]
        value = str(action.get("value") or (action.get("selected_option") or {}).get("value") or "")
        request, _, rest = value.partition(":")
        digest, _, minutes = rest.partition(":")
        attempt = _attempt(body, Answer.APPROVE, digest=digest, minutes=int(minutes) if minutes.isdigit() else None)
        await self._take(request, attempt, *_place(body))
        await ack()

    async def _on_deny(self, ack: Any, body: Body, view: Body) -> None:
        about = forms.about(view)
        try:
            reason = _clean(forms.read_text(view))
        except Refused as refused:
            await ack(response_action="errors", errors={forms.REASON: refused.sentence})
            return
        attempt = _attempt(body, Answer.DENY, reason=reason, receipt=str(view["id"]))
        await self._take(str(about.get("request")), attempt, str(about.get("channel")), str(about.get("ts")))
        await ack()

    async def _take(self, request: str, attempt: Attempt, channel: str, ts: str) -> None:
        """Only a press on the card that stands for the request is taken; another one is answered and audited."""
        journey = self._journey
        found, shown = await asyncio.gather(journey.ledger.find(request), journey.ledger.shown(request, "card"))
        if found is None or shown is None or (shown.sent.channel, shown.sent.ts) != (channel, ts):
            self._run(self._stray(attempt.who, channel, request=found.id if found else ""))
            return
        payload = {**asdict(attempt), "channel": channel, "ts": ts}
        await journey.ledger.accept(
            "slack.press", attempt.receipt, request=request, jobs=[Due(f"decide:{attempt.receipt}", payload=payload)]
        )

    async def _stray(self, user: str, channel: str, *, request: str) -> None:
        audit = Audit(user, "decision.refused", {"rule": "decision#not-the-card"})
        await self._journey.ledger.note_event(audit, request=request)
        await self._journey.chat.whisper(channel, user, "This card is not in use any more. Look for a newer one.")

    # --- the other buttons ------------------------------------------------------------------------------------------

    async def press(self, press: Press, do: Callable[[Press], Awaitable[None]]) -> None:
        """Run what a button means; a refusal or a fault is told to whoever pressed it, and refusals are audited."""
        try:
            await do(press)
        except Refused as refused:
            await self._audit_press(press, refused)
            await press.tell(self._journey, refused.sentence)
        except Fault as fault:
            log.warning("%s", fault, extra={"request": press.request.id, "step": press.action_id})
            await press.tell(self._journey, "That did not work just now. Please try again in a minute.")

    async def _audit_press(self, press: Press, refused: Refused) -> None:
        detail = {"rule": refused.rule, "press": press.action_id}
        await self._journey.ledger.note_event(Audit(press.user, "press.refused", detail), request=press.request.id)

    async def _deny(self, press: Press) -> None:
        form = forms.deny_form(press.request.id, channel=press.channel, ts=press.ts)
        await self._journey.chat.open_modal(press.trigger, form)

    async def _ask(self, press: Press) -> None:
        form = forms.question_form(press.request.id)
        view_id = await self._journey.chat.open_modal(press.trigger, form)
        try:
            await self._asides.responder(press.request, press.user)
        except Refused as refused:
            await self._audit_press(press, refused)
            await self._journey.chat.update_modal(view_id, forms.refusal_form(refused.sentence))

    async def _show_advice(self, press: Press) -> None:
        person = await self._asides.responder(press.request, press.user)
        await self._asides.look_at_advice(press.request, person)
        await self._journey.chat.open_modal(press.trigger, forms.advice_view(press.request))

    async def _details(self, press: Press) -> None:
        await self._journey.chat.open_modal(press.trigger, forms.details_view(press.request))

    async def _not_me(self, press: Press) -> None:
        person = await self._asides.responder(press.request, press.user)
        await self._asides.pass_on(press.request, person)
        await press.tell(self._journey, f"{press.request.id} is passed on: the next level is paged.")

    async def _take_it(self, press: Press) -> None:
        await self._asides.take(press.request, await self._asides.responder(press.request, press.user))
        await press.tell(self._journey, f"{press.request.id} is yours: it is not paged again. Decide on its card.")

    async def _retry(self, press: Press) -> None:
        await self._asides.retry(press.request, await self._asides.responder(press.request, press.user))

    async def _withdraw(self, press: Press) -> None:
        await self._asides.withdraw(press.request, await self._person(press.user))
        self._redraw_home(press.user)

    async def _give_back(self, press: Press) -> None:
        await self._asides.give_back(press.request, await self._person(press.user))
        self._redraw_home(press.user)

    async def _reply(self, press: Press) -> None:
        number = press.value.partition(":")[2]
        question = next((one for one in press.request.questions if str(one.id) == number), None)
        if question is not None:
            form = forms.answer_form(press.request.id, question.id, question.text)
            await self._journey.chat.open_modal(press.trigger, form)

    async def _on_question(self, ack: Any, body: Body, view: Body) -> None:
        await self._text_form(ack, body, view, self._asked)

    async def _on_answer(self, ack: Any, body: Body, view: Body) -> None:
        await self._text_form(ack, body, view, self._answered)

    async def _text_form(
        self, ack: Any, body: Body, view: Body, then: Callable[[Request, str, str, Body], Awaitable[None]]
    ) -> None:
        """A form with one text about one request: stored, then acknowledged; refusals appear at the field."""
        try:
            words = _clean(forms.read_text(view))
            about = forms.about(view)
            request = await self._journey.ledger.find(str(about.get("request")))
            if request is None:
                raise Refused("This request is not known here.")
            async with asyncio.timeout(ACK_SECONDS):
                await then(request, _user(body), words, about)
        except Refused as refused:
            await ack(response_action="errors", errors={forms.REASON: refused.sentence})
        except (Fault, TimeoutError):
            await ack(response_action="errors", errors={forms.REASON: "That did not work just now. Please try again."})
        else:
            await ack()

    async def _asked(self, request: Request, user: str, words: str, about: Body) -> None:
        await self._asides.ask(request, await self._asides.responder(request, user), words)

    async def _answered(self, request: Request, user: str, words: str, about: Body) -> None:
        await self._asides.answer(request, await self._person(user), int(about.get("question") or 0), words)

    async def _person(self, user: str) -> Person:
        person = await self._journey.ledger.person_by_slack(self._journey.home_team, user)
        if person is None:
            raise Refused("Your account is not known here yet.", rule="people#unknown")
        return person

    # --- home and the rest ------------------------------------------------------------------------------------------

    async def _on_home(self, event: Body) -> None:
        if event.get("tab") == "home":
            self._redraw_home(str(event["user"]))

    def _redraw_home(self, user: str) -> None:
        self._run(self._journey.ledger.schedule(user, [Due("home")]))

    async def _on_error(self, error: Exception, body: Body) -> None:
        """A mistake of ours: logged with a reference, and the person is told it."""
        reference = f"{time.time_ns() // 1_000_000:x}"
        log.error("reference %s", reference, exc_info=error, extra={"step": str(body.get("type", ""))})
        user, channel = _user(body), (body.get("channel") or {}).get("id")
        if user and channel:
            words = f"Something went wrong on our side (reference {reference}). Nothing was decided; please try again."
            self._run(self._journey.chat.whisper(channel, user, words))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        """Beside the acknowledgement; what fails is logged."""
        task = asyncio.ensure_future(work)
        self._beside.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._beside.discard(task)
        if not task.cancelled() and (problem := task.exception()) is not None:
            log.warning("beside: %s", problem)

    async def drain(self) -> None:
        """Let what runs beside finish."""
        await asyncio.gather(*self._beside, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Press:
    """A press of a button about a request."""

    request: Request
    action_id: str
    value: str
    user: str
    trigger: str
    channel: str
    ts: str

    async def tell(self, journey: Journey, words: str) -> None:
        """Privately, where they pressed; from App Home and direct messages as a direct message."""
        channel = self.channel or await journey.chat.dm_channel(self.user)
        await journey.chat.whisper(channel, self.user, escape(words))


def _pressed(intake: Intake, do: Callable[[Press], Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """A Bolt handler: acknowledge, look the request up, and do it beside the acknowledgement."""

    async def handler(ack: Any, body: Body) -> None:
        await ack()
        action, (channel, ts) = body["actions"][0], _place(body)
        value = str(action.get("value") or "")
        request = await intake._journey.ledger.find(value.partition(":")[0])
        if request is not None:
            press = Press(request, action["action_id"], value, _user(body), str(body["trigger_id"]), channel, ts)
            intake._run(intake.press(press, do))

    return handler


def _user(body: Body) -> str:
    """The person's id, wherever this kind of payload holds it."""
    user = body.get("user") or body.get("user_id") or ""
    return str(user["id"] if isinstance(user, Mapping) else user)


def _place(body: Body) -> tuple[str, str]:
    container = body.get("container") or {}
    return str(container.get("channel_id") or ""), str(container.get("message_ts") or "")


def _attempt(
    body: Body, answer: Answer, *, digest: str = "", minutes: int | None = None, reason: str = "", receipt: str = ""
) -> Attempt:
    user = _user(body)
    pressed = receipt or f"{user}-{body['actions'][0].get('action_ts', '')}"
    return Attempt(
        place=Place.SLACK, who=user, answer=answer, receipt=pressed, digest=digest, minutes=minutes, reason=reason
    )


def _clean(words: str) -> str:
    """A text for the record; what looks like a secret is refused at its field."""
    if found := looks_secret(words):
        raise Refused(f"This looks like {found}. Remove it first.", field=forms.REASON, rule="intake#secret")
    return words
