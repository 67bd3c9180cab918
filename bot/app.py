"""The composition root: settings to parts to a running program. The only place that knows both sides."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from bot import metrics
from bot.anchor_setup import anchoring
from bot.anchors import Anchoring
from bot.asides import Asides
from bot.authority import Attempt, Authority
from bot.clock import SandboxClock, SystemClock
from bot.comments import Comments
from bot.config import Settings, check_addresses
from bot.core.request import Draft, Person
from bot.errors import Fault, SettingsError
from bot.evidence import Documents, Precedents
from bot.jobs import Handler, Worker
from bot.journey import BOT, Journey
from bot.ledger import Due, Job, Ledger
from bot.planning import Planning
from bot.ports import Actor
from bot.rules import Limits, Rules
from bot.screen import warm as warm_screen
from bot.showing import Showing
from bot.slack.intake import Intake
from bot.slack.socket import Socket, new_app
from bot.web import Front
from connectors.okta import OktaGroupActor, OktaReader
from connectors.okta_api import OktaApi
from connectors.okta_facts import OktaFacts
from connectors.openai import OpenAIAdviser
from connectors.pagerduty import PagerDuty
from connectors.slack import Slack, new_client
from knowledge.embed import Wanted
from knowledge.memory import Knowledge
from policies.load import load

log = logging.getLogger(__name__)

PRODUCTION, SANDBOX = "production", "sandbox"
ROLES = ("front", "executor")
ACTIONS = frozenset({OktaGroupActor.kind})
TELLS_THE_CARD = frozenset({"page", "plan"})
DECIDE = "decide"
CANNOT_CHECK = "your answer is taken. Whether it counts cannot be checked just now; that is tried again until it can."


@dataclass(slots=True)
class Running:
    """A running program: its parts, and how to stop it in order."""

    settings: Settings
    ledger: Ledger
    journey: Journey
    asides: Asides
    worker: Worker
    socket: Socket
    front: Front
    url: str
    warm: asyncio.Event
    _tasks: list[asyncio.Task[Any]] = field(default_factory=list)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def stop(self) -> None:
        """Take nothing more, finish what runs, close everything."""
        await self.socket.stop()
        await self.worker.stop()
        await self._tasks[0]
        for task in self._tasks[1:]:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self._stack.aclose()

    async def wait(self) -> None:
        """Until the worker ends, which it does only when stopped or broken."""
        await asyncio.shield(self._tasks[0])


async def start(settings: Settings, *, kind: str = PRODUCTION) -> Running:
    """Check everything, connect everything, then begin. `SettingsError` before anything is half started."""
    async with AsyncExitStack() as stack:
        running = await _assemble(settings, kind, stack)
        running._stack = stack.pop_all()
        return running


async def _assemble(settings: Settings, kind: str, stack: AsyncExitStack) -> Running:
    check_settings(settings, kind)
    policies = load(policy_directory(settings, kind), actions=ACTIONS)
    rules = Rules(
        policies.entitlements,
        policies.guardrails,
        policies.advice,
        policies.digest,
        policies.protected,
        policies.files,
    )
    clock = await _clock(settings)
    ledger = await Ledger.open(settings.ledger_url, kind=kind, now=clock.now)
    stack.push_async_callback(ledger.close)
    vendors = await connect(settings, clock, stack, patient=True)
    knowledge = await Knowledge.open(
        settings.data_dir,
        settings.documents,
        embedder=_embedder(settings),
        base_url=settings.documents_url,
    )
    stack.push_async_callback(knowledge.close)
    journey = _journey(settings, rules, clock, ledger, vendors, knowledge)
    return await _begin(settings, journey, clock, vendors, knowledge, stack)


def _journey(
    settings: Settings,
    rules: Rules,
    clock: SystemClock | SandboxClock,
    ledger: Ledger,
    vendors: Vendors,
    knowledge: Knowledge,
) -> Journey:
    limits, team = _limits(settings), vendors.slack.team
    actor = OktaGroupActor(vendors.reader, vendors.writer, protected=rules.protected)
    actors: dict[str, Actor] = {actor.kind: actor}
    planning = Planning(ledger, vendors.reader, actors, rules)
    return Journey(
        ledger=ledger,
        chat=vendors.slack,
        directory=vendors.reader,
        actors=actors,
        sources=[OktaFacts(vendors.reader, clock), Documents(knowledge), Precedents(ledger)],
        rules=rules,
        limits=limits,
        planning=planning,
        authority=Authority(ledger, vendors.reader, planning, rules, clock, vendors.pager),
        showing=Showing(ledger, vendors.slack, limits.responder_channel),
        clock=clock,
        home_team=team,
        pager=vendors.pager,
        adviser=vendors.adviser,
    )


async def _begin(
    settings: Settings,
    journey: Journey,
    clock: SystemClock | SandboxClock,
    vendors: Vendors,
    knowledge: Knowledge,
    stack: AsyncExitStack,
) -> Running:
    ledger, asides, warm = journey.ledger, Asides(journey), asyncio.Event()
    anchors = anchoring(settings, ledger, clock, vendors.slack)
    table = {**handlers(journey, asides), "anchor": anchors.anchor}
    worker = Worker(ledger, table, clock, roles=ROLES, on_trouble=_tell_trouble(journey))
    ledger.on_commit = worker.wake
    if isinstance(clock, SandboxClock):
        clock.on_move = worker.wake
    token = settings.slack_bot_token.get_secret_value()
    slack = vendors.slack
    app = new_app(vendors.client, token=token, team=slack.team, user=slack.user, bot_id=slack.bot_id)
    intake = Intake(journey, asides, domains=settings.email_domains)
    socket = Socket(app, intake, settings.slack_app_token.get_secret_value())
    connected: dict[str, bool] = {}
    front = Front(
        ledger,
        settings.pagerduty_webhook_secrets,
        ready=lambda: {"warm": warm.is_set(), "slack": connected.get("slack", False)},
        metrics=lambda: metrics.exposition(ledger),
    )
    await _begin_anchoring(anchors)
    url = await front.start(settings.http_host, settings.http_port)
    stack.push_async_callback(front.stop)
    await socket.start()
    await ledger.know_policy(journey.rules.digest, journey.rules.files, actor=BOT)
    work: list[Coroutine[Any, Any, Any]] = [worker.run(), _watch(socket, connected), _warm_up(knowledge, journey, warm)]
    if isinstance(clock, SandboxClock):
        work.append(clock.follow())
    tasks = [asyncio.create_task(one) for one in work]
    return Running(settings, ledger, journey, asides, worker, socket, front, url, warm, tasks)


async def _begin_anchoring(anchors: Anchoring) -> None:
    """Not on a database that is older than its anchors."""
    for trouble in await anchors.check_not_behind():
        log.warning("starting without having compared the audit trail with its anchors: %s", trouble)
    await anchors.begin()


def handlers(journey: Journey, asides: Asides) -> dict[str, Handler]:
    """Every kind of job and the step that does it."""
    steps: list[Handler] = [
        journey.plan,
        journey.gather,
        journey.advise,
        journey.card,
        journey.dm,
        journey.page,
        journey.plan_note,
        journey.card_note,
        journey.advice_note,
        journey.decide,
        journey.reply,
        journey.expire,
        journey.grant,
        journey.revoke,
        journey.resolve,
        journey.end_note,
        journey.overdue_page,
        journey.tell,
        journey.announce,
        asides.question_note,
        asides.escalate,
        asides.codes,
        asides.code,
        asides.repage,
        asides.home,
    ]
    table = {step.__name__: step for step in steps}
    if journey.pager is not None:
        comments = Comments(journey.ledger, journey.pager, journey.clock)
        table |= {"poll": comments.poll, "unclear": comments.unclear}
    return table


def _tell_trouble(journey: Journey) -> Callable[[Job, str], Coroutine[Any, Any, None]]:
    async def tell(job: Job, _trouble: str) -> None:
        """The card says what cannot be planned or paged; whoever answered is told once that their answer waits."""
        if job.kind in TELLS_THE_CARD:
            await journey.ledger.schedule(job.subject, [Due("card")])
        if job.kind.partition(":")[0] == DECIDE and job.attempts == 1:
            attempt = Attempt(**job.payload)
            await journey.ledger.schedule(job.subject, [attempt.reply(f"{job.subject}: {CANNOT_CHECK}", waits=True)])

    return tell


# --- parts -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Vendors:
    """The connectors, connected."""

    client: Any
    slack: Slack
    reader: OktaReader
    writer: OktaApi
    pager: PagerDuty | None
    adviser: OpenAIAdviser | None


async def connect(
    settings: Settings, clock: SystemClock | SandboxClock, stack: AsyncExitStack, *, patient: bool = False
) -> Vendors:
    """All vendors side by side: a wrong token or address is named, with what to set.

    `patient` starts without a vendor that is merely down: a restart during an outage must still take requests, and
    every job waits for its vendor by itself. Slack is needed in any case.
    """
    pager, adviser = new_pager(settings), new_adviser(settings)
    client = new_client(settings.slack_api_url, settings.slack_bot_token.get_secret_value())
    slack = Slack(client)
    reader = OktaReader(OktaApi(settings.okta_org_url, settings.okta_api_token.get_secret_value()), clock)
    writer = OktaApi(settings.okta_org_url, settings.okta_write_token.get_secret_value())
    stack.push_async_callback(slack.close)
    stack.push_async_callback(reader.close)
    stack.push_async_callback(writer.close)
    wanted = [
        _or_setting("SLACK_BOT_TOKEN", "SLACK_API_URL", slack.connect(), needed=True),
        _or_setting("OKTA_API_TOKEN", "OKTA_ORG_URL", _connect_reader(reader), needed=not patient),
        _or_setting("OKTA_WRITE_TOKEN", "OKTA_ORG_URL", _connect_writer(writer), needed=not patient),
    ]
    if pager is not None:
        stack.push_async_callback(pager.close)
        wanted.append(_or_setting("PAGERDUTY_API_KEY", "PAGERDUTY_API_URL", pager.connect(), needed=not patient))
    if adviser is not None:
        stack.push_async_callback(adviser.close)
        wanted.append(_or_setting("OPENAI_API_KEY", "OPENAI_BASE_URL", adviser.connect(), needed=False))
    problems = dict.fromkeys(problem for problem in await asyncio.gather(*wanted) if problem)
    if problems:
        raise SettingsError("\n".join(problems))
    return Vendors(client, slack, reader, writer, pager, adviser)


async def _connect_reader(reader: OktaReader) -> None:
    await reader.connect()
    await reader.ping()


async def _connect_writer(writer: OktaApi) -> None:
    """One read with the writer's token, so that a wrong one is found now and not at the first grant."""
    await writer.connect()
    await writer.get("/groups", {"limit": 1})


async def _or_setting(token: str, address: str, work: Coroutine[Any, Any, None], *, needed: bool = False) -> str | None:
    """None, or which setting to look at.

    A vendor that refuses us stops the start. One that is merely down does not, unless it is `needed`: a restart during
    an outage must still take requests, and every job waits for the vendor by itself.
    """
    try:
        await work
    except Fault as fault:
        if fault.permanent or fault.status in (401, 403):
            return f"{token}: {fault}; check the token and its permissions"
        trouble = f"{address}: {fault}; check the address, and that it is up"
        if needed:
            return trouble
        log.warning("starting all the same: %s", trouble)
    except SettingsError as problem:
        return str(problem)
    return None


def new_pager(settings: Settings) -> PagerDuty | None:
    """The paging connector, if a key is set; its other settings are needed then."""
    if settings.pagerduty_api_key is None:
        return None
    missing = [
        name
        for name, value in (
            ("PAGERDUTY_FROM_EMAIL", settings.pagerduty_from_email),
            ("PAGERDUTY_SERVICE_ID", settings.pagerduty_service_id),
        )
        if not value
    ]
    if missing:
        raise SettingsError(f"{' and '.join(missing)}: needed when PAGERDUTY_API_KEY is set")
    return PagerDuty(
        settings.pagerduty_api_url,
        settings.pagerduty_api_key.get_secret_value(),
        settings.pagerduty_from_email,
        settings.pagerduty_service_id,
    )


def new_adviser(settings: Settings) -> OpenAIAdviser | None:
    """The model's connector, if a key is set."""
    if settings.openai_api_key is None:
        return None
    return OpenAIAdviser(settings.openai_base_url, settings.openai_api_key.get_secret_value(), settings.model)


def _embedder(settings: Settings) -> Wanted:
    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else ""
    return Wanted(settings.embedder, base_url=settings.openai_base_url, api_key=key)


def _limits(settings: Settings) -> Limits:
    return Limits(
        responder_channel=settings.slack_responder_channel,
        evidence_seconds=settings.evidence_seconds,
        request_lifetime=timedelta(hours=settings.request_hours),
        morning=settings.morning,
    )


def check_settings(settings: Settings, kind: str) -> None:
    """Addresses, clock and data directory: what can be told without asking anybody."""
    check_addresses(settings)
    if settings.clock_url and kind != SANDBOX:
        raise SettingsError("TINYAPPROVER_CLOCK_URL: only a sandbox run has a movable clock; remove it")
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        probe = settings.data_dir / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as problem:
        raise SettingsError(
            f"TINYAPPROVER_DATA_DIR: cannot write to {settings.data_dir} ({problem.strerror}); choose another directory"
        ) from None


def policy_directory(settings: Settings, kind: str) -> Path:
    """The company's own policies; the shipped examples serve the sandbox only."""
    if settings.policies is not None:
        if not settings.policies.is_dir():
            raise SettingsError(f"TINYAPPROVER_POLICIES: {settings.policies} is not a directory")
        return settings.policies
    if kind == SANDBOX:
        return Path(__file__).parent.parent / "policies"
    raise SettingsError("TINYAPPROVER_POLICIES: is not set. `tinyapprover init DIR` writes a commented starter set.")


async def _clock(settings: Settings) -> SystemClock | SandboxClock:
    if not settings.clock_url:
        return SystemClock()
    clock = SandboxClock(settings.clock_url)
    await clock.connect()
    return clock


# --- beside the jobs -------------------------------------------------------------------------------------------------


async def _watch(socket: Socket, connected: dict[str, bool]) -> None:
    """Keep readiness true to the connection."""
    while True:
        connected["slack"] = await socket.is_connected()
        await asyncio.sleep(1.0)


async def _warm_up(knowledge: Knowledge, journey: Journey, warm: asyncio.Event) -> None:
    """What is slow the first time is done once before `/readyz` says ready: detectors, ledger, embedder, index."""
    await asyncio.to_thread(warm_screen)
    entitlement = next(iter(journey.rules.entitlements.values()))
    nobody = Person(id="", email="", name="")
    draft = Draft("rehearsal", entitlement.id, nobody, nobody, minutes=1, justification="")
    await journey.ledger.rehearse(draft, entitlement)
    try:
        await knowledge.warm()
        summary = await knowledge.index()
        log.info("%s", summary, extra={"step": "index"})
    except (Fault, SettingsError) as problem:
        log.warning("searching by words alone: %s", problem, extra={"step": "index"})
    gc.freeze()  # the packages' own objects: looking through them again and again holds everything up for 0.1 s
    warm.set()
