"""What people do in Slack: every name that we listen to, and who handles it."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bot.asides import Asides
from bot.errors import Refused
from bot.journey import Journey
from bot.ledger import Due
from bot.presses import STEPS
from bot.slack import answer_message, cards, forms, home
from bot.slack.answers import COMMAND as ASK
from bot.slack.answers import Answers, is_direct
from bot.slack.asking import Asking
from bot.slack.beside import Beside
from bot.slack.extending import Extending
from bot.slack.following import Ear, Turns, register_following
from bot.slack.payload import Body, user_of
from bot.slack.pressing import Pressing

if TYPE_CHECKING:
    from slack_bolt.async_app import AsyncApp

log = logging.getLogger(__name__)

SHORTCUT, MESSAGE_SHORTCUT, COMMAND = "request_access", "request_access_from_message", "/access"


class Intake:
    """Registers the handlers on a Bolt app. `domains` are those whose people may be linked automatically."""

    def __init__(
        self,
        journey: Journey,
        asides: Asides,
        *,
        domains: tuple[str, ...],
        ask_channels: tuple[str, ...] = (),
        bot_user: str = "",
        following: Sequence[Ear] = (),
    ) -> None:
        self._journey = journey
        self.beside = Beside()
        self._ears = [*following, Turns(journey.quoting.audiences, journey.ledger, self.beside)]
        self._asking = Asking(journey, asides, self.beside, domains=domains)
        self._pressing = Pressing(journey, asides, self.beside)
        self._extending = Extending(journey, self.beside)
        self._answers = Answers(
            journey, self.beside, channels=ask_channels, bot_user=bot_user, open_form=self._asking.open_with
        )

    def register(self, app: AsyncApp) -> None:
        """Every name that the manifest and the cards use, in one place.

        Bolt asks its listeners one after another, so what people wait for most comes first.
        """
        app.view(forms.REQUEST)(self._asking.on_request)
        app.action(cards.APPROVE)(self._pressing.on_approve)
        self._register_asking(app)
        self._register_pressing(app)
        self._register_answers(app)
        app.event("app_home_opened")(self._on_home)
        register_following(app, self._ears)
        app.error(self._on_error)

    def _register_asking(self, app: AsyncApp) -> None:
        asking = self._asking
        app.shortcut(SHORTCUT)(asking.on_open)
        app.shortcut(MESSAGE_SHORTCUT)(asking.on_open)
        app.command(COMMAND)(asking.on_open)
        app.action(home.OPEN_FORM)(asking.on_open)
        app.options(forms.ACCESS)(asking.on_typed)
        app.action(forms.ACCESS)(asking.on_chosen)
        app.action(forms.FOR)(asking.on_beneficiary)

    def _register_pressing(self, app: AsyncApp) -> None:
        pressing = self._pressing
        app.action(cards.APPROVE_LESS)(pressing.on_approve)
        app.view(forms.DENY_REASON)(pressing.on_deny)
        app.view(forms.QUESTION)(pressing.on_question)
        app.view(forms.ANSWER)(pressing.on_answer)
        app.view(forms.EXTENSION)(self._extending.on_extension)
        app.action(cards.EXTEND)(pressing.handler(self._extending.press))
        for action_id in STEPS:
            app.action(action_id)(pressing.on_change)
        for action_id, do in pressing.looks().items():
            app.action(action_id)(pressing.handler(do))

    def _register_answers(self, app: AsyncApp) -> None:
        answers = self._answers
        app.event("app_mention")(answers.on_mention)
        app.event("message", matchers=[is_direct])(answers.on_message)
        app.command(ASK)(answers.on_command)
        app.action(answer_message.HELPFUL)(answers.on_rating)
        app.action(answer_message.NOT_RIGHT)(answers.on_rating)
        app.action(answer_message.REQUEST_THIS)(answers.on_request)
        app.action(answer_message.HAND_ON)(answers.on_hand_on)

    async def _on_home(self, event: Body) -> None:
        if event.get("tab") == "home":
            self.beside.run(self._journey.ledger.schedule(str(event["user"]), [Due("home")]))

    async def _on_error(self, error: Exception, body: Body) -> None:
        """A mistake of ours: logged with a reference, and the person is told it. A refusal is told as it is."""
        if isinstance(error, Refused):
            self._tell(body, error.sentence)
            return
        reference = f"{time.time_ns() // 1_000_000:x}"
        log.error("reference %s", reference, exc_info=error, extra={"step": str(body.get("type", ""))})
        words = f"Something went wrong on our side (reference {reference}). Nothing was decided; please try again."
        self._tell(body, words)

    def _tell(self, body: Body, words: str) -> None:
        user, channel = user_of(body), (body.get("channel") or {}).get("id")
        if user and channel:
            self.beside.tell(self._journey.chat.whisper(channel, user, words))

    async def drain(self) -> None:
        """Let what runs beside the acknowledgements finish."""
        await self.beside.drain()
