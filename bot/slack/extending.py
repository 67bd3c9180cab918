"""*Extend*: the button, its form, and the submission, which stores a request of its own."""

from __future__ import annotations

import asyncio
from typing import Any

from bot.core.request import Person
from bot.errors import Fault, Refused
from bot.extension import Extending as Extensions
from bot.journey import Journey
from bot.ledger import Audit
from bot.screen import looks_secret
from bot.slack import forms
from bot.slack.beside import ACK_SECONDS, Beside
from bot.slack.payload import Body, team_of, user_of
from bot.slack.pressing import Look

FIELDS = (forms.DURATION, forms.JUSTIFICATION)


class Extending:
    """Bolt's handlers for extending a grant."""

    def __init__(self, journey: Journey, beside: Beside) -> None:
        self._journey = journey
        self._extensions = Extensions(journey)
        self._beside = beside

    async def press(self, press: Look) -> None:
        """The form, for whoever holds the access; who they are now is read while they fill it in."""
        person = await self._person(press.team, press.user)
        self._extensions.check(press.request, person)
        await self._journey.chat.open_modal(press.trigger, forms.extend_form(press.request))

    async def on_extension(self, ack: Any, body: Body, view: Body) -> None:
        """Check, commit, acknowledge; a refusal appears at its field."""
        try:
            async with asyncio.timeout(ACK_SECONDS):
                await self._submit(body, view)
        except Refused as refused:
            audit = Audit(user_of(body), "request.refused", {"rule": refused.rule})
            self._beside.tell(self._journey.ledger.note_event(audit))
            field = refused.field if refused.field in FIELDS else forms.JUSTIFICATION
            await ack(response_action="errors", errors={field: refused.sentence})
        except (Fault, TimeoutError):
            sentence = "That cannot be looked up right now, so nothing was sent. Try again in a minute."
            await ack(response_action="errors", errors={forms.JUSTIFICATION: sentence})
        else:
            await ack()

    async def _submit(self, body: Body, view: Body) -> None:
        minutes, why = forms.read_extension(view)
        if found := looks_secret(why):
            raise Refused(f"This looks like {found}. Remove it first.", field=forms.JUSTIFICATION, rule="intake#secret")
        request = await self._journey.ledger.find(str(forms.about(view).get("request")))
        if request is None:
            raise Refused("This request is not known here.")
        person = await self._person(team_of(body), user_of(body))
        await self._extensions.ask(request, person, key=f"slack.view/{view['id']}", minutes=minutes, why=why)

    async def _person(self, team: str, user: str) -> Person:
        person = await self._journey.ledger.person_by_slack(team, user)
        if person is None:
            raise Refused("Your account is not known here yet.", rule="people#unknown")
        return person
