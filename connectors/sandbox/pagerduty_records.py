"""What the PagerDuty stand-in remembers, and how PagerDuty's REST API v2 writes it down."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

WEB = "https://sandbox.pagerduty.example"


@dataclass(slots=True)
class User:
    id: str
    name: str
    email: str


@dataclass(slots=True)
class Note:
    id: str
    content: str
    author: User
    created_at: datetime
    updated_at: datetime
    by_service: bool = False


@dataclass(slots=True)
class Incident:
    """An incident; `assigned` is empty once it is resolved, as PagerDuty has it."""

    id: str
    number: int
    title: str
    body: str
    urgency: str
    key: str
    created_at: datetime
    updated_at: datetime
    policy: str
    status: str = "triggered"
    level: int = 1
    assigned: list[User] = field(default_factory=list)
    changed_by: User | None = None
    notes: list[Note] = field(default_factory=list)


def stamp(at: datetime) -> str:
    """A time as PagerDuty writes it: UTC, whole seconds."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def reference(kind: str, record_id: str, summary: str) -> dict[str, Any]:
    """A reference object. `kind` is such as `user`."""
    folder = "escalation_policies" if kind == "escalation_policy" else f"{kind}s"
    return {
        "id": record_id,
        "type": f"{kind}_reference",
        "summary": summary,
        "self": f"https://api.pagerduty.com/{folder}/{record_id}",
        "html_url": f"{WEB}/{folder}/{record_id}",
    }


def user_reference(user: User) -> dict[str, Any]:
    return reference("user", user.id, user.name)


def user_json(user: User) -> dict[str, Any]:
    return {
        **user_reference(user),
        "type": "user",
        "name": user.name,
        "email": user.email,
        "time_zone": "Etc/UTC",
        "color": "purple",
        "role": "user",
        "avatar_url": f"{WEB}/avatar.png",
        "description": "",
        "invitation_sent": False,
        "job_title": "",
        "teams": [],
        "contact_methods": [],
        "notification_rules": [],
    }


def note_json(note: Note) -> dict[str, Any]:
    return {
        "id": note.id,
        "user": reference("bot_user" if note.by_service else "user", note.author.id, note.author.name),
        "channel": {"summary": "The PagerDuty website or APIs"},
        "content": note.content,
        "created_at": stamp(note.created_at),
        "updated_at": stamp(note.updated_at),
    }


def incident_json(incident: Incident, *, service: dict[str, Any], policy: dict[str, Any]) -> dict[str, Any]:
    """The full incident. `body` is left out, as in PagerDuty's answers without `include[]=body`."""
    changed_by = user_reference(incident.changed_by) if incident.changed_by else service
    return {
        **reference("incident", incident.id, f"[#{incident.number}] {incident.title}"),
        "type": "incident",
        "incident_number": incident.number,
        "title": incident.title,
        "created_at": stamp(incident.created_at),
        "updated_at": stamp(incident.updated_at),
        "status": incident.status,
        "incident_key": incident.key,
        "service": service,
        "escalation_policy": policy,
        "assigned_via": "escalation_policy",
        "assignments": [{"at": stamp(incident.updated_at), "assignee": user_reference(u)} for u in incident.assigned],
        "acknowledgements": [],
        "last_status_change_at": stamp(incident.updated_at),
        "last_status_change_by": changed_by,
        "resolved_at": stamp(incident.updated_at) if incident.status == "resolved" else None,
        "urgency": incident.urgency,
        "teams": [],
    }


def incident_reference(incident: Incident) -> dict[str, Any]:
    return reference("incident", incident.id, f"[#{incident.number}] {incident.title}")
