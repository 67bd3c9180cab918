"""One request for access to a group, changed as a test needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from bot.core.lifecycle import State
from bot.core.request import Approvers, Entitlement, Person, Request, Sensitivity, Wake

ALICE = Person("00ualice0000000001", "alice@example.com", "Alice Archer")
MALLORY = Person("00umallory000000004", "mallory@example.com", "Mallory Moss")
DAVE = Person("00udave00000000005", "dave@example.com", "Dave Dunn")


def a_request(*, group: str = "prod-readonly", minutes: int = 60, person: Person = ALICE, **more: Any) -> Request:
    """A pending request of `person` for an Okta group."""
    entitlement = Entitlement(
        id=group,
        title=group,
        description="",
        why="",
        action="okta.group",
        params={"group": group},
        sensitivity=Sensitivity.MEDIUM,
        requestable_by=frozenset({"engineering"}),
        approvers=Approvers("iam-approvers"),
        approvals=1,
        default_minutes=60,
        max_minutes=240,
        wake=Wake.LOW,
    )
    now = datetime.now(UTC)
    fields: dict[str, Any] = {
        "id": "TA-1",
        "state": State.PENDING,
        "entitlement": entitlement,
        "requester": person,
        "beneficiary": person,
        "minutes": minutes,
        "justification": "to look at the logs",
        "ticket": "",
        "can_wait": False,
        "origin": "slack",
        "created_at": now,
        "deadline": now + timedelta(hours=4),
    }
    return Request(**{**fields, **more})
