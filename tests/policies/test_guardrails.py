"""Cedar's traps, one by one, and the answers that must stay a no."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.core.request import Place
from policies.guardrails import Guardrails
from policies.load import Policies, load
from policies.rules import Inquiry, Step
from tests.policies.conftest import Folder
from tests.policies.people import ALICE, BOB

FILE = "guardrails.cedar"


def submission(shipped: Policies, **changes: object) -> Inquiry:
    inquiry = Inquiry(
        step=Step.SUBMIT,
        entitlement=shipped.entitlements["prod-readonly"],
        requester=ALICE.person_id,
        beneficiary=ALICE.person_id,
        principal=ALICE.person_id,
        people=(ALICE,),
        minutes=60,
    )
    return replace(inquiry, **changes)  # type: ignore[arg-type]


def test_an_ordinary_submission_names_the_permit(shipped: Policies) -> None:
    opinion = shipped.guardrails.decide(submission(shipped))
    assert (opinion.allowed, opinion.rule) == (True, "guardrails#may-ask")


def test_a_forbid_answers_with_its_own_sentence(shipped: Policies) -> None:
    opinion = shipped.guardrails.decide(submission(shipped, minutes=9_999))
    assert (opinion.allowed, opinion.rule) == (False, "guardrails#not-too-long")
    assert opinion.reason == "This is longer than the access may be held; ask for less time."


def test_an_answer_given_a_moment_ago_does_not_outlive_its_facts(shipped: Policies) -> None:
    decide, asked = shipped.guardrails.decide, submission(shipped)
    for _ in range(2):
        assert decide(asked).allowed
        for changed in (
            {"minutes": 9_999},
            {"people": (replace(ALICE, groups=frozenset()),)},
            {"people": (replace(ALICE, status="SUSPENDED"),)},
            {"beneficiary": BOB.person_id},
            {"entitlement": replace(asked.entitlement, max_minutes=1)},
            {"entitlement": replace(asked.entitlement, requestable_by=frozenset({"nobody"}))},
            {"conflicts": ALICE.groups},
        ):
            assert not decide(submission(shipped, **changed)).allowed, changed


def test_other_guardrails_answer_for_themselves(folder: Folder, shipped: Policies) -> None:
    assert shipped.guardrails.decide(submission(shipped)).allowed
    folder.append(FILE, '@id("closed") @reason("No.") forbid (principal, action == Action::"submit", resource);\n')
    assert not load(folder.path).guardrails.decide(submission(shipped)).allowed


def test_what_nothing_permits_is_refused(shipped: Policies) -> None:
    opinion = shipped.guardrails.decide(submission(shipped, principal=BOB.person_id, people=(ALICE, BOB)))
    assert (opinion.allowed, opinion.rule) == (False, "guardrails#nothing-permits")


def test_a_forbid_that_cannot_be_evaluated_denies(folder: Folder, shipped: Policies) -> None:
    """Cedar itself skips the forbid and says Allow."""
    folder.append(
        FILE,
        '@id("overflows") @reason("No.") forbid (principal, action == Action::"submit", resource)\n'
        "when { context.minutes * 9223372036854775807 < 0 };\n",
    )
    opinion = load(folder.path).guardrails.decide(submission(shipped))
    assert (opinion.allowed, opinion.rule) == (False, "guardrails#error")
    assert (
        opinion.reason == "The guardrail overflows could not be evaluated, so the answer is no; ask the policy owner."
    )


def test_a_principal_nobody_read_is_refused(shipped: Policies) -> None:
    assert not shipped.guardrails.decide(submission(shipped, people=())).allowed


def test_two_readings_of_one_person_are_refused_without_telling_their_groups(shipped: Policies) -> None:
    other = replace(ALICE, groups=frozenset({"secret-team"}))
    opinion = shipped.guardrails.decide(submission(shipped, people=(ALICE, other)))
    assert (opinion.allowed, opinion.rule) == (False, "guardrails#error")
    assert "secret-team" not in opinion.reason
    assert opinion.reason.startswith("The facts do not fit the guardrails' schema, so the answer is no")


@pytest.mark.parametrize("spoilt", [{"minutes": "60"}, {"minutes": 2**70}, {"entitlement": None}, {"people": (None,)}])
def test_whatever_goes_wrong_is_a_no(shipped: Policies, spoilt: dict[str, object]) -> None:
    opinion = shipped.guardrails.decide(submission(shipped, **spoilt))
    assert (opinion.allowed, opinion.rule) == (False, "guardrails#error")


def test_a_person_cannot_carry_out_a_request(shipped: Policies) -> None:
    inquiry = submission(shipped, step=Step.EXECUTE, approvals=2)
    assert not shipped.guardrails.decide(inquiry).allowed
    assert shipped.guardrails.decide(replace(inquiry, principal=None)).allowed


@pytest.mark.parametrize("name", ['alice" in Group::"iam-approvers', "a\nb", "\u202e", "", "*", "😀"])
def test_odd_names_are_only_names(shipped: Policies, name: str) -> None:
    person = replace(ALICE, person_id=name, groups=ALICE.groups | {name})
    inquiry = submission(shipped, requester=name, beneficiary=name, principal=name, people=(person,))
    assert shipped.guardrails.decide(inquiry).allowed
    decision = replace(inquiry, step=Step.APPROVE, place=Place.SLACK)
    assert not shipped.guardrails.decide(decision).allowed


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("permit (principal, action", ":{n}: the last policy does not end with a semicolon"),
        ('@id("x") permit (principal, action;', ":{n}: the policy that begins here: unexpected token `;`"),
        ("// why; because\n\npermit (principal, action, resource);", ':{n2}: @id(""): needs an @id("...") of small'),
        ('@id("Bad Id") permit (principal, action, resource);', ':{n}: @id("Bad Id"): needs an @id("...") of small'),
        ('@id("x") forbid (principal, action, resource);', ':{n}: @id("x"): needs an @reason("...") that says what'),
        ('@id("x") @reason(" ") forbid (principal, action, resource);', ':{n}: @id("x"): needs an @reason("...")'),
        ('@id("x") permit (principal, action, resource);', ':{n}: @id("x"): permits everything to everybody; name an'),
        (
            '@id("x") permit (principal, action, resource) when { true } unless { false };',
            ':{n}: @id("x"): permits everything to everybody; name an action or write a condition',
        ),
        (
            '@id("x") permit (principal, action, resource) when { resource.sensitivity == "critcal" };',
            ':{n}: @id("x"): compares with the text "critcal"; use an entity such as Level::"critcal"',
        ),
        (
            '@id("x") permit (principal, action, resource) when { resource.sensitivity == Level::"critcal" };',
            ':{n}: @id("x"): entity `Level::"critcal"` is of an enumerated entity type, but',
        ),
        (
            '@id("x") permit (principal, action == Action::"submt", resource);',
            ':{n}: @id("x"): unrecognized action `Action::"submt"`',
        ),
        (
            '@id("x") permit (principal, action, resource) when { resource.sensitivty == Level::"low" };',
            ':{n}: @id("x"): attribute `sensitivty` on entity type `Entitlement` not found',
        ),
        (
            '@id("may-ask") permit (principal, action == Action::"submit", resource);',
            ':{n}: @id("may-ask"): stands already on line 9',
        ),
        ('@id("x") permit (principal == ?principal, action, resource);', ":{n}: is a template with a slot; name the"),
    ],
)
def test_a_spoilt_guardrail_is_refused_with_its_line_and_id(folder: Folder, policy: str, message: str) -> None:
    line = len((folder.path / FILE).read_text().splitlines()) + 1
    folder.append(FILE, policy + "\n")
    assert folder.error().startswith(FILE + message.replace("{n2}", str(line + 2)).replace("{n}", str(line)))


def test_guardrails_that_permit_nothing_are_refused(folder: Folder) -> None:
    for text in ("", "// nothing\n", '@id("x") @reason("No.") forbid (principal, action, resource);'):
        (folder.path / FILE).write_text(text)
        assert folder.error() == f"{FILE}:1: permits nothing, so everything would be refused; write at least one permit"


def test_a_semicolon_in_a_text_or_a_comment_ends_nothing(folder: Folder) -> None:
    folder.append(
        FILE, '@id("x") // first; second\n@reason("Stop; \\"think\\"; ask.") forbid (principal, action, resource);'
    )
    rail = load(folder.path).guardrails.rails[-1]
    assert (rail.id, rail.reason, rail.forbids) == ("x", 'Stop; "think"; ask.', True)


def test_a_schema_that_cannot_be_read_is_refused(folder: Folder) -> None:
    folder.append("guardrails.cedarschema", "entity {")
    assert folder.error().startswith("guardrails.cedarschema: error parsing schema: ")


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("ticket: Bool, approvals: Long }", "ticket: Bool, approvals: Long, weather: Bool }", "`weather`"),
        ("longest_minutes: Long,", "longest_minutes: Long, colour: Group,", "`colour`"),
        ("entity User in [Group, Status];", "entity User in [Status];", "`Group`"),
    ],
)
def test_a_schema_that_does_not_fit_our_facts_is_noticed_at_start(
    folder: Folder, old: str, new: str, named: str
) -> None:
    folder.swap("guardrails.cedarschema", old, new)
    error = folder.error()
    assert error.startswith("guardrails.cedarschema: does not fit the facts of the action ")
    assert named in error
    assert "leave their names and types as they were shipped" in error


def test_each_guardrail_knows_its_line(shipped: Policies) -> None:
    lines = shipped.guardrails.path.read_text().splitlines()
    for rail in shipped.guardrails.rails:
        assert lines[rail.line - 1] == f'@id("{rail.id}")'


def test_one_guardrail_can_be_taken_out(shipped: Policies) -> None:
    rails = shipped.guardrails
    rest = rails.without(next(rail for rail in rails.rails if rail.id == "not-too-long"))
    assert isinstance(rest, Guardrails)
    assert rest.decide(submission(shipped, minutes=9_999)).allowed
