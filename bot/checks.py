"""`tinyapprover check`: every setting, token, scope, address and permission, each with a tick or the cure."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import yaml

from bot import webhooks
from bot.anchor_setup import anchoring
from bot.app import ACTIONS, PRODUCTION, check_settings, policy_directory
from bot.clock import SystemClock
from bot.config import Settings, read_settings
from bot.errors import Fault, Refused, SettingsError
from bot.finding import Finding
from bot.ledger import Ledger
from bot.library import Variables, wanted_embedder
from bot.running import runs_here
from bot.source_checks import source_findings, way
from bot.sources import choose, variables_of, vector_server
from bot.vendors import Vendors, connect
from connectors.pagerduty import PagerDuty
from knowledge.reports import standings_in
from knowledge.sources.registry import Ports
from policies.load import Policies, load

MANIFEST = Path(__file__).parent.parent / "app_manifest.yml"


async def check_all() -> list[Finding]:
    """Everything that can be looked at; what cannot be because of an earlier finding is left out."""
    try:
        settings = read_settings()
    except SettingsError as problem:
        lines = [*str(problem).splitlines(), *_where_to_set_them()]
        return [Finding("settings", good=False, words=line) for line in lines]
    findings = [Finding("settings", good=True, words="all that are needed are set")]
    findings += [finding async for finding in _check(settings)]
    return findings


def _where_to_set_them() -> Iterator[str]:
    """For whoever starts it for the first time, or in another folder."""
    if not Path(".env").exists():
        yield f"there is no .env in {Path.cwd()}: copy .env.example there and fill it in, or set the environment"


async def _check(settings: Settings) -> AsyncIterator[Finding]:
    yield _tried("addresses and data directory", lambda: check_settings(settings, PRODUCTION), "in order")
    yield await _tried_async("port", _port(settings))
    yield await _tried_async("database", _database(settings))
    yield await _tried_async("freeze", _freeze(settings))
    policies = None
    try:
        policies = load(policy_directory(settings, PRODUCTION), actions=ACTIONS)
        yield Finding("policies", good=True, words=f"{len(policies.entitlements)} entitlements")
    except SettingsError as problem:
        yield Finding("policies", good=False, words=str(problem))
    async for finding in _documents(settings):
        yield finding
    yield await _tried_async("vectors", _vectors(settings))
    async with AsyncExitStack() as stack:
        try:
            vendors = await connect(settings, SystemClock(), stack)
        except SettingsError as problem:
            for line in str(problem).splitlines():
                yield Finding("vendors", good=False, words=line)
            return
        async for finding in _vendors(settings, vendors, policies):
            yield finding


async def _vendors(settings: Settings, vendors: Vendors, policies: Policies | None) -> AsyncIterator[Finding]:
    yield await _tried_async("Slack", vendors.front.slack.ping())
    yield _scopes(vendors.front.slack.scopes)
    yield await _app_token(settings, vendors)
    yield await _tried_async("Slack channel", _channel(settings, vendors))
    yield await _tried_async("audit anchors", _anchors(settings, vendors))
    yield await _tried_async("Okta", vendors.reader.ping())
    for entitlement in policies.entitlements.values() if policies else ():
        yield await _tried_async(f"Okta group {entitlement.params.get('group')}", _group(vendors, entitlement))
    if vendors.front.pager is None:
        yield Finding(
            "PagerDuty", good=True, words="not configured: nobody is paged, decisions are taken in Slack only"
        )
    else:
        yield await _tried_async("PagerDuty", vendors.front.pager.ping())
        yield await _tried_async("PagerDuty service", vendors.front.pager.check_service())
        yield await _tried_async("PagerDuty webhook", _webhook(settings, vendors.front.pager))
    if vendors.front.adviser is None:
        yield Finding("model", good=True, words="not configured: requests go out without advice")
    else:
        yield await _tried_async("model", vendors.front.adviser.ping())


def _tried(name: str, work: Callable[[], None], well: str) -> Finding:
    try:
        work()
    except SettingsError as problem:
        return Finding(name, good=False, words=str(problem))
    return Finding(name, good=True, words=well)


async def _tried_async(name: str, work: Coroutine[Any, Any, str]) -> Finding:
    try:
        return Finding(name, good=True, words=await work)
    except (Fault, SettingsError) as problem:
        return Finding(name, good=False, words=str(problem))
    except Refused as refused:
        return Finding(name, good=False, words=refused.sentence)


async def _port(settings: Settings) -> str:
    """Free, or used by the bot that keeps this data directory."""
    host, port = settings.http_host, settings.http_port
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as problem:
            if problem.errno == errno.EADDRINUSE and await runs_here(settings):
                return f"{host}:{port} is used by this bot, which is running"
            words = f"TINYAPPROVER_HTTP_PORT: {port} cannot be used ({problem.strerror}); choose another"
            raise SettingsError(words) from None
    return f"{host}:{port} is free"


async def _database(settings: Settings) -> str:
    ledger = await Ledger.open(settings.ledger_url, kind=PRODUCTION, now=SystemClock().now)
    people = await ledger.people()
    await ledger.close()
    deciders = [person for person in people if person.decides]
    if not deciders:
        raise SettingsError("nobody may decide yet: link people with `tinyapprover people link EMAIL --slack U...`")
    return f"{len(deciders)} people may decide"


async def _anchors(settings: Settings, vendors: Vendors) -> str:
    async with AsyncExitStack() as stack:
        ledger = await Ledger.open(settings.ledger_url, kind=PRODUCTION, now=SystemClock().now)
        stack.push_async_callback(ledger.close)
        return await anchoring(settings, ledger, SystemClock(), vendors.front.slack).check_told()


async def _freeze(settings: Settings) -> str:
    ledger = await Ledger.open(settings.ledger_url, kind=PRODUCTION, now=SystemClock().now)
    freeze = await ledger.frozen()
    await ledger.close()
    if freeze is not None:
        raise SettingsError(f"everything is frozen by {freeze.by}: {freeze.why}. `tinyapprover thaw` ends it")
    return "nothing is frozen"


async def _documents(settings: Settings) -> AsyncIterator[Finding]:
    variables = variables_of(settings)
    try:
        chosen = choose(variables)
    except SettingsError as problem:
        for line in str(problem).splitlines():
            yield Finding("documents", good=False, words=line)
        return
    if not chosen:
        yield Finding("documents", good=True, words="no source is configured: nothing is quoted")
    for source in chosen:
        ports = Ports(SystemClock().now, settings.data_dir / "knowledge")
        yield await _tried_async(source.name, source.ping(ports))
    try:
        kept = standings_in(settings.data_dir / "knowledge" / "catalogue.db")
        for finding in source_findings([source.name for source in chosen], kept, SystemClock().now()):
            yield finding
    except Fault as fault:
        yield Finding("index", good=False, words=str(fault))
    if chosen:
        yield await _tried_async("search", _way(variables))


async def _vectors(settings: Settings) -> str:
    server = vector_server(variables_of(settings))
    return await asyncio.to_thread(server.ping) if server else "they are kept in the data directory"


async def _way(variables: Variables) -> str:
    return way(wanted_embedder(variables))


def _scopes(granted: frozenset[str]) -> Finding:
    wanted = set(_manifest_scopes())
    if missing := sorted(wanted - granted):
        words = f"the app lacks {', '.join(missing)}: update it from app_manifest.yml and install it again"
        return Finding("Slack scopes", good=False, words=words)
    return Finding("Slack scopes", good=True, words=f"all {len(wanted)} that the manifest asks for")


def _manifest_scopes() -> Iterator[str]:
    manifest = yaml.safe_load(MANIFEST.read_text("utf-8"))
    yield from manifest["oauth_config"]["scopes"]["bot"]


async def _app_token(settings: Settings, vendors: Vendors) -> Finding:
    from slack_sdk.errors import SlackApiError

    try:
        token = settings.slack_app_token.get_secret_value()
        await asyncio.wait_for(vendors.front.client.apps_connections_open(app_token=token), 10)
    except SlackApiError as error:
        words = f"SLACK_APP_TOKEN: refused ({error.response.get('error')}); it needs connections:write"
        return Finding("Slack app token", good=False, words=words)
    except (TimeoutError, OSError) as problem:
        return Finding("Slack app token", good=False, words=f"no answer ({type(problem).__name__})")
    return Finding("Slack app token", good=True, words="opens a Socket Mode connection")


async def _channel(settings: Settings, vendors: Vendors) -> str:
    channel = settings.slack_responder_channel
    if not await vendors.front.slack.is_in_channel(channel, vendors.front.slack.user):
        raise SettingsError(f"SLACK_RESPONDER_CHANNEL: the bot is not in {channel}; invite it there")
    return f"the bot is in {channel}"


async def _webhook(settings: Settings, pager: PagerDuty) -> str:
    """Whether PagerDuty delivers, and whether what it delivered was signed as it should be."""
    if not settings.pagerduty_webhook_secrets:
        return "not set up: comments are polled; `tinyapprover setup pagerduty --url https://...` has them sent at once"
    if (state := await webhooks.state(pager)) != webhooks.ACTIVE:
        raise SettingsError(f"{state}: run `tinyapprover setup pagerduty --url https://...`; comments are polled")
    ledger = await Ledger.open(settings.ledger_url, kind=PRODUCTION, now=SystemClock().now)
    seen = await ledger.seen()
    await ledger.close()
    if trouble := webhooks.trouble(seen):
        raise SettingsError(trouble)
    return f"active; {webhooks.last_event(seen)}"


async def _group(vendors: Vendors, entitlement: Any) -> str:
    """The group exists once and may be edited by hand, and its approvers exist."""
    name = entitlement.params.get("group", "")
    found = [group for group in await vendors.reader.groups_named(name) if group.type == "OKTA_GROUP"]
    if len(found) != 1:
        raise SettingsError(f"{entitlement.id}: Okta has {len(found)} editable groups named {name!r}; it needs one")
    members = await vendors.reader.members(entitlement.approvers.group, max_age=60)
    if len(members) < entitlement.approvals:
        raise SettingsError(f"{entitlement.approvers.group} has {len(members)} members, too few to approve")
    if (fallback := entitlement.fallback) is not None and not await vendors.reader.members(fallback.group, max_age=60):
        raise SettingsError(f"{entitlement.id}: nobody is in {fallback.group}, its fallback group")
    return f"can be edited; {len(members)} people in {entitlement.approvers.group} decide"
