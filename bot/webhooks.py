"""PagerDuty's webhook from its subscription's side: set up, found again, and watched."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlsplit

from bot.errors import Fault, SettingsError
from bot.ledger import Job, Ledger
from bot.ledger.inbox import Seen
from bot.ports import Clock

log = logging.getLogger(__name__)

PATH = "/webhooks/pagerduty"
SUBSCRIPTION, REFUSED = "webhook.subscription", "webhook.refused"
TAKEN = ("webhook.taken", "webhook.repeated", "webhook.other")
LOOK_EVERY = timedelta(minutes=10)
ACTIVE, SWITCHED_OFF, MISSING = "active", "switched off", "missing"


class Subscriptions(Protocol):
    """What of the pager's connector is used here."""

    async def own_subscriptions(self) -> list[Mapping[str, Any]]: ...
    async def subscribe(self, url: str) -> tuple[str, str]: ...
    async def revive(self, subscription: str) -> None: ...
    async def unsubscribe(self, subscription: str) -> None: ...


@dataclass(frozen=True, slots=True)
class SetUp:
    """What was done, and the signing secret if a subscription was made: PagerDuty tells it only then."""

    words: str
    secret: str = ""


async def set_up(pager: Subscriptions, address: str) -> SetUp:
    """Have PagerDuty deliver to `address`: by the subscription that is there, enabled if need be, or by a new one."""
    url = webhook_url(address)
    there = [one for one in await pager.own_subscriptions() if _url(one) == url]
    if there:
        return await _adopt(pager, there[0])
    try:
        made, secret = await pager.subscribe(url)
    except Fault as fault:
        if fault.unknown:
            await _forget_nameless(pager, url)
        raise
    return SetUp(f"PagerDuty delivers to {url} (subscription {made})", secret)


async def _adopt(pager: Subscriptions, subscription: Mapping[str, Any]) -> SetUp:
    was, name = state_of(subscription), f"subscription {subscription['id']} to {_url(subscription)}"
    await pager.revive(str(subscription["id"]))
    words = f"{name} was there and is active" if was == ACTIVE else f"{name} was {was} and is active again"
    return SetUp(words)


async def _forget_nameless(pager: Subscriptions, url: str) -> None:
    """The answer that held the secret is lost, so what it may have made is of no use."""
    for one in await pager.own_subscriptions():
        if _url(one) == url:
            await pager.unsubscribe(str(one["id"]))


def webhook_url(address: str) -> str:
    """The address that PagerDuty is given; https, except on this machine."""
    parts = urlsplit(address)
    here = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if not parts.hostname or (parts.scheme != "https" and not (here and parts.scheme == "http")):
        raise SettingsError(f"--url: {address!r} is not an https address such as https://bot.example.com")
    return address if parts.path.rstrip("/") else f"{address.rstrip('/')}{PATH}"


def _url(subscription: Mapping[str, Any]) -> str:
    return str((subscription.get("delivery_method") or {}).get("url") or "")


def state_of(subscription: Mapping[str, Any]) -> str:
    """Whether PagerDuty delivers to it."""
    disabled = (subscription.get("delivery_method") or {}).get("temporarily_disabled")
    return ACTIVE if subscription.get("active", True) and not disabled else SWITCHED_OFF


async def state(pager: Subscriptions) -> str:
    """Of the best of our subscriptions."""
    states = [state_of(one) for one in await pager.own_subscriptions()]
    return min(states, default=MISSING)


@dataclass(frozen=True, slots=True)
class Watch:
    """Looks now and then whether PagerDuty has switched our webhook off, which it does without telling."""

    ledger: Ledger
    pager: Subscriptions
    clock: Clock

    async def subscription(self, job: Job) -> datetime | None:
        """Record the state, for the metrics and `check`; comments are polled in any case."""
        try:
            now = await state(self.pager)
        except Fault as fault:
            if not fault.permanent:
                raise
            now = f"unknown: {fault}"
        if now != ACTIVE:
            log.warning("PagerDuty's webhook is %s", now, extra={"step": job.kind, "vendor": "pagerduty"})
        await self.ledger.see(SUBSCRIPTION, words=now)
        return self.clock.now() + LOOK_EVERY


def trouble(seen: Mapping[str, Seen]) -> str:
    """What the deliveries themselves tell of a wrong secret; empty when nothing does."""
    refused = seen.get(REFUSED)
    taken = max((seen[name].at for name in TAKEN if name in seen), default=None)
    if refused is None or (taken is not None and taken >= refused.at):
        return ""
    return (
        f"{refused.times} deliveries had a wrong signature, the last at {refused.at:%Y-%m-%d %H:%M} UTC, and none was "
        "right since: compare PAGERDUTY_WEBHOOK_SECRETS with the subscription's secret"
    )


def last_event(seen: Mapping[str, Seen]) -> str:
    """When the last delivery of PagerDuty's came, for people."""
    taken = max((seen[name].at for name in TAKEN if name in seen), default=None)
    return f"last event {taken:%Y-%m-%d %H:%M} UTC" if taken else "no event yet"
