"""What exactly would change, and what policy says of it: read fresh, all readings at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.core.lifecycle import Event, State
from bot.core.request import Answer, Extension, Plan, Request, Ruling
from bot.errors import Refused
from bot.follows import BOT, CLOSED_JOBS
from bot.ledger import Audit, Ledger
from bot.ports import Actor, Clock, Directory
from bot.rules import Rules

FRESH_SECONDS = 5.0
SHARED_SECONDS = 0.5  # readings begun by the same click or submission are one reading


@dataclass(frozen=True, slots=True)
class Planning:
    """Plans a request and rules on it. An actor that refuses to touch something raises `Refused`."""

    ledger: Ledger
    directory: Directory
    actors: Mapping[str, Actor]
    rules: Rules
    clock: Clock

    async def before_deciding(self, request: Request) -> tuple[Plan, Ruling]:
        """The plan to put before people, and whether they may decide it."""
        plan, requester, beneficiary = await asyncio.gather(
            self._plan(request, max_age=SHARED_SECONDS),
            self.directory.standing(request.requester.id, max_age=SHARED_SECONDS),
            self.directory.standing(request.beneficiary.id, max_age=SHARED_SECONDS),
        )
        return plan, self.rules.at_submission(request, request.entitlement, requester, beneficiary)

    def told(self, plan: Plan, ruling: Ruling) -> dict[str, Any]:
        """What the trail says of a plan that is put before people: by which rule of which policy, and who decides."""
        who = {"approvals": ruling.approvals, "group": ruling.approver_group, "conflicts": list(ruling.conflicts)}
        return {"digest": plan.digest, "rule": ruling.rule, "policy": self.rules.digest, **who}

    async def before_acting(self, request: Request) -> tuple[Plan, Ruling]:
        """The same once more, and whether those who approved still may; readings are a few seconds old at most."""
        approvers = await self._approvers(request)
        ids = [request.requester.id, request.beneficiary.id, *approvers]
        plan, readings = await asyncio.gather(
            self._plan(request, max_age=FRESH_SECONDS),
            asyncio.gather(*(self.directory.standing(person, max_age=FRESH_SECONDS) for person in ids)),
        )
        requester, beneficiary, *standings = readings
        return plan, self.rules.at_execution(request, requester, beneficiary, standings)

    async def _approvers(self, request: Request) -> list[str]:
        """Those who approved and are still linked to decide."""
        approved = [one.person_id for one in request.decisions if one.answer is Answer.APPROVE]
        people = await asyncio.gather(*(self.ledger.person(one) for one in approved))
        return [person.id for person in people if person is not None and person.decides]

    async def _plan(self, request: Request, *, max_age: float) -> Plan:
        """The plan; what another request of ours gave is not held already: it ends with the later of the two.

        That holds also for access that is due to be taken back: it may be gone at any moment. What seems to be held
        already by nobody's grant is read again, because the reading may be older than a removal of ours.
        """
        if request.extends is not None:
            await self._check_lasts(request.extends)
        actor = self.actors[request.entitlement.action]
        plan = await actor.plan(request, max_age=max_age)
        if not plan.already:
            return plan
        ours = await self.ledger.other_grant(plan.target, besides=request.id) is not None
        return await actor.plan(request, max_age=max_age if ours else 0, ours=ours)

    async def _check_lasts(self, extension: Extension) -> None:
        """What is to be extended must still be there, until when it was when the extension was asked for."""
        extended = await self.ledger.request(extension.of)
        ends_at = extended.grant.ends_at if extended.grant else None
        if extended.state is not State.ACTIVE or ends_at != extension.ends_at:
            raise Refused(
                f"{extension.of} has ended, so there is nothing to extend; ask for it anew.", rule="extension#ended"
            )

    async def refuse(self, request: Request, ruling: Ruling) -> None:
        """Policy, or an actor, said no: nobody decides it any more."""
        audit = Audit(BOT, "request.refused", {"rule": ruling.rule, "policy": self.rules.digest})
        values = {"ruling": ruling, "outcome": ruling.reason, "closed_at": self.clock.now()}
        await self.ledger.move(request.id, Event.REFUSED, audit=audit, values=values, jobs=CLOSED_JOBS)


def refusal(refused: Refused) -> Ruling:
    """What must not be touched, told as a ruling."""
    return Ruling(allowed=False, rule=refused.rule, reason=refused.sentence)
