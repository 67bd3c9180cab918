"""The sandbox, served over real HTTP and WebSocket for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from connectors.sandbox.world import new_world
from tests.sandbox.slack_desk import Desk


@pytest_asyncio.fixture
async def desk() -> AsyncIterator[Desk]:
    """A sandbox with Slack alone."""
    opened = Desk(new_world())
    await opened.open()
    yield opened
    await opened.close()
