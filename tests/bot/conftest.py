"""A real ledger on disk, and a clock that is moved by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bot.ledger import Ledger
from bot.ledger.engine import is_postgresql, open_engine
from tests.builders import NOW
from tests.postgres import Server


class HandClock:
    """Time stands still until it is moved."""

    def __init__(self) -> None:
        self._now = NOW

    def now(self) -> datetime:
        return self._now

    def advance(self, **by: float) -> None:
        self._now += timedelta(**by)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the ledger is on SQLite."""
    return tmp_path / "tinyapprover.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """An empty database of each kind."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres").empty_database())
    return f"sqlite:///{request.getfixturevalue('file')}"


@pytest.fixture
def postgres_url(postgres: Server) -> str:
    return postgres.empty_database()


@pytest.fixture
def on_sqlite(file: Path) -> str:
    return f"sqlite:///{file}"


@pytest.fixture
async def ledger(database: str, clock: HandClock) -> AsyncIterator[Ledger]:
    ledger = await Ledger.open(database, kind="production", now=clock.now)
    yield ledger
    await ledger.close()


def behind_our_back(database: str, *statements: str) -> None:
    """What somebody does who owns the database: the triggers go first."""
    engine = open_engine(database)
    try:
        with engine.begin() as c:
            c.exec_driver_sql("DROP TRIGGER events_no_update" + (" ON events" if is_postgresql(database) else ""))
            for statement in statements:
                c.exec_driver_sql(statement)
    finally:
        engine.dispose()
