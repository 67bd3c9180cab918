"""Writing migrations: `python -m bot.ledger.migrations --write "what it does"`, or `--write-first`."""

from __future__ import annotations

import argparse
from itertools import groupby
from typing import Any

from sqlalchemy import create_engine, create_mock_engine, make_url

from bot.ledger import tables
from bot.ledger.migrations import HEAD, PLACE, config, upgrade

FIRST = PLACE / "versions" / "0001_first.py"
AS_GIVEN = "# fmt: off\n"
HEADER = '''"""The schema as it was first released. Written by `python -m bot.ledger.migrations --write-first`."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    statements = {"sqlite": SQLITE, "postgresql": POSTGRESQL}[op.get_bind().dialect.name]
    for statement in statements:
        op.get_bind().exec_driver_sql(statement)
'''


def statements(url: str) -> list[str]:
    """What makes every table, index and trigger of `tables.py` on a database, one statement each."""
    found: list[str] = []

    def take(statement: Any, *_: Any, **__: Any) -> None:
        lines = str(statement.compile(dialect=engine.dialect)).strip().splitlines()
        found.append("\n".join(line.rstrip().replace("\t", "    ") for line in lines))

    engine = create_mock_engine(make_url(url), take)
    tables.metadata.create_all(engine, checkfirst=False)
    return _in_one_order(found)


def _in_one_order(found: list[str]) -> list[str]:
    """The indexes of a table are a set: by name, so that writing twice writes the same."""
    parts = [(are_indexes, list(part)) for are_indexes, part in groupby(found, key=_makes_an_index)]
    return [one for are_indexes, part in parts for one in (sorted(part) if are_indexes else part)]


def _makes_an_index(statement: str) -> bool:
    return statement.startswith(("CREATE INDEX", "CREATE UNIQUE INDEX"))


def _as_code(name: str, found: list[str]) -> str:
    return f"{name} = (\n" + "".join(f'    """{statement}""",\n' for statement in found) + ")\n"


def write_first() -> None:
    """The first revision, from `tables.py` as it is."""
    parts = _as_code("SQLITE", statements("sqlite://")), _as_code("POSTGRESQL", statements("postgresql+psycopg://"))
    FIRST.write_text("\n\n".join([HEADER, AS_GIVEN + "\n".join(parts)]), encoding="utf-8")


def write_next(message: str) -> None:
    """A revision with the difference between the newest one and `tables.py`."""
    from alembic import command

    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        upgrade(connection)
        command.revision(config(connection), message, autogenerate=True, rev_id=f"{int(HEAD) + 1:04}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bot.ledger.migrations", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", metavar="MESSAGE", help="the next revision")
    what.add_argument("--write-first", action="store_true", help="the first revision, anew")
    asked = parser.parse_args()
    if asked.write_first:
        write_first()
    else:
        write_next(asked.write)


if __name__ == "__main__":
    main()
