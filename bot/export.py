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
END = "\r\n"
COLUMNS = ("seq", "at", "request_id", "actor", "what", "detail", "prev", "hash")

OCSF_VERSION = "1.4.0"
ENTITY, ACCESS, GROUP = (3004, "Entity Management"), (3005, "User Access Management"), (3006, "Group Management")
CREATE, UPDATE = (*ENTITY, 1), (*ENTITY, 3)
GIVEN = {"okta.group": (*GROUP, 3)}
TAKEN = {"okta.group": (*GROUP, 4)}
ASSIGN, REVOKE = (*ACCESS, 1), (*ACCESS, 2)
INFORMATIONAL, MEDIUM = 1, 3
SUCCESS, FAILURE = 1, 2
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
    """A cell that holds the end of a line is quoted because the writer knows both of its characters."""
    out = io.StringIO()
    csv.writer(out, lineterminator=END).writerow(values)
    return out.getvalue().removesuffix(END)


def ocsf(event: AuditEvent) -> dict[str, Any]:
    """One event in OCSF's Identity and Access Management category; what has no field there is under `unmapped`."""
    class_uid, class_name, activity = _class_of(event)
    wrong = event.what in REFUSALS
    return {
        "category_uid": 3,
        "category_name": "Identity & Access Management",
        "class_uid": class_uid,
        "class_name": class_name,
        "activity_id": activity,
        "type_uid": class_uid * 100 + activity,
        "time": int(datetime.fromisoformat(event.at).timestamp() * 1000),
        "severity_id": MEDIUM if wrong else INFORMATIONAL,
        "status_id": FAILURE if wrong else SUCCESS,
        "actor": {"user": {"uid": event.actor}},
        "message": event.what,
        "metadata": {
            "version": OCSF_VERSION,
            "uid": event.hash,
            "sequence": event.seq,
            "product": {"name": "TinyApprover", "vendor_name": "TinyApprover"},
        },
        **_about(event, class_uid),
        "unmapped": {"request": event.request_id, "detail": dict(event.detail), "prev": event.prev},
    }


def _class_of(event: AuditEvent) -> tuple[int, str, int]:
    """Access counts as given or taken only when it was: what was held before stays as it was."""
    action = str(event.detail.get("action", ""))
    if event.what == "request.received":
        return CREATE
    if event.what == "grant.verified" and event.detail.get("added"):
        return GIVEN.get(action, ASSIGN)
    if event.what == "grant.revoked":
        return TAKEN.get(action, REVOKE)
    return UPDATE


def _about(event: AuditEvent, class_uid: int) -> dict[str, Any]:
    """What it was done to: a member and a group, a person and a privilege, or a request."""
    if class_uid == ENTITY[0]:
        kind = "access request" if event.request_id else "audit trail"
        return {"entity": {"type": kind, "uid": event.request_id or str(event.seq)}}
    told = event.detail.get("changes")
    changes = told if isinstance(told, dict) else {}  # whatever somebody has put there
    user = {"uid": changes.get("user", "")}
    if class_uid == GROUP[0]:
        return {"user": user, "group": {"uid": changes.get("group", "")}}
    return {"user": user, "privileges": [f"{name}={changes[name]}" for name in sorted(changes) if name != "user"]}
