"""`tinyapprover run` is two processes: neither knows the other's secrets, and either may be killed at any moment."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.config import EXECUTOR, FRONT
from bot.supervisor import wait_before
from tests.story import opened
from tests.supervised import SupervisedStory, is_alive

READONLY = "prod-readonly"
ALICE = "alice@example.com"
ADDED, REMOVED = ("add", ALICE, READONLY), ("remove", ALICE, READONLY)
ROLES = (FRONT, EXECUTOR)


@pytest.fixture
async def supervised(tmp_path: Path) -> AsyncIterator[SupervisedStory]:
    async with opened(SupervisedStory(tmp_path / "data")) as story:
        yield story


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

    async with opened(FromFile(tmp_path / "data")) as story:
        writer = story.sandbox.world.token("okta_writer")
        assert writer in story.environ(EXECUTOR).values()
        assert writer not in story.environ(FRONT).values()


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
    await supervised.insists("alice", "slack.click", channel=channel, ts=own["ts"], action_id="give_back")
    await supervised.until(lambda: "Ended" in supervised.card()["text"], seconds=30)
    assert supervised.changes() == [ADDED, REMOVED]
    assert sum("press again" not in one["text"] for one in supervised.messages()) == 1
    assert len(supervised.incidents()) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_when_the_supervisor_ends_so_do_both(supervised: SupervisedStory, number: signal.Signals) -> None:
    pids = [supervised.pid(role) for role in ROLES]
    assert supervised.process is not None
    os.kill(supervised.process.pid, number)
    assert await supervised.process.wait() == (0 if number is signal.SIGTERM else -signal.SIGKILL)
    await supervised.until(lambda: not any(is_alive(pid) for pid in pids), what="an orphan runs on", seconds=30)


async def test_a_start_while_slack_is_away_still_takes_access_back_and_goes_on_when_slack_is_there(
    supervised: SupervisedStory,
) -> None:
    """As after a reboot in an outage."""
    await granted(supervised)
    await supervised.stop()
    with sqlite3.connect(supervised.data_dir / "tinyapprover.db") as disk:
        disk.execute("UPDATE jobs SET due = 0 WHERE kind = 'revoke'")
        disk.execute("UPDATE grants SET ends_at = '2026-01-01T00:00:00+00:00'")
    await supervised.fault("slack", "*", "cut", times=None)
    supervised.process = await supervised._begin("run")
    await supervised.until(lambda: supervised.members(READONLY) == [], seconds=30)
    await supervised.mend()
    await supervised.until(lambda: "Ended" in supervised.card()["text"], seconds=60)


def test_a_child_is_begun_again_at_once_the_first_time_and_then_ever_more_slowly() -> None:
    assert [wait_before(deaths) for deaths in range(1, 9)] == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


# --- the commands for when something is wrong, beside the running program --------------------------------------------


async def granted(story: SupervisedStory) -> None:
    await story.asks()
    await story.until(story.incidents, seconds=30)
    await story.presses("bob", "approve")
    await story.until(lambda: "Granted and read back" in story.card()["text"], seconds=30)


async def test_an_admin_stops_live_access_with_a_reason_that_everybody_is_told(supervised: SupervisedStory) -> None:
    await granted(supervised)
    code, said = await supervised.command("stop", "ta-1", "--why", "wrong person")
    assert code == 0, said
    await supervised.until(lambda: "Ended" in supervised.card()["text"], seconds=30)
    assert supervised.changes() == [ADDED, REMOVED]
    assert "wrong person" in str(supervised.card()["blocks"])
    await supervised.until(lambda: "wrong person" in supervised.told("alice"), seconds=30)
    code, said = await supervised.command("stop", "TA-1")
    assert (code, "nothing of TA-1 to stop" in said) == (3, True)


async def test_a_freeze_holds_until_the_thaw_and_both_are_heard_by_the_running_processes(
    supervised: SupervisedStory,
) -> None:
    code, said = await supervised.command("freeze", "--why", "break-in")
    assert code == 0, said
    await supervised.until(lambda: any("break-in" in one["text"] for one in supervised.messages()), seconds=30)
    assert (await supervised.command("freeze", "--why", "again"))[0] == 3
    await supervised.asks()
    await supervised.presses("bob", "approve")
    await supervised.until(lambda: "everything is frozen" in supervised.card()["text"], seconds=30)
    assert supervised.changes() == []
    assert (await supervised.command("thaw"))[0] == 0
    await supervised.until(lambda: supervised.changes() == [ADDED], seconds=30)
    assert (await supervised.command("thaw"))[0] == 3


async def test_everything_of_one_person_is_shown_taken_back_and_read_back(supervised: SupervisedStory) -> None:
    await granted(supervised)
    undecided = await supervised.asks(access="Production, administrator")
    code, said = await supervised.command("revoke", "--all-of", "Alice@example.com")
    assert (code, "say --yes" in said) == (2, True)
    assert supervised.members(READONLY) == [ALICE]
    code, said = await supervised.command("revoke", "--all-of", ALICE, "--why", "left", "--yes")
    assert code == 0, said
    assert "TA-1" in said
    assert "read back as gone" in said
    assert supervised.members(READONLY) == []
    await supervised.until(lambda: "Withdrawn" in supervised.card(request=undecided)["text"], seconds=30)
    assert "approve" not in supervised.buttons(supervised.card(request=undecided))
    assert "left" in str(supervised.card(request=undecided)["blocks"])
    code, said = await supervised.command("revoke", "--all-of", ALICE, "--yes")
    assert (code, "holds nothing" in said) == (0, True)


async def test_without_an_executor_the_commands_say_that_nobody_does_it_yet(supervised: SupervisedStory) -> None:
    await supervised.stop()
    with sqlite3.connect(supervised.data_dir / "tinyapprover.db") as disk:
        disk.execute("UPDATE presence SET seen_at = '2026-01-01 00:00:00'")
    code, said = await supervised.command("freeze", "--why", "nobody there")
    assert code == 0
    assert "No executor is at work (last seen 2026-01-01" in said


async def test_in_a_wrong_directory_they_refuse_instead_of_freezing_an_empty_database(
    supervised: SupervisedStory,
) -> None:
    code, said = await supervised.command("freeze", "--why", "x", TINYAPPROVER_DATA_DIR="/nowhere")
    assert (code, "there is no database" in said) == (2, True)


# --- watched from outside ---------------------------------------------------------------------------------------------


async def test_the_heartbeat_stays_away_while_a_process_is_stuck(tmp_path: Path) -> None:
    class Watched(SupervisedStory):
        def variables(self) -> dict[str, str]:
            watcher = {
                "TINYAPPROVER_HEARTBEAT_URL": f"{self.base}/watcher/front",
                "TINYAPPROVER_HEARTBEAT_SECONDS": "0.1",
            }
            return {**super().variables(), **watcher}

    async with opened(Watched(tmp_path / "data")) as story:
        await story.until(lambda: calls(story), seconds=30)
        os.kill(story.pid(FRONT), signal.SIGSTOP)
        await asyncio.sleep(1.0)  # what was on the wire arrives
        silent = calls(story)
        await asyncio.sleep(0.5)
        assert calls(story) == silent
        os.kill(story.pid(FRONT), signal.SIGCONT)
        await story.until(lambda: calls(story) > silent, seconds=30)


def calls(story: SupervisedStory) -> int:
    return int(story.state["watcher"]["calls"].get("front", 0))
