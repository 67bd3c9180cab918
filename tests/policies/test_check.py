"""What `policy check` finds: wrong examples, missing ones, and guardrails that nothing would miss."""

from __future__ import annotations

from pathlib import Path

import pytest

from policies.check import check
from policies.examples import rule_example, surprise
from policies.guardrails import Guardrail
from policies.load import Example, Policies, load
from policies.rules import Inquiry, Opinion
from tests.policies.conftest import SHIPPED, Folder

POLICIES = load(SHIPPED)


@pytest.mark.parametrize("example", POLICIES.examples, ids=lambda one: f"{one.path.stem}:{one.line}")
def test_every_shipped_example_holds(example: Example) -> None:
    assert surprise(example, rule_example(POLICIES, example, POLICIES.guardrails)) == ""


class Listener:
    """Guardrails that remember what they were asked."""

    def __init__(self) -> None:
        self.inquiries: list[Inquiry] = []

    def decide(self, inquiry: Inquiry) -> Opinion:
        self.inquiries.append(inquiry)
        return POLICIES.guardrails.decide(inquiry)


@pytest.mark.parametrize("rail", POLICIES.guardrails.rails, ids=lambda rail: rail.id)
def test_every_shipped_guardrail_has_an_example_that_flips_without_it(rail: Guardrail) -> None:
    listener = Listener()
    for example in POLICIES.examples:
        rule_example(POLICIES, example, listener)
    rest = POLICIES.guardrails.without(rail)
    whole = [POLICIES.guardrails.decide(one).allowed for one in listener.inquiries]
    assert [rest.decide(one).allowed for one in listener.inquiries] != whole


def test_the_shipped_policies_are_in_order(shipped: Policies) -> None:
    report = check(SHIPPED)
    assert report.findings == ()
    assert report.ok
    assert (report.entitlements, report.digest) == (8, shipped.digest)
    assert report.guardrails == len(shipped.guardrails.rails)
    assert report.examples == len(shipped.examples)


def test_a_guardrail_that_nothing_would_miss_is_reported(folder: Folder) -> None:
    folder.append(
        "guardrails.cedar",
        '\n@id("no-pirates")\n@reason("Arr.")\nforbid (principal, action, resource)\n'
        'when { principal in Group::"pirates" };\n',
    )
    (finding,) = check(folder.path).findings
    assert finding.message == '@id("no-pirates"): no example would notice if it were removed; add one'
    assert (Path(finding.path).name, finding.line) == ("guardrails.cedar", 72)


def test_a_wrong_example_is_reported_with_its_line_and_what_happened(folder: Folder) -> None:
    folder.swap("catalogue/prod-admin.yml", "[finance]}, asks_for: 1h", "[engineering]}, asks_for: 1h")
    (finding,) = check(folder.path).findings
    assert str(finding) == (
        f"{folder.entry('prod-admin')}:16: example should be refused by who_may_ask, but is allowed: "
        "1 person in iam-approvers has to approve this."
    )


def test_an_example_refused_for_another_reason_is_reported(folder: Folder) -> None:
    folder.swap("catalogue/prod-admin.yml", "rule: who_may_ask", "rule: time")
    (finding,) = check(folder.path).findings
    assert finding.message == (
        "example should be refused by time, but is refused by catalogue/prod-admin#who_may_ask: "
        "Only members of engineering can ask for this."
    )


def test_a_rule_may_also_be_named_in_full(folder: Folder) -> None:
    folder.swap("catalogue/prod-admin.yml", "rule: who_may_ask", "rule: catalogue/prod-admin#who_may_ask")
    assert check(folder.path).ok


def test_an_entitlement_without_examples_is_reported(folder: Folder) -> None:
    text = folder.entry("analytics-viewer").read_text()
    folder.entry("analytics-viewer").write_text(text.partition("examples:")[0])
    messages = {finding.message for finding in check(folder.path).findings}
    assert messages == {"examples: none is allowed; add one that is", "examples: none is refused; add one that is"}


def test_examples_cover_being_on_call(folder: Folder) -> None:
    decides = "who_decides: {group: iam-approvers, on_call: {escalation_policy: PESC, levels: [1]}}"
    folder.swap("catalogue/vpn-contractors.yml", "who_decides: {group: iam-approvers}", decides)
    for on_call, then in (
        (", on_call: 1", "allowed"),
        (", on_call: 2", "refused, rule: who_decides.on_call"),
        (", on_call: no", "refused, rule: who_decides.on_call"),
        ("", "refused, rule: who_decides.on_call"),
    ):
        line = f"  - {{who: {{}}, decided_by: {{groups: [iam-approvers]{on_call}}}, then: {then}}}\n"
        folder.append("catalogue/vpn-contractors.yml", line)
    assert check(folder.path).findings == ()


def test_files_that_cannot_be_loaded_are_findings_with_file_and_line(folder: Folder) -> None:
    folder.swap("catalogue/prod-root.yml", "sensitivity: critical", "sensitivity: utmost\npage: sometimes")
    report = check(folder.path)
    assert not report.ok
    assert [(Path(one.path).name, one.line) for one in report.findings] == [("prod-root.yml", 6), ("prod-root.yml", 7)]
    assert report.findings[0].message == 'sensitivity: "utmost" is not one of low, medium, high, critical'


def test_a_missing_directory_is_a_finding_too(tmp_path: Path) -> None:
    (finding,) = check(tmp_path / "nowhere").findings
    assert (finding.line, finding.path) == (0, str(tmp_path / "nowhere/catalogue"))
