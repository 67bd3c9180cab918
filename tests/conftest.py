"""Fixtures that all tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.story import Story


@pytest.fixture
async def story(tmp_path: Path) -> AsyncIterator[Story]:
    """The sandbox and the program, ready for alice."""
    story = Story(tmp_path / "data")
    await story.open()
    try:
        yield story
    finally:
        await story.close()
