"""What the commands about jobs and the database do."""

from __future__ import annotations

import asyncio
import getpass
from datetime import datetime
from pathlib import Path

from rich.table import Table

from bot.admin import open_ledger
from bot.clock import SystemClock
from bot.config import read_settings
from bot.console import bar, out
from bot.core.words import one_line, span
from bot.errors import Refused, SettingsError
from bot.ledger.kinds import KINDS
from bot.ledger.queue import Waiting

SHOWN = 50

# --- jobs ------------------------------------------------------------------------------------------------------------


def jobs_list() -> None:
    """What waits: in trouble first, then by time."""
    waiting = asyncio.run(_waiting())
    now = SystemClock().now()
    table = Table("request", "job", "what it does", "due", "tries", "trouble", box=None, pad_edge=False)
    for job in waiting[:SHOWN]:
        trouble = one_line(job.trouble, 100)
        table.add_row(job.subject, job.kind, job.does, _when(job, now), str(job.attempts or ""), trouble)
    if waiting:
        out.print(table, markup=False)
    troubled = sum(bool(job.trouble) for job in waiting)
    out.print(f"{len(waiting)} jobs wait, {troubled} of them in trouble; the first {SHOWN} are shown at most")


async def _waiting() -> list[Waiting]:
    async with open_ledger(read_settings()) as ledger:
        return await ledger.waiting()


def _when(job: Waiting, now: datetime) -> str:
    if job.runs:
        return "runs"
    minutes = round((job.due - now).total_seconds() / 60)
    if minutes == 0:
        return "now"
    return f"in {_roughly(minutes)}" if minutes > 0 else f"since {_roughly(-minutes)}"


def _roughly(minutes: int) -> str:
    size = 1440 if minutes >= 2 * 1440 else 60 if minutes >= 2 * 60 else 1
    return span(size * round(minutes / size))


def jobs_retry(request: str, kind: str | None) -> None:
    """What failed is tried at once."""
    tried = asyncio.run(_retry(request.upper(), kind))
    if not tried:
        raise Refused(f"Nothing of {request.upper()} has failed and waits to be tried again; see `tinyapprover jobs`.")
    out.print(f"Due now: {', '.join(tried)}", markup=False)


async def _retry(request: str, kind: str | None) -> list[str]:
    async with open_ledger(read_settings()) as ledger:
        return await ledger.try_now(request, kind, by=f"admin {getpass.getuser()}")


def jobs_explain(kind: str | None) -> None:
    """What a kind of job does, and who does it."""
    name = (kind or "").partition(":")[0]
    if name and name not in KINDS:
        raise Refused(f"There is no kind of job named {name}; `tinyapprover jobs explain` names them all.")
    table = Table("job", "what it does", "waits for", "done by", box=None, pad_edge=False)
    for each in [name] if name else sorted(KINDS):
        table.add_row(each, KINDS[each].does, KINDS[each].lane, KINDS[each].role)
    out.print(table)


# --- the database ----------------------------------------------------------------------------------------------------


def db_upgrade(url: str | None) -> None:
    """Bring the schema to what this program knows."""
    from bot.ledger.moving import upgrade_database

    before, after = upgrade_database(url or _address())
    out.print(f"The schema was at {before} and is at {after}.")


def db_move(source: str, target: str) -> None:
    """Copy everything to an empty PostgreSQL database, and check that it is all there."""
    from bot.ledger.moving import move

    with bar() as (_, advance):
        counts = move(source, target, advance)
    out.print(
        f"{sum(counts.values())} rows of {len(counts)} tables were copied; the audit trail is the same and whole."
    )
    out.print("Set TINYAPPROVER_DATABASE_URL to the new address before the next start; keep the old file as a copy.")


def _address() -> str:
    settings = read_settings()
    if not settings.database_url and not Path(settings.data_dir).is_dir():
        raise SettingsError(f"TINYAPPROVER_DATA_DIR: {settings.data_dir} does not exist")
    return settings.ledger_url
