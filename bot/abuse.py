"""What keeps one person, or a flood, from wearing out those who decide: limits on asking, and a ceiling on pages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from bot import page
from bot.core.request import Entitlement, Request
from bot.core.traffic import HOUR, Allowance, Traffic, rule_traffic
from bot.errors import Fault, Refused
from bot.ledger import Due, Ledger
from bot.ports import Chat, Clock, Pager
from bot.slack import forms

log = logging.getLogger(__name__)

BUSY = "Too many requests arrive just now, so nothing was sent. Please try again in a minute."
OWN_MESSAGE, LISTING = "dm", "listing"
LOOK_AGAIN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """Lets a submission in, or says at the form what stands against it. Asked within the transaction that stores it."""

    allowance: Allowance
    clock: Clock
    ledger: Ledger
    chat: Chat

    def admit(self, entitlement: Entitlement, traffic: Traffic) -> None:
        """`Refused` when this person has asked for the same thing, or for too much."""
        group = entitlement.approvers.group
        ruling = rule_traffic(traffic, self.allowance, now=self.clock.now(), group=group)
        if not ruling.allowed:
            raise Refused(ruling.reason, field=forms.ACCESS, rule=ruling.rule, about=traffic.same or "")

    def check_room(self) -> None:
        """`Refused` while more waits to be stored than should."""
        if self.ledger.crowded:
            raise Refused(BUSY, field=forms.ACCESS, rule="limits#busy")

    async def with_link(self, refused: Refused) -> Refused:
        """The refusal, with the address of the request that it names, in the requester's own messages."""
        shown = await self.ledger.shown(refused.about, OWN_MESSAGE) if refused.about else None
        if shown is None:
            return refused
        sentence = f"{refused.sentence} It is here: {self.chat.link(shown.sent)}"
        return Refused(sentence, field=refused.field, rule=refused.rule, about=refused.about)


@dataclass(frozen=True, slots=True)
class Flood:
    """Holds pages back when there are too many: one quiet page lists them, and each is still decided by itself.

    The ceiling is for each responder: pages of every policy count that wakes somebody whom this one would wake.
    """

    ledger: Ledger
    clock: Clock
    most_an_hour: int

    async def holds_back(self, request: Request, pager: Pager, *, card: str | None) -> datetime | None:
        """None when it may have a page of its own; else it is listed, and this is when to look again."""
        now, policy = self.clock.now(), request.entitlement.approvers.escalation_policy or ""
        reserve = partial(self.ledger.reserve_page, request.id, policy, since=now - HOUR, most=self.most_an_hour)
        if await reserve() or await reserve(among=await self._same_people(policy, now, pager)):
            return None
        if not await self.ledger.listed_on(request.id):
            await self._list(request, policy, pager, card)
        return now + LOOK_AGAIN

    async def _same_people(self, policy: str, now: datetime, pager: Pager) -> Collection[str]:
        """This policy, and those of the pages of the last hour that wake one of the same people first."""
        lately = await self.ledger.paged_lately(now - HOUR)
        mine, *theirs = await asyncio.gather(*(_woken_first(pager, one) for one in (policy, *lately)))
        same = {one for one, people in zip(lately, theirs, strict=True) if not (mine and people) or mine & people}
        return {policy, *same}

    async def _list(self, request: Request, policy: str, pager: Pager, card: str | None) -> None:
        """It stays on the page on which it was listed first, until it has its own or needs none."""
        now = self.clock.now()
        listing = page.listing(policy, now, most=self.most_an_hour)
        incident = await pager.open_incident(listing, look_first=True)
        waiting = len(await self.ledger.listed(incident.id))
        await pager.add_note(incident.id, page.listed(request, waiting + 1, card=card))
        await self.ledger.list_page(request.id, policy, incident.id)
        await self.ledger.schedule(incident.id, [Due(LISTING, at=now + LOOK_AGAIN)])

    async def close(self, incident: str, pager: Pager) -> datetime | None:
        """The page for all is resolved once nothing on it waits any more."""
        if await self.ledger.listed(incident):
            return self.clock.now() + LOOK_AGAIN
        await pager.resolve(incident)
        return None


async def _woken_first(pager: Pager, policy: str) -> frozenset[str]:
    """Nobody when that cannot be read: then it may be anybody."""
    try:
        return frozenset(one.user for one in await pager.on_call(policy) if one.level == 1)
    except Fault as fault:
        log.warning("who is on call cannot be read: %s", fault, extra={"step": "page", "vendor": fault.vendor})
        return frozenset()
