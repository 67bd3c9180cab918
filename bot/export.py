"""The audit trail for other systems: JSON lines, CSV, and OCSF for a SIEM. Values in, lines out."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from bot.audit import AuditEvent

FORMATS = ("jsonl", "csv", "ocsf")
COLUMNS = ("seq", "at", "request_id", "actor", "what", "detail", "prev", "hash")

OCSF_VERSION = "1.4.0"
ENTITY, GROUP = (3004, "Entity Management"), (3006, "Group Management")
CREATE, UPDATE, ADD_USER, REMOVE_USER = 1, 3, 3, 4
ACTIVITIES = {
    "request.received": (*ENTITY, CREATE),
    "grant.verified": (*GROUP, ADD_USER),
    "grant.revoked": (*GROUP, REMOVE_USER),
}
INFORMATIONAL, MEDIUM = 1, 3
REFUSALS = ("decision.refused", "press.refused", "request.refused", "revoke.overdue", "grant.failed")


def lines(events: Iterable[AuditEvent], form: str) -> Iterator[str]:
    """The events in one of `FORMATS`, a line each (CSV with its heading)."""
    if form == "csv":
        yield _row(COLUMNS)
    for event in events:
        yield _line(event, form)


def _line(event: AuditEvent, form: str) -> str:
    if form == "csv":
        return _row([_cell(value) for value in asdict(event).values()])
    return json.dumps(ocsf(event) if form == "ocsf" else asdict(event), ensure_ascii=False)


def _cell(value: Any) -> Any:
    """Nothing that a spreadsheet would take for a formula."""
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _row(values: Iterable[Any]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(values)
    return out.getvalue()


def ocsf(event: AuditEvent) -> dict[str, Any]:
    """One event in OCSF's Identity and Access Management category; what has no field there is under `unmapped`."""
    class_uid, class_name, activity = ACTIVITIES.get(event.what, (*ENTITY, UPDATE))
    return {
        "category_uid": 3,
        "class_uid": class_uid,
        "class_name": class_name,
        "activity_id": activity,
        "type_uid": class_uid * 100 + activity,
        "time": int(datetime.fromisoformat(event.at).timestamp() * 1000),
        "severity_id": MEDIUM if event.what in REFUSALS else INFORMATIONAL,
        "actor": {"user": {"uid": event.actor}},
        "message": event.what,
        "metadata": {
            "version": OCSF_VERSION,
            "uid": event.hash,
            "sequence": event.seq,
            "product": {"name": "TinyApprover", "vendor_name": "TinyApprover"},
        },
        "unmapped": {"request": event.request_id, "detail": dict(event.detail), "prev": event.prev},
    }
