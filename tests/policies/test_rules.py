"""Who may ask, who may decide, and when it may be carried out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.request import Answer, Approvers, Entitlement, Fallback, Place, Ruling, Sensitivity, Standing, Wake
from policies.load import Policies
from policies.rules import (
    Guard,
    Inquiry,
    Opinion,
    approvals_needed,
    as_decided_by,
    gives_power,
    may_ask,
    rule_decision,
    rule_execution,
    rule_submission,
    spell,
)
from tests.builders import a_person, a_standing, an_entitlement
from tests.policies.people import ALICE, BOB, CAROL, DAVE, MALLORY


class Permissive:
    """Guardrails that let everything pass, so that what refuses is the layer under test."""

    def decide(self, inquiry: Inquiry) -> Opinion:
        return Opinion(True, "guardrails#open")


class Strict:
    """Guardrails that refuse everything."""

    def decide(self, inquiry: Inquiry) -> Opinion:
        return Opinion(False, "guardrails#closed", "Not today; ask again tomorrow.")


def who(standing: Standing) -> str:
    """The builders' name of somebody."""
    return standing.email.partition("@")[0]


def ask(
    shipped: Policies,
    name: str = "prod-readonly",
    *,
    requester: Standing = ALICE,
    beneficiary: Standing | None = None,
    minutes: int = 60,
    ticket: str = "",
    guard: Permissive | Strict | None = None,
    entitlements: Mapping[str, Entitlement] | None = None,
) -> Ruling:
    catalogue = entitlements or shipped.entitlements
    return rule_submission(
        catalogue,
        catalogue[name],
        requester=requester,
        beneficiary=beneficiary or requester,
        minutes=minutes,
        ticket=ticket,
        guard=guard or shipped.guardrails,
    )


def decide(
    shipped: Policies,
    name: str = "prod-readonly",
    *,
    approver: Standing = BOB,
    decides: bool = True,
    place: Place = Place.SLACK,
    answer: Answer = Answer.APPROVE,
    on_call: Sequence[tuple[str, int]] | None = None,
    approvers: Approvers | None = None,
    requester: Standing = ALICE,
    beneficiary: Standing = ALICE,
    guard: Permissive | Strict | None = None,
) -> Ruling:
    entitlement = shipped.entitlements[name]
    return rule_decision(
        replace(entitlement, approvers=approvers or entitlement.approvers),
        approver=approver,
        approver_person=a_person(who(approver), decides=decides),
        requester_id=requester.person_id,
        beneficiary_id=beneficiary.person_id,
        place=place,
        on_call=on_call,
        answer=answer,
        guard=guard or shipped.guardrails,
    )


def carry_out(shipped: Policies, name: str, *approvers: Standing, beneficiary: Standing = ALICE) -> Ruling:
    return rule_execution(
        shipped.entitlements,
        shipped.entitlements[name],
        requester=ALICE,
        beneficiary=beneficiary,
        minutes=30,
        ticket="INC-3",
        approvers=approvers,
        guard=shipped.guardrails,
    )


# --- asking ----------------------------------------------------------------------------------------------------------


def test_an_engineer_may_ask_and_hears_who_decides(shipped: Policies) -> None:
    ruling = ask(shipped)
    assert ruling == Ruling(
        allowed=True,
        rule="catalogue/prod-readonly#who_decides",
        reason="1 person in iam-approvers has to approve this.",
        approvals=1,
        approver_group="iam-approvers",
    )


def test_somebody_outside_the_groups_is_not_offered_it(shipped: Policies) -> None:
    one = shipped.entitlements["prod-readonly"]
    assert may_ask(one, ALICE)
    assert not may_ask(one, MALLORY)
    assert not may_ask(one, DAVE)


def test_somebody_outside_the_groups_is_told_who_can_ask(shipped: Policies) -> None:
    ruling = ask(shipped, requester=MALLORY)
    assert (ruling.rule, ruling.reason) == (
        "catalogue/prod-readonly#who_may_ask",
        "Only members of engineering can ask for this.",
    )


def test_nobody_gets_for_another_what_that_person_may_not_hold(shipped: Policies) -> None:
    ruling = ask(shipped, beneficiary=MALLORY)
    assert (ruling.allowed, ruling.rule) == (False, "catalogue/prod-readonly#who_may_ask")
    assert ruling.reason == "The person this is for may not hold it: Only members of engineering can."


def test_a_deactivated_person_neither_asks_nor_is_given_anything(shipped: Policies) -> None:
    assert ask(shipped, requester=DAVE).rule == "invariant#requester-active"
    assert ask(shipped, beneficiary=DAVE).rule == "invariant#beneficiary-active"


@pytest.mark.parametrize("status", ["STAGED", "SUSPENDED", "LOCKED_OUT", "active", "", "UNKNOWN"])
def test_any_status_but_active_counts_as_no(shipped: Policies, status: str) -> None:
    assert not ask(shipped, requester=a_standing("alice", "engineering", status=status)).allowed


@pytest.mark.parametrize("minutes", [-1, 0, 481])
def test_time_outside_the_limits_is_refused_with_the_limits(shipped: Policies, minutes: int) -> None:
    ruling = ask(shipped, minutes=minutes)
    assert (ruling.rule, ruling.reason) == (
        "catalogue/prod-readonly#time",
        "Ask for between 1 minute and 8 hours.",
    )


def test_a_ticket_of_spaces_is_no_ticket(shipped: Policies) -> None:
    assert ask(shipped, "prod-root", ticket="  ").rule == "catalogue/prod-root#ticket"
    assert ask(shipped, "prod-root", ticket="INC-3").allowed


def test_nobody_holds_both_sides_of_a_payment(shipped: Policies) -> None:
    requester = a_standing("alice", "finance", "Billing-Admin")
    ruling = ask(shipped, "payments-release", requester=requester, ticket="PAY-12")
    assert (ruling.rule, ruling.conflicts) == ("catalogue/payments-release#conflicts", ("billing-admin",))
    assert ruling.reason == "Nobody may hold this together with billing-admin; give that back first."


def test_the_approvers_group_is_never_a_target_even_if_a_file_slipped_through(shipped: Policies) -> None:
    bad = replace(shipped.entitlements["prod-readonly"], params={"group": "IAM-Approvers"})
    ruling = ask(shipped, entitlements={**shipped.entitlements, bad.id: bad}, guard=Permissive())
    assert (ruling.allowed, ruling.rule) == (False, "invariant#protected-group")


def test_guardrails_refuse_what_the_catalogue_allows(shipped: Policies) -> None:
    ruling = ask(shipped, "prod-admin", requester=a_standing("mallory", "engineering", "contractors"))
    assert ruling.rule == "guardrails#no-privilege-for-contractors"
    assert ruling.reason.startswith("Contractors do not hold high or critical access")


def test_guardrails_never_allow_what_the_catalogue_refuses(shipped: Policies) -> None:
    assert not ask(shipped, requester=MALLORY, guard=Permissive()).allowed
    assert ask(shipped, guard=Strict()).rule == "guardrails#closed"


# --- deciding --------------------------------------------------------------------------------------------------------


def test_an_approver_may_approve_and_deny_in_both_places(shipped: Policies) -> None:
    for place in Place:
        for answer in Answer:
            ruling = decide(shipped, place=place, answer=answer)
            assert (ruling.allowed, ruling.rule) == (True, "catalogue/prod-readonly#who_decides")


def test_the_requester_cannot_decide_their_own_request(shipped: Policies) -> None:
    for answer in Answer:
        ruling = decide(shipped, approver=BOB, requester=BOB, beneficiary=BOB, answer=answer)
        assert (ruling.allowed, ruling.rule) == (False, "invariant#own-request")
        assert ruling.reason == (
            "You asked for this yourself, so somebody else has to decide; anybody else in iam-approvers can."
        )


def test_the_beneficiary_cannot_decide_about_their_own_access(shipped: Policies) -> None:
    assert decide(shipped, approver=BOB, beneficiary=BOB).rule == "invariant#own-access"


@pytest.mark.parametrize(
    ("approver", "rule"),
    [
        (MALLORY, "catalogue/prod-readonly#who_decides"),
        (a_standing("bob", "IAM-Approvers"), "catalogue/prod-readonly#who_decides"),
        (a_standing("bob", "iam-approvers", status="SUSPENDED"), "invariant#approver-active"),
    ],
)
def test_only_active_members_of_the_group_decide(shipped: Policies, approver: Standing, rule: str) -> None:
    assert decide(shipped, approver=approver).rule == rule


def test_an_automatic_link_never_decides(shipped: Policies) -> None:
    assert decide(shipped, decides=False).rule == "invariant#linked-to-decide"


def test_a_reading_about_somebody_else_is_not_used(shipped: Policies) -> None:
    ruling = rule_decision(
        shipped.entitlements["prod-readonly"],
        approver=BOB,
        approver_person=a_person("mallory", decides=True),
        requester_id=ALICE.person_id,
        beneficiary_id=ALICE.person_id,
        place=Place.SLACK,
        on_call=None,
        answer=Answer.APPROVE,
        guard=Permissive(),
    )
    assert (ruling.allowed, ruling.rule) == (False, "invariant#same-person")


def test_critical_access_is_decided_in_slack_only(shipped: Policies) -> None:
    assert decide(shipped, "prod-root", place=Place.SLACK).allowed
    assert decide(shipped, "prod-root", place=Place.PAGERDUTY, guard=Permissive()).rule == "invariant#critical-in-slack"


@pytest.mark.parametrize(
    ("levels", "on_call", "allowed"),
    [
        ((1,), [("PBOB", 1)], True),
        ((), [("PBOB", 4)], True),
        ((1,), [("PBOB", 2)], False),
        ((1,), [("PCAROL", 1)], False),
        ((1, 2), [("PCAROL", 1), ("PBOB", 2)], True),
        ((1,), [], False),
        ((1,), None, False),
    ],
)
def test_being_on_call_narrows_who_decides_and_unknown_means_no(
    shipped: Policies, levels: tuple[int, ...], on_call: Sequence[tuple[str, int]] | None, allowed: bool
) -> None:
    approvers = Approvers(group="iam-approvers", escalation_policy="PESC", levels=levels)
    ruling = decide(shipped, approvers=approvers, on_call=on_call)
    assert ruling.allowed is allowed
    assert ruling.rule == "catalogue/prod-readonly#who_decides" + ("" if allowed else ".on_call")


def test_being_on_call_never_widens_who_decides(shipped: Policies) -> None:
    approvers = Approvers(group="iam-approvers", escalation_policy="PESC")
    assert not decide(shipped, approver=MALLORY, approvers=approvers, on_call=[("PMALLORY", 1)]).allowed


def test_guardrails_may_refuse_a_decision(shipped: Policies) -> None:
    assert decide(shipped, guard=Strict()).rule == "guardrails#closed"


@given(
    st.sampled_from([ALICE, BOB, CAROL, MALLORY, DAVE]),
    st.sampled_from([ALICE, BOB, CAROL, MALLORY, DAVE]),
    st.sampled_from([ALICE, BOB, CAROL, MALLORY, DAVE]),
    st.sampled_from(list(Answer)),
    st.sampled_from(list(Place)),
    st.booleans(),
)
def test_whoever_decides_is_another_active_linked_approver(
    approver: Standing, requester: Standing, beneficiary: Standing, answer: Answer, place: Place, decides: bool
) -> None:
    one = Entitlement(
        id="any",
        title="Any",
        description="",
        why="",
        action="okta.group",
        params={"group": "any"},
        sensitivity=Sensitivity.MEDIUM,
        requestable_by=frozenset({"everyone"}),
        approvers=Approvers(group="iam-approvers"),
        approvals=1,
        default_minutes=60,
        max_minutes=60,
        wake=Wake.LOW,
    )
    ruling = rule_decision(
        one,
        approver=approver,
        approver_person=a_person(who(approver), decides=decides),
        requester_id=requester.person_id,
        beneficiary_id=beneficiary.person_id,
        place=place,
        on_call=None,
        answer=answer,
        guard=Permissive(),
    )
    may = approver in (BOB, CAROL) and approver not in (requester, beneficiary) and decides
    assert ruling.allowed is may
    assert ruling.rule
    assert ruling.reason.endswith(".")


# --- carrying it out -------------------------------------------------------------------------------------------------


def test_it_is_carried_out_once_enough_people_approved(shipped: Policies) -> None:
    ruling = carry_out(shipped, "prod-root", BOB, CAROL)
    assert (ruling.allowed, ruling.approvals) == (True, 2)
    assert ruling.reason == "Approved by 2 different people in iam-approvers."


@pytest.mark.parametrize(
    "second",
    [
        BOB,
        replace(CAROL, status="SUSPENDED"),
        replace(CAROL, groups=frozenset({"everyone"})),
        a_standing("alice", "iam-approvers"),
    ],
)
def test_a_quorum_counts_different_people_who_could_still_approve(shipped: Policies, second: Standing) -> None:
    ruling = carry_out(shipped, "prod-root", BOB, second)
    assert (ruling.allowed, ruling.rule) == (False, "catalogue/prod-root#approvals")
    assert ruling.reason == "1 of 2 approvals still count; somebody else in iam-approvers has to approve."


def test_somebody_who_left_after_the_approval_gets_nothing(shipped: Policies) -> None:
    left = replace(ALICE, status="DEPROVISIONED")
    ruling = carry_out(shipped, "prod-readonly", BOB, beneficiary=left)
    assert (ruling.allowed, ruling.rule) == (False, "invariant#beneficiary-active")


def test_critical_access_takes_two_people_whatever_a_file_says(shipped: Policies) -> None:
    assert approvals_needed(replace(shipped.entitlements["prod-root"], approvals=1)) == 2


@given(st.integers(1, 43_200))
def test_durations_are_spelt_without_losing_a_minute(minutes: int) -> None:
    number, unit = spell(minutes).split()
    assert int(number) * {"minute": 1, "hour": 60, "day": 1440}[unit.removesuffix("s")] == minutes


# --- after silence ---------------------------------------------------------------------------------------------------

BACKED = an_entitlement(
    approvers=Approvers("iam-approvers", escalation_policy="PPOL001"), fallback=Fallback("it-leads", 120)
)


@pytest.mark.parametrize(
    ("groups", "fallback", "group"),
    [
        (("it-leads",), "it-leads", "it-leads"),
        (("it-leads",), "", "iam-approvers"),  # somebody may answer still
        (("finance",), "it-leads", "iam-approvers"),
        (("finance",), "finance", "iam-approvers"),  # a group that the catalogue does not name
    ],
)
def test_after_silence_the_named_group_decides_and_no_other(groups: tuple[str, ...], fallback: str, group: str) -> None:
    decided = as_decided_by(BACKED, a_standing("carol", *groups), fallback=fallback)
    assert decided.approvers.group == group


def test_being_on_call_still_narrows_the_approvers_after_silence() -> None:
    decided = as_decided_by(BACKED, a_standing("bob", "iam-approvers"), fallback="it-leads")
    assert decided.approvers == BACKED.approvers


def test_nobody_is_granted_membership_of_a_fallback_group() -> None:
    leads = an_entitlement("it-leads")
    assert gives_power({"it-leads": leads, "backed": BACKED}, leads)


# --- extensions ------------------------------------------------------------------------------------------------------


@dataclass
class Listening:
    """Guardrails that note what they are asked."""

    asked: list[tuple[int, int]] = field(default_factory=list)

    def decide(self, inquiry: Inquiry) -> Opinion:
        self.asked.append((inquiry.minutes, inquiry.entitlement.max_minutes))
        return Opinion(True, "guardrails#open")


def extend(shipped: Policies, minutes: int, before: int, in_total: int | None, guard: Guard | None = None) -> Ruling:
    """Alice, who was granted `before` minutes, asks for more of what may be asked for 8 hours at once."""
    entitlement = replace(shipped.entitlements["prod-readonly"], total_minutes=in_total)
    return rule_submission(
        {"prod-readonly": entitlement},
        entitlement,
        requester=ALICE,
        beneficiary=ALICE,
        minutes=minutes,
        ticket="",
        guard=guard or shipped.guardrails,
        before=before,
    )


@pytest.mark.parametrize(
    ("minutes", "before", "in_total", "allowed"),
    [
        (420, 60, None, True),
        (421, 60, None, False),
        (1, 480, None, False),
        (480, 480, 1440, True),
        (961, 480, 1440, False),
        (0, 60, 1440, False),
    ],
)
def test_an_extension_lasts_in_total_no_longer_than_the_catalogue_says(
    shipped: Policies, minutes: int, before: int, in_total: int | None, allowed: bool
) -> None:
    assert extend(shipped, minutes, before, in_total).allowed == allowed


def test_an_extension_that_is_too_long_is_told_how_much_is_left(shipped: Policies) -> None:
    assert "between 1 minute and 6 hours" in extend(shipped, 480, 120, None).reason
    assert "may not last any longer" in extend(shipped, 60, 480, None).reason


def test_guardrails_are_asked_about_the_whole_time_of_an_extension(shipped: Policies) -> None:
    guard = Listening()
    extend(shipped, 60, 120, 1440, guard)
    extend(shipped, 60, 0, 1440, guard)
    assert guard.asked == [(180, 1440), (60, 480)]
