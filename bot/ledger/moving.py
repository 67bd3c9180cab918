"""From SQLite to PostgreSQL: every row of every table, in one transaction that is kept only if all of it is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from sqlalchemy import Column, Connection, MetaData, Table, Text, func, insert, select, text
from sqlalchemy.exc import SQLAlchemyError

from bot.audit import broken_link
from bot.errors import Fault, SettingsError
from bot.ledger import tables as t
from bot.ledger.chain import read
from bot.ledger.engine import file_of, is_postgresql, open_engine
from bot.ledger.locks import RoleLock
from bot.ledger.migrations import HEAD, prepare, upgrade, version_of

ROWS = 1000
Progress = Callable[[str, int, int], None]


def upgrade_database(url: str) -> tuple[str, str]:
    """Bring a database to the newest schema; the revisions before and after."""
    with _transaction(url) as c:
        before = version_of(c)
        upgrade(c)
        return before or "nothing", HEAD


def move(source: str, target: str, progress: Progress) -> dict[str, int]:
    """Copy everything; the number of rows of each table. Nothing is copied unless all of it can be."""
    if (file := file_of(source)) is None or not file.is_file():
        raise SettingsError(
            f"{source}: is not an address of a SQLite database that exists, such as sqlite:///data/x.db"
        )
    if not is_postgresql(target):
        raise SettingsError("the second address has to begin with postgresql://")
    with ExitStack() as held:
        for role in ("front", "executor"):
            held.callback(RoleLock.take(file, role).release)
        ours, theirs = held.enter_context(_transaction(source)), held.enter_context(_transaction(target))
        if version_of(ours) != HEAD:
            raise SettingsError(f"{source}: is not at the newest schema: run `tinyapprover db upgrade` there first")
        prepare(theirs)
        _refuse_unless_empty(theirs)
        counts = {table.name: _copy(table, ours, theirs, progress) for table in t.metadata.sorted_tables}
        _free(theirs)
        _verify(counts, ours, theirs)
        return counts


@contextmanager
def _transaction(url: str) -> Iterator[Connection]:
    engine = open_engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError as problem:
        why = str(getattr(problem, "orig", None) or problem).partition("\n")[0]
        raise Fault("database", why) from None
    finally:
        engine.dispose()


def _refuse_unless_empty(c: Connection) -> None:
    filled = [table.name for table in t.metadata.sorted_tables if _count(table, c)]
    if filled:
        raise SettingsError(f"the target is not empty (it has rows in {', '.join(filled)}): name an empty database")


def _count(table: Table, c: Connection) -> int:
    return int(c.execute(select(func.count()).select_from(table)).scalar_one())


def _copy(table: Table, ours: Connection, theirs: Connection, progress: Progress) -> int:
    """Values of the domain go over as the text they are kept as."""
    plain = Table(table.name, MetaData(), *(Column(c.name, _kept_as(c), primary_key=c.primary_key) for c in table.c))
    total, done = _count(table, ours), 0
    progress(table.name, 0, total)
    for rows in ours.execute(select(plain)).mappings().partitions(ROWS):
        theirs.execute(insert(plain), [dict(row) for row in rows])
        done += len(rows)
        progress(table.name, done, total)
    return done


def _kept_as(column: Column[Any]) -> Any:
    return Text() if isinstance(column.type, t.Value) else column.type


def _free(c: Connection) -> None:
    """Numbers go on after the highest, and nobody holds a job."""
    for table in t.metadata.sorted_tables:
        if (numbered := table.autoincrement_column) is not None:
            highest = c.execute(select(func.max(numbered))).scalar()
            if highest is not None:
                named = {"table": table.name, "column": numbered.name, "highest": highest}
                c.execute(text("SELECT setval(pg_get_serial_sequence(:table, :column), :highest)"), named)
    c.execute(t.jobs.update().values(leased_until=0.0))


def _verify(counts: dict[str, int], ours: Connection, theirs: Connection) -> None:
    """Every table has as many rows there as here, and the trail is the same unbroken chain."""
    for table in t.metadata.sorted_tables:
        if not counts[table.name] == _count(table, ours) == _count(table, theirs):
            raise Fault("database", f"the copy of {table.name} is not complete; nothing was kept of it")
    before, after = read(ours), read(theirs)
    if (broken := broken_link(before)) is not None:
        raise Fault("database", f"the audit trail is broken at event {broken} already; see `tinyapprover audit verify`")
    if before != after:
        raise Fault("database", "the copied audit trail is not the same; nothing was kept of it")
