"""Presses that change something: recorded before they were acknowledged, carried out from the record, once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from bot.asides import Asides
from bot.authority import Press
from bot.core.request import Person, Request
from bot.errors import Fault, Refused
from bot.journey import UNREADABLE
from bot.ledger import Audit, Job
from bot.slack import cards

Step = Callable[[Asides, Request, Person, Press], Awaitable[None]]
RESPONDERS: dict[str, Step] = {cards.NOT_ME: Asides.pass_on, cards.RETRY: Asides.retry, cards.TAKE: Asides.take}
REQUESTERS: dict[str, Step] = {cards.WITHDRAW: Asides.withdraw, cards.GIVE_BACK: Asides.give_back}
STEPS = RESPONDERS | REQUESTERS


@dataclass(frozen=True, slots=True)
class Presses:
    """Carries presses out. What came of one stands in the trail under its receipt, and is not done again."""

    asides: Asides

    async def press(self, job: Job) -> datetime | None:
        """Do what a button means for whoever pressed it, or tell them there why not."""
        journey, press = self.asides.journey, Press(**job.payload)
        request = await journey.ledger.request(job.subject)
        if await journey.ledger.has_counted(request.id, press.receipt):
            return None
        try:
            await STEPS[press.action](self.asides, request, await self._person(request, press), press)
        except Refused as refused:
            await self._refuse(request, press, refused)
        except Fault as fault:
            if not fault.permanent:
                raise
            await self._refuse(request, press, Refused(UNREADABLE, rule="press#unreadable"))
        return None

    async def _person(self, request: Request, press: Press) -> Person:
        journey = self.asides.journey
        if press.action in RESPONDERS:
            return await journey.authority.responder(request, press.team, press.who)
        person = await journey.ledger.person_by_slack(press.team, press.who)
        if person is None:
            raise Refused("Your account is not known here yet.", rule="people#unknown")
        return person

    async def _refuse(self, request: Request, press: Press, refused: Refused) -> None:
        detail = {"rule": refused.rule, "press": press.action, "receipt": press.receipt}
        audit = Audit(press.who, "press.refused", detail)
        jobs = (press.reply(refused.sentence),)
        await self.asides.journey.ledger.note_event(audit, request=request.id, jobs=jobs)
