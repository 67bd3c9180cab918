"""PagerDuty through its REST API v2: opens incidents, reads and writes notes, resolves, and says who is on call.

Least permission: an account key with write access, or scoped OAuth with `incidents.write`, `users.read`,
`oncalls.read`, `services.read` (and `webhook_subscriptions.write` for `setup` alone). Writes are made as the user
of the `From` address, who should be a user of the bot's own: an incident assigned to its author pages nobody.

It never deletes, never edits a note, and repeats no write by itself: every failure surfaces at once as a `Fault`,
and whoever repeats does so knowing whether the write may have happened.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bot.core.words import whole
from bot.errors import Fault
from bot.ports import Incident, Note, OnCall, Page, PagerUser
from connectors.pagerduty_api import VENDOR, PagerDutyApi, field, identifier, list_of, written

DESCRIPTION = "TinyApprover"
MAX_TITLE = 255
MAX_BODY = 20_000
USER_CACHE_SECONDS = 300.0
WEBHOOK_EVENTS = (
    "incident.annotated",
    "incident.acknowledged",
    "incident.resolved",
    "incident.reopened",
    "incident.reassigned",
    "incident.escalated",
    "incident.delegated",
    "incident.service_updated",
)


class PagerDuty:
    """Implements `bot.ports.Pager`."""

    def __init__(
        self,
        url: str,
        api_key: str,
        from_email: str,
        service_id: str,
        *,
        timeout: float = 8.0,
        before_write: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._api = PagerDutyApi(url, api_key, from_email, timeout=timeout, before_write=before_write)
        self._from_email = from_email
        self._service_id = service_id
        self._users: dict[str, tuple[float, PagerUser]] = {}
        self._own_user = ""

    async def connect(self) -> None:
        """Find the user that our notes are written as."""
        user = await self.user_by_email(self._from_email)
        if user is None:
            raise Fault(VENDOR, f"no user has the From address {self._from_email}", permanent=True)
        self._own_user = user.id

    async def close(self) -> None:
        await self._api.close()

    @property
    def calls_left(self) -> int | None:
        """How many calls this minute still holds, as PagerDuty said last."""
        return self._api.calls_left

    async def ping(self) -> str:
        """One read, as a sentence for a health page."""
        user = await self.user_by_email(self._from_email)
        return f"PagerDuty answers; notes are written as {user.name if user else 'nobody'}"

    async def check_service(self) -> str:
        """The name of the service incidents are opened on, or a Fault that says what is wrong."""
        answer = await self._api.call("GET", f"/services/{identifier(self._service_id)}")
        return str(field(answer, "service", "name"))

    @property
    def own_user(self) -> str:
        return self._own_user

    # --- incidents

    async def open_incident(self, page: Page, *, look_first: bool = False) -> Incident:
        """Open. Only a repeat looks first and adopts what has the key, because anybody may have opened that.

        Whoever repeats knows that what was adopted may say something else than `page`.
        """
        if look_first and (found := await self.find(page.key)):
            return found
        try:
            answer = await self._api.call("POST", "/incidents", {"incident": self._draft(page)})
            return written(_incident, answer, "incident")
        except Fault as fault:
            if fault.status == 400 and not look_first:  # perhaps the key is taken: the repeat sees
                raise Fault(VENDOR, fault.what, status=400) from fault
            raise

    def _draft(self, page: Page) -> dict[str, Any]:
        draft = {
            "type": "incident",
            "title": _cut(page.title, MAX_TITLE),
            "service": {"id": self._service_id, "type": "service_reference"},
            "urgency": page.urgency,
            "incident_key": page.key,
            "body": {"type": "incident_body", "details": _cut(page.body, MAX_BODY)},
        }
        if page.escalation_policy:
            draft["escalation_policy"] = {"id": page.escalation_policy, "type": "escalation_policy_reference"}
        if page.link:
            draft["conference_bridge"] = {"conference_url": page.link}
        return draft

    async def find(self, key: str) -> Incident | None:
        """The incident with the key: an open one before a resolved one, then the newest."""
        query = {"incident_key": key, "service_ids[]": [self._service_id], "date_range": "all", "limit": 100}
        answer = await self._api.call("GET", "/incidents", params=query)
        found = [_incident(item) for item in list_of(answer, "incidents") if item.get("incident_key") == key]
        return max(found, key=lambda item: (item.status != "resolved", item.created_at), default=None)

    async def incident(self, incident_id: str) -> Incident:
        return _incident(field(await self._api.call("GET", f"/incidents/{identifier(incident_id)}"), "incident"))

    async def resolve(self, incident_id: str) -> None:
        """Resolve. When refused or unanswered, what counts is whether it reads resolved."""
        try:
            await self._update(incident_id, {"status": "resolved"})
        except Fault as fault:
            if not (fault.unknown or fault.status == 400) or (await self.incident(incident_id)).status != "resolved":
                raise

    async def escalate(self, incident_id: str, level: int, *, look_first: bool = False) -> None:
        """Page a level. Told twice it would ring twice, so a repeat looks who has it already."""
        if look_first and await self._is_at(incident_id, level):
            return
        try:
            await self._update(incident_id, {"escalation_level": level})
        except Fault as fault:
            if not fault.unknown or not await self._is_at(incident_id, level):
                raise

    async def _is_at(self, incident_id: str, level: int) -> bool:
        """Whether an incident is assigned to just those who are on call at a level of its policy."""
        incident = field(await self._api.call("GET", f"/incidents/{identifier(incident_id)}"), "incident")
        assigned = {str(field(one, "assignee", "id")) for one in list_of(incident, "assignments")}
        on_call = await self.on_call(str(field(incident, "escalation_policy", "id")))
        return bool(assigned) and assigned == {one.user for one in on_call if one.level == level}

    async def _update(self, incident_id: str, changes: Mapping[str, Any]) -> None:
        body = {"incident": {"type": "incident_reference", **changes}}
        await self._api.call("PUT", f"/incidents/{identifier(incident_id)}", body)

    # --- notes

    async def notes(self, incident_id: str) -> Sequence[Note]:
        if not self._own_user:  # PagerDuty was down when we started
            await self.connect()
        answer = await self._api.call("GET", f"/incidents/{identifier(incident_id)}/notes")
        return sorted(map(_note, list_of(answer, "notes")), key=lambda note: (note.created_at, note.id))

    async def add_note(self, incident_id: str, content: str) -> Note:
        """PagerDuty has no key for notes, so the incident is read before, and after a lost answer."""
        content = _cut(content, MAX_BODY)
        if there := await self._own_note(incident_id, content):
            return there
        try:
            answer = await self._api.call(
                "POST", f"/incidents/{identifier(incident_id)}/notes", {"note": {"content": content}}
            )
            return written(_note, answer, "note")
        except Fault as fault:
            if not fault.unknown:
                raise
            there = await self._own_note(incident_id, content)
            if there is None:
                raise
            return there

    async def _own_note(self, incident_id: str, content: str) -> Note | None:
        for note in await self.notes(incident_id):
            if note.author == self._own_user and note.content.strip() == content.strip():
                return note
        return None

    # --- people

    async def user(self, user_id: str) -> PagerUser:
        """A user, read at most every five minutes."""
        at, known = self._users.get(user_id, (0.0, None))
        if known is not None and time.monotonic() - at < USER_CACHE_SECONDS:
            return known
        return self._remember(_user(field(await self._api.call("GET", f"/users/{identifier(user_id)}"), "user")))

    async def user_by_email(self, email: str) -> PagerUser | None:
        """The search is a loose one; only an equal address (ignoring case) counts, and only one such user."""
        found = [_user(item) for item in await self._api.pages("/users", "users", {"query": email})]
        equal = [user for user in found if user.email.casefold() == email.casefold()]
        return self._remember(equal[0]) if len(equal) == 1 else None

    def _remember(self, user: PagerUser) -> PagerUser:
        self._users[user.id] = (time.monotonic(), user)
        return user

    async def on_call(self, escalation_policy: str) -> Sequence[OnCall]:
        policy = escalation_policy or await self._own_policy()
        entries = await self._api.pages("/oncalls", "oncalls", {"escalation_policy_ids[]": [policy]})
        found = {OnCall(str(field(entry, "user", "id")), int(field(entry, "escalation_level"))) for entry in entries}
        return sorted(found, key=lambda entry: (entry.level, entry.user))

    async def _own_policy(self) -> str:
        answer = await self._api.call("GET", f"/services/{identifier(self._service_id)}")
        return str(field(answer, "service", "escalation_policy", "id"))

    # --- webhook subscriptions

    async def subscriptions(self) -> Sequence[Mapping[str, Any]]:
        """The account's webhook subscriptions, without secrets."""
        return await self._api.pages("/webhook_subscriptions", "webhook_subscriptions", {})

    async def subscribe(self, url: str) -> tuple[str, str]:
        """Have the service's incident events sent to `url`; returns the subscription's id and its signing secret."""
        wanted = {
            "type": "webhook_subscription",
            "delivery_method": {"type": "http_delivery_method", "url": url},
            "events": list(WEBHOOK_EVENTS),
            "filter": {"type": "service_reference", "id": self._service_id},
            "description": DESCRIPTION,
        }
        made = await self._api.call("POST", "/webhook_subscriptions", {"webhook_subscription": wanted})
        subscription = field(made, "webhook_subscription")
        return str(field(subscription, "id")), str(field(subscription, "delivery_method", "secret"))

    async def own_subscriptions(self) -> list[Mapping[str, Any]]:
        """Those that `subscribe` made for this service."""
        return [
            one for one in await self.subscriptions() if one.get("description") == DESCRIPTION and self._for_us(one)
        ]

    def _for_us(self, subscription: Mapping[str, Any]) -> bool:
        chosen = subscription.get("filter") or {}
        return (chosen.get("type"), chosen.get("id")) == ("service_reference", self._service_id)

    async def revive(self, subscription: str) -> None:
        """Have it deliver, and everything that we want: also after it was switched off, by us or by PagerDuty."""
        wanted = {"active": True, "events": list(WEBHOOK_EVENTS)}
        await self._api.call(
            "PUT", f"/webhook_subscriptions/{identifier(subscription)}", {"webhook_subscription": wanted}
        )
        await self._api.call("POST", f"/webhook_subscriptions/{identifier(subscription)}/enable")

    async def unsubscribe(self, subscription: str) -> None:
        await self._api.call("DELETE", f"/webhook_subscriptions/{identifier(subscription)}")


# --- parsing at the door


def _incident(data: Any) -> Incident:
    created_at = _time(field(data, "created_at"))
    return Incident(str(field(data, "id")), str(data.get("html_url") or ""), str(field(data, "status")), created_at)


def _note(data: Any) -> Note:
    user = data.get("user")
    is_person = isinstance(user, dict) and user.get("type") in ("user_reference", "user")
    return Note(
        id=str(field(data, "id")),
        content=whole(str(field(data, "content"))),
        author=str(field(user, "id")) if is_person else None,
        created_at=_time(field(data, "created_at")),
        updated_at=_time(data["updated_at"]) if data.get("updated_at") else None,
    )


def _user(data: Any) -> PagerUser:
    return PagerUser(str(field(data, "id")), str(field(data, "email")), whole(str(data.get("name") or "")))


def _time(text: Any) -> datetime:
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC)
    except ValueError as error:
        raise Fault(VENDOR, "a time that cannot be read") from error


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
