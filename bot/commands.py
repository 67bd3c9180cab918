"""What the commands do."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import webbrowser
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from rich.table import Table

from bot.config import ROLES, Settings, out_of_place, path_named_in, read_settings
from bot.console import out
from bot.errors import Fault, Refused, SettingsError
from bot.logs import set_up

log = logging.getLogger(__name__)

T = TypeVar("T")
ALL = "all"


def run(role: str | None) -> None:
    """Until SIGTERM or SIGINT, then in order: both roles as two processes, or one role here, or both here."""
    from bot.supervisor import is_supervised

    if role is None:
        _supervise()
    elif is_supervised():
        _run_for_supervisor(role)
    else:
        _run_here(read_settings(roles=_roles(role)), _roles(role), say=_say_it_runs)


def _run_here(settings: Settings, roles: Collection[str], *, say: Callable[[str], None]) -> None:
    from bot.app import PRODUCTION

    set_up(settings.log_level)
    for name in out_of_place(roles):
        log.warning("%s stands in the environment of the %s, which must not know it: take it out", name, *roles)
    asyncio.run(serve(settings, kind=PRODUCTION, roles=roles, say=say))


def _roles(role: str) -> tuple[str, ...]:
    if role not in (*ROLES, ALL):
        raise SettingsError(f"--role is one of {', '.join((*ROLES, ALL))}")
    return ROLES if role == ALL else (role,)


def _supervise() -> None:
    from bot.supervisor import supervise

    settings = read_settings()
    set_up(settings.log_level)
    asyncio.run(_until_interrupted(supervise(settings, say=_say_it_runs)))


def _run_for_supervisor(role: str) -> None:
    """Settings from the environment alone; what is wrong with them is the supervisor's to say."""
    from bot.supervisor import hold_lifeline, tell_supervisor

    hold_lifeline()
    try:
        settings = read_settings(roles=_roles(role), _env_file=None)
        _run_here(settings, _roles(role), say=lambda url: tell_supervisor(url=url))
    except SettingsError as problem:
        tell_supervisor(trouble=str(problem))
        sys.exit(2)
    except Fault as fault:
        tell_supervisor(away=str(fault))
        raise


def _say_it_runs(url: str) -> None:
    out.print(f"TinyApprover runs; health at {url}/healthz" if url else "TinyApprover's executor runs")


async def serve(
    settings: Settings, *, kind: str, roles: Collection[str] = ROLES, say: Callable[[str], None] = _say_it_runs
) -> None:
    """The program, until a signal; then nothing more is taken and what runs is finished."""
    await _until_interrupted(_run(settings, kind, roles, say))


async def _run(settings: Settings, kind: str, roles: Collection[str], say: Callable[[str], None]) -> None:
    from bot.app import start

    running = await start(settings, kind=kind, roles=roles)
    say(running.url)
    try:
        await running.wait()
    finally:
        await running.stop()


async def _until_interrupted(work: Coroutine[Any, Any, None]) -> None:
    """Until the work ends or a signal asks to stop; then the work is cancelled, and its own ending waited for."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    working, asked = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({working, asked}, return_when=asyncio.FIRST_COMPLETED)
    for task in (working, asked):
        task.cancel()
    with suppress(asyncio.CancelledError):
        await working


def demo(port: int, data_dir: Path, *, open_browser: bool) -> None:
    """The sandbox and the program, in one process, until interrupted."""
    from bot.demo import run_demo

    set_up("warning")

    def say(url: str) -> None:
        out.print(f"\n  Open [bold]{url}[/bold] and be alice: press Request access.\n  Ctrl+C ends the demo.\n")
        if open_browser:
            webbrowser.open(url)

    asyncio.run(_until_interrupted(run_demo(port, data_dir, say=say)))


def check() -> None:
    """Everything a run needs, each with a tick or the cure; exit code 2 when something is wrong."""
    from bot.checks import check_all

    findings = asyncio.run(check_all())
    for finding in findings:
        mark = "[green]✓[/green]" if finding.good else "[red]✗[/red]"
        out.print(f"{mark} {finding.name}: ", end="")
        out.print(finding.words, markup=False)
    if not all(finding.good for finding in findings):
        raise SettingsError("something needs attention; see the lines with ✗")


# --- policies --------------------------------------------------------------------------------------------------------


def init(directory: Path) -> None:
    """Copy the shipped examples; a directory that holds something is left alone."""
    if directory.exists() and any(directory.iterdir()):
        raise SettingsError(f"{directory} is not empty; name a new directory")
    shipped = Path(__file__).parent.parent / "policies"
    (directory / "catalogue").mkdir(parents=True, exist_ok=True)
    for path in [*shipped.glob("catalogue/*.yml"), *shipped.glob("guardrails.*"), shipped / "advice.md"]:
        if path.suffix != ".py":
            (directory / path.relative_to(shipped)).write_bytes(path.read_bytes())
    out.print(f"Written to {directory}: make it yours, then run: tinyapprover policy check {directory}", markup=False)


def policy_check(directory: Path | None) -> None:
    """Findings with file and line, or a tick."""
    from bot.app import ACTIONS
    from policies.check import check as check_policies

    named = directory or path_named_in("TINYAPPROVER_POLICIES") or Path(__file__).parent.parent / "policies"
    report = check_policies(named, actions=ACTIONS)
    for finding in report.findings:
        out.print(str(finding), markup=False)
    if not report.ok:
        raise SettingsError(f"{len(report.findings)} findings; nothing of this would be loaded")
    counts = f"{report.entitlements} entitlements, {report.guardrails} guardrails, {report.examples} examples"
    out.print(f"✓ {counts}: all as they say")


# --- people ----------------------------------------------------------------------------------------------------------


def people_link(email: str, slack: str) -> None:
    """An admin links somebody who decides."""
    from bot.admin import link

    person = asyncio.run(link(read_settings(), email, slack))
    pager = person.pagerduty_user or "none found: they decide in Slack only"
    out.print(f"{person.name} may decide: directory {person.id}, Slack {person.slack_user}, PagerDuty {pager}")


def people_list() -> None:
    """A table of links."""
    from bot.admin import everybody

    table = Table("Login", "Name", "Directory", "Slack", "PagerDuty", "Decides")
    for person in asyncio.run(everybody(read_settings())):
        decides = "yes" if person.decides else "no"
        row = (person.email, person.name, person.id, person.slack_user or "", person.pagerduty_user or "", decides)
        table.add_row(*row)
    out.print(table)


def people_unlink(email: str) -> None:
    """Forget a link."""
    from bot.admin import unlink

    if not asyncio.run(unlink(read_settings(), email)):
        raise Refused(f"{email} is not linked.")
    out.print(f"{email} is not linked any more")


# --- vendors ---------------------------------------------------------------------------------------------------------


def setup_pagerduty(url: str) -> None:
    """A new subscription's secret is printed once: PagerDuty tells it to nobody again."""
    from bot.admin import set_up_pagerduty

    settings = read_settings()
    done = asyncio.run(set_up_pagerduty(settings, url))
    out.print(f"✓ {done.words}", markup=False, soft_wrap=True)
    if done.secret:
        out.print(f"Its signing secret, told this once: {done.secret}", markup=False, soft_wrap=True)
        out.print("Put it into PAGERDUTY_WEBHOOK_SECRETS (commas separate several), and start the bot again.")
    elif not settings.pagerduty_webhook_secrets:
        raise SettingsError(
            "PAGERDUTY_WEBHOOK_SECRETS: is not set, and PagerDuty tells a secret only once. If it is lost, delete the "
            "subscription in PagerDuty and run this again"
        )
