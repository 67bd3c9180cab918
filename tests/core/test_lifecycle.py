"""The table of states: complete, and the only way to move."""

from __future__ import annotations

import itertools

import pytest

from bot.core.lifecycle import FINAL, MOVES, OPEN, Event, State, UnlistedMove, diagram, move

ENDS = {State.ENDED, State.DONE, State.DENIED, State.EXPIRED, State.WITHDRAWN, State.REFUSED}


def after(state: State) -> set[State]:
    return {to for (start, _), to in MOVES.items() if start is state}


def reachable(state: State) -> set[State]:
    found, waiting = {state}, [state]
    while waiting:
        new = after(waiting.pop()) - found
        found |= new
        waiting += new
    return found


def test_every_state_can_be_reached() -> None:
    assert reachable(State.RECEIVED) == set(State)


@pytest.mark.parametrize("state", [state for state in State if state not in ENDS])
def test_every_state_that_is_not_an_end_has_a_way_out_to_an_end(state: State) -> None:
    assert reachable(state) & ENDS


def test_nothing_moves_out_of_an_end() -> None:
    assert FINAL == ENDS
    assert not any(after(state) for state in FINAL)


def test_what_is_open_can_always_be_denied_withdrawn_refused_or_expire() -> None:
    for state, event in itertools.product(OPEN, (Event.DENIED, Event.WITHDRAWN, Event.REFUSED, Event.EXPIRED)):
        assert move(state, event) in FINAL


def test_access_is_granted_only_after_an_approval() -> None:
    assert {start for (start, event) in MOVES if event is Event.GRANTED} == {State.APPROVED}
    assert {start for (start, event) in MOVES if event is Event.APPROVED} == {State.PENDING}
    assert {start for (start, _), to in MOVES.items() if to is State.APPROVED} == {State.PENDING, State.FAILED}


def test_live_access_leaves_only_by_being_taken_back() -> None:
    assert [event for (start, event) in MOVES if start is State.ACTIVE] == [Event.TAKEN_BACK]


def test_every_event_is_used() -> None:
    assert {event for _, event in MOVES} == set(Event)


@pytest.mark.parametrize(("state", "event"), [pair for pair in itertools.product(State, Event) if pair not in MOVES])
def test_an_unlisted_move_is_an_error(state: State, event: Event) -> None:
    with pytest.raises(UnlistedMove, match=state.value):
        move(state, event)


def test_the_diagram_shows_every_move_and_every_end() -> None:
    lines = diagram().splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> received"]
    assert "    pending --> approved: approved" in lines
    assert len(lines) == 2 + len(MOVES) + len(FINAL)
