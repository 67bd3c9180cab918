"""One PagerDuty account in the sandbox: its users, incidents and who was paged, and what can happen to an incident."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from connectors.sandbox.pagerduty_records import (
    Incident,
    Note,
    User,
    incident_json,
    incident_reference,
    reference,
    stamp,
    user_reference,
)
from connectors.sandbox.pagerduty_webhooks import Deliveries, event
from connectors.sandbox.server import Refusal
from connectors.sandbox.world import World


class Account:
    """The state of the account; every change is published to the webhook subscriptions."""

    def __init__(self, world: World, *, retry_seconds: float) -> None:
        self._world = world
        self.numbers = itertools.count(1)
        self.users = {user.id: user for user in _users(world)}
        self.incidents: dict[str, Incident] = {}
        self.paged: list[dict[str, Any]] = []
        self.webhooks = Deliveries(world, retry_seconds=retry_seconds)
        seed = world.seed["pagerduty"]
        policy, service = seed["escalation_policy"], seed["service"]
        policies = [policy, *seed["other_policies"]]
        self.policies = {one["id"]: reference("escalation_policy", one["id"], one["name"]) for one in policies}
        self.levels = {one["id"]: [[self.user_of(key) for key in level] for level in one["levels"]] for one in policies}
        self.policy = self.policies[policy["id"]]
        self.service = reference("service", service["id"], service["name"])

    def open(self, incident: Incident, author: User) -> None:
        """Take in an incident and page level 1; one assigned to its own author is acknowledged and pages nobody."""
        self.incidents[incident.id] = incident
        incident.assigned = list(self.levels[incident.policy][0])
        if author in incident.assigned:
            incident.status = "acknowledged"
        else:
            self._page_assigned(incident)
        self._publish("incident.triggered", incident, author)

    def set_status(self, incident: Incident, status: str, by: User) -> None:
        if incident.status == "resolved":
            raise Refusal("this incident is resolved already")
        incident.status = status
        incident.changed_by = by
        if status == "resolved":
            incident.assigned = []
        self._publish(f"incident.{status}", incident, by)

    def assign(self, incident: Incident, users: list[User], by: User, event_type: str) -> None:
        incident.status = "triggered"
        incident.assigned = list(users)
        self._page_assigned(incident)
        self._publish(event_type, incident, by)

    def _page_assigned(self, incident: Incident) -> None:
        for user in incident.assigned:
            at = self._world.now().isoformat()
            person = self._key_of(user)
            self.paged.append({"person": person, "incident": incident.id, "urgency": incident.urgency, "at": at})

    def _publish(self, event_type: str, incident: Incident, by: User) -> None:
        incident.updated_at = self._world.now()
        message = event(event_type, self.json(incident), agent=user_reference(by), at=incident.updated_at)
        self.webhooks.publish(incident.id, message)
        self._world.touch()

    def json(self, incident: Incident) -> dict[str, Any]:
        return incident_json(incident, service=self.service, policy=self.policies[incident.policy])

    def annotate(self, incident: Incident, content: str, author: User, *, by_service: bool = False) -> Note:
        now = self._world.now()
        note = Note(f"PNOTE{next(self.numbers):05d}", content, author, now, now, by_service)
        incident.notes.append(note)
        data = {"incident": incident_reference(incident), "id": note.id, "content": content, "trimmed": False}
        message = event("incident.annotated", {**data, "type": "incident_note"}, agent=user_reference(author), at=now)
        self.webhooks.publish(incident.id, message)
        self._world.touch()
        return note

    def incident_of(self, args: Mapping[str, Any]) -> Incident:
        incident = self.incidents.get(str(args.get("incident")))
        if incident is None:
            raise Refusal(f"there is no incident {args.get('incident')!r}")
        return incident

    def user_of(self, key: str) -> User:
        person = self._world.people.get(key)
        if person is None or person.pagerduty is None:
            raise Refusal(f"{key} has no PagerDuty account")
        return self.users[person.pagerduty]

    def _key_of(self, user: User) -> str:
        return next((person.key for person in self._world.people.values() if person.pagerduty == user.id), "bot")

    def state(self) -> dict[str, Any]:
        now = self._world.now()
        return {
            "incidents": [self._shown(incident) for incident in self.incidents.values()],
            "subscriptions": [
                {**subscription.json(now), "delivered": subscription.delivered}
                for subscription in self.webhooks.subscriptions.values()
            ],
            "paged": list(self.paged),
        }

    def _shown(self, incident: Incident) -> dict[str, Any]:
        return {
            "id": incident.id,
            "number": incident.number,
            "title": incident.title,
            "body": incident.body,
            "urgency": incident.urgency,
            "status": incident.status,
            "key": incident.key,
            "level": incident.level,
            "assigned": [self._key_of(user) for user in incident.assigned],
            "created_at": stamp(incident.created_at),
            "notes": [
                {
                    "id": note.id,
                    "content": note.content,
                    "author": self._key_of(note.author),
                    "author_name": note.author.name,
                    "at": stamp(note.created_at),
                    "edited": note.updated_at != note.created_at,
                }
                for note in incident.notes
            ],
        }


def _users(world: World) -> Iterator[User]:
    bot = world.seed["bot"]
    yield User(bot["pagerduty"], bot["name"], bot["email"])
    for person in world.people.values():
        if person.pagerduty:
            yield User(person.pagerduty, person.name, person.email)
