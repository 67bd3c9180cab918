"""Mornings: of working days, in a zone, across changes of the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.calendar import next_morning, working

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland", "America/St_Johns"]


@pytest.mark.parametrize(
    ("after", "morning", "expected"),
    [
        ("2026-03-02 08:00", "09:00 UTC", "2026-03-02 09:00"),  # a Monday
        ("2026-03-02 09:00", "09:00 UTC", "2026-03-03 09:00"),  # the very moment is over
        ("2026-03-02 23:59", "09:00 UTC", "2026-03-03 09:00"),
        ("2026-03-06 12:00", "09:00 UTC", "2026-03-09 09:00"),  # Friday noon
        ("2026-03-07 03:00", "09:00 UTC", "2026-03-09 09:00"),  # Saturday
        ("2026-03-08 23:00", "09:00 UTC", "2026-03-09 09:00"),  # Sunday
        ("2026-03-02 07:00", "09:00 Europe/Berlin", "2026-03-02 08:00"),
        ("2026-03-27 12:00", "09:00 Europe/Berlin", "2026-03-30 07:00"),  # summer time begins on the 29th
        ("2026-10-23 12:00", "09:00 Europe/Berlin", "2026-10-26 08:00"),  # and ends on the 25th
        ("2026-03-06 20:00", "09:00 Pacific/Auckland", "2026-03-08 20:00"),  # their Monday is our Sunday
        ("2026-03-02 08:00", "9:30", "2026-03-02 09:30"),  # no zone is UTC
        ("2026-03-02 08:00", "9", "2026-03-02 09:00"),
    ],
)
def test_the_next_working_morning(after: str, morning: str, expected: str) -> None:
    at = datetime.fromisoformat(after).replace(tzinfo=UTC)
    assert next_morning(at, morning) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-03-02 08:00", "2026-03-02 08:00"),  # the morning itself, in Berlin
        ("2026-03-02 15:59", "2026-03-02 15:59"),
        ("2026-03-02 16:00", "2026-03-03 08:00"),  # the evening is over
        ("2026-03-02 03:00", "2026-03-02 08:00"),
        ("2026-03-06 20:00", "2026-03-09 08:00"),
        ("2026-03-07 12:00", "2026-03-09 08:00"),  # a Saturday
    ],
)
def test_working_hours_are_now_or_from_the_next_morning(at: str, expected: str) -> None:
    asked = datetime.fromisoformat(at).replace(tzinfo=UTC)
    found = working(asked, "09:00 Europe/Berlin", "17:00")
    assert found == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)),
    st.integers(0, 23),
    st.integers(0, 59),
    st.sampled_from(ZONES),
)
def test_every_morning_is_soon_later_and_on_a_working_day(at: datetime, hour: int, minute: int, zone: str) -> None:
    found = next_morning(at, f"{hour:02}:{minute:02} {zone}")
    local = found.astimezone(ZoneInfo(zone))
    assert at < found <= at + timedelta(days=4, hours=2)
    assert local.weekday() < 5
    gap = abs(timedelta(hours=local.hour, minutes=local.minute) - timedelta(hours=hour, minutes=minute))
    assert gap in (timedelta(), timedelta(hours=1))  # a time that the clock skips is an hour off


def test_the_answer_is_in_the_zone_of_the_question() -> None:
    at = datetime(2026, 3, 2, 8, tzinfo=timezone(timedelta(hours=2)))
    assert next_morning(at, "09:00 UTC").utcoffset() == timedelta(hours=2)
