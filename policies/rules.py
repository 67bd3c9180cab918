"""Who may ask for what, who may decide it, and when it may be carried out: values in, a `Ruling` out.

Three layers are asked in this order, and none can loosen the one before: invariants in this file, the catalogue
(`policies/catalogue/*.yml`), and the guardrails, which are handed in as a `Guard`. Every refusal names a stable rule:
`invariant#...`, `catalogue/<entitlement>#<yaml key>` or `guardrails#<@id>`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from bot.core.request import Answer, Approvers, Entitlement, Person, Place, Ruling, Sensitivity, Standing

CRITICAL_APPROVALS = 2

Objection = tuple[str, str]


class Step(StrEnum):
    """What somebody is about to do to a request; each is an action in `guardrails.cedarschema`."""

    SUBMIT = "submit"
    APPROVE = "approve"
    DENY = "deny"
    EXECUTE = "execute"


@dataclass(frozen=True, slots=True)
class Inquiry:
    """Everything a guardrail may look at. `principal` is a person's id, or None for the bot itself.

    `people` are the readings of those whose standing matters at this step; `conflicts` are group names.
    """

    step: Step
    entitlement: Entitlement
    requester: str
    beneficiary: str
    principal: str | None
    people: tuple[Standing, ...]
    conflicts: frozenset[str] = frozenset()
    minutes: int = 0
    ticket: bool = False
    approvals: int = 0
    place: Place = Place.SLACK


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the guardrails say of an inquiry, and which of them said it."""

    allowed: bool
    rule: str
    reason: str = ""


class Guard(Protocol):
    """The cross-cutting guardrails. Must answer no, never raise, when it cannot tell."""

    def decide(self, inquiry: Inquiry) -> Opinion: ...


@dataclass(frozen=True, slots=True)
class _Wish:
    """One wish for access as the checks below see it."""

    entitlements: Mapping[str, Entitlement]
    entitlement: Entitlement
    requester: Standing
    beneficiary: Standing
    minutes: int
    ticket: str
    protected: Collection[str]
    before: int = 0

    @property
    def longest(self) -> int:
        """At once, or with what it extends."""
        return self.entitlement.longest_in_total if self.before else self.entitlement.max_minutes

    def inquiry(self, step: Step, *, principal: str | None, approvals: int = 0) -> Inquiry:
        """Guardrails look at the whole time, so that no row of extensions passes them by."""
        one_person = self.requester.person_id == self.beneficiary.person_id
        return Inquiry(
            step=step,
            entitlement=replace(self.entitlement, max_minutes=self.longest),
            requester=self.requester.person_id,
            beneficiary=self.beneficiary.person_id,
            principal=principal,
            people=(self.beneficiary,) if one_person else (self.requester, self.beneficiary),
            conflicts=frozenset(conflict_groups(self.entitlements, self.entitlement)),
            minutes=self.before + self.minutes,
            ticket=bool(self.ticket.strip()),
            approvals=approvals,
        )


# --- the questions that are asked from outside -----------------------------------------------------------------------


def may_ask(entitlement: Entitlement, standing: Standing) -> bool:
    """Whether a person is offered this entitlement at all: active, and in one of the groups that may ask."""
    return standing.active and not entitlement.requestable_by.isdisjoint(standing.groups)


def rule_submission(
    entitlements: Mapping[str, Entitlement],
    entitlement: Entitlement,
    *,
    requester: Standing,
    beneficiary: Standing,
    minutes: int,
    ticket: str,
    guard: Guard,
    protected: Collection[str] = (),
    before: int = 0,
) -> Ruling:
    """Whether a request may be put before people to decide. `protected` are further groups nobody is added to.

    `before` is for how many minutes what it extends was granted already.
    """
    wish = _Wish(entitlements, entitlement, requester, beneficiary, minutes, ticket, protected, before)
    inquiry = wish.inquiry(Step.SUBMIT, principal=requester.person_id)
    held = held_conflicts(entitlements, entitlement, beneficiary)
    return _rule(inquiry, _wish_objections(wish), guard, conflicts=held)


def rule_decision(
    entitlement: Entitlement,
    *,
    approver: Standing,
    approver_person: Person,
    requester_id: str,
    beneficiary_id: str,
    place: Place,
    on_call: Sequence[tuple[str, int]] | None,
    answer: Answer,
    guard: Guard,
) -> Ruling:
    """Whether this person may give this answer here and now; approving and denying ask the same of them.

    `on_call` is who is on call (pager user id, level) for the entitlement's escalation policy, None when not known.
    """
    inquiry = Inquiry(
        step=Step.APPROVE if answer is Answer.APPROVE else Step.DENY,
        entitlement=entitlement,
        requester=requester_id,
        beneficiary=beneficiary_id,
        principal=approver.person_id,
        people=(approver,),
        place=place,
    )
    return _rule(inquiry, _decision_objections(inquiry, approver, approver_person, on_call), guard)


def rule_execution(
    entitlements: Mapping[str, Entitlement],
    entitlement: Entitlement,
    *,
    requester: Standing,
    beneficiary: Standing,
    minutes: int,
    ticket: str,
    approvers: Sequence[Standing],
    guard: Guard,
    protected: Collection[str] = (),
    fallback: str = "",
    before: int = 0,
) -> Ruling:
    """Whether an approved request may be carried out now: everything is asked again, with fresh readings.

    `approvers` are the standings of those who approved, read just now; only those who could still approve count.
    `fallback` is the group that may decide as well, since nobody had answered.
    """
    wish = _Wish(entitlements, entitlement, requester, beneficiary, minutes, ticket, protected, before)
    count = len(_valid_approvers(wish, approvers, fallback))
    inquiry = wish.inquiry(Step.EXECUTE, principal=None, approvals=count)
    held = held_conflicts(entitlements, entitlement, beneficiary)
    return _rule(inquiry, _execution_objections(wish, count), guard, conflicts=held)


def as_decided_by(entitlement: Entitlement, approver: Standing, *, fallback: str) -> Entitlement:
    """The entitlement as it is decided by this person: after silence, members of the group that it names as its
    `fallback` decide like its approvers, whether they are on call or not. A group that it does not name never does.
    """
    named = entitlement.fallback
    if named is None or named.group != fallback or fallback not in approver.groups:
        return entitlement
    return replace(entitlement, approvers=Approvers(group=fallback))


# --- facts derived from the catalogue --------------------------------------------------------------------------------


def approvals_needed(entitlement: Entitlement) -> int:
    """How many different people must approve; for critical access never fewer than two."""
    least = CRITICAL_APPROVALS if entitlement.sensitivity is Sensitivity.CRITICAL else 1
    return max(entitlement.approvals, least)


def target_group(entitlement: Entitlement) -> str | None:
    """The group that an entitlement adds people to, if its action names one."""
    return entitlement.params.get("group")


def conflict_groups(entitlements: Mapping[str, Entitlement], entitlement: Entitlement) -> Mapping[str, str]:
    """The groups nobody may hold beside this entitlement, each with the entitlement that gives it."""
    others = (entitlements[other] for other in sorted(entitlement.conflicts) if other in entitlements)
    return {group: other.id for other in others if (group := target_group(other))}


def held_conflicts(
    entitlements: Mapping[str, Entitlement], entitlement: Entitlement, beneficiary: Standing
) -> tuple[str, ...]:
    """The ids of conflicting entitlements that the beneficiary holds."""
    held = {group.casefold() for group in beneficiary.groups}
    groups = conflict_groups(entitlements, entitlement)
    return tuple(other for group, other in groups.items() if group.casefold() in held)


def deciding_groups(entitlement: Entitlement) -> tuple[str, ...]:
    """The groups whose members decide it, at once or after silence."""
    named = entitlement.fallback
    return (entitlement.approvers.group, named.group) if named else (entitlement.approvers.group,)


def gives_power(
    entitlements: Mapping[str, Entitlement], entitlement: Entitlement, protected: Collection[str] = ()
) -> bool:
    """Whether granting it would make somebody an approver, or a member of a protected group."""
    target = target_group(entitlement)
    deciding = (group for other in entitlements.values() for group in deciding_groups(other))
    closed = {name.casefold() for name in (*deciding, *protected)}
    return target is not None and target.strip().casefold() in closed


def spell(minutes: int) -> str:
    """A duration as people say it: `1 hour`, `90 minutes`, `5 days`."""
    for size, name in ((1440, "day"), (60, "hour"), (1, "minute")):
        if minutes % size == 0 and minutes >= size:
            return f"{minutes // size} {name}" + ("" if minutes == size else "s")
    return f"{minutes} minutes"


# --- objections: rule and reason, the first one decides -------------------------------------------------------------


def _rule(
    inquiry: Inquiry, objections: Iterator[Objection], guard: Guard, *, conflicts: tuple[str, ...] = ()
) -> Ruling:
    """Our own objections first, then the guardrails, which are asked each time so that they can be tested alone."""
    entitlement, opinion = inquiry.entitlement, guard.decide(inquiry)
    objection = next(objections, None)
    if objection is None and not opinion.allowed:
        objection = (opinion.rule, opinion.reason)
    rule, reason = objection or (_catalogue(entitlement, "who_decides"), _next_step(inquiry))
    return Ruling(
        allowed=objection is None,
        rule=rule,
        reason=reason,
        approvals=approvals_needed(entitlement),
        approver_group=entitlement.approvers.group,
        conflicts=conflicts,
    )


def _next_step(inquiry: Inquiry) -> str:
    group, needed = inquiry.entitlement.approvers.group, approvals_needed(inquiry.entitlement)
    match inquiry.step:
        case Step.SUBMIT:
            return f"{_people(needed)} in {group} {'has' if needed == 1 else 'have'} to approve this."
        case Step.EXECUTE:
            return f"Approved by {_people(inquiry.approvals)} in {group}."
        case _:
            return f"Members of {group} decide this."


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count} different people"


def _catalogue(entitlement: Entitlement, key: str) -> str:
    return f"catalogue/{entitlement.id}#{key}"


def _wish_objections(wish: _Wish) -> Iterator[Objection]:
    yield from _people_objections(wish)
    yield from _limit_objections(wish)
    yield from _target_objections(wish)


def _people_objections(wish: _Wish) -> Iterator[Objection]:
    for_another = wish.requester.person_id != wish.beneficiary.person_id
    if not wish.requester.active:
        yield "invariant#requester-active", "Your account is not active in the directory; ask IT to check it first."
    if not wish.beneficiary.active:
        yield (
            "invariant#beneficiary-active",
            "The person this is for has no active account in the directory; ask IT to check it first.",
        )
    if not may_ask(wish.entitlement, wish.requester):
        yield _catalogue(wish.entitlement, "who_may_ask"), f"{_askers(wish.entitlement)} can ask for this."
    if for_another and not may_ask(wish.entitlement, wish.beneficiary):
        yield (
            _catalogue(wish.entitlement, "who_may_ask"),
            f"The person this is for may not hold it: {_askers(wish.entitlement)} can.",
        )


def _askers(entitlement: Entitlement) -> str:
    return f"Only members of {' or '.join(sorted(entitlement.requestable_by))}"


def _limit_objections(wish: _Wish) -> Iterator[Objection]:
    room = wish.longest - wish.before
    if not 1 <= wish.minutes <= room:
        rule = _catalogue(wish.entitlement, "time")
        yield rule, f"Ask for between 1 minute and {spell(room)}." if room > 0 else "It may not last any longer."
    if wish.entitlement.ticket_required and not wish.ticket.strip():
        yield _catalogue(wish.entitlement, "ticket"), "This needs a ticket; add the link of the change or incident."


def _target_objections(wish: _Wish) -> Iterator[Objection]:
    held = held_conflicts(wish.entitlements, wish.entitlement, wish.beneficiary)
    if held:
        yield (
            _catalogue(wish.entitlement, "conflicts"),
            f"Nobody may hold this together with {' or '.join(held)}; give that back first.",
        )
    if gives_power(wish.entitlements, wish.entitlement, wish.protected):
        yield (
            "invariant#protected-group",
            "This would give power over approvals, so it is never granted here; ask the policy owner.",
        )


def _decision_objections(
    inquiry: Inquiry, approver: Standing, person: Person, on_call: Sequence[tuple[str, int]] | None
) -> Iterator[Objection]:
    yield from _standing_objections(inquiry, approver, person)
    yield from _authority_objections(inquiry, approver, person, on_call)


def _standing_objections(inquiry: Inquiry, approver: Standing, person: Person) -> Iterator[Objection]:
    group = inquiry.entitlement.approvers.group
    if person.id != approver.person_id:
        yield (
            "invariant#same-person",
            "Your account could not be matched to the directory; ask an admin to link it again.",
        )
    if inquiry.requester in (person.id, approver.person_id):
        yield (
            "invariant#own-request",
            f"You asked for this yourself, so somebody else has to decide; anybody else in {group} can.",
        )
    if inquiry.beneficiary in (person.id, approver.person_id):
        yield (
            "invariant#own-access",
            f"This access would be yours, so somebody else has to decide; anybody else in {group} can.",
        )
    if not approver.active:
        yield "invariant#approver-active", "Your account is not active in the directory, so you cannot decide now."


def _authority_objections(
    inquiry: Inquiry, approver: Standing, person: Person, on_call: Sequence[tuple[str, int]] | None
) -> Iterator[Objection]:
    entitlement = inquiry.entitlement
    if not person.decides:
        yield "invariant#linked-to-decide", "Your accounts are not linked for deciding yet; ask an admin to link them."
    if entitlement.approvers.group not in approver.groups:
        yield (
            _catalogue(entitlement, "who_decides"),
            f"Members of {entitlement.approvers.group} decide this; please ask one of them.",
        )
    if entitlement.sensitivity is Sensitivity.CRITICAL and inquiry.place is not Place.SLACK:
        yield "invariant#critical-in-slack", "Critical access is decided in Slack only; open the card there to decide."
    if not _is_on_call(entitlement, person, on_call):
        yield (
            _catalogue(entitlement, "who_decides.on_call"),
            "Only people who are on call for this can decide it, and you are not known to be now; ask whoever is.",
        )


def _is_on_call(entitlement: Entitlement, person: Person, on_call: Sequence[tuple[str, int]] | None) -> bool:
    """True when being on call is not asked for; otherwise only if it is known that they are, at a level that counts."""
    if entitlement.approvers.escalation_policy is None:
        return True
    levels = entitlement.approvers.levels
    return person.pagerduty_user is not None and any(
        user == person.pagerduty_user and (not levels or level in levels) for user, level in on_call or ()
    )


def _execution_objections(wish: _Wish, approvals: int) -> Iterator[Objection]:
    yield from _wish_objections(wish)
    needed = approvals_needed(wish.entitlement)
    if approvals < needed:
        yield (
            _catalogue(wish.entitlement, "approvals"),
            f"{approvals} of {needed} approvals still count; "
            f"somebody else in {wish.entitlement.approvers.group} has to approve.",
        )


def _valid_approvers(wish: _Wish, approvers: Sequence[Standing], fallback: str) -> set[str]:
    """The distinct people among `approvers` who could still approve this."""
    concerned = {wish.requester.person_id, wish.beneficiary.person_id}
    still = (one for one in approvers if one.active and _decides(wish.entitlement, one, fallback))
    return {one.person_id for one in still} - concerned


def _decides(entitlement: Entitlement, approver: Standing, fallback: str) -> bool:
    return as_decided_by(entitlement, approver, fallback=fallback).approvers.group in approver.groups
