"""Asking for access: the form, its typeahead, and its submission.

At most one local commit comes before an acknowledgement; what needs another system was read when the form opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from bot.asides import Asides
from bot.core.request import Draft, Entitlement, Person, Standing
from bot.core.words import whole
from bot.errors import Fault, Refused
from bot.journey import Journey
from bot.ledger import Audit
from bot.peers import foresee
from bot.people import as_person, identify
from bot.screen import looks_secret
from bot.slack import forms
from bot.slack.beside import ACK_SECONDS, Beside
from bot.slack.blocks import unescape
from bot.slack.payload import Body, user_of
from bot.slack.readings import READING_SECONDS, Readings
from policies.rules import may_ask

NOT_FOR_YOU = "You may not ask for what was suggested there. Choose from the list what you may ask for."
REFUSED_TO_YOU = "As things stand this is refused if you ask for it for yourself. {reason}"


class Asking:
    """Bolt's handlers for the request form. `domains` are those whose people may be linked automatically."""

    def __init__(self, journey: Journey, asides: Asides, beside: Beside, *, domains: Sequence[str]) -> None:
        self._journey = journey
        self._asides = asides
        self._beside = beside
        self._domains = domains
        self._readings = Readings(self._read)

    async def on_open(self, ack: Any, body: Body) -> None:
        """Open the form at once; who they are is read meanwhile, and a refusal replaces the form."""
        await ack()
        user = user_of(body)
        self._readings.start(user)
        words = whole(unescape(str((body.get("message") or {}).get("text", ""))))
        self._beside.run(self._open_form(user, str(body["trigger_id"]), words))

    async def open_with(self, body: Body, access: str, words: str) -> None:
        """The form with something chosen already, and the words that may be the reason."""
        user = user_of(body)
        self._readings.start(user)
        self._beside.run(self._open_form(user, str(body["trigger_id"]), words, access))

    async def _open_form(self, user: str, trigger: str, words: str, access: str = "") -> None:
        chosen = self._journey.rules.entitlements.get(access)
        form = forms.request_form(user, entitlement=chosen, justification=words)
        view_id = await self._journey.chat.open_modal(trigger, form)
        try:
            _, standing = await self._readings.get(user)
            if access and (chosen is None or not may_ask(chosen, standing)):
                again = forms.request_form(user, justification=words, notice=NOT_FOR_YOU)
                await self._journey.chat.update_modal(view_id, again)
            elif chosen and (notice := self._foreseen(chosen, standing)):
                again = forms.request_form(user, entitlement=chosen, justification=words, notice=notice)
                await self._journey.chat.update_modal(view_id, again)
        except Refused as refused:
            await self._audit_refusal(user, refused)
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

    async def on_typed(self, ack: Any, body: Body) -> None:
        """The typeahead offers only what this person may ask for."""
        try:
            async with asyncio.timeout(ACK_SECONDS):
                _, standing = await self._readings.get(user_of(body))
        except (Refused, Fault, TimeoutError):
            await ack(options=[])
            return
        await ack(options=forms.access_options(self._asides.offered(standing), str(body.get("value", ""))))

    async def on_chosen(self, ack: Any, body: Body) -> None:
        """Draw the form again with the limits of what was chosen, and with what policy says of it to them."""
        await ack()
        chosen = str(body["actions"][0]["selected_option"]["value"])
        entitlement = self._journey.rules.entitlements.get(chosen)
        if entitlement is not None:
            self._beside.run(self._draw_chosen(body, entitlement))

    async def _draw_chosen(self, body: Body, entitlement: Entitlement) -> None:
        """Whoever closed the form meanwhile misses nothing."""
        user = user_of(body)
        words, notice = forms.justification_of(body["view"]), await self._foresee(user, entitlement)
        view = forms.request_form(user, entitlement=entitlement, justification=words, notice=notice)
        await self._journey.chat.update_modal(str(body["view"]["id"]), view)

    async def _foresee(self, user: str, entitlement: Entitlement) -> str:
        """Why it would be refused to them, if it would; what takes a while begins while they write why."""
        try:
            _, standing = await self._readings.get(user)
        except (Refused, Fault):
            return ""
        self._beside.run(foresee(self._journey.directory, entitlement, standing.department))
        return self._foreseen(entitlement, standing)

    def _foreseen(self, entitlement: Entitlement, standing: Standing) -> str:
        """So that nobody writes a reason for nothing."""
        ruling = self._journey.rules.foresee(entitlement, standing)
        return "" if ruling.allowed else REFUSED_TO_YOU.format(reason=ruling.reason)

    async def on_beneficiary(self, ack: Any, body: Body) -> None:
        """Reading about somebody else starts when they are chosen."""
        await ack()
        self._readings.start(str(body["actions"][0].get("selected_user") or user_of(body)))

    async def on_request(self, ack: Any, body: Body, view: Body) -> None:
        """Check, commit, acknowledge: in that order, and nothing else before the acknowledgement."""
        try:
            async with asyncio.timeout(ACK_SECONDS):
                await self._submit(user_of(body), view)
        except Refused as refused:
            self._beside.tell(self._audit_refusal(user_of(body), refused))
            await ack(response_action="errors", errors={refused.field or forms.ACCESS: refused.sentence})
        except (Fault, TimeoutError):
            sentence = "Your request cannot be checked and stored right now. Press Request again in a minute."
            await ack(response_action="errors", errors={forms.ACCESS: sentence})
        else:
            await ack()

    async def _submit(self, user: str, view: Body) -> str:
        filled = forms.read_request(view, user)
        _check_no_secret(filled.justification, forms.JUSTIFICATION)
        _check_no_secret(filled.ticket, forms.TICKET)
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


def _check_no_secret(words: str, field: str) -> None:
    if found := looks_secret(words):
        raise Refused(
            f"This looks like {found}. Remove it, and replace it wherever it is used: it has been on screen.",
            field=field,
            rule="intake#secret",
        )
