"""What the commands do."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import webbrowser
from collections.abc import Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.prompt import Confirm
from rich.table import Table

from bot.config import ROLES, Settings, read_settings
from bot.core.request import Request
from bot.core.words import date, one_line
from bot.errors import Fault, Refused, SettingsError
from bot.logs import set_up

T = TypeVar("T")
out = Console(highlight=False)
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


# --- documents -------------------------------------------------------------------------------------------------------


def search(query: str, k: int, data_dir: Path | None, documents: Path | None) -> None:
    """The best passages, best first."""
    from knowledge.memory import Knowledge

    async def look(knowledge: Knowledge) -> None:
        await knowledge.warm()
        await knowledge.index()
        for result in await knowledge.search([query], k):
            out.print(f"{result.score:.3f}  {result.title} › {result.heading}", markup=False, style="bold")
            out.print(f"       {result.url or result.file}", markup=False)
            out.print(f"       {one_line(result.text, 300)}\n", markup=False)

    asyncio.run(_with_knowledge(data_dir, documents, look))


def index(data_dir: Path | None, documents: Path | None, *, rebuild: bool) -> None:
    """Read the documents anew, with a bar for what takes long."""
    from knowledge.memory import Knowledge

    async def work(knowledge: Knowledge) -> None:
        await knowledge.warm()
        with bar() as (_, advance):
            summary = await knowledge.index(advance, rebuild=rebuild)
        change = summary.change
        out.print(f"{summary.documents} documents, {summary.passages} passages; embedder: {summary.embedder}")
        out.print(
            f"new {change.new}, unchanged {change.unchanged}, removed {change.deleted}; embedded {summary.embedded}"
        )
        for trouble in summary.trouble:
            out.print(trouble, markup=False, style="yellow")

    asyncio.run(_with_knowledge(data_dir, documents, work))


class bar:  # noqa: N801 - a context manager used like a function
    """A progress bar a step, as the work names its steps."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(*columns, console=out, transient=True)
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> tuple[Progress, Callable[[str, int, int], None]]:
        self._progress.start()
        return self._progress, self._advance

    def _advance(self, step: str, done: int, total: int) -> None:
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(step, total=total)
        self._progress.update(self._tasks[step], completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


async def _with_knowledge(
    data_dir: Path | None, documents: Path | None, work: Callable[[Any], Coroutine[Any, Any, None]]
) -> None:
    from knowledge.embed import Wanted
    from knowledge.memory import Knowledge

    place = data_dir or Path(os.environ.get("TINYAPPROVER_DATA_DIR", "data"))
    folder = documents or (
        Path(os.environ["TINYAPPROVER_DOCUMENTS"]) if "TINYAPPROVER_DOCUMENTS" in os.environ else None
    )
    if folder is None:
        raise SettingsError("TINYAPPROVER_DOCUMENTS: is not set; name a folder with --documents")
    knowledge = await Knowledge.open(place, folder, embedder=Wanted(os.environ.get("TINYAPPROVER_EMBEDDER", "auto")))
    try:
        await work(knowledge)
    finally:
        await knowledge.close()


def _named_in(variable: str) -> Path | None:
    """A path from the environment alone: searching needs none of the vendors' settings."""
    value = os.environ.get(variable)
    return Path(value) if value else None


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

    named = directory or _named_in("TINYAPPROVER_POLICIES") or Path(__file__).parent.parent / "policies"
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


# --- when something is wrong -----------------------------------------------------------------------------------------

FOLLOW_SECONDS = 60.0


def stop(request: str, why: str) -> None:
    """Stop one request."""
    from bot.urgent import stop_one

    settings = read_settings(roles=())
    found = asyncio.run(stop_one(settings, request.upper(), why))
    out.print(f"{found.id} is stopped. {found.outcome}", markup=False)
    _say_who_does_it(settings)


def freeze(why: str) -> None:
    """Halt all execution."""
    from bot.urgent import freeze as freeze_all

    settings = read_settings(roles=())
    if not asyncio.run(freeze_all(settings, why)):
        raise Refused("Everything is frozen already; `tinyapprover thaw` ends it.")
    out.print("Frozen: nothing is granted until `tinyapprover thaw`. Access still ends on time, and can be stopped.")
    _say_who_does_it(settings)


def thaw() -> None:
    """Let it go on."""
    from bot.urgent import thaw as thaw_all

    settings = read_settings(roles=())
    if not asyncio.run(thaw_all(settings)):
        raise Refused("Nothing is frozen.")
    out.print("Thawed: what was approved meanwhile is checked once more and granted now.")
    _say_who_does_it(settings)


def revoke(email: str, why: str, *, yes: bool) -> None:
    """Take back everything that somebody was given: show it, ask, and tell what was read back as gone."""
    from bot.urgent import given_to
    from bot.urgent import revoke as revoke_all

    settings = read_settings(roles=())
    given = asyncio.run(given_to(settings, email))
    if not given:
        out.print(f"{email} holds nothing that was given here, and nothing is on its way.", markup=False)
        return
    _show_given(given)
    if not (yes or _confirmed(f"Take back all {len(given)}?")):
        raise Refused("Nothing was changed.")
    asyncio.run(revoke_all(settings, given, why))
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
    from bot.urgent import follow

    with bar() as (progress, advance):
        settled: list[Request] = []

        def told(request: Request) -> None:
            settled.append(request)
            progress.console.print(f"{request.id}: {request.outcome}", markup=False)
            advance("read back", len(settled), len(given))

        advance("read back", 0, len(given))
        left = asyncio.run(follow(settings, given, seconds=FOLLOW_SECONDS, told=told))
    if left:
        names = ", ".join(request.id for request in left)
        raise Fault("executor", f"not read back as gone yet: {names}. It goes on; see their cards, or try again")


def _say_who_does_it(settings: Settings) -> None:
    from bot.urgent import executor

    found = asyncio.run(executor(settings))
    if not found.alive:
        out.print(
            f"No executor is at work ({found.words}): it is written down, and is done as soon as one runs "
            "(tinyapprover run).",
            style="yellow",
        )
