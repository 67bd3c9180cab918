"""Counting: people, not clicks; the first denial wins; less time is less time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.core.request import Answer, Decision
from bot.core.verdict import Outcome, tally
from tests.builders import a_decision

people = st.sampled_from(["bob", "carol", "mallory"])
approvals = st.builds(a_decision, people, minutes=st.none() | st.integers(1, 500))
denials = st.builds(lambda who: a_decision(who, Answer.DENY), people)


def test_one_approval_is_enough_for_one() -> None:
    assert tally([a_decision()], needed=1, minutes=60).outcome is Outcome.APPROVED


def test_nobody_is_not_enough_whatever_is_needed() -> None:
    for needed in (-1, 0, 1, 2):
        assert tally([], needed=needed, minutes=60).outcome is Outcome.WAITING


def test_two_people_are_two_and_one_person_twice_is_one() -> None:
    assert tally([a_decision("bob"), a_decision("bob")], needed=2, minutes=60).outcome is Outcome.WAITING
    assert tally([a_decision("bob"), a_decision("carol")], needed=2, minutes=60).outcome is Outcome.APPROVED


def test_the_shortest_time_that_was_approved_is_granted_and_never_more_than_asked() -> None:
    both = [a_decision("bob", minutes=30), a_decision("carol", minutes=500)]
    assert tally(both, needed=2, minutes=60).minutes == 30
    assert tally([a_decision(minutes=500)], needed=1, minutes=60).minutes == 60


@given(st.lists(approvals, max_size=6), st.integers(1, 4), st.integers(1, 500))
def test_approvals_count_people_and_clicks_change_nothing(made: list[Decision], needed: int, minutes: int) -> None:
    counted = tally(made, needed=needed, minutes=minutes)
    assert counted.approvals == len({one.person_id for one in made})
    assert (counted.outcome is Outcome.APPROVED) == (counted.approvals >= needed)
    assert tally(made + made, needed=needed, minutes=minutes) == counted


@given(st.lists(approvals, max_size=6), denials, st.integers(0, 6), st.integers(1, 4))
def test_one_denial_wins_wherever_it_stands(made: list[Decision], denial: Decision, place: int, needed: int) -> None:
    said = [*made[:place], denial, *made[place:]]
    assert tally(said, needed=needed, minutes=60).outcome is Outcome.DENIED


@given(st.lists(approvals, max_size=6), st.integers(1, 500))
def test_nobody_gets_more_time_than_asked_or_than_any_approver_gave(made: list[Decision], minutes: int) -> None:
    granted = tally(made, needed=1, minutes=minutes).minutes
    assert granted <= minutes
    assert all(granted <= one.minutes for one in made if one.minutes)
