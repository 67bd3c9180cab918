"""The commands for when something is wrong: stop, freeze, thaw, and take everything back that somebody was given.

They write to the ledger, beside the running program. The executor does the work; whether one lives is told.
"""

from __future__ import annotations

import asyncio
import getpass
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bot.app import PRODUCTION
from bot.clock import SystemClock
from bot.config import EXECUTOR, Settings
from bot.core.lifecycle import OPEN, State
from bot.core.request import Person, Request
from bot.emergency import FROZEN, THAWED, stop
from bot.errors import Refused, SettingsError
from bot.heartbeat import in_words, is_alive
from bot.ledger import Ledger
from bot.ledger.engine import file_of

LOOK_SECONDS = 0.2


@asynccontextmanager
async def _ledger(settings: Settings) -> AsyncIterator[Ledger]:
    """The running program's: a new, empty one would say that all is done."""
    file = file_of(settings.ledger_url)
    if file is not None and not file.exists():
        raise SettingsError(f"there is no database {file}: run this where the program runs, with its settings")
    ledger = await Ledger.open(settings.ledger_url, kind=PRODUCTION, now=SystemClock().now)
    try:
        yield ledger
    finally:
        await ledger.close()


def _admin() -> str:
    return f"admin {getpass.getuser()}"


@dataclass(frozen=True, slots=True)
class Executor:
    """Whether somebody does what was written down; `words` for people."""

    alive: bool
    words: str


async def executor(settings: Settings) -> Executor:
    """When the executor was last seen at work."""
    async with _ledger(settings) as ledger:
        seen_at = (await ledger.presence()).get(EXECUTOR)
        return Executor(is_alive(seen_at), in_words(seen_at))


async def stop_one(settings: Settings, request: str, why: str) -> Request:
    """Stop a request; how it stands then."""
    async with _ledger(settings) as ledger:
        found = await ledger.find(request)
        if found is None:
            raise Refused(f"Nothing is known of {request}; a request's name looks like TA-12.")
        await stop(ledger, found, by=_admin(), who=_admin(), why=why)
        return await ledger.request(found.id)


async def freeze(settings: Settings, why: str) -> bool:
    """Halt all execution; false when it is halted already."""
    async with _ledger(settings) as ledger:
        return await ledger.freeze(why, _admin(), told=FROZEN)


async def thaw(settings: Settings) -> bool:
    """Let it go on; false when nothing was halted."""
    async with _ledger(settings) as ledger:
        return await ledger.thaw(_admin(), told=THAWED)


async def given_to(settings: Settings, email: str) -> Sequence[Request]:
    """What this program gave, or may still give, to whoever has this login or had it when they asked; undecided too."""
    async with _ledger(settings) as ledger:
        unsettled, people = await ledger.unsettled(), await ledger.people()
    named = [person for person in people if _is(person, email)]
    ids = {person.id for person in (*named, *(one.beneficiary for one in unsettled if _is(one.beneficiary, email)))}
    return [one for one in unsettled if one.beneficiary.id in ids]


def _is(person: Person, email: str) -> bool:
    return person.email.casefold() == email.casefold()


def is_settled(request: Request) -> bool:
    """Nothing of it is left and nothing of it will come."""
    if request.state in OPEN | {State.APPROVED, State.FAILED}:
        return False
    return request.grant is None or request.grant.revoked_at is not None


async def revoke(settings: Settings, requests: Sequence[Request], why: str) -> None:
    """Stop them all. What somebody has stopped or settled meanwhile is left as it is."""
    async with _ledger(settings) as ledger:
        for request in requests:
            try:
                await stop(ledger, request, by=_admin(), who=_admin(), why=why, undecided=True)
            except Refused:
                continue


async def follow(
    settings: Settings, requests: Sequence[Request], *, seconds: float, told: Callable[[Request], None]
) -> Sequence[Request]:
    """Each is told once it is settled; those that are not after so many seconds are returned."""
    waiting, deadline = [request.id for request in requests], time.monotonic() + seconds
    async with _ledger(settings) as ledger:
        while True:
            latest = [await ledger.request(one) for one in waiting]
            for request in latest:
                if is_settled(request):
                    told(request)
            waiting = [request.id for request in latest if not is_settled(request)]
            if not waiting or time.monotonic() >= deadline:
                return [request for request in latest if request.id in waiting]
            await asyncio.sleep(LOOK_SECONDS)
