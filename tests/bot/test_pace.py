"""However many incidents are open, reading their comments leaves most of PagerDuty's rate limit to pages and notes."""

from __future__ import annotations

import heapq
from collections import Counter
from datetime import timedelta

import pytest

from bot.comments import CALLS_A_READING, Pace, next_reading
from tests.builders import NOW

LIMIT = 960
HALF = LIMIT // 2


def calls_a_minute(incidents: int, *, age: timedelta, minutes: int) -> list[int]:
    """The calls of each minute after a restart at which all of them are due."""
    pace, counts = Pace(), Counter[int]()
    due = [(NOW, f"Q{n}") for n in range(incidents)]
    while due[0][0] < NOW + timedelta(minutes=minutes):
        now, incident = heapq.heappop(due)
        turn = pace.first(incident, now)
        if turn > now:
            heapq.heappush(due, (turn, incident))
            continue
        counts[int((now - NOW).total_seconds() // 60)] += CALLS_A_READING
        wanted = pace.until_next(incident, next_reading(age + (now - NOW)))
        heapq.heappush(due, (now + wanted, incident))
    return [counts[minute] for minute in range(minutes)]


@pytest.mark.parametrize("incidents", [1, 50, 1000])
@pytest.mark.parametrize("age", [timedelta(0), timedelta(minutes=10), timedelta(hours=2)])
def test_a_thousand_open_incidents_stay_inside_the_rate_limit_also_after_a_restart(
    incidents: int, age: timedelta
) -> None:
    assert max(calls_a_minute(incidents, age=age, minutes=30)) <= HALF


def test_every_one_of_a_thousand_is_read_again_within_ten_minutes() -> None:
    assert sum(calls_a_minute(1000, age=timedelta(hours=1), minutes=10)) >= 1000 * CALLS_A_READING


def test_few_incidents_are_read_as_often_as_wanted() -> None:
    assert calls_a_minute(3, age=timedelta(minutes=40), minutes=3) == [6, 6, 6]
