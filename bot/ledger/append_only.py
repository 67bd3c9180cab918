"""Tables that only grow: the database itself refuses to change or delete what was written.

Whoever owns the database can drop a trigger. It stops mistakes and a stolen application login; the hash chain and its
anchors are for the owner.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import DDL, Table, event

_REFUSAL = """
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only'; END $$
"""


def append_only(table: Table, *verbs: str) -> None:
    """Guard a table against some of `UPDATE` and `DELETE`, from its creation on."""
    statement: Any = DDL  # not typed by its package
    for dialect, guards in (("sqlite", on_sqlite(table, *verbs)), ("postgresql", on_postgresql(table, *verbs))):
        for guard in guards:
            event.listen(table, "after_create", statement(guard).execute_if(dialect=dialect))


def on_sqlite(table: Table, *verbs: str) -> Iterator[str]:
    """The statements for SQLite. `INSERT OR REPLACE` fires no trigger for the row it replaces, so it is refused too."""
    same = " AND ".join(f"{column.name} = NEW.{column.name}" for column in table.primary_key)
    taken = f" WHEN EXISTS (SELECT 1 FROM {table.name} WHERE {same})"  # noqa: S608 - names of our own tables
    for name, before, when in [*((verb, verb, "") for verb in verbs), ("REPLACE", "INSERT", taken)]:
        trigger = f"CREATE TRIGGER {table.name}_no_{name.lower()} BEFORE {before} ON {table.name}{when}"
        yield f"{trigger} BEGIN SELECT RAISE(ABORT, '{table.name} is append-only'); END"


def on_postgresql(table: Table, *verbs: str) -> Iterator[str]:
    """The statements for PostgreSQL; they refuse `TRUNCATE` too."""
    yield _REFUSAL
    for verb, each in [*((verb, "ROW") for verb in verbs), ("TRUNCATE", "STATEMENT")]:
        trigger = f"CREATE TRIGGER {table.name}_no_{verb.lower()} BEFORE {verb} ON {table.name}"
        yield f"{trigger} FOR EACH {each} EXECUTE FUNCTION refuse_change()"
