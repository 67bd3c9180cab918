"""The schema, step by step: how a database of any earlier version becomes what `bot.ledger.tables` says.

To change the schema: change `tables.py`, run `python -m bot.ledger.migrations --write "add a column"`, read what it
wrote into `versions/` and correct it. Only add; what an older program still reads or writes goes a release later, so
that replicas of both can run side by side. The first revision is not written by hand: as long as it is unreleased,
`--write-first` makes it anew from `tables.py`. A test compares the result with `tables.py` on both databases.

Alembic is imported only when there is something to do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, column, inspect, select, table

from bot.errors import SettingsError

PLACE = Path(__file__).parent
HEAD = max((file.name.partition("_")[0] for file in (PLACE / "versions").glob("[0-9]*.py")), default="")
_VERSION = select(table("alembic_version", column("version_num")).c.version_num)


def version_of(c: Connection) -> str | None:
    """The revision that a database is at; None when it has never been set up."""
    return c.execute(_VERSION).scalar() if inspect(c).has_table("alembic_version") else None


def prepare(c: Connection) -> None:
    """Set up an empty database, upgrade an embedded one; `SettingsError` says what somebody has to do first."""
    at = version_of(c)
    if at == HEAD:
        return
    if at is None and inspect(c).get_table_names():
        raise SettingsError("this database holds tables of something else: name an empty one")
    if at is not None and at > HEAD:
        raise SettingsError(f"this database is at schema {at}, this program knows {HEAD}: install a newer program")
    if at is not None and c.dialect.name == "postgresql":
        raise SettingsError(f"this database is at schema {at} and has to be at {HEAD}: run `tinyapprover db upgrade`")
    upgrade(c)


def upgrade(c: Connection) -> None:
    """Run what is missing, in the transaction of `c`."""
    from alembic import command

    command.upgrade(config(c), "head")


def config(c: Connection) -> Any:
    """Alembic's settings: this folder, and a connection that is open already."""
    from alembic.config import Config

    settings = Config(attributes={"connection": c})
    settings.set_main_option("script_location", str(PLACE))
    return settings
