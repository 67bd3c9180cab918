"""SQLite or PostgreSQL behind the same statements: how each is opened, what it can do, and whose clock it has."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Float, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import StaticPool
from sqlalchemy.sql.functions import FunctionElement

from bot.ledger.checkpoints import LONGEST_LOG
from bot.ledger.wake import Bell, NoBell, NotifyBell, PipeBell

AT_ONCE = 4
BUSY_SECONDS, LOOK_SECONDS = 5.0, 0.001
BEGIN = "BEGIN IMMEDIATE"
PRAGMAS = (
    "busy_timeout=0",
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    f"wal_autocheckpoint={LONGEST_LOG}",
)
POSTGRESQL = "postgresql"
# A replica that is frozen in the middle of a transaction would hold up all others: the server lets go of it.
SESSION = "-c idle_in_transaction_session_timeout=10s -c timezone=UTC"
TCP = {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}


def open_engine(url: str) -> Engine:
    """An engine for `sqlite:///path` or `postgresql://...`: lasting commits, and errors that tell no values."""
    if is_postgresql(url):
        address = make_url(url).set(drivername="postgresql+psycopg")
        connect = {"connect_timeout": 10, "options": SESSION, **TCP}
        engine = create_engine(address, pool_size=AT_ONCE, max_overflow=0, hide_parameters=True, connect_args=connect)
        event.listen(engine, "connect", _any_text)
        return engine
    engine = create_engine(url, poolclass=StaticPool, hide_parameters=True, connect_args={"check_same_thread": False})
    event.listen(engine, "connect", _lasting_sqlite)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def is_postgresql(url: str) -> bool:
    return url.startswith(("postgresql:", "postgresql+psycopg:", "postgres:"))


def is_shared(engine: Engine) -> bool:
    """Whether several processes may do jobs of the same role in it."""
    return engine.dialect.name == POSTGRESQL


def file_of(url: str) -> Path | None:
    """The file of a SQLite database."""
    try:
        address = make_url(url)
    except ArgumentError:
        return None
    on_disk = address.drivername.startswith("sqlite") and address.database not in (None, "", ":memory:")
    return Path(str(address.database)) if on_disk else None


def new_bell(url: str) -> Bell:
    """What wakes other processes on the same database."""
    if is_postgresql(url):
        address = make_url(url).set(drivername=POSTGRESQL).update_query_dict({"connect_timeout": "10"})
        return NotifyBell(address.render_as_string(hide_password=False))
    file = file_of(url)
    return PipeBell(file) if file else NoBell()


def _any_text(connection: Any, _record: Any) -> None:
    """PostgreSQL keeps no NUL; whatever people write must not make their request fail, so it becomes a mark."""
    from psycopg.types.string import StrDumper

    class Marking(StrDumper):
        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\x00", "\ufffd"))

    connection.adapters.register_dumper(str, Marking)


def _lasting_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    for pragma in PRAGMAS:
        patiently(connection, f"PRAGMA {pragma}")


def _begin_immediate(connection: Connection) -> None:
    try:
        patiently(connection.connection.driver_connection, BEGIN)
    except sqlite3.OperationalError:
        connection.exec_driver_sql(BEGIN)  # once more, so that the error is told as every other


def patiently(connection: Any, statement: str) -> None:
    """Once no other process holds the database: SQLite's own waiting looks but ten times a second after a while, and
    does not wait at all to change the journal of a new file, which front and executor may open in the same moment.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute(statement)
            return
        except sqlite3.OperationalError as problem:
            if "locked" not in str(problem) or time.monotonic() > deadline:
                raise
            time.sleep(LOOK_SECONDS)


class database_clock(FunctionElement[float]):  # noqa: N801 - reads as a function of SQL
    """The database's own time in seconds: the one clock that all replicas share, whatever their own say."""

    type = Float()
    inherit_cache = True


@compiles(database_clock)
def _clock_of_postgresql(*_: Any, **__: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS FLOAT)"


@compiles(database_clock, "sqlite")
def _clock_of_sqlite(*_: Any, **__: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"
