"""Every way to get a catalogue file wrong, and the message its owner reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from bot.core.request import Sensitivity, Wake
from bot.errors import SettingsError
from policies.entry import LONGEST_MINUTES, EntryForm, read_minutes
from policies.load import Policies, load
from policies.marks import LONGEST_FILE
from policies.rules import gives_power
from tests.policies.conftest import Folder

READONLY = "catalogue/prod-readonly.yml"


def test_the_shipped_catalogue_says_what_the_demo_needs(shipped: Policies) -> None:
    one = shipped.entitlements["prod-readonly"]
    assert (one.action, one.params) == ("okta.group", {"group": "prod-readonly"})
    assert (one.sensitivity, one.wake) == (Sensitivity.MEDIUM, Wake.HIGH)
    assert (one.default_minutes, one.max_minutes, one.approvals) == (60, 480, 1)
    assert one.requestable_by == {"engineering"}
    assert one.approvers.group == "iam-approvers"
    assert one.source == "catalogue/prod-readonly.yml"


def test_paging_follows_sensitivity_unless_the_file_says_otherwise(shipped: Policies) -> None:
    wakes = {name: one.wake for name, one in shipped.entitlements.items()}
    assert wakes["analytics-viewer"] is Wake.NEVER
    assert wakes["vpn-contractors"] is Wake.LOW
    assert wakes["prod-admin"] is wakes["prod-root"] is Wake.HIGH


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "sensitivity: medium",
            "sensitivity: hihg",
            '6: sensitivity: "hihg" is not one of low, medium, high, critical',
        ),
        (
            "sensitivity: medium",
            "sensitvity: medium",
            "6: sensitvity: is not a known key; did you mean sensitivity? allowed here: id, title, description, "
            "why, action, sensitivity, who_may_ask, who_decides, approvals, time, conflicts, ticket, page, channel, "
            "remind_after, escalate_after, fallback, "
            "examples",
        ),
        ("page: high", "page: no", "11: page: false is not one of never, low, high"),
        ("page: high", "ticket: yes", "11: ticket: true is not one of required, optional"),
        ("page: high", "page: high\npage: low", "12: page: stands twice, first on line 11"),
        (
            "page: high",
            "channel: general",
            '11: channel: "general" is not a channel id like C0123ABCD',
        ),
        (
            "page: high",
            "fallback: {group: iam-approvers, after: 2h}",
            "11: fallback.group: decides already; allowed: another group",
        ),
        ("page: high", "id: prod-root", '11: id: "prod-root" differs from the file name; allowed: prod-readonly'),
        ("page: high", "conflicts: [nothing]", '11: conflicts.1: "nothing" is not another entitlement; allowed: '),
        ("page: high", "conflicts: [prod-readonly]", '11: conflicts.1: "prod-readonly" is not another entitlement; '),
        ("page: high", "conflicts: prod-root", '11: conflicts: "prod-root" is not a list like [one, two]'),
        ("page: high", "on: high", "11: the key True is not plain text; put it in quotes"),
        ("default: 1h", "default: 9h", "10: time.default: is longer than time.longest; allowed: up to that"),
        ("longest: 8h", "longest: 8h, in_total: 4h", "10: time.in_total: is shorter than time.longest; allowed: that"),
        ("default: 1h", "default: 90", "10: time.default: 90 is not a duration like 30m, 2h or 5d"),
        ("default: 1h", "default: 0m", '10: time.default: "0m" is not a duration like 30m, 2h or 5d'),
        ("longest: 8h", "longest: 31d", '10: time.longest: "31d" is longer than the 30 days that are allowed'),
        (", longest: 8h", "", "10: time.longest: is missing"),
        ("approvals: 1", "approvals: 0", "9: approvals: 0: input should be greater than or equal to 1"),
        ("approvals: 1", 'approvals: "1"', '9: approvals: "1": input should be a valid integer'),
        ("group: prod-readonly", "group: 7", "5: action.group: 7 is not text; put it in quotes"),
        (", group: prod-readonly", "", "5: action.group: is missing; okta.group needs the name of a group"),
        (
            "group: prod-readonly",
            "group: Finance-Approvers",
            '5: action.group: "Finance-Approvers" holds approvers or is protected; allowed: a group that',
        ),
        ("groups: [engineering]", "groups: []", "7: who_may_ask.groups: []: list should have at least 1 item"),
        ("who_decides: {group: iam-approvers}", "who_decides: bob", '8: who_decides: "bob" is not a set of keys'),
        (
            "group: iam-approvers",
            "grup: iam-approvers",
            "8: who_decides.grup: is not a known key; did you mean group? allowed here: group, on_call",
        ),
        ("title: Production, read only", "title: ''", '1: title: "": string should have at least 1 character'),
        ("title: Production, read only", "title: *x", "1: aliases are not allowed; write it out"),
        ("title: Production, read only", "title: !!python/name:os.system x", "1: could not determine a constructor"),
        ("title: Production, read only", "<<: {title: x}", "1: could not determine a constructor for the tag"),
        ("title: Production, read only", "? {a: b}\n: x", "1: the key {'a': 'b'} is not plain text; put it in quotes"),
        ("title: Production, read only", "title: [", "3: expected ',' or ']', but got ':'"),
        (
            "title: Production, read only",
            "title: production,  Administrator",
            '1: title: "production,  Administrator" is already the title of prod-admin',
        ),
        (
            "asks_for: 9h, then: refused, rule: time",
            "then: refused",
            "19: examples.5: says `rule` if and only if it is",
        ),
        ("asks_for: 2h, then: allowed", "then: maybe", '15: examples.1.then: "maybe" is not one of allowed, refused'),
        (
            "groups: [engineering]}, asks",
            "holds: [x]}, asks",
            '15: examples.1: holds: "x" is not an entitlement with a',
        ),
        ("in: pagerduty", "in: email", '23: examples.8.in: "email" is not one of slack, pagerduty'),
        (
            "linked: no",
            "on_call: yes",
            "28: examples.12.decided_by.on_call: true is not an escalation level from 1 to 20",
        ),
        (
            "asks_for: 1h, approved_by: []",
            "decided_by: {}, approved_by: []",
            "36: examples.16: has both decided_by and approved_by; allowed: one of them",
        ),
    ],
)
def test_a_spoilt_file_is_refused_with_line_key_and_what_is_allowed(
    folder: Folder, old: str, new: str, message: str
) -> None:
    folder.swap(READONLY, old, new)
    lines = [f"{READONLY}:{line}" for line in message.splitlines()]
    found = folder.error().splitlines()
    assert len(found) == len(lines)
    for line, start in zip(found, lines, strict=True):
        assert line.startswith(start)


def test_the_message_reads_as_promised(folder: Folder) -> None:
    folder.swap(READONLY, "sensitivity: medium", "sensitivity: hihg")
    assert folder.error() == f'{READONLY}:6: sensitivity: "hihg" is not one of low, medium, high, critical'


def test_an_empty_file_lists_what_it_could_hold(folder: Folder) -> None:
    folder.entry("prod-readonly").write_text("")
    assert folder.error().startswith(f"{READONLY}:1: is not a set of keys; allowed: id, title, ")


def test_critical_access_needs_two_approvals(folder: Folder) -> None:
    folder.swap("catalogue/prod-root.yml", "approvals: 2", "approvals: 1")
    assert folder.error() == "catalogue/prod-root.yml:9: approvals: 1 is too few for critical; allowed: 2 or more"


def test_an_empty_catalogue_is_refused(folder: Folder) -> None:
    for file in (folder.path / "catalogue").iterdir():
        file.unlink()
    assert folder.error() == "catalogue: holds no .yml file; write one for each thing that may be asked for"


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere/catalogue: is not a directory"):
        load(tmp_path / "nowhere")


def test_a_second_file_for_the_same_id_is_refused_not_passed_over(folder: Folder) -> None:
    (folder.path / "catalogue/prod-readonly.yaml").write_text("title: Another")
    assert folder.error().startswith("catalogue/prod-readonly.yaml: is named .yaml; name it prod-readonly.yml")


def test_another_file_cannot_claim_an_id_that_is_taken(folder: Folder) -> None:
    text = folder.entry("prod-readonly").read_text()
    (folder.path / "catalogue/second.yml").write_text(f"id: prod-readonly\n{text}")
    assert folder.error() == 'catalogue/second.yml:1: id: "prod-readonly" differs from the file name; allowed: second'


def test_a_file_name_must_be_a_plain_id(folder: Folder) -> None:
    folder.entry("prod-readonly").rename(folder.entry("Prod_Readonly"))
    assert folder.error().startswith('catalogue/Prod_Readonly.yml:1: the file name "Prod_Readonly.yml" is the id; ')


def test_a_file_that_is_not_text_is_refused(folder: Folder) -> None:
    folder.entry("prod-readonly").write_bytes(b"title: \xff")
    assert folder.error() == f"{READONLY}: is not UTF-8 text (byte 7)"


@pytest.mark.parametrize(
    ("content", "why"),
    [("# " + "x" * LONGEST_FILE, "is longer than 256 KB"), ("title: " + "[" * 20_000, "is nested too deeply")],
)
def test_a_file_that_would_be_too_much_is_refused(folder: Folder, content: str, why: str) -> None:
    folder.entry("prod-readonly").write_text(content)
    assert why in folder.error()


def test_empty_advice_is_refused(folder: Folder) -> None:
    (folder.path / "advice.md").write_text(" \n")
    assert folder.error() == "advice.md: is empty; say how the company thinks about access"


def test_a_protected_group_is_never_a_target(folder: Folder) -> None:
    with pytest.raises(SettingsError, match=r"prod-root.yml:5: action.group: .* is protected"):
        load(folder.path, protected=["PROD-ROOT"])


def test_a_conflict_written_once_holds_on_both_sides(folder: Folder) -> None:
    folder.swap("catalogue/payments-release.yml", "conflicts: [billing-admin]\n", "")
    entitlements = load(folder.path).entitlements
    assert entitlements["payments-release"].conflicts == {"billing-admin"}
    assert entitlements["billing-admin"].conflicts == {"payments-release"}


def test_a_conflict_that_nobody_could_notice_is_refused(folder: Folder) -> None:
    folder.swap("catalogue/prod-admin.yml", "{kind: okta.group, group: prod-admin}", "{kind: aws.role, role: admin}")
    folder.swap(READONLY, "page: high", "conflicts: [prod-admin]")
    assert folder.error() == (
        f"{READONLY}:11: conflicts.1: prod-admin is not an okta.group action, so nobody can tell who holds it"
    )


def test_any_connectors_parameters_are_kept_as_text(folder: Folder) -> None:
    folder.swap("catalogue/prod-admin.yml", "{kind: okta.group, group: prod-admin}", "{kind: aws.role, role: admin}")
    one = load(folder.path).entitlements["prod-admin"]
    assert (one.action, one.params) == ("aws.role", {"role": "admin"})


def test_an_action_that_nobody_can_carry_out_is_refused(folder: Folder) -> None:
    folder.swap(READONLY, "kind: okta.group", "kind: okta.gruop")
    with pytest.raises(SettingsError, match=r'prod-readonly.yml:5: action.kind: "okta.gruop" is not one of okta.group'):
        load(folder.path, actions={"okta.group"})


def test_on_call_and_channel_reach_the_entitlement(folder: Folder) -> None:
    decides = "who_decides: {group: iam-approvers, on_call: {escalation_policy: PESC, levels: [1, 2]}}"
    folder.swap(READONLY, "who_decides: {group: iam-approvers}", f"{decides}\nchannel: C0123")
    one = load(folder.path).entitlements["prod-readonly"]
    assert (one.approvers.escalation_policy, one.approvers.levels, one.channel) == ("PESC", (1, 2), "C0123")


def test_the_digest_names_the_version_of_the_files(folder: Folder) -> None:
    before = load(folder.path).digest
    assert load(folder.path).digest == before
    folder.append("advice.md", "\nBe brief.\n")
    assert load(folder.path).digest != before


def test_the_catalogue_cannot_be_changed_once_it_is_loaded(shipped: Policies) -> None:
    with pytest.raises(TypeError):
        shipped.entitlements["x"] = shipped.entitlements["prod-root"]  # type: ignore[index]


def test_nothing_shipped_makes_anybody_an_approver(shipped: Policies) -> None:
    assert not any(gives_power(shipped.entitlements, one) for one in shipped.entitlements.values())


@given(st.integers(1, 99_999), st.sampled_from("mhd"))
def test_durations_are_whole_minutes_up_to_thirty_days(number: int, unit: str) -> None:
    minutes = number * {"m": 1, "h": 60, "d": 1440}[unit]
    if minutes <= LONGEST_MINUTES:
        assert read_minutes(f"{number}{unit}") == minutes
    else:
        with pytest.raises(PydanticCustomError):
            read_minutes(f"{number}{unit}")


@given(st.one_of(st.text(max_size=8), st.integers(), st.floats(), st.booleans(), st.none()))
def test_nothing_else_is_a_duration(value: object) -> None:
    try:
        minutes = read_minutes(value)
    except PydanticCustomError:
        return
    assert isinstance(value, str)
    assert value[:-1].isascii()
    assert 1 <= minutes <= LONGEST_MINUTES


def test_every_key_of_the_catalogue_is_explained() -> None:
    page = (Path(__file__).parents[2] / "docs" / "catalogue.md").read_text("utf-8")
    assert [key for key in EntryForm.model_fields if f"`{key}`" not in page] == []
