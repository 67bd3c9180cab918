"""Runs a catalogue's examples: each line becomes made-up people, one question to the rules, and a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from bot.core.request import Answer, Entitlement, Person, Place, Ruling, Standing
from policies.entry import DeciderForm, ExampleForm, SomebodyForm
from policies.load import Example, Policies
from policies.rules import Guard, as_decided_by, rule_decision, rule_execution, rule_submission, target_group

_READ_AT = datetime(2000, 1, 1, tzinfo=UTC)


def rule_example(policies: Policies, example: Example, guard: Guard) -> Ruling:
    """What the three layers say of an example."""
    entitlement = policies.entitlements[example.entitlement]
    if example.form.decided_by is not None:
        return _decide(policies, entitlement, example.form, example.form.decided_by, guard)
    return _grant(policies, entitlement, example.form, guard)


def surprise(example: Example, ruling: Ruling) -> str:
    """What differs from what the example says; empty when nothing does. A rule may be named by its end alone."""
    expected = example.form.then if example.form.rule is None else f"{example.form.then} by {example.form.rule}"
    actual = "allowed" if ruling.allowed else f"refused by {ruling.rule}"
    if ruling.allowed == (example.form.then == "allowed") and _names(example.form.rule, ruling):
        return ""
    return f"should be {expected}, but is {actual}: {ruling.reason}"


def _names(rule: str | None, ruling: Ruling) -> bool:
    return rule is None or rule in (ruling.rule, ruling.rule.partition("#")[2])


def _decide(
    policies: Policies, entitlement: Entitlement, form: ExampleForm, decider: DeciderForm, guard: Guard
) -> Ruling:
    approver = _approver(policies, form, decider, "approver")
    return rule_decision(
        as_decided_by(entitlement, approver, fallback=_fallback(entitlement, form)),
        approver=approver,
        approver_person=Person(
            id=approver.person_id,
            email=approver.email,
            name=approver.name,
            pagerduty_user=approver.person_id,
            decides=decider.linked,
        ),
        requester_id="requester",
        beneficiary_id=_beneficiary_id(form),
        place=Place(form.place),
        on_call=None if decider.on_call is None else [(approver.person_id, decider.on_call)] * bool(decider.on_call),
        answer=Answer(form.answer),
        guard=guard,
    )


def _grant(policies: Policies, entitlement: Entitlement, form: ExampleForm, guard: Guard) -> Ruling:
    """Asking for it, or carrying it out when the example says who approved."""
    requester = _somebody(policies, form.who, "requester")
    beneficiary = _somebody(policies, form.beneficiary, "beneficiary") if form.beneficiary else requester
    minutes = form.asks_for or entitlement.default_minutes
    if form.approved_by is None:
        return rule_submission(
            policies.entitlements,
            entitlement,
            requester=requester,
            beneficiary=beneficiary,
            minutes=minutes,
            ticket=form.ticket,
            guard=guard,
            protected=policies.protected,
        )
    return rule_execution(
        policies.entitlements,
        entitlement,
        requester=requester,
        beneficiary=beneficiary,
        minutes=minutes,
        ticket=form.ticket,
        approvers=[_approver(policies, form, one, f"approver-{n}") for n, one in enumerate(form.approved_by)],
        guard=guard,
        protected=policies.protected,
        fallback=_fallback(entitlement, form),
    )


def _fallback(entitlement: Entitlement, form: ExampleForm) -> str:
    return entitlement.fallback.group if form.after_silence and entitlement.fallback else ""


def _beneficiary_id(form: ExampleForm) -> str:
    return "requester" if form.beneficiary is None else "beneficiary"


def _approver(policies: Policies, form: ExampleForm, decider: DeciderForm, person_id: str) -> Standing:
    same: Mapping[str | None, str] = {"requester": "requester", "beneficiary": _beneficiary_id(form)}
    return _somebody(policies, decider, same.get(decider.same_as, person_id))


def _somebody(policies: Policies, form: SomebodyForm, person_id: str) -> Standing:
    held = (target_group(policies.entitlements[name]) for name in form.holds)
    return Standing(
        person_id=person_id,
        email=f"{person_id}@example.com",
        name=person_id,
        status="ACTIVE" if form.active else "DEPROVISIONED",
        groups=frozenset([*form.groups, *(group for group in held if group)]),
        read_at=_READ_AT,
    )
