"""The front: whatever talks to people, and whatever reads what they wrote. It holds no writing credential."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from bot import metrics
from bot.abuse import Doorkeeper, Flood
from bot.anchors import Anchoring
from bot.answering import Answering
from bot.asides import Asides
from bot.audience import Audiences
from bot.authority import Attempt, Authority, Press
from bot.base import Base
from bot.claims import ours_by_lease
from bot.collecting import settle
from bot.comments import Comments
from bot.config import Settings
from bot.core.request import Draft, Person
from bot.core.traffic import Allowance
from bot.decided import DecidedRequests
from bot.documents import Documents
from bot.emergency import Emergency
from bot.errors import Fault, SettingsError
from bot.follows import BOT
from bot.forgetting import Forgetting
from bot.handing_on import HandingOn
from bot.jobs import Handler
from bot.journey import Journey
from bot.ledger import Due, Job, Ledger
from bot.library import library_of, wanted_embedder
from bot.library_server import LibraryServer
from bot.peers import Peers
from bot.precedents import Precedents
from bot.presses import Presses
from bot.quoting import Quoting, changed_by, redraw
from bot.reconcile import SLACK, Reconcile
from bot.screen import warm as warm_screen
from bot.showing import Showing
from bot.slack.following import Following
from bot.slack.intake import Intake
from bot.slack.socket import Socket, new_app
from bot.sources import open_sources, reads_chat, variables_of, vector_server
from bot.tending import Tending
from bot.timing import Timing
from bot.web import Front as Http
from bot.webhooks import Watch
from connectors.okta_facts import OktaFacts
from connectors.slack_stream import SlackStreams
from knowledge.memory import Knowledge
from knowledge.runs import Summary
from knowledge.sources import FollowedSource, Step
from knowledge.sources.registry import Ports
from knowledge.sources.slack import SlackThreads

log = logging.getLogger(__name__)

LOOK_SECONDS, FOLLOW_SECONDS = 0.5, 3600.0
TELLS_THE_CARD = frozenset({"page", "plan"})
DECIDE, PRESS = "decide", "press"
WITHOUT_PAGERDUTY, WITHOUT_SETTINGS = ("poll", "unclear", "subscription"), timedelta(hours=1)
WAITS, AN_HOUR = "told.waits", timedelta(hours=1)
CANNOT_DO = "your press is taken. It cannot be carried out just now; that is tried again until it can."
CANNOT_CHECK = "your answer is taken. Whether it counts cannot be checked just now; that is tried again until it can."


@dataclass(slots=True)
class Front:
    """The front's parts: the story's steps, the Slack connection, the HTTP side and the documents."""

    journey: Journey
    asides: Asides
    socket: Socket
    knowledge: Knowledge
    anchors: Anchoring
    webhooks: Watch | None
    answering: Answering
    following: list[Following] = field(default_factory=list)
    warm: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""
    lives: Callable[[], dict[str, str]] = dict
    _connected: bool = True

    async def start(self, settings: Settings, stack: AsyncExitStack) -> None:
        """Listen, then connect to Slack. What is taken from then on waits in the ledger for the worker."""
        ledger, rules = self.journey.ledger, self.journey.rules
        await self.anchors.begin()
        http = Http(
            ledger,
            settings.pagerduty_webhook_secrets,
            ready=lambda: {"warm": self.warm.is_set(), "slack": self._connected, "ledger": not ledger.trouble},
            lives=lambda: self.lives(),
            metrics=lambda: metrics.exposition(ledger, gauges=self.socket.gauges()),
        )
        self.url = await http.start(settings.http_host, settings.http_port)
        stack.push_async_callback(http.stop)
        reached = (await ledger.presence()).get(SLACK)
        await self.socket.start(reached_at=reached.timestamp() if reached else None)
        await ledger.know_policy(rules.digest, rules.files, commit=rules.commit, actor=BOT)
        if self.webhooks is not None:
            await ledger.schedule("pagerduty", [Due("subscription")])

    def is_connected(self) -> bool:
        """Whether Slack reaches us."""
        return self._connected

    def reached_by(self) -> Sequence[str]:
        """Who reaches us now, for whoever starts after us: what was pressed in between is lost."""
        return (SLACK,) if self._connected else ()

    async def stop_listening(self) -> None:
        """Take nothing more from Slack, which reached us until now."""
        reached_by = self.reached_by()
        await self.socket.stop()
        with suppress(Fault):
            await self.journey.ledger.at_work(reached_by)

    async def watch_slack(self) -> None:
        """Keep readiness true to the connection, which is replaced when it stays unwell, and to the ledger."""
        while True:
            self._connected = await self.socket.look()
            await self.journey.ledger.is_well()
            await asyncio.sleep(LOOK_SECONDS)

    async def warm_up(self) -> None:
        """What is slow the first time is done once before `/readyz` says ready: detectors, ledger, embedder, index."""
        await asyncio.to_thread(warm_screen)
        entitlement = next(iter(self.journey.rules.entitlements.values()))
        nobody = Person(id="", email="", name="")
        draft = Draft("rehearsal", entitlement.id, nobody, nobody, minutes=1, justification="")
        with suppress(Fault):
            await self.journey.ledger.rehearse(draft, entitlement)
        try:
            await self.knowledge.warm()
            await self.knowledge.forget_others()
            _log(await self.knowledge.index(), "index")
        except (Fault, SettingsError) as problem:
            log.warning("searching by words alone: %s", problem, extra={"step": "index"})
        settle()
        self.warm.set()

    async def forget(self) -> None:
        """Carry erasures out in the index, those first of which it does not know yet."""
        await self.warm.wait()
        await Forgetting(self.journey.ledger, self.knowledge).run(self.journey.clock.now)

    async def follow(self) -> None:
        """Read the followed sources after the start and every hour, and hear what happens there in between."""
        if self.knowledge.followed:
            await asyncio.gather(self._read_every_hour(), *(one.run() for one in self.following))

    async def _read_every_hour(self) -> None:
        await self.warm.wait()
        while True:
            try:
                _log(await self.knowledge.follow(), "follow")
                await redraw(self.journey.ledger)
            except Fault as problem:
                log.warning("followed on later: %s", problem, extra={"step": "follow"})
            await asyncio.sleep(FOLLOW_SECONDS)

    async def read_documents_now_and_then(self, minutes: float) -> None:
        """Read every source anew, so often, once the start has done so."""
        await self.warm.wait()
        while True:
            await asyncio.sleep(minutes * 60)
            await self._read_documents()

    async def _read_documents(self) -> None:
        try:
            await self.knowledge.warm()
            _log(await self.knowledge.index(), "index")
        except (Fault, SettingsError) as problem:
            log.warning("searching by words alone: %s", problem, extra={"step": "index"})
        await redraw(self.journey.ledger)

    async def wait_for_settings(self, job: Job) -> datetime:
        """PagerDuty, or its webhook, is not configured any more: what is left to do there waits until it is again."""
        return self.journey.clock.now() + WITHOUT_SETTINGS

    async def tell_trouble(self, job: Job) -> None:
        """The card says what cannot be planned or paged; whoever answered is told once that their answer waits."""
        ledger = self.journey.ledger
        if job.kind in TELLS_THE_CARD:
            await ledger.schedule(job.subject, [Due("card")])
        if job.kind.partition(":")[0] == DECIDE and job.attempts == 1:
            attempt = Attempt(**job.payload)
            reply = attempt.reply(f"{job.subject}: {CANNOT_CHECK}", waits=True)
            await self._tell_once(job.subject, f"{attempt.place}/{attempt.who}/{attempt.answer}", reply)
        if job.kind.partition(":")[0] == PRESS and job.attempts == 1:
            press = Press(**job.payload)
            reply = press.reply(f"{job.subject}: {CANNOT_DO}")
            await self._tell_once(job.subject, f"{press.who}/{press.action}", reply)

    async def _tell_once(self, request: str, what: str, reply: Due) -> None:
        """Whoever does the same again while it waits was told: once an hour is enough."""
        ledger, same = self.journey.ledger, f"{request}/{what}/"
        if not await ledger.accepted_since(WAITS, same, self.journey.clock.now() - AN_HOUR):
            await ledger.accept(WAITS, f"{same}{reply.kind}", request=request, jobs=[reply])


async def assemble(base: Base, stack: AsyncExitStack) -> Front:
    """All parts, not started yet."""
    decided = DecidedRequests(base.ledger, _showing(base).link, base.limits.responder_channel).latest
    ports = Ports(base.clock.now, base.settings.data_dir / "knowledge", decided)
    variables = variables_of(base.settings)
    knowledge = await Knowledge.open(
        base.settings.data_dir,
        None,
        embedder=wanted_embedder(variables),
        server=vector_server(variables),
        sources=open_sources(variables, ports),
    )
    stack.push_async_callback(knowledge.close)
    desk = LibraryServer(library_of(knowledge, variables))
    stack.push_async_callback(desk.stop)
    await desk.start(base.settings.data_dir)
    journey = _journey(base, knowledge)
    asides = Asides(journey)
    settings = base.settings
    threads = [source for source in knowledge.followed if isinstance(source, SlackThreads)]
    following = [_ears(knowledge, source, base.ledger) for source in threads]
    intake = Intake(
        journey,
        asides,
        domains=settings.email_domains,
        ask_channels=settings.slack_ask_channels,
        bot_user=base.vendors.front.slack.user,
        following=following,
    )
    socket = _socket(base, journey, intake)
    answering = _answering(base, journey, knowledge)
    return Front(journey, asides, socket, knowledge, base.anchors, _webhook_watch(base), answering, following)


def _log(summary: Summary, step: str) -> None:
    log.info("%s", summary, extra={"step": step})
    for trouble in summary.trouble:
        log.warning("%s", trouble, extra={"step": step})


def _ears(knowledge: Knowledge, source: SlackThreads, ledger: Ledger) -> Following:
    return Following(source, partial(_keep, knowledge, source, ledger), knowledge.catch_up)


async def _keep(knowledge: Knowledge, source: FollowedSource, ledger: Ledger, step: Step) -> None:
    await knowledge.take(source, step)
    await redraw(ledger, changed_by(step))


def _answering(base: Base, journey: Journey, knowledge: Knowledge) -> Answering:
    settings = base.settings
    return Answering(
        journey,
        knowledge,
        base.vendors.front.adviser,
        knowledge.likeness,
        domains=settings.email_domains,
        contact=settings.ask_contact,
        streams=SlackStreams(base.vendors.front.client, base.clock, before_write=ours_by_lease),
    )


def _webhook_watch(base: Base) -> Watch | None:
    pager = base.vendors.front.pager
    return Watch(base.ledger, pager, base.clock) if pager and base.settings.pagerduty_webhook_secrets else None


def _showing(base: Base) -> Showing:
    return Showing(base.ledger, base.vendors.front.slack, base.limits.responder_channel, base.clock)


def _journey(base: Base, knowledge: Knowledge) -> Journey:
    voices, reader, limits = base.vendors.front, base.vendors.reader, base.limits
    planning = base.planning
    showing = _showing(base)
    quoting = Quoting(knowledge, Audiences(voices.slack, limits.responder_channel, base.clock))
    return Journey(
        ledger=base.ledger,
        chat=voices.slack,
        directory=reader,
        sources=[
            OktaFacts(reader, base.clock),
            Peers(reader),
            Documents(knowledge, reader, quoting.audiences, chat_is_read=reads_chat(variables_of(base.settings))),
            Precedents(base.ledger, showing.link),
        ],
        rules=base.rules,
        limits=limits,
        planning=planning,
        authority=Authority(base.ledger, reader, planning, base.rules, base.clock, voices.pager),
        showing=showing,
        doorkeeper=Doorkeeper(_allowance(base.settings), base.clock, base.ledger, voices.slack),
        flood=Flood(base.ledger, base.clock, base.settings.pages_an_hour),
        clock=base.clock,
        home_team=voices.slack.team,
        quoting=quoting,
        pager=voices.pager,
        adviser=voices.adviser,
    )


def _socket(base: Base, journey: Journey, intake: Intake) -> Socket:
    settings, voices = base.settings, base.vendors.front
    slack, token = voices.slack, settings.slack_bot_token.get_secret_value()
    app = new_app(voices.client, token=token, team=slack.team, user=slack.user, bot_id=slack.bot_id)
    reconcile = Reconcile(journey)
    return Socket(
        app,
        intake,
        settings.slack_app_token.get_secret_value(),
        on_back=lambda away: intake.beside.run(reconcile.want(away)),
    )


def handlers(front: Front) -> Mapping[str, Handler]:
    """Every kind of job of the front's and the step that does it."""
    journey, asides, emergency = front.journey, front.asides, Emergency(front.journey)
    timing, reconcile = Timing(journey, asides), Reconcile(journey)
    steps: list[Handler] = [
        front.anchors.anchor,
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
        journey.resolve,
        journey.end_note,
        journey.tell,
        journey.announce,
        asides.question_note,
        asides.escalate,
        asides.codes,
        asides.code,
        asides.repage,
        asides.home,
        timing.remind,
        timing.silence,
        timing.fallback,
        timing.fallback_people,
        timing.nudge,
        timing.warn,
        timing.listing,
        timing.overdue_page,
        Presses(asides).press,
        reconcile.reconcile,
        reconcile.compare,
        reconcile.away,
        emergency.stop,
        emergency.frozen,
        emergency.thawed,
        Tending(journey).stuck,
        front.answering.answer,
        HandingOn(journey).hand_on,
    ]
    table = dict.fromkeys(WITHOUT_PAGERDUTY, front.wait_for_settings) | {step.__name__: step for step in steps}
    if journey.pager is not None:
        comments = Comments(journey.ledger, journey.pager, journey.clock)
        table |= {"poll": comments.poll, "unclear": comments.unclear}
    if front.webhooks is not None:
        table["subscription"] = front.webhooks.subscription
    return table


def _allowance(settings: Settings) -> Allowance:
    return Allowance(
        open_requests=settings.open_requests,
        requests_an_hour=settings.requests_an_hour,
        cool_down=timedelta(minutes=settings.cool_down_minutes),
    )
