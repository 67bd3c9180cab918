"""Alice asks, bob and carol decide, mallory tries, dave has left."""

from __future__ import annotations

from tests.builders import a_standing

ALICE = a_standing("alice", "engineering", "everyone")
BOB = a_standing("bob", "iam-approvers", "everyone")
CAROL = a_standing("carol", "iam-approvers", "finance-approvers", "everyone")
MALLORY = a_standing("mallory", "contractors", "everyone")
DAVE = a_standing("dave", "engineering", "everyone", status="DEPROVISIONED")
