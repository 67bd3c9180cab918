"""What comes back from a form: parsed, or refused at the field that is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.core.request import MAX_JUSTIFICATION
from bot.errors import Refused
from bot.slack import forms
from tests.builders import an_entitlement

SELECTED = {"type": "static_select", "selected_option": {"text": {"type": "plain_text", "text": "x"}, "value": "60"}}


def submission(**changed: Any) -> dict[str, Any]:
    """A view as Slack sends it; a block given as None is left out."""
    values: dict[str, Any] = {
        forms.ACCESS: {forms.ACCESS: {"selected_option": {"value": "prod-readonly"}}},
        forms.FOR: {forms.FOR: {"selected_user": "U0CAROL"}},
        forms.DURATION: {f"{forms.DURATION}-prod-readonly": SELECTED},
        forms.JUSTIFICATION: {forms.JUSTIFICATION: {"value": "  Look at the logs \n"}},
        forms.TICKET: {forms.TICKET: {"value": "https://jira.example.com/browse/OPS-7"}},
        forms.TIMING: {forms.TIMING: {"selected_options": [{"value": forms.CAN_WAIT}]}},
    }
    filled = {block: value for block, value in {**values, **changed}.items() if value is not None}
    return {"id": "V1", "state": {"values": filled}}


def chosen(value: Any) -> dict[str, Any]:
    return {"any": {"selected_option": {"value": value}}}


def typed(value: Any) -> dict[str, Any]:
    return {"any": {"value": value}}


def test_a_form_is_read_as_it_was_filled_in() -> None:
    assert forms.read_request(submission(), "U0ALICE") == forms.Filled(
        access="prod-readonly",
        beneficiary="U0CAROL",
        minutes=60,
        justification="Look at the logs",
        ticket="https://jira.example.com/browse/OPS-7",
        can_wait=True,
    )


def test_what_may_be_left_out_may_be_left_out() -> None:
    filled = forms.read_request(submission(**{forms.FOR: None, forms.TICKET: None, forms.TIMING: None}), "U0ALICE")
    assert (filled.beneficiary, filled.ticket, filled.can_wait) == ("U0ALICE", "", False)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (forms.ACCESS, None),
        (forms.ACCESS, {}),
        (forms.ACCESS, {"any": {"selected_option": None}}),
        (forms.ACCESS, chosen("")),
        (forms.JUSTIFICATION, None),
        (forms.JUSTIFICATION, typed(None)),
        (forms.JUSTIFICATION, typed("")),
        (forms.JUSTIFICATION, typed(" \n\t ")),
        (forms.JUSTIFICATION, typed("\u200b\u2060")),
        (forms.JUSTIFICATION, typed("\u2800 \u3164")),
        (forms.JUSTIFICATION, typed("x" * (MAX_JUSTIFICATION + 1))),
        (forms.DURATION, None),
        (forms.DURATION, chosen("")),
        (forms.DURATION, chosen("0")),
        (forms.DURATION, chosen("-60")),
        (forms.DURATION, chosen("1.5")),
        (forms.DURATION, chosen("１５")),
        (forms.DURATION, chosen("525601")),
        (forms.DURATION, chosen("60 minutes")),
        (forms.DURATION, chosen("9" * 5000)),
        (forms.TICKET, typed("OPS-7")),
        (forms.TICKET, typed("javascript:alert(1)")),
        (forms.TICKET, typed("https://")),
        (forms.TICKET, typed("ftp://jira.example.com/OPS-7")),
        (forms.TICKET, typed("https://jira.example.com/" + "x" * 500)),
        (forms.TICKET, typed("https://[oops")),
    ],
)
def test_a_field_that_is_wrong_is_named(field: str, value: Any) -> None:
    with pytest.raises(Refused) as refused:
        forms.read_request(submission(**{field: value}), "U0ALICE")
    assert refused.value.field == field
    assert refused.value.sentence.endswith(".")


def test_a_form_with_one_text_wants_a_text() -> None:
    view = {"state": {"values": {forms.REASON: typed("  No. ")}}}
    assert forms.read_text(view) == "No."
    for empty in (typed(""), typed(" "), typed("\u200b"), typed("\u115f\uffa0"), typed(None)):
        with pytest.raises(Refused) as refused:
            forms.read_text({"state": {"values": {forms.REASON: empty}}})
        assert refused.value.field == forms.REASON


def test_what_a_form_is_about_comes_back_as_it_was_built() -> None:
    form = forms.deny_form("TA-1", channel="C0ACCESS", ts="1.2")
    assert forms.about(form) == {"request": "TA-1", "channel": "C0ACCESS", "ts": "1.2"}
    assert forms.about({}) == {}
    assert forms.about({"private_metadata": json.dumps(["not", "ours"])}) == {}


def test_the_typeahead_offers_what_has_every_word() -> None:
    some = [an_entitlement(), an_entitlement("billing-admin", title="Billing", description="Change invoices.")]

    def offered(words: str) -> list[str]:
        return [option["value"] for option in forms.access_options(some, words)]

    assert offered("") == ["prod-readonly", "billing-admin"]
    assert offered("INVOICES bill") == ["billing-admin"]
    assert offered("prod invoices") == []


def test_the_typeahead_offers_at_most_what_slack_takes() -> None:
    many = [an_entitlement(f"group-{number}") for number in range(300)]
    assert len(forms.access_options(many, "")) == 100


def test_durations_stop_at_the_longest_that_is_allowed_and_start_with_the_usual_one() -> None:
    form = forms.request_form("U0ALICE", entitlement=an_entitlement(default_minutes=45, max_minutes=100))
    element = next(block["element"] for block in form["blocks"] if block.get("block_id") == forms.DURATION)
    assert [int(option["value"]) for option in element["options"]] == [15, 30, 45, 60, 100]
    assert element["initial_option"]["value"] == "45"
