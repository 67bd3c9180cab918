"""The other end of the wires: stand-ins for Slack, PagerDuty, Okta, Atlassian, a model, a bucket; for demo and tests.

They speak the vendors' HTTP and WebSocket, keep state, and refuse what the vendors refuse. They are not the
vendors' products and never claim to be.
"""

from __future__ import annotations

from connectors.sandbox.atlassian import Atlassian
from connectors.sandbox.okta import Okta
from connectors.sandbox.openai import OpenAI
from connectors.sandbox.pagerduty import PagerDuty
from connectors.sandbox.s3 import S3
from connectors.sandbox.server import Sandbox, StandIn
from connectors.sandbox.slack import Slack
from connectors.sandbox.watcher import Watcher
from connectors.sandbox.world import World, new_world


def new_sandbox(world: World | None = None) -> Sandbox:
    """A sandbox with every stand-in, freshly seeded from a world."""
    world = world or new_world()
    others: list[StandIn] = [OpenAI(world), Watcher(world), S3(world), Atlassian(world)]
    return Sandbox([Slack(world), PagerDuty(world), Okta(world), *others], world)
