"""What an admin does from the command line: links of people who decide, written to the ledger and audited."""

from __future__ import annotations

import getpass
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from bot.app import PRODUCTION
from bot.clock import SystemClock
from bot.config import FRONT, Settings
from bot.core.request import Person
from bot.ledger import Ledger
from bot.people import link_responder
from bot.vendors import connect


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Ledger]:
    """The ledger of a production run, beside the program that may be running."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    ledger = await Ledger.open(settings.ledger_url, kind=PRODUCTION, now=SystemClock().now)
    try:
        yield ledger
    finally:
        await ledger.close()


async def link(settings: Settings, email: str, slack_user: str) -> Person:
    """Look the three accounts up, and keep their ids."""
    async with AsyncExitStack() as stack, opened(settings) as ledger:
        vendors = await connect(settings, SystemClock(), stack, roles=[FRONT])
        return await link_responder(
            email,
            slack_user=slack_user,
            ledger=ledger,
            chat=vendors.front.slack,
            directory=vendors.reader,
            home_team=vendors.front.slack.team,
            pager=vendors.front.pager,
            by=f"admin {getpass.getuser()}",
        )


async def everybody(settings: Settings) -> Sequence[Person]:
    """All links."""
    async with opened(settings) as ledger:
        return await ledger.people()


async def unlink(settings: Settings, email: str) -> bool:
    """Forget somebody's link; false when there was none."""
    async with opened(settings) as ledger:
        found = [person for person in await ledger.people() if person.email.casefold() == email.casefold()]
        return bool(found) and await ledger.unlink(found[0].id, by=f"admin {getpass.getuser()}")
