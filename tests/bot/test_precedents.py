"""Earlier requests that were decided, as a card shows them."""

from __future__ import annotations

from datetime import timedelta

from bot.core.lifecycle import Event
from bot.core.request import Answer, Precedent, Request
from bot.ledger import Audit, Ledger
from bot.ledger.places import Shown
from bot.ports import Sent
from bot.precedents import Precedents
from tests.bot.conftest import HandClock
from tests.builders import NOW, a_decision, a_draft, a_person, a_plan, a_ruling, an_entitlement

WHY = "Checkout fails, I read its logs"


def link(card: Shown | None) -> str | None:
    return f"https://slack.example.com/{card.sent.ts}" if card else None


async def asked(ledger: Ledger, key: str, why: str = WHY, group: str = "prod-readonly", who: str = "alice") -> Request:
    person = a_person(who)
    draft = a_draft(key, requester=person, beneficiary=person, justification=why, department="Payments")
    request = await ledger.receive(draft, an_entitlement(group), deadline=NOW + timedelta(hours=8), jobs=())
    return await ledger.request(request)


async def decided(
    ledger: Ledger, key: str, answer: Answer = Answer.DENY, reason: str = "Ask the team", **more: str
) -> Request:
    return await settle(ledger, await asked(ledger, key, **more), answer, reason)


async def settle(ledger: Ledger, request: Request, answer: Answer, reason: str) -> Request:
    plan = a_plan(request)
    values = {"plan": plan, "ruling": a_ruling(), "planned_at": NOW}
    await ledger.move(request.id, Event.PLANNED, audit=Audit("tinyapprover", "request.planned"), values=values)
    await ledger.show(request.id, "card", Sent("C0ACCESS", "1.0"), digest="", fingerprint="f")
    decision = a_decision("bob", answer, request_id=request.id, digest=plan.digest, reason=reason)
    await ledger.decide(decision, approved_jobs=(), closed_jobs=(), jobs=())
    return request


async def shown(ledger: Ledger, request: Request) -> tuple[Precedent, ...]:
    return (await Precedents(ledger, link).gather(request)).precedents


async def test_an_earlier_request_is_shown_with_outcome_decider_reason_and_link(ledger: Ledger) -> None:
    await decided(ledger, "1")
    (found,) = await shown(ledger, await asked(ledger, "2"))
    assert found == Precedent(
        request_id="TA-1",
        requester="Alice Archer",
        minutes=60,
        outcome="denied",
        reason="Ask the team",
        at=NOW,
        decided_by="Bob Baker",
        url="https://slack.example.com/1.0",
    )


async def test_what_nobody_decided_is_no_precedent(ledger: Ledger) -> None:
    await asked(ledger, "1")
    expired = await asked(ledger, "2")
    await ledger.move(expired.id, Event.EXPIRED, audit=Audit("tinyapprover", "request.expired"))
    assert await shown(ledger, await asked(ledger, "3")) == ()


async def test_a_later_request_is_no_precedent(ledger: Ledger) -> None:
    first = await asked(ledger, "1")
    await decided(ledger, "2")
    assert await shown(ledger, first) == ()


async def test_three_at_most_the_same_entitlement_first_and_what_is_other_is_named(
    ledger: Ledger, clock: HandClock
) -> None:
    for number in range(2):
        await decided(ledger, f"same-{number}", Answer.APPROVE, why="Something else")
    for number in range(3):
        await decided(ledger, f"other-{number}", group="prod-admin")
    found = await shown(ledger, await asked(ledger, "now"))
    assert [(one.request_id, one.title) for one in found] == [
        ("TA-2", ""),
        ("TA-1", ""),
        ("TA-5", "Production, read only"),
    ]
    assert found[0].outcome == "approved"


async def test_the_words_of_somebody_erased_are_not_searched_any_more(ledger: Ledger) -> None:
    await decided(ledger, "1", who="mallory", group="billing", why="The unusual word zanzibar")
    request = await asked(ledger, "2", why="zanzibar")
    sketch, (before,) = await ledger.sketches(request.id)
    assert "zanzibar" in before.text
    await ledger.erase(a_person("mallory").id, by="admin carol", why="they asked")
    _, (after,) = await ledger.sketches(request.id)
    assert (after.text, after.department) == ("", "")
    assert sketch.department == "Payments"


async def test_the_same_entitlement_is_found_however_much_was_decided_since(ledger: Ledger) -> None:
    await decided(ledger, "old")
    for number in range(61):
        await decided(ledger, f"other-{number}", group="prod-admin", why="Nothing alike")
    found = await shown(ledger, await asked(ledger, "now"))
    assert found[0].request_id == "TA-1"
