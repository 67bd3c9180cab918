"""What the commands about the audit trail do."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from rich.console import Console

from bot.admin import open_ledger
from bot.anchor_setup import anchoring
from bot.anchors import Anchoring
from bot.audit import Anchor, AuditEvent, AuditText
from bot.clock import SystemClock
from bot.config import read_settings
from bot.console import bar
from bot.core.words import one_line
from bot.errors import Fault, Refused, SettingsError
from bot.evidence_checks import Finding
from bot.evidence_file import Period, build
from bot.export import FORMATS, lines
from bot.forgetting import Forgetting
from bot.ledger import Erasure, Ledger
from bot.verifying import Verified
from connectors.slack import Slack, new_client
from knowledge import Knowledge, Wanted

SHOWN = 20
out = Console(highlight=False, soft_wrap=True)
UNANCHORED = (
    "! no anchors are configured, so whoever owns the database could have computed the whole chain anew or cut off its "
    "end: that was not checked. docs/audit.md says how to set them up."
)


def by() -> str:
    """Who types this, for the trail."""
    return f"admin {getpass.getuser()}"


@asynccontextmanager
async def _trail() -> AsyncIterator[Anchoring]:
    """The ledger, and the places that hold its anchors."""
    settings = read_settings()
    slack = Slack(new_client(settings.slack_api_url, settings.slack_bot_token.get_secret_value()), SystemClock())
    async with open_ledger(settings) as ledger:
        try:
            yield anchoring(settings, ledger, SystemClock(), slack)
        finally:
            await slack.close()


# --- verify ----------------------------------------------------------------------------------------------------------


def verify() -> None:
    """What was checked and what could not be, a line each; a fault when anything is wrong."""
    anchors, verified, silent = asyncio.run(_verify())
    for line in _report(anchors, verified):
        out.print(line, markup=False)
    problems = [*verified.findings, *(f"these anchors could not be read: {trouble}" for trouble in silent)]
    if problems:
        raise Fault("audit", "\n".join(problems))


async def _verify() -> tuple[Anchoring, Verified, Sequence[str]]:
    async with _trail() as anchors:
        return anchors, *await anchors.verify()


def _report(anchors: Anchoring, verified: Verified) -> list[str]:
    told = []
    if verified.whole:
        head = f", the last is {verified.head.hash}" if verified.head else ""
        told.append(f"✓ {verified.events} events, every link whole{head}")
        told.append(f"✓ {verified.texts} texts beside them are as they were written, {verified.erased} were erased")
    if not anchors.stores:
        told.append(UNANCHORED)
    elif verified.whole and verified.anchors:
        places = " and ".join(store.name for store in anchors.stores)
        told.append(f"✓ {verified.anchors} anchors in {places} fit; the newest is of event {verified.anchored_to}")
    elif not verified.anchors:
        told.append("! no anchor was found: nothing outside the database vouches for this chain yet")
    return told + [f"! {words}" for words in verified.abandoned]


# --- show and export -------------------------------------------------------------------------------------------------


def show(request: str) -> None:
    """One request's events, a line each."""
    events, texts = asyncio.run(_story(request.upper()))
    if not events:
        raise Refused(f"Nothing is known of {request}; a request's name looks like TA-12.")
    for event in events:
        words = [text for text in texts if text.seq == event.seq]
        at, actor, what = (one_line(str(one), 120) for one in (event.at, event.actor, event.what))
        out.print(f"{event.seq:>6}  {at}  {actor}  {what}  {_told(event, words)}", markup=False)


async def _story(request: str) -> tuple[Sequence[AuditEvent], Sequence[AuditText]]:
    async with _trail() as anchors:
        events = await anchors.ledger.events(request)
        texts = await anchors.ledger.texts(events[0].seq, events[-1].seq) if events else []
        return events, texts


def _told(event: AuditEvent, texts: Sequence[AuditText]) -> str:
    """The details, with words in the place of their digests; what was erased is said so."""
    standing = {text.name: text.text for text in texts}
    digests = event.detail.get("texts")
    erased = dict.fromkeys(digests if isinstance(digests, dict) else (), "(erased)")
    details = {**event.detail, **erased, **standing}
    details.pop("texts", None)
    return ", ".join(f"{one_line(key, 120)}={one_line(str(value), 120)}" for key, value in details.items())


def export(form: str) -> None:
    """Lines for other systems."""
    if form not in FORMATS:
        raise SettingsError(f"--format is one of {', '.join(FORMATS)}")
    for line in lines(asyncio.run(_whole()), form):
        sys.stdout.buffer.write(f"{line}\n".encode(errors="backslashreplace"))  # of spoiled text, too: JSON's own form


async def _whole() -> Sequence[AuditEvent]:
    async with _trail() as anchors:
        return await anchors.ledger.events()


# --- abandoning ------------------------------------------------------------------------------------------------------


def abandon(why: str) -> None:
    """Name what is lost, and record who said so."""
    lost = asyncio.run(_abandon(why))
    if not lost:
        raise Refused("Every anchor fits the trail: there is nothing to abandon.")
    out.print(f"Abandoned: what {len(lost)} anchors tell of, the newest of event {max(one.seq for one in lost)}.")


async def _abandon(why: str) -> Sequence[Anchor]:
    async with _trail() as anchors:
        return await anchors.abandon(by=by(), why=why)


# --- erasing ---------------------------------------------------------------------------------------------------------


def erase(who: str, why: str, *, really: bool) -> None:
    """Say what goes and what stays; with `really`, do it."""
    erasure, in_index = asyncio.run(_erase(who, why, really=really))
    done = "Erased" if really else "Would be erased"
    for place, texts in _by_place(erasure).items():
        out.print(f"{done}: {place}: {texts}", markup=False)
    for request in erasure.kept:
        out.print(f"Kept: {request} is not over yet and needs its words.", markup=False)
    if erasure.linked:
        out.print("Kept: the name in the link of their accounts; first run: tinyapprover people unlink LOGIN")
    if in_index:
        out.print(in_index, markup=False)
    if not really:
        out.print("Nothing was changed. With --yes it is done, and cannot be undone.")


async def _erase(who: str, why: str, *, really: bool) -> tuple[Erasure, str]:
    settings = read_settings()
    async with open_ledger(settings) as ledger:
        person = await ledger.id_of(who) or ("" if "@" in who else who)
        erasure = await ledger.to_erase(person) if person else None
        if erasure is None or not (erasure.texts or erasure.requests or erasure.kept or erasure.accounts):
            raise Refused(f"Nothing of {who} is kept here.")
        if not really:
            return erasure, ""
        return await ledger.erase(erasure.person, by=by(), why=why), await _erase_in_index(settings.data_dir, ledger)


async def _erase_in_index(data_dir: Path, ledger: Ledger) -> str:
    """At once, unless the running bot has the index: then it does the same within a minute."""
    if not (data_dir / "knowledge").is_dir():
        return ""
    try:
        knowledge = await Knowledge.open(data_dir, None, embedder=Wanted("none"))
    except SettingsError:
        return "The running bot takes what they wrote out of its index within minutes."
    try:
        with bar() as (_, advance):
            gone = await Forgetting(ledger, knowledge).look(advance)
    finally:
        await knowledge.close()
    return f"What they wrote is out of the index: {len(gone)} threads, which are read again without them."


def _by_place(erasure: Erasure) -> dict[str, str]:
    """For each request of theirs, and for what stands elsewhere, the kinds of words."""
    told = dict.fromkeys(erasure.requests, "its words, evidence, advice and their name")
    if erasure.texts:
        names = ", ".join(sorted({text.name for text in erasure.texts}))
        told["beside the trail"] = f"{len(erasure.texts)} texts ({names})"
    if erasure.accounts:
        told["the index"] = f"what {', '.join(erasure.accounts)} wrote in Slack threads"
    return told


# --- evidence --------------------------------------------------------------------------------------------------------


def evidence(file: Path, since: datetime, until: datetime, *, with_text: bool) -> None:
    """The file, how many requests it holds, and what is wrong; a fault when anything is."""
    if file.exists():
        raise SettingsError(f"{file} is there already; name a new file")
    period = Period(since.replace(tzinfo=UTC), until.replace(tzinfo=UTC) + timedelta(days=1))
    found = asyncio.run(_evidence(file, period, with_text=with_text))
    for finding in found[:SHOWN]:
        out.print(f"! {finding.request_id} {finding.check}: {finding.finding}", markup=False)
    if found:
        raise Fault("evidence", f"{len(found)} findings; all of them stand in the table findings of {file}")
    out.print(f"✓ {file} is written: every grant was approved before it was given")


async def _evidence(file: Path, period: Period, *, with_text: bool) -> Sequence[Finding]:
    async with _trail() as anchors:
        verified, silent = await anchors.verify()
        with bar() as (_, advance):
            return await build(
                anchors.ledger,
                file,
                period,
                verified=verified,
                silent=silent,
                now=SystemClock().now(),
                with_text=with_text,
                advance=partial(advance, "requests"),
            )
