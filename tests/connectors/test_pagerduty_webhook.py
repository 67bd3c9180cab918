"""Signed webhooks: ours are read, forged ones never."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.pagerduty_webhook import WebhookEvent, parse_event, verify_signature
from connectors.sandbox.pagerduty_webhooks import sign

BODY = b'{"event": {"id": "01A", "event_type": "incident.annotated"}}'


def test_a_signature_under_any_of_our_secrets_is_accepted() -> None:
    assert verify_signature(["old", "new"], BODY, sign(["new"], BODY))
    assert verify_signature(["new"], BODY, sign(["newer", "new"], BODY))


@pytest.mark.parametrize("header", [None, "", "v1=", "v0=abc", "nonsense", "v1=é"])
def test_without_a_signature_of_ours_nothing_is_accepted(header: str | None) -> None:
    assert not verify_signature(["secret"], BODY, header)


def test_an_empty_secret_verifies_nothing() -> None:
    assert not verify_signature([""], BODY, sign([""], BODY))
    assert not verify_signature([], BODY, sign(["secret"], BODY))


def test_another_version_of_the_signature_is_ignored() -> None:
    assert not verify_signature(["secret"], BODY, sign(["secret"], BODY).replace("v1=", "v2="))


@given(at=st.integers(0, len(BODY) - 1), flip=st.integers(1, 255))
def test_one_flipped_byte_of_the_body_breaks_the_signature(at: int, flip: int) -> None:
    forged = BODY[:at] + bytes([BODY[at] ^ flip]) + BODY[at + 1 :]
    assert not verify_signature(["secret"], forged, sign(["secret"], BODY))


@given(at=st.integers(3, 66), digit=st.sampled_from("0123456789abcdef"))
def test_one_changed_digit_of_the_signature_breaks_it(at: int, digit: str) -> None:
    header = sign(["secret"], BODY)
    forged = header[:at] + digit + header[at + 1 :]
    assert verify_signature(["secret"], BODY, forged) == (forged == header)


def test_an_annotation_names_its_incident() -> None:
    data = {"type": "incident_note", "id": "PNOTE1", "content": "approve", "incident": {"id": "Q1"}}
    event = {"id": "01A", "event_type": "incident.annotated", "data": data}
    parsed = parse_event(json.dumps({"event": event}).encode())
    assert parsed == WebhookEvent("01A", "incident.annotated", "Q1")


def test_another_event_of_an_incident_is_the_incident_itself() -> None:
    event = {"id": "01B", "event_type": "incident.resolved", "data": {"type": "incident", "id": "Q1"}}
    assert parse_event(json.dumps({"event": event}).encode()).incident_id == "Q1"


def test_a_ping_is_of_no_incident() -> None:
    event = {"id": "01C", "event_type": "pagey.ping", "data": {"type": "ping", "message": "hi"}}
    assert parse_event(json.dumps({"event": event}).encode()).incident_id is None


@given(st.one_of(st.binary(max_size=40), st.sampled_from([b"[]", b"{}", b'{"event": 1}', b'{"event": {"id": 1}}'])))
def test_anything_else_is_a_value_error_and_nothing_worse(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_event(body)
