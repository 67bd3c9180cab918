"""Mornings and working hours, for what can wait."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo


def working(at: datetime, morning: str, evening: str) -> datetime:
    """The moment itself within working hours, else the next morning. `evening` is HH:MM in the morning's zone."""
    clock, _, zone = morning.partition(" ")
    local = at.astimezone(ZoneInfo(zone or "UTC"))
    within = _time(clock) <= local.time() < _time(evening)
    return at if within and local.weekday() < 5 else next_morning(at, morning)


def _time(clock: str) -> time:
    hour, _, minute = clock.partition(":")
    return time(int(hour), int(minute or 0))


def next_morning(after: datetime, morning: str) -> datetime:
    """The first working-day moment of `morning` (such as `09:00 Europe/Berlin`) after a time."""
    clock, _, zone = morning.partition(" ")
    hour, _, minute = clock.partition(":")
    local = after.astimezone(ZoneInfo(zone or "UTC"))
    candidate = local.replace(hour=int(hour), minute=int(minute or 0), second=0, microsecond=0)
    while candidate <= local or candidate.weekday() >= 5:
        candidate += timedelta(days=1)
    return candidate.astimezone(after.tzinfo)
