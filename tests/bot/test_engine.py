"""SQLite between two processes: each has to wait for the other, and neither for long."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from bot.ledger import Ledger, checkpoints, engine
from tests.bot.conftest import HandClock
from tests.builders import a_draft, an_entitlement


async def test_both_roles_may_open_a_new_file_in_the_same_moment(tmp_path: Path, clock: HandClock) -> None:
    for number in range(8):
        url = f"sqlite:///{tmp_path / f'{number}.db'}"
        roles = ("front", "executor")
        opening = (Ledger.open(url, kind="sandbox", now=clock.now, roles=[role]) for role in roles)
        await asyncio.gather(*(ledger.close() for ledger in await asyncio.gather(*opening)))


async def test_whoever_waits_for_a_lock_goes_on_when_it_is_given_back(tmp_path: Path, clock: HandClock) -> None:
    file = tmp_path / "tinyapprover.db"
    ledger = await Ledger.open(f"sqlite:///{file}", kind="sandbox", now=clock.now)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        asking = asyncio.create_task(ledger.receive(a_draft(), an_entitlement(), deadline=clock.now(), jobs=()))
        await asyncio.sleep(0.3)
        assert not asking.done()
        other.execute("ROLLBACK")
        async with asyncio.timeout(5):
            assert await asking == "TA-1"
    await ledger.close()


async def test_the_write_ahead_log_is_copied_beside_the_work(
    tmp_path: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY", 5)
    file = tmp_path / "tinyapprover.db"
    ledger = await Ledger.open(f"sqlite:///{file}", kind="sandbox", now=clock.now)
    before = file.stat().st_size
    for number in range(200):
        await ledger.receive(a_draft(str(number)), an_entitlement(), deadline=clock.now(), jobs=())
    copied = file.stat().st_size  # by nothing else while it is open
    await ledger.close()
    assert copied > before


def test_a_lock_that_is_never_given_back_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.05)
    file = tmp_path / "other.db"
    with closing(sqlite3.connect(file, timeout=0)) as mine, closing(sqlite3.connect(file, timeout=0)) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            engine.patiently(mine, engine.BEGIN)
        assert time.monotonic() - begun >= 0.05
        engine.patiently(mine, "SELECT 1")
