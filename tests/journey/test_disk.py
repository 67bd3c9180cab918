"""A database that cannot be written: people are told at once, `/readyz` says why, nothing is lost, and it goes on."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.errors import SettingsError
from tests.conftest import on_sqlite
from tests.postgres import Server
from tests.story import Story, opened

READONLY, ALICE = "prod-readonly", "alice@example.com"
SIZE = 12 * 1024 * 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    if not _mount(place, f"size={SIZE}"):
        pytest.skip("mounting a file system takes root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def _mount(place: Path, options: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    return bool(shutil.which("mount")) and subprocess.run(command, capture_output=True).returncode == 0


def _remount(place: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", place], check=True)


@pytest.fixture
async def on_disk(disk: Path) -> AsyncIterator[Story]:
    """The story, with its data on the small disk."""
    async with opened(Story(disk / "data")) as story:
        yield story


async def ready(story: Story) -> dict[str, Any]:
    """What `/readyz` says."""
    assert story.running is not None
    async with aiohttp.ClientSession() as http, http.get(f"{story.running.url}/readyz") as answer:
        said: dict[str, Any] = await answer.json()
        assert (answer.status == 200) == all(said.values())
        return said


async def until_ledger_is(story: Story, well: bool) -> None:
    """Within a few looks."""
    assert story.running is not None
    ledger = story.running.ledger
    await story.until(lambda: bool(ledger.trouble) != well, what=f"the ledger's trouble is {ledger.trouble!r}")
    assert (await ready(story))["ledger"] == well


async def assert_carol_cannot_ask(story: Story) -> None:
    """Whatever she tries: nothing is acknowledged that is not stored."""
    opened = await story.act("carol", "slack.shortcut", callback_id="request_access", await_view=True)
    if view := opened.get("view"):
        values = {"Access": "Analytics, viewer", "Justification": "Look at this month's figures"}
        _, answer = await story.try_to("carol", "slack.submit", view_id=view["id"], values=values)
        assert not answer.get("closed"), answer


def fill(disk: Path) -> Path:
    """Every byte of it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 512):
            while _takes(file, size):
                pass
    return ballast


def _takes(file: Any, size: int) -> bool:
    try:
        return bool(file.write(b"\0" * size) == size)
    except OSError:
        return False


async def assert_bob_can_grant(request: str, story: Story) -> None:
    """The story goes on as if nothing had been, and happened once."""
    await story.presses("bob", "approve")
    await story.until(lambda: story.members(READONLY) == [ALICE])
    await story.until(lambda: "Granted and read back" in story.card()["text"])
    trail = await story.trail(request)
    assert [trail.count(what) for what in ("request.received", "decision.approve", "grant.verified")] == [1, 1, 1]


async def test_a_full_disk_loses_nothing_and_is_gone_when_there_is_room_again(on_disk: Story, disk: Path) -> None:
    request = await on_disk.asks()
    await on_disk.settle()
    ballast = fill(disk)
    await assert_carol_cannot_ask(on_disk)
    await until_ledger_is(on_disk, well=False)
    assert on_disk.running is not None
    assert "free some space" in on_disk.running.ledger.trouble
    _, lost = await on_disk.try_to(
        "bob", "slack.click", channel="C0ACCESS", ts=on_disk.card()["ts"], action_id="approve"
    )
    assert not lost["acknowledged"]
    ballast.unlink()
    await until_ledger_is(on_disk, well=True)
    await assert_bob_can_grant(request, on_disk)


@pytest.fixture
def change_files(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """`+i`: the system refuses every change to the database's files, open as they are; `-i`: no longer."""
    if shutil.which("chattr") is None or not _may_be_frozen(tmp_path):
        pytest.skip("making an open file immutable takes root, chattr and a file system that knows it")
    files: list[Path] = []

    def change(how: str) -> None:
        files[:] = files or [one for one in tmp_path.glob("data/tinyapprover.db*") if one.is_file()]
        assert _chattr(how, *files)

    yield change
    change("-i")


def _chattr(how: str, *files: Path) -> bool:
    return subprocess.run(["chattr", how, *files], capture_output=True).returncode == 0


def _may_be_frozen(place: Path) -> bool:
    """Open files as well: some systems refuse only to open it anew."""
    trial = place / "trial"
    with trial.open("wb", buffering=0) as file:
        frozen = _chattr("+i", trial) and not _takes(file, 1)
    return _chattr("-i", trial) and frozen


@on_sqlite
async def test_files_that_turn_read_only_while_it_runs_lose_nothing_and_it_goes_on_by_itself(
    story: Story, change_files: Callable[[str], None]
) -> None:
    request = await story.asks()
    await story.settle()
    change_files("+i")
    await assert_carol_cannot_ask(story)
    await until_ledger_is(story, well=False)
    assert story.running is not None
    assert "disk" in story.running.ledger.trouble
    change_files("-i")
    await until_ledger_is(story, well=True)
    await assert_bob_can_grant(request, story)


async def test_a_directory_that_is_read_only_is_named_at_the_start_and_nothing_is_lost(
    on_disk: Story, disk: Path
) -> None:
    request = await on_disk.asks()
    await on_disk.settle()
    await on_disk.stop()
    _remount(disk, "ro")
    with pytest.raises(SettingsError, match="TINYAPPROVER_DATA_DIR: cannot write"):
        await on_disk.start()
    _remount(disk, "rw")
    await on_disk.start()
    await assert_bob_can_grant(request, on_disk)


@on_sqlite
async def test_a_database_that_somebody_else_has_locked_is_waited_for(story: Story) -> None:
    """Longer than SQLite itself waits for a lock."""
    request = await story.asks()
    await story.settle()
    with closing(sqlite3.connect(story.data_dir / "tinyapprover.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await assert_carol_cannot_ask(story)
        await until_ledger_is(story, well=False)
        assert story.running is not None
        assert "another program holds it" in story.running.ledger.trouble
        other.execute("ROLLBACK")
    await until_ledger_is(story, well=True)
    await assert_bob_can_grant(request, story)


@pytest.mark.parametrize("story", ["postgresql"], indirect=True)
async def test_postgresql_that_restarts_in_the_middle_is_waited_for(story: Story, postgres: Server) -> None:
    request = await story.asks()
    await story.settle()
    postgres.stop()
    await assert_carol_cannot_ask(story)
    await until_ledger_is(story, well=False)
    assert story.running is not None
    assert "see that PostgreSQL runs" in story.running.ledger.trouble
    postgres.start()
    await until_ledger_is(story, well=True)
    await assert_bob_can_grant(request, story)
