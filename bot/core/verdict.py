"""Counting decisions: people, not clicks; the first denial wins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bot.core.request import Answer, Decision


class Outcome(StrEnum):
    """What the decisions so far amount to."""

    WAITING = "waiting"
    APPROVED = "approved"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class Tally:
    """The outcome, how many different people approved of how many needed, and the shortest time that was approved."""

    outcome: Outcome
    approvals: int
    needed: int
    minutes: int


def tally(decisions: Sequence[Decision], *, needed: int, minutes: int) -> Tally:
    """Count the decisions of one round. `minutes` is what was asked for; an approval for less shortens it."""
    approvers = {decision.person_id for decision in decisions if decision.answer is Answer.APPROVE}
    if any(decision.answer is Answer.DENY for decision in decisions):
        outcome = Outcome.DENIED
    else:
        outcome = Outcome.APPROVED if len(approvers) >= max(needed, 1) else Outcome.WAITING
    granted = granted_minutes(decisions, minutes=minutes)
    return Tally(outcome=outcome, approvals=len(approvers), needed=max(needed, 1), minutes=granted)


def granted_minutes(decisions: Sequence[Decision], *, minutes: int) -> int:
    """For how long it is granted: as asked for, or shorter if somebody approved for less."""
    approved = [decision.minutes for decision in decisions if decision.answer is Answer.APPROVE]
    return min([minutes, *(shorter for shorter in approved if shorter is not None)])
