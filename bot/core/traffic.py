"""How much one person may ask: what they have asked for lately goes in, a ruling comes out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.core.request import Ruling
from bot.core.words import date, span

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Allowance:
    """For one person: open requests at a time, requests an hour (each may page), and the rest after a denial."""

    open_requests: int = 10
    requests_an_hour: int = 20
    cool_down: timedelta = HOUR


@dataclass(frozen=True, slots=True)
class Denied:
    """The latest denial of the same thing, by whom and when."""

    request: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a person has asked for so far: `same` waits for the same thing, `last_hour` counts from an hour ago."""

    same: str | None = None
    open: int = 0
    last_hour: int = 0
    oldest_of_hour: datetime | None = None
    denied: Denied | None = None


def rule_traffic(traffic: Traffic, allowance: Allowance, *, now: datetime, group: str) -> Ruling:
    """Whether one more request may be stored; the reason says until when not, or whom to talk to. `group` decides."""
    denied = traffic.denied
    if traffic.same is not None:
        return _refused("same", f"{traffic.same} already waits for exactly this, so nothing was sent.")
    if denied is not None and now < (until := denied.at + allowance.cool_down):
        return _refused(
            "cool-down",
            f"{denied.request} for the same was denied by {denied.by}. You can ask again after {date(until)}. "
            f"If it cannot wait, talk to {denied.by} or to others in {group}; somebody else may then ask for you.",
        )
    if traffic.open >= allowance.open_requests:
        return _refused(
            "open",
            f"{traffic.open} requests of yours wait already, which is as many as one person may have. "
            "Withdraw one in your App Home, or wait for an answer.",
        )
    if traffic.last_hour >= allowance.requests_an_hour:
        oldest = (traffic.oldest_of_hour or now) + HOUR
        return _refused(
            "hourly",
            f"You have asked {traffic.last_hour} times within {span(60)}, which is as often as one person may. "
            f"You can ask again after {date(oldest)}.",
        )
    return Ruling(allowed=True, rule="limits", reason="")


def _refused(limit: str, reason: str) -> Ruling:
    return Ruling(allowed=False, rule=f"limits#{limit}", reason=reason)
