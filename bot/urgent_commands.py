"""What the commands for when something is wrong do: stop, freeze, thaw, and take everything back."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from rich.prompt import Confirm
from rich.table import Table

from bot import urgent
from bot.config import Settings, read_settings
from bot.console import bar, out
from bot.core.request import Request
from bot.core.words import date
from bot.errors import Fault, Refused, SettingsError

FOLLOW_SECONDS = 60.0


def stop(request: str, why: str) -> None:
    """Stop one request."""
    settings = read_settings(roles=())
    found = asyncio.run(urgent.stop_one(settings, request.upper(), why))
    out.print(f"{found.id} is stopped. {found.outcome}", markup=False)
    _say_who_does_it(settings)


def freeze(why: str) -> None:
    """Halt all execution."""
    settings = read_settings(roles=())
    if not asyncio.run(urgent.freeze(settings, why)):
        raise Refused("Everything is frozen already; `tinyapprover thaw` ends it.")
    out.print("Frozen: nothing is granted until `tinyapprover thaw`. Access still ends on time, and can be stopped.")
    _say_who_does_it(settings)


def thaw() -> None:
    """Let it go on."""
    settings = read_settings(roles=())
    if not asyncio.run(urgent.thaw(settings)):
        raise Refused("Nothing is frozen.")
    out.print("Thawed: what was approved meanwhile is checked once more and granted now.")
    _say_who_does_it(settings)


def revoke(email: str, why: str, *, yes: bool) -> None:
    """Take back everything that somebody was given: show it, ask, and tell what was read back as gone."""
    settings = read_settings(roles=())
    given = asyncio.run(urgent.given_to(settings, email))
    if not given:
        out.print(f"{email} holds nothing that was given here, and nothing is on its way.", markup=False)
        return
    _show_given(given)
    if not (yes or _confirmed(f"Take back all {len(given)}?")):
        raise Refused("Nothing was changed.")
    asyncio.run(urgent.revoke(settings, given, why))
    _say_who_does_it(settings)
    _follow(settings, given)


def _confirmed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise SettingsError("nobody is there to be asked: say --yes")
    return Confirm.ask(question, console=out, default=False)


def _show_given(given: Sequence[Request]) -> None:
    table = Table("Request", "Access", "Who", "Stands", "Until")
    for one in given:
        until = date(one.grant.ends_at) if one.grant and one.grant.ends_at else ""
        table.add_row(one.id, one.entitlement.title, one.beneficiary.email, one.state.value, until)
    out.print(table)


def _follow(settings: Settings, given: Sequence[Request]) -> None:
    """With a bar, until each is read back as gone; what is not, in a while, is an error."""
    with bar() as (progress, advance):
        settled: list[Request] = []

        def told(request: Request) -> None:
            settled.append(request)
            progress.console.print(f"{request.id}: {request.outcome}", markup=False)
            advance("read back", len(settled), len(given))

        advance("read back", 0, len(given))
        left = asyncio.run(urgent.follow(settings, given, seconds=FOLLOW_SECONDS, told=told))
    if left:
        names = ", ".join(request.id for request in left)
        raise Fault("executor", f"not read back as gone yet: {names}. It goes on; see their cards, or try again")


def _say_who_does_it(settings: Settings) -> None:
    found = asyncio.run(urgent.executor(settings))
    if not found.alive:
        out.print(
            f"No executor is at work ({found.words}): it is written down, and is done as soon as one runs "
            "(tinyapprover run).",
            style="yellow",
        )
