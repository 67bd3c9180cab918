"""PagerDuty's v3 webhooks: is it theirs, and what does it say? A hint only; whoever acts reads back by the API.

https://developer.pagerduty.com/docs/verifying-signatures. The signature covers the body alone, neither a time nor
the delivery's id: a replay is told by the event's id.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """What we use of an event. `incident_id` is None when it is of no incident, as with a ping."""

    id: str
    type: str
    incident_id: str | None


def verify_signature(secrets: Sequence[str], body: bytes, header: str | None) -> bool:
    """Whether any `v1` signature in the header is that of the raw body under any of our secrets.

    During a rotation PagerDuty sends one per secret and we may hold two. No secret, no header: no.
    """
    given = [part.strip().removeprefix("v1=") for part in (header or "").split(",") if part.strip().startswith("v1=")]
    expected = [hmac.digest(secret.encode(), body, "sha256").hex() for secret in secrets if secret]
    matches = [hmac.compare_digest(ours.encode(), theirs.encode()) for ours in expected for theirs in given]
    return any(matches)


def parse_event(body: bytes) -> WebhookEvent:
    """The event in a body whose signature was checked. ValueError when it is not of the documented shape."""
    envelope = json.loads(body)
    event = envelope.get("event") if isinstance(envelope, dict) else None
    if not isinstance(event, dict) or not all(isinstance(event.get(key), str) for key in ("id", "event_type")):
        raise ValueError("not a PagerDuty event: no event with an id and an event_type")
    data = event.get("data")
    data = data if isinstance(data, dict) else {}
    return WebhookEvent(
        id=event["id"],
        type=event["event_type"],
        incident_id=_incident_of(data),
    )


def _incident_of(data: dict[str, Any]) -> str | None:
    """An annotation refers to its incident; other incident events are the incident."""
    incident = data.get("incident")
    if isinstance(incident, dict):
        return _text(incident.get("id"))
    return _text(data.get("id")) if data.get("type") == "incident" else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
