"""What keeps one person, or a flood, from wearing out those who decide: limits on asking, and a ceiling on pages."""

from __future__ import annotations

from dataclasses import dataclass

from bot.core.request import Entitlement
from bot.core.traffic import Allowance, Traffic, rule_traffic
from bot.errors import Refused
from bot.ledger import Ledger
from bot.ports import Chat, Clock
from bot.slack import forms

OWN_MESSAGE = "dm"


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

    async def with_link(self, refused: Refused) -> Refused:
        """The refusal, with the address of the request that it names, in the requester's own messages."""
        shown = await self.ledger.shown(refused.about, OWN_MESSAGE) if refused.about else None
        if shown is None:
            return refused
        sentence = f"{refused.sentence} It is here: {self.chat.link(shown.sent)}"
        return Refused(sentence, field=refused.field, rule=refused.rule, about=refused.about)
