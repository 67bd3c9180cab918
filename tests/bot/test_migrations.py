"""Migrations make from nothing what `tables.py` says, on both databases.

When `the_schema_is_what_tables_say` fails, `tables.py` was changed without a migration: run
`python -m bot.ledger.migrations --write "what it does"` (or `--write-first` while nothing was released).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from bot.errors import SettingsError
from bot.ledger import Ledger, tables
from bot.ledger.engine import open_engine
from bot.ledger.migrations import HEAD, config, prepare, upgrade, version_of
from bot.ledger.migrations.__main__ import FIRST, statements
from tests.bot.conftest import HandClock


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    engine = open_engine(database)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def test_the_schema_is_what_tables_say(connection: Connection) -> None:
    prepare(connection)
    assert version_of(connection) == HEAD
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    assert compare_metadata(context, tables.metadata) == []


def test_the_first_revision_is_what_the_tables_make(connection: Connection) -> None:
    """Also what Alembic does not compare, such as triggers: as long as there is no second revision."""
    if HEAD == "0001":
        written = FIRST.read_text(encoding="utf-8")
        for statement in [*statements("sqlite://"), *statements("postgresql+psycopg://")]:
            assert f'"""{statement}"""' in written


def test_there_is_one_line_of_revisions_and_its_end_is_known_without_alembic(connection: Connection) -> None:
    assert ScriptDirectory.from_config(config(connection)).get_heads() == [HEAD]


def test_what_is_up_to_date_is_left_alone(connection: Connection) -> None:
    prepare(connection)
    before = inspect(connection).get_table_names()
    prepare(connection)
    upgrade(connection)
    assert inspect(connection).get_table_names() == before


async def behind(database: str, version: str, clock: HandClock) -> None:
    """A database that another version of the program has left behind."""
    await (await Ledger.open(database, kind="production", now=clock.now)).close()
    engine = open_engine(database)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})
    engine.dispose()


async def test_a_newer_schema_is_refused(database: str, clock: HandClock) -> None:
    await behind(database, "9999", clock)
    with pytest.raises(SettingsError, match="install a newer program"):
        await Ledger.open(database, kind="production", now=clock.now)


async def test_replicas_wait_for_an_admin_to_upgrade_the_schema(postgres_url: str, clock: HandClock) -> None:
    await behind(postgres_url, "0000", clock)
    with pytest.raises(SettingsError, match="run `tinyapprover db upgrade`"):
        await Ledger.open(postgres_url, kind="production", now=clock.now)


def test_a_database_of_something_else_is_refused(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE theirs (id INTEGER)"))
    with pytest.raises(SettingsError, match="tables of something else"):
        prepare(connection)


def test_alembic_is_not_imported_when_there_is_nothing_to_do() -> None:
    told = "import sys, bot.ledger; sys.exit('alembic' in sys.modules or 'psycopg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", told], check=False).returncode == 0
