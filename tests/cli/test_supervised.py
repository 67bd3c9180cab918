"""`tinyapprover run` is two processes: neither knows the other's secrets, and either may be killed at any moment."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.config import EXECUTOR, FRONT
from bot.supervisor import wait_before
from tests.supervised import SupervisedStory, is_alive

READONLY = "prod-readonly"
ALICE = "alice@example.com"
ADDED, REMOVED = ("add", ALICE, READONLY), ("remove", ALICE, READONLY)
ROLES = (FRONT, EXECUTOR)


@pytest.fixture
async def supervised(tmp_path: Path) -> AsyncIterator[SupervisedStory]:
    story = SupervisedStory(tmp_path / "data")
    await story.open()
    try:
        yield story
    finally:
        await story.close()


async def test_each_process_is_given_the_secrets_of_its_own_role_only(supervised: SupervisedStory) -> None:
    world = supervised.sandbox.world
    front, executor = (set(supervised.environ(role).values()) for role in ROLES)
    assert world.token("okta_writer") in executor
    assert world.token("okta_writer") not in front
    for name in ("slack_bot", "slack_app", "pagerduty", "openai"):
        assert world.token(name) in front
        assert world.token(name) not in executor


async def test_secrets_in_a_file_reach_only_the_process_that_may_know_them(tmp_path: Path) -> None:
    class FromFile(SupervisedStory):
        def variables(self) -> dict[str, str]:
            lines = [f"{name}={value}" for name, value in super().variables().items()]
            (self.data_dir / ".env").write_text("\n".join(lines))
            return {}

    story = FromFile(tmp_path / "data")
    await story.open()
    try:
        writer = story.sandbox.world.token("okta_writer")
        assert writer in story.environ(EXECUTOR).values()
        assert writer not in story.environ(FRONT).values()
    finally:
        await story.close()


async def test_killed_in_the_middle_either_is_begun_again_and_the_story_ends_right_and_once(
    supervised: SupervisedStory,
) -> None:
    await supervised.asks()
    await supervised.fault("okta", "PUT /groups/*", "slow", seconds=1.0)
    await supervised.presses("bob", "approve")
    await supervised.until(lambda: supervised.calls("okta", "PUT /groups/"))
    await supervised.kill(EXECUTOR)
    await supervised.fault("slack", "POST /api/chat.update", "slow", seconds=1.0)
    await supervised.until(lambda: READONLY in str(supervised.changes()), seconds=30)
    await supervised.kill(FRONT)
    await supervised.until(lambda: "Granted and read back" in supervised.card()["text"], seconds=30)
    await supervised.until(lambda: supervised.incidents()[0]["status"] == "resolved", seconds=30)
    await supervised.until(lambda: any("give_back" in supervised.buttons(dm) for dm in supervised.dms("alice")))
    own = next(dm for dm in supervised.dms("alice") if "give_back" in supervised.buttons(dm))
    channel = supervised.state["slack"]["dms"]["alice"]["id"]
    await supervised.act("alice", "slack.click", channel=channel, ts=own["ts"], action_id="give_back")
    await supervised.until(lambda: "Ended" in supervised.card()["text"], seconds=30)
    assert supervised.changes() == [ADDED, REMOVED]
    assert len(supervised.messages()) == 1
    assert len(supervised.incidents()) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_when_the_supervisor_ends_so_do_both(supervised: SupervisedStory, number: signal.Signals) -> None:
    pids = [supervised.pid(role) for role in ROLES]
    assert supervised.process is not None
    os.kill(supervised.process.pid, number)
    assert await supervised.process.wait() == (0 if number is signal.SIGTERM else -signal.SIGKILL)
    await supervised.until(lambda: not any(is_alive(pid) for pid in pids), what="an orphan runs on", seconds=30)


def test_a_child_is_begun_again_at_once_the_first_time_and_then_ever_more_slowly() -> None:
    assert [wait_before(deaths) for deaths in range(1, 9)] == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
