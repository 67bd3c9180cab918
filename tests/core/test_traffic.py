"""How much one person may ask."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.core.request import Ruling
from bot.core.traffic import Allowance, Denied, Traffic, rule_traffic
from tests.builders import NOW

ALLOWANCE = Allowance(open_requests=3, requests_an_hour=5, cool_down=timedelta(minutes=30))


def rule(traffic: Traffic) -> Ruling:
    return rule_traffic(traffic, ALLOWANCE, now=NOW, group="iam-approvers")


def denied(minutes_ago: int) -> Denied:
    return Denied("TA-4", "Bob Baker", NOW - timedelta(minutes=minutes_ago))


@pytest.mark.parametrize(
    "traffic", [Traffic(), Traffic(open=2), Traffic(last_hour=4), Traffic(denied=denied(minutes_ago=30))]
)
def test_what_is_within_the_limits_is_let_in(traffic: Traffic) -> None:
    assert rule(traffic).allowed


@pytest.mark.parametrize(
    ("traffic", "limit", "says"),
    [
        (Traffic(same="TA-3"), "limits#same", "TA-3 already waits"),
        (Traffic(denied=denied(29)), "limits#cool-down", "after 2 Mar 09:01 UTC"),
        (Traffic(open=3), "limits#open", "Withdraw one in your App Home"),
        (
            Traffic(last_hour=5, oldest_of_hour=NOW - timedelta(minutes=50)),
            "limits#hourly",
            "after 2 Mar 09:10 UTC",
        ),
    ],
)
def test_what_is_beyond_them_is_refused_with_what_to_do(traffic: Traffic, limit: str, says: str) -> None:
    ruling = rule(traffic)
    assert (ruling.allowed, ruling.rule) == (False, limit)
    assert says in ruling.reason


def test_a_denial_says_whom_to_talk_to() -> None:
    reason = rule(Traffic(denied=denied(1))).reason
    assert "talk to Bob Baker or to others in iam-approvers" in reason


def test_a_clock_that_went_back_does_not_lift_the_rest_after_a_denial() -> None:
    assert not rule(Traffic(denied=denied(minutes_ago=-60))).allowed
