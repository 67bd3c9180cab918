"""The states of a request and every move between them, in one table."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a request stands."""

    RECEIVED = "received"
    PENDING = "pending"
    APPROVED = "approved"
    ACTIVE = "active"
    ENDED = "ended"
    DONE = "done"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    FAILED = "failed"
    REFUSED = "refused"


class Event(StrEnum):
    """What happened to it."""

    PLANNED = "planned"
    REFUSED = "refused by policy"
    WITHDRAWN = "withdrawn"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "nobody decided"
    PLAN_CHANGED = "plan changed"
    GRANTED = "granted"
    CARRIED_OUT = "carried out"
    GAVE_UP = "could not be granted"
    RETRIED = "retried"
    STOPPED = "stopped"
    TAKEN_BACK = "taken back"


MOVES: dict[tuple[State, Event], State] = {
    (State.RECEIVED, Event.PLANNED): State.PENDING,
    (State.RECEIVED, Event.REFUSED): State.REFUSED,
    (State.RECEIVED, Event.WITHDRAWN): State.WITHDRAWN,
    (State.RECEIVED, Event.DENIED): State.DENIED,
    (State.RECEIVED, Event.EXPIRED): State.EXPIRED,
    (State.PENDING, Event.APPROVED): State.APPROVED,
    (State.PENDING, Event.DENIED): State.DENIED,
    (State.PENDING, Event.WITHDRAWN): State.WITHDRAWN,
    (State.PENDING, Event.REFUSED): State.REFUSED,
    (State.PENDING, Event.EXPIRED): State.EXPIRED,
    (State.APPROVED, Event.GRANTED): State.ACTIVE,
    (State.APPROVED, Event.CARRIED_OUT): State.DONE,
    (State.APPROVED, Event.PLAN_CHANGED): State.PENDING,
    (State.APPROVED, Event.REFUSED): State.REFUSED,
    (State.APPROVED, Event.GAVE_UP): State.FAILED,
    (State.APPROVED, Event.STOPPED): State.WITHDRAWN,
    (State.FAILED, Event.RETRIED): State.APPROVED,
    (State.FAILED, Event.STOPPED): State.WITHDRAWN,
    (State.ACTIVE, Event.TAKEN_BACK): State.ENDED,
}

OPEN = frozenset({State.RECEIVED, State.PENDING})
COVERING = frozenset({State.APPROVED, State.ACTIVE})  # with a grant: the access is there by right
DECIDED = frozenset(
    {State.APPROVED, State.ACTIVE, State.ENDED, State.DONE, State.DENIED, State.FAILED}
)  # by people; what else is final was not
STOPPABLE = frozenset({State.APPROVED, State.ACTIVE, State.FAILED})
FINAL = frozenset(State) - {state for state, _ in MOVES}


class UnlistedMove(Exception):
    """A move that the table does not have: a mistake in the program, never a person's."""


def move(state: State, event: Event) -> State:
    """The state that `event` leads to from `state`; `UnlistedMove` if the table has none."""
    try:
        return MOVES[state, event]
    except KeyError:
        raise UnlistedMove(f"{state} has no move for {event!r}") from None


def diagram() -> str:
    """The table as a Mermaid state diagram, for the README."""
    lines = ["stateDiagram-v2", "    [*] --> received"]
    lines += [f"    {state} --> {after}: {event}" for (state, event), after in MOVES.items()]
    lines += [f"    {state} --> [*]" for state in State if state in FINAL]
    return "\n".join(lines)
