"""Okta: who people are and what they hold (read), and membership of one group (written).

Least permission: the reader token is that of a read-only administrator (`okta.users.read`, `okta.groups.read`,
`okta.logs.read`); the writer token may only manage membership of the groups that can be asked for, by a custom
administrator role. Reading never uses the writer token.

It never creates, deletes or renames anything, never touches a group that an application or a rule fills, and counts
a group by its name only when it is Okta's own: an application could bring along a group of any name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from bot.core.request import Plan, Request, Standing
from bot.core.words import span, whole
from bot.errors import Fault, Refused
from bot.ports import Clock, Headcount
from connectors.okta_api import VENDOR, OktaApi, equals, identifier

T = TypeVar("T")
OWN_GROUPS = ("OKTA_GROUP", "BUILT_IN")
LOG_DAYS = 90
LOG_LIMIT = 100
READINGS_KEPT = 2000


@dataclass(frozen=True, slots=True)
class Group:
    """A group as Okta has it; only `OKTA_GROUP` can be edited by hand."""

    id: str
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class SignIn:
    """A successful sign-in and the place that its address suggests."""

    at: datetime
    country: str
    city: str


class OktaReader:
    """Implements `bot.ports.Directory`, and reads what evidence and plans need."""

    def __init__(self, api: OktaApi, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._standings: Readings[Standing] = Readings(clock)
        self._groups: Readings[tuple[Group, ...]] = Readings(clock)
        self._members: Readings[tuple[str, ...]] = Readings(clock)
        self._sign_ins: Readings[tuple[SignIn, ...]] = Readings(clock)
        self._departments: Readings[Headcount] = Readings(clock)

    async def connect(self) -> None:
        await self._api.connect()

    async def close(self) -> None:
        await self._api.close()

    async def ping(self) -> str:
        """One read, as a sentence for a health page."""
        await self._api.get("/groups", {"limit": 1})
        return "Okta answers and the reader token may read groups"

    async def standing(self, person_id: str, *, max_age: float = 0) -> Standing:
        return await self._standings.get(person_id, max_age, lambda: self._read_standing(person_id))

    async def _read_standing(self, person_id: str) -> Standing:
        read_at = self._clock.now()
        user, groups = await asyncio.gather(self._api.get(f"/users/{identifier(person_id)}"), self.groups_of(person_id))
        if _text(user, "id") != person_id:
            raise Fault(VENDOR, "answered with another user than asked for")
        return _standing(user, groups, read_at)

    async def by_login(self, email: str) -> Standing | None:
        """Okta also matches short names: only a login equal to the whole address counts."""
        if "@" not in email or "/" in email:
            return None
        read_at = self._clock.now()
        try:
            user = await self._api.get(f"/users/{quote(email, safe='@')}")
        except Fault as fault:
            if fault.status == 404:
                return None
            raise
        if _text(user, "profile", "login").casefold() != email.casefold():
            return None
        return _standing(user, await self.groups_of(_text(user, "id")), read_at)

    async def members(self, group: str, *, max_age: float = 0) -> Sequence[str]:
        return await self._members.get(group, max_age, lambda: self._read_members(group))

    async def _read_members(self, name: str) -> tuple[str, ...]:
        own = [group for group in await self.groups_named(name) if group.type in OWN_GROUPS]
        if len(own) != 1:
            raise Fault(VENDOR, f"{len(own)} groups are named {name}", permanent=True)
        users = await self._api.pages(f"/groups/{identifier(own[0].id)}/users")
        return tuple(_text(user, "id") for user in users)

    async def department(self, name: str, *, seconds: float, max_age: float = 0) -> Headcount:
        return await self._departments.get(name, max_age, lambda: self._read_department(name, seconds))

    async def _read_department(self, name: str, seconds: float) -> Headcount:
        """Page by page; what was read when the time is up is kept."""
        search = f"{equals('profile.department', name)} and {equals('status', 'ACTIVE')}"
        people: set[str] = set()
        try:
            async with asyncio.timeout(seconds):
                async for page in self._api.each_page("/users", {"search": search}):
                    people.update(_text(user, "id") for user in page)
        except TimeoutError:
            if not people:
                raise Fault(VENDOR, f"no page of a department within {seconds:g} s") from None
            return Headcount(frozenset(people), complete=False)
        return Headcount(frozenset(people))

    async def groups_named(self, name: str, *, max_age: float = 0) -> Sequence[Group]:
        """All groups with exactly this name, of any type."""
        return await self._groups.get(name, max_age, lambda: self._read_groups_named(name))

    async def _read_groups_named(self, name: str) -> tuple[Group, ...]:
        found = await self._api.pages("/groups", {"search": equals("profile.name", name)})
        return tuple(group for group in map(_group, found) if group.name == name)

    async def groups_of(self, person_id: str) -> Sequence[Group]:
        """The groups somebody is in now, read fresh."""
        return [_group(item) for item in await self._api.pages(f"/users/{identifier(person_id)}/groups")]

    async def factors(self, person_id: str) -> Sequence[str]:
        """The kinds of the enrolled, active sign-in factors, as Okta names them."""
        found = await self._api.get(f"/users/{identifier(person_id)}/factors")
        if not isinstance(found, list):
            raise Fault(VENDOR, "factors that are not a list")
        return [_text(factor, "factorType") for factor in found if factor.get("status") == "ACTIVE"]

    async def sign_ins(self, person_id: str, *, max_age: float = 0) -> Sequence[SignIn]:
        """Successful sign-ins of 90 days, which is all that the System Log keeps; newest first, at most 100."""
        return await self._sign_ins.get(person_id, max_age, lambda: self._read_sign_ins(person_id))

    async def _read_sign_ins(self, person_id: str) -> tuple[SignIn, ...]:
        since = self._clock.now() - timedelta(days=LOG_DAYS)
        by_person = f"{equals('actor.id', identifier(person_id))} and {equals('eventType', 'user.session.start')}"
        query = {
            "filter": f"{by_person} and {equals('outcome.result', 'SUCCESS')}",
            "since": since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "sortOrder": "DESCENDING",
            "limit": LOG_LIMIT,
        }
        events = await self._api.get("/logs", query)
        if not isinstance(events, list):
            raise Fault(VENDOR, "a log that is not a list")
        return tuple(_sign_in(event) for event in events)


class OktaGroupActor:
    """Implements `bot.ports.Actor`: membership of one Okta group, `params: {group: <name>}`.

    `writer` is None in a process that only plans. `protected` are groups that no request may touch, by name.
    """

    kind = "okta.group"
    least_permission = "Okta: manage membership of the groups in the catalogue, by a custom administrator role"

    def __init__(self, reader: OktaReader, writer: OktaApi | None, *, protected: frozenset[str] = frozenset()) -> None:
        self._reader = reader
        self._writer = writer
        self._protected = frozenset(name.casefold() for name in protected)

    async def plan(self, request: Request, *, max_age: float = 0, ours: bool = False) -> Plan:
        """Reads group and person side by side: one round trip."""
        name = request.entitlement.params.get("group", "")
        if not name or name.casefold() in self._protected:
            raise Refused(f"The group {name!r} cannot be asked for here.", rule="okta.group:protected")
        named, standing = await asyncio.gather(
            self._reader.groups_named(name, max_age=max_age),
            self._reader.standing(request.beneficiary.id, max_age=max_age),
        )
        if not standing.active:
            raise Refused(f"{standing.email} is {standing.status} in Okta, not active.", rule="okta.group:inactive")
        group = _editable(named, name)
        already = name in standing.groups and not ours
        return Plan(
            action=self.kind,
            request_id=request.id,
            entitlement=request.entitlement.id,
            beneficiary=request.beneficiary.id,
            minutes=request.minutes,
            changes={"group": group.id, "user": standing.person_id},
            lines=_lines(standing.email, name, request, already=already),
            already=already,
        )

    async def apply(self, plan: Plan) -> str:
        return await self._write("PUT", plan)

    async def verify(self, plan: Plan) -> bool:
        """Read fresh, with the reader. Somebody who is gone from Okta holds nothing."""
        try:
            groups = await self._reader.groups_of(plan.changes["user"])
        except Fault as fault:
            if fault.status == 404:
                return False
            raise
        return any(group.id == plan.changes["group"] for group in groups)

    async def revoke(self, plan: Plan) -> str:
        """Removes the membership, unless it stood before us. What is gone with its person or group is removed."""
        if plan.already:
            return ""
        try:
            return await self._write("DELETE", plan)
        except Fault as fault:
            if fault.status != 404 or await self.verify(plan):
                raise
        return ""

    async def _write(self, method: str, plan: Plan) -> str:
        if self._writer is None:
            raise Fault(VENDOR, "this process holds no writer token", permanent=True)
        group, user = identifier(plan.changes["group"]), identifier(plan.changes["user"])
        return await self._writer.write(method, f"/groups/{group}/users/{user}")


class Readings(Generic[T]):
    """Readings by key: reused while young enough, and read once for all who ask at the same time.

    With `max_age` 0 the reading begins after the call, so a write made before it is seen.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, tuple[datetime, T]] = {}
        self._running: dict[str, asyncio.Task[T]] = {}

    async def get(self, key: str, max_age: float, read: Callable[[], Awaitable[T]]) -> T:
        if max_age > 0:
            known = self._known.get(key)
            if known and self._clock.now() - known[0] <= timedelta(seconds=max_age):
                return known[1]
            if key in self._running:
                return await asyncio.shield(self._running[key])
        task = asyncio.create_task(self._read(key, read))
        self._running[key] = task
        task.add_done_callback(lambda done: self._finished(key, done))
        return await asyncio.shield(task)

    async def _read(self, key: str, read: Callable[[], Awaitable[T]]) -> T:
        at = self._clock.now()
        value = await read()
        if len(self._known) >= READINGS_KEPT:
            self._known.clear()
        if key not in self._known or self._known[key][0] <= at:
            self._known[key] = (at, value)
        return value

    def _finished(self, key: str, done: asyncio.Task[T]) -> None:
        if self._running.get(key) is done:
            del self._running[key]
        if not done.cancelled():
            done.exception()  # seen, also when nobody waits any more


def _editable(named: Sequence[Group], name: str) -> Group:
    """The one group of the name that may be edited by hand."""
    own = [group for group in named if group.type == "OKTA_GROUP"]
    if len(own) == 1:
        return own[0]
    if named and not own:
        sentence = f"The group {name!r} is filled by Okta itself or by an application and cannot be edited by hand."
        raise Refused(sentence, rule="okta.group:type")
    raise Refused(
        f"Okta has {len(own)} groups named {name!r}; the catalogue has to be put right.", rule="okta.group:name"
    )


def _lines(email: str, group: str, request: Request, *, already: bool) -> tuple[str, ...]:
    minutes, extension = request.minutes, request.extends
    if extension is not None and not already:
        return f"keeps {email} in Okta group {group}", f"removes {span(minutes)} after the end of {extension.of}"
    if already:
        return (f"{email} is in Okta group {group} already: nothing is added, and nothing is removed at the end",)
    added = f"adds {email} to Okta group {group}"
    return (added, f"removes {span(minutes)} after the grant") if minutes else (added, "stays until it is removed")


def _text(data: Any, *path: str) -> str:
    """The text at a path of keys, or a Fault: an answer without it is not Okta's."""
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    if not isinstance(data, str) or not data:
        raise Fault(VENDOR, f"an answer without {'.'.join(path)}")
    return data


def _group(data: Any) -> Group:
    return Group(_text(data, "id"), _text(data, "profile", "name"), _text(data, "type"))


def _standing(user: Any, groups: Sequence[Group], read_at: datetime) -> Standing:
    profile = user.get("profile") or {}
    login = _text(user, "profile", "login")
    name = whole(f"{profile.get('firstName') or ''} {profile.get('lastName') or ''}".strip())
    return Standing(
        person_id=_text(user, "id"),
        email=login,
        name=name or login,
        status=_text(user, "status"),
        groups=frozenset(group.name for group in groups if group.type in OWN_GROUPS),
        read_at=read_at,
        title=whole(str(profile.get("title") or "")),
        department=whole(str(profile.get("department") or "")),
        manager=whole(str(profile.get("manager") or "")),
    )


def _sign_in(event: Any) -> SignIn:
    place = (event.get("client") or {}).get("geographicalContext") or {}
    try:
        at = datetime.fromisoformat(_text(event, "published"))
    except ValueError as problem:
        raise Fault(VENDOR, "a sign-in without a readable time") from problem
    return SignIn(at, str(place.get("country") or "an unknown country"), str(place.get("city") or "an unknown city"))
