"""Webhooks v3 as PagerDuty sends them: signed, one event a request, in order per incident, retried, dropped.

Follows https://developer.pagerduty.com/docs/webhooks-overview; the length at which a note is trimmed is not
published, `TRIM_AT` is a guess.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import aiohttp

from connectors.sandbox.pagerduty_records import stamp
from connectors.sandbox.world import World

TRIM_AT = 1000
ANSWER_SECONDS = 5.0
DROPS_ALLOWED = 3
DISABLED_FOR = timedelta(hours=24)
RETRY_FOR = timedelta(hours=48)


@dataclass(slots=True)
class Subscription:
    """One webhook subscription; `secrets` holds two during a rotation, `waiting` the events per incident."""

    id: str
    url: str
    events: tuple[str, ...]
    filter: dict[str, Any]
    description: str
    custom_headers: tuple[dict[str, str], ...]
    secrets: list[str]
    active: bool = True
    drops: int = 0
    disabled_until: datetime | None = None
    delivered: int = 0
    waiting: dict[str, deque[dict[str, Any]]] = field(default_factory=dict)

    def disabled(self, now: datetime) -> bool:
        return self.disabled_until is not None and now < self.disabled_until

    def wants(self, event_type: str) -> bool:
        return self.active and event_type in self.events

    def json(self, now: datetime, *, with_secret: bool = False) -> dict[str, Any]:
        """As the API shows it: the secret only in the answer to its creation, header values redacted."""
        headers = [{"name": header["name"], "value": "<redacted>"} for header in self.custom_headers]
        return {
            "id": self.id,
            "type": "webhook_subscription",
            "active": self.active,
            "description": self.description,
            "events": list(self.events),
            "filter": self.filter,
            "delivery_method": {
                "id": f"{self.id}D",
                "type": "http_delivery_method",
                "url": self.url,
                "custom_headers": headers,
                "temporarily_disabled": self.disabled(now),
                **({"secret": self.secrets[0]} if with_secret else {"secret": None}),
            },
        }

    def enable(self) -> None:
        """Deliver again after a temporary disabling."""
        self.disabled_until = None
        self.drops = 0

    def rotate(self) -> str:
        """Add a new secret and sign with both; a second rotation drops the oldest."""
        self.secrets = [new_secret(), *self.secrets[:1]]
        return self.secrets[0]


def new_secret() -> str:
    return secrets.token_urlsafe(48)


def sign(keys: list[str], body: bytes) -> str:
    """The value of `X-PagerDuty-Signature` for a body: one `v1=` per secret."""
    return ",".join("v1=" + hmac.new(key.encode(), body, hashlib.sha256).hexdigest() for key in keys)


def event(event_type: str, data: dict[str, Any], *, agent: dict[str, Any] | None, at: datetime) -> dict[str, Any]:
    """An event with its envelope. A long `content` is trimmed and says so."""
    if len(data.get("content", "")) > TRIM_AT:
        data = {**data, "content": data["content"][:TRIM_AT], "trimmed": True}
    return {
        "event": {
            "id": secrets.token_hex(13).upper(),
            "event_type": event_type,
            "resource_type": event_type.partition(".")[0],
            "occurred_at": stamp(at),
            "agent": agent,
            "client": None,
            "data": data,
        }
    }


class Deliveries:
    """Sends events to subscriptions, each incident's in order, a retry holding back what comes after it."""

    def __init__(self, world: World, *, retry_seconds: float) -> None:
        self._world = world
        self._retry_seconds = retry_seconds
        self.subscriptions: dict[str, Subscription] = {}

    def publish(self, incident_id: str, message: dict[str, Any]) -> None:
        """Queue an event for everybody who wants it."""
        for subscription in self.subscriptions.values():
            if subscription.wants(message["event"]["event_type"]):
                self.enqueue(subscription, incident_id, message)

    def enqueue(self, subscription: Subscription, incident_id: str, message: dict[str, Any]) -> None:
        if subscription.disabled(self._world.now()):
            return
        if incident_id in subscription.waiting:
            subscription.waiting[incident_id].append(message)
        else:
            subscription.waiting[incident_id] = deque([message])
            self._world.spawn(self._drain(subscription, incident_id))

    async def _drain(self, subscription: Subscription, incident_id: str) -> None:
        queue = subscription.waiting[incident_id]
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS)) as http:
            while queue:
                await self._deliver(http, subscription, queue[0])
                if queue:
                    queue.popleft()
                self._world.touch()
        subscription.waiting.pop(incident_id, None)

    async def _deliver(self, http: aiohttp.ClientSession, subscription: Subscription, message: dict[str, Any]) -> None:
        """Try until it is taken or dropped; the headers' id stays the same over all attempts."""
        webhook_id = secrets.token_hex(16)
        give_up = self._world.now() + RETRY_FOR
        wait = self._retry_seconds
        while subscription.active and not subscription.disabled(self._world.now()):
            status = await _post(http, subscription, message, webhook_id)
            if 200 <= status < 300:
                subscription.drops = 0
                subscription.delivered += 1
                return
            if (400 <= status < 500 and status != 429) or self._world.now() > give_up:
                self._drop(subscription)
                return
            await asyncio.sleep(wait)
            wait = min(wait * 2, 60.0)

    def _drop(self, subscription: Subscription) -> None:
        """Three drops in a row switch the subscription off for a day and discard what waits."""
        subscription.drops += 1
        if subscription.drops >= DROPS_ALLOWED:
            subscription.disabled_until = self._world.now() + DISABLED_FOR
            for queue in subscription.waiting.values():
                queue.clear()


async def _post(
    http: aiohttp.ClientSession, subscription: Subscription, message: dict[str, Any], webhook_id: str
) -> int:
    """The status answered, or 503 when there was no answer."""
    body = json.dumps(message).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "PagerDuty-Webhook/V3.0",
        "X-PagerDuty-Signature": sign(subscription.secrets, body),
        "X-Webhook-Id": webhook_id,
        "X-Webhook-Subscription": subscription.id,
        **{header["name"]: header["value"] for header in subscription.custom_headers},
    }
    try:
        async with http.post(subscription.url, data=body, headers=headers, allow_redirects=False) as response:
            return response.status
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return 503
