"""Extending a grant: a request of its own, decided like any other, that begins where the first one ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bot.authority import RESPONDER_SECONDS, concerns
from bot.core.lifecycle import State
from bot.core.request import Draft, Extension, Person, Request
from bot.errors import Refused
from bot.journey import Journey


@dataclass(frozen=True, slots=True)
class Extending:
    """Whoever holds an access, or asked for it, asks for longer."""

    journey: Journey

    def check(self, request: Request, person: Person) -> Extension:
        """What would be extended; `Refused` when it is not theirs, is over, or has lasted as long as it may."""
        grant = request.grant
        if not concerns(request, person):
            raise Refused(f"Only whoever holds {request.id} can extend it.", rule="invariant#holder")
        if request.state is not State.ACTIVE or grant is None or grant.ends_at is None:
            raise Refused(f"{request.id} has ended; ask for it anew.", rule="extension#ended")
        if grant.ends_at <= self.journey.clock.now():
            raise Refused(f"{request.id} is ending right now; ask for it anew.", rule="extension#ended")
        if not request.room:
            raise Refused(
                f"{request.id} has been granted for as long as it may last; ask for it anew when it has ended.",
                rule="extension#in-total",
            )
        return Extension(of=request.id, ends_at=grant.ends_at, minutes_before=request.minutes_in_total)

    async def ask(self, request: Request, person: Person, *, key: str, minutes: int, why: str) -> str:
        """The id of the request that extends it."""
        extension = self.check(request, person)
        draft = Draft(
            key=key,
            entitlement=request.entitlement.id,
            requester=person,
            beneficiary=request.beneficiary,
            minutes=minutes,
            justification=why,
            ticket=request.ticket,
            origin="extension",
            extends=extension,
        )
        directory = self.journey.directory
        requester, beneficiary = await asyncio.gather(
            directory.standing(person.id, max_age=RESPONDER_SECONDS),
            directory.standing(request.beneficiary.id, max_age=RESPONDER_SECONDS),
        )
        return await self.journey.receive(draft, requester, beneficiary)
