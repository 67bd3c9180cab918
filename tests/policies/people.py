"""Alice asks, bob and carol decide, mallory tries, dave has left."""

from __future__ import annotations

from datetime import UTC, datetime

from bot.core.request import Person, Standing

READ_AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def standing(name: str, *groups: str, status: str = "ACTIVE") -> Standing:
    return Standing(
        person_id=f"00u-{name}",
        email=f"{name}@example.com",
        name=name.title(),
        status=status,
        groups=frozenset(groups),
        read_at=READ_AT,
    )


def person(name: str, *, decides: bool = True, pagerduty_user: str | None = None) -> Person:
    return Person(
        id=f"00u-{name}",
        email=f"{name}@example.com",
        name=name.title(),
        pagerduty_user=pagerduty_user or f"P{name.upper()}",
        decides=decides,
    )


ALICE = standing("alice", "engineering", "everyone")
BOB = standing("bob", "iam-approvers", "everyone")
CAROL = standing("carol", "iam-approvers", "finance-approvers", "everyone")
MALLORY = standing("mallory", "contractors", "everyone")
DAVE = standing("dave", "engineering", "everyone", status="DEPROVISIONED")
