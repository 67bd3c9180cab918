"""Mornings, for what can wait."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo


def next_morning(after: datetime, morning: str) -> datetime:
    """The first working-day moment of `morning` (such as `09:00 Europe/Berlin`) after a time."""
    clock, _, zone = morning.partition(" ")
    hour, _, minute = clock.partition(":")
    local = after.astimezone(ZoneInfo(zone or "UTC"))
    candidate = local.replace(hour=int(hour), minute=int(minute or 0), second=0, microsecond=0)
    while candidate <= local or candidate.weekday() >= 5:
        candidate += timedelta(days=1)
    return candidate.astimezone(after.tzinfo)
