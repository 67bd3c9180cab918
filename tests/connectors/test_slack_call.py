"""Errors of Slack's Web API, told in one way: what may have been done, and how long to wait."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.errors import Fault
from bot.ports import Message
from connectors.sandbox.server import Sandbox
from connectors.sandbox.slack import Slack as StandIn
from connectors.sandbox.world import new_world
from connectors.slack import Slack, new_client
from tests.connectors.conftest import Wire

CHANNEL = "C0ACCESS"


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    world = new_world()
    sandbox = Sandbox([StandIn(world, events=())], world)
    yield Wire(sandbox, await sandbox.start())
    await sandbox.stop()


@pytest.fixture
async def slack(wire: Wire) -> AsyncIterator[Slack]:
    slack = Slack(new_client(f"{wire.url}/slack/api/", "xoxb-sandbox-bot"), wire.world)
    await slack.connect()
    yield slack
    await slack.close()


@pytest.mark.parametrize(
    ("kind", "unknown", "wait"),
    [
        ("cut", True, None),
        ("error", True, None),
        ("html", True, None),
        ("empty", True, None),
        ("lost_answer", True, None),
        ("maintenance", True, 7.0),
        ("rate_limit", False, 7.0),
        ("rate_limit_bare", False, 1.0),
    ],
)
async def test_a_failed_post_says_whether_it_may_have_happened_and_how_long_to_wait(
    wire: Wire, slack: Slack, kind: str, unknown: bool, wait: float | None
) -> None:
    wire.play("slack", kind, "POST /api/chat.postMessage", seconds=7)
    with pytest.raises(Fault) as caught:
        await slack.post(CHANNEL, Message("Hello", []), key="TA-1/card")
    assert (caught.value.unknown, caught.value.permanent) == (unknown, False)
    assert caught.value.retry_after == wait
    assert len(wire.calls("slack", "POST /api/chat.postMessage")) == 1
