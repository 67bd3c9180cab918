"""What the Okta stand-in remembers, and how Okta's management API writes it down."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from connectors.sandbox.world import SandboxPerson, World

APP_GROUP = "payroll-app-users"
"""Filled by an application: its memberships cannot be edited through the API."""

SHOWN_EVENTS = 100


@dataclass(slots=True)
class User:
    id: str
    login: str
    name: str
    status: str
    title: str
    department: str
    manager: str
    factors: tuple[str, ...]
    created: datetime


@dataclass(slots=True)
class Group:
    id: str
    name: str
    type: str
    created: datetime
    members: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class LogEvent:
    """An entry of the System Log. `place` is (country, city); `group` the group a membership event is about."""

    id: str
    type: str
    actor_id: str
    actor: str
    at: datetime
    user: User
    place: tuple[str, str] | None = None
    group: Group | None = None


class OktaDirectory:
    """Users, groups and the System Log, seeded from the sandbox's people."""

    def __init__(self, world: World) -> None:
        self._world = world
        now = world.now()
        people = [person for person in (*world.people.values(), *colleagues(world)) if person.okta]
        self.users = {user.id: user for user in (_user(person, now) for person in people)}
        names = {APP_GROUP: "APP_GROUP"}
        names |= dict.fromkeys([*world.seed["groups"], *(g for person in people for g in person.groups)], "OKTA_GROUP")
        self.groups = {(group := Group(group_id(name), name, kind, now)).id: group for name, kind in names.items()}
        self.events: list[LogEvent] = []
        for person in people:
            self._seed(person, now)

    def _seed(self, person: SandboxPerson, now: datetime) -> None:
        user = self.users[str(person.okta)]
        for name in person.groups:
            self.groups[group_id(name)].members.add(user.id)
        for n, sign_in in enumerate(person.sign_ins):
            at = now - timedelta(days=sign_in["days_ago"], minutes=20)
            place = (sign_in["country"], sign_in["city"])
            self.events.append(LogEvent(f"{user.id}s{n}", "user.session.start", user.id, user.name, at, user, place))

    def join(self, group: Group, user: User, *, by: str) -> bool:
        """Add a member; whether that changed anything."""
        if user.id in group.members:
            return False
        group.members.add(user.id)
        self.log("group.user_membership.add", by, user, group)
        return True

    def leave(self, group: Group, user: User, *, by: str) -> bool:
        """Remove a member; whether that changed anything."""
        if user.id not in group.members:
            return False
        group.members.discard(user.id)
        self.log("group.user_membership.remove", by, user, group)
        return True

    def log(self, event_type: str, actor: str, user: User, group: Group | None = None) -> None:
        """Write to the System Log."""
        number = len(self.events)
        event = LogEvent(f"evt{number:06d}", event_type, f"actor-{actor}", actor, self._world.now(), user, None, group)
        self.events.append(event)
        self._world.touch()

    def state(self) -> dict[str, Any]:
        names = {user.id: user.login for user in self.users.values()}
        changes = [event for event in self.events if event.type != "user.session.start"]
        return {
            "users": [self._shown(user) for user in self.users.values()],
            "groups": [
                {
                    "id": group.id,
                    "name": group.name,
                    "type": group.type,
                    "members": sorted(map(names.get, group.members)),
                }
                for group in self.groups.values()
            ],
            "log": [
                {
                    "at": event.at.isoformat(),
                    "event": event.type,
                    "by": event.actor,
                    "user": event.user.login,
                    "group": event.group.name if event.group else "",
                }
                for event in changes[-SHOWN_EVENTS:]
            ],
        }

    def _shown(self, user: User) -> dict[str, Any]:
        held = sorted(group.name for group in self.groups.values() if user.id in group.members)
        return {"id": user.id, "login": user.login, "name": user.name, "status": user.status, "groups": held}


def colleagues(world: World) -> list[SandboxPerson]:
    """People of the directory who are nowhere else."""
    entries = [{**entry, "groups": tuple(entry["groups"])} for entry in world.seed.get("colleagues", ())]
    return [SandboxPerson(key=entry["email"].partition("@")[0], slack="", **entry) for entry in entries]


def group_id(name: str) -> str:
    """A stable id in Okta's form, 20 characters."""
    return "00g" + hashlib.sha256(name.encode()).hexdigest()[:17]


def stamp(at: datetime) -> str:
    """A time as Okta writes it: UTC, milliseconds."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def user_json(user: User) -> dict[str, Any]:
    first, _, last = user.name.partition(" ")
    return {
        "id": user.id,
        "status": user.status,
        "created": stamp(user.created),
        "lastUpdated": stamp(user.created),
        "type": {"id": "otysandbox"},
        "profile": {
            "firstName": first,
            "lastName": last,
            "login": user.login,
            "email": user.login,
            "title": user.title,
            "department": user.department,
            "manager": user.manager,
        },
    }


def group_json(group: Group) -> dict[str, Any]:
    return {
        "id": group.id,
        "type": group.type,
        "created": stamp(group.created),
        "profile": {"name": group.name, "description": None},
        "objectClass": ["okta:user_group"],
    }


def event_json(event: LogEvent) -> dict[str, Any]:
    place = {"country": event.place[0], "city": event.place[1]} if event.place else None
    targets = [{"id": event.user.id, "type": "User", "alternateId": event.user.login, "displayName": event.user.name}]
    if event.group:
        targets.append(
            {"id": event.group.id, "type": "UserGroup", "alternateId": "unknown", "displayName": event.group.name}
        )
    return {
        "uuid": event.id,
        "published": stamp(event.at),
        "eventType": event.type,
        "severity": "INFO",
        "actor": {"id": event.actor_id, "type": "User", "displayName": event.actor},
        "outcome": {"result": "SUCCESS"},
        "client": {"geographicalContext": place, "ipAddress": "192.0.2.1"},
        "target": targets,
    }


def _user(person: SandboxPerson, now: datetime) -> User:
    return User(
        id=str(person.okta),
        login=person.email,
        name=person.name,
        status="DEPROVISIONED" if person.deactivated else "ACTIVE",
        title=person.title,
        department=person.department,
        manager=person.manager,
        factors=person.factors,
        created=now,
    )
