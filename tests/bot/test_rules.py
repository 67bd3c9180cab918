"""What is asked early in the form is the question that is asked when it is submitted."""

from __future__ import annotations

from pathlib import Path

import policies
from bot.rules import Rules
from policies.load import load
from policies.rules import Guard, Inquiry, Opinion
from tests.builders import a_draft, a_standing


class Listening:
    """The guardrails, and what they were asked."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self.asked: list[Inquiry] = []

    def decide(self, inquiry: Inquiry) -> Opinion:
        self.asked.append(inquiry)
        return self._guard.decide(inquiry)


def test_what_is_asked_for_as_it_is_offered_was_foreseen() -> None:
    loaded = load(Path(str(policies.__file__)).parent)
    guard = Listening(loaded.guardrails)
    rules = Rules(loaded.entitlements, guard, loaded.advice, protected=loaded.protected)
    alice = a_standing("alice", "engineering", "everyone")
    for entitlement in loaded.entitlements.values():
        ticket = "https://tickets.example.com/OPS-1" if entitlement.ticket_required else ""
        asked = a_draft(entitlement=entitlement.id, minutes=entitlement.default_minutes, ticket=ticket)
        foreseen = rules.foresee(entitlement, alice)
        assert foreseen == rules.at_submission(asked, entitlement, alice, alice)
        assert guard.asked[-1] == guard.asked[-2]
