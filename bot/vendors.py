"""The connectors of each role, connected: a wrong token or address is named, with what to set.

The front talks to people and holds reading credentials; the executor changes things and holds the writing ones. Both
read the directory, each by itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from bot.claims import ours_by_lease, still_ours
from bot.config import EXECUTOR, FRONT, ROLES, Settings
from bot.errors import Fault, SettingsError, Unreachable
from bot.ports import Clock
from connectors.okta import OktaReader
from connectors.okta_api import OktaApi
from connectors.openai import OpenAIModel
from connectors.pagerduty import PagerDuty
from connectors.slack import Slack, new_client

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Voices:
    """What the front speaks through: Slack, and PagerDuty and a model where they are configured."""

    client: Any
    slack: Slack
    pager: PagerDuty | None
    adviser: OpenAIModel | None


@dataclass(frozen=True, slots=True)
class Vendors:
    """`voices` are the front's and `writer` is the executor's; who does not play that role has none."""

    reader: OktaReader
    voices: Voices | None
    writer: OktaApi | None

    @property
    def front(self) -> Voices:
        """For whoever asked for the front's."""
        assert self.voices is not None
        return self.voices


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One connection to make: its work, and the settings to name when it fails."""

    token: str
    address: str
    work: Coroutine[Any, Any, None]
    needed: bool


async def connect(
    settings: Settings, clock: Clock, stack: AsyncExitStack, *, roles: Collection[str] = ROLES, patient: bool = False
) -> Vendors:
    """All vendors of these roles side by side.

    `patient` starts without a vendor that is merely down: a restart during an outage must still take requests, and
    every job waits for its vendor by itself. Slack is needed in any case.
    """
    voices = _voices(settings, clock) if FRONT in roles else None
    reader = OktaReader(OktaApi(settings.okta_org_url, settings.okta_api_token.get_secret_value()), clock)
    stack.push_async_callback(reader.close)
    wanted = [_Wanted("OKTA_API_TOKEN", "OKTA_ORG_URL", _connect_reader(reader), needed=not patient)]
    if voices is not None:
        wanted = [*_speak(voices, stack, patient=patient), *wanted]
    writer = _writer(settings) if EXECUTOR in roles else None
    if writer is not None:
        stack.push_async_callback(writer.close)
        wanted.append(_Wanted("OKTA_WRITE_TOKEN", "OKTA_ORG_URL", _connect_writer(writer), needed=not patient))
    if problems := [problem for problem in await asyncio.gather(*map(_or_setting, wanted)) if problem]:
        only_away = all(isinstance(problem, Unreachable) for problem in problems)
        raise (Unreachable if only_away else SettingsError)("\n".join(dict.fromkeys(map(str, problems))))
    return Vendors(reader, voices, writer)


def _writer(settings: Settings) -> OktaApi:
    """Every write asks first whether its job is still ours."""
    token = settings.okta_write_token.get_secret_value()
    return OktaApi(settings.okta_org_url, token, before_write=still_ours)


def _voices(settings: Settings, clock: Clock) -> Voices:
    pager, adviser = new_pager(settings), new_adviser(settings)
    client = new_client(settings.slack_api_url, settings.slack_bot_token.get_secret_value())
    return Voices(client, Slack(client, clock, before_write=ours_by_lease), pager, adviser)


def _speak(voices: Voices, stack: AsyncExitStack, *, patient: bool) -> list[_Wanted]:
    stack.push_async_callback(voices.slack.close)
    wanted = [_Wanted("SLACK_BOT_TOKEN", "SLACK_API_URL", voices.slack.connect(), needed=True)]
    if voices.pager is not None:
        stack.push_async_callback(voices.pager.close)
        pager = _Wanted("PAGERDUTY_API_KEY", "PAGERDUTY_API_URL", voices.pager.connect(), needed=not patient)
        wanted.append(pager)
    if voices.adviser is not None:
        stack.push_async_callback(voices.adviser.close)
        wanted.append(_Wanted("OPENAI_API_KEY", "OPENAI_BASE_URL", voices.adviser.connect(), needed=False))
    return wanted


async def _connect_reader(reader: OktaReader) -> None:
    await reader.connect()
    await reader.ping()


async def _connect_writer(writer: OktaApi) -> None:
    """One read with the writer's token, so that a wrong one is found now and not at the first grant."""
    await writer.connect()
    await writer.get("/groups", {"limit": 1})


async def _or_setting(wanted: _Wanted) -> SettingsError | None:
    """None, or which setting to look at. A vendor that refuses us stops the start; one that is down only if needed."""
    try:
        await wanted.work
    except Fault as fault:
        if fault.permanent or fault.status in (401, 403):
            return SettingsError(f"{wanted.token}: {fault}; check the token and its permissions")
        trouble = Unreachable(f"{wanted.address}: {fault}; check the address, and that it is up")
        if wanted.needed:
            return trouble
        log.warning("starting all the same: %s", trouble)
    except SettingsError as problem:
        return problem
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
        before_write=ours_by_lease,
    )


def new_adviser(settings: Settings) -> OpenAIModel | None:
    """The model's connector, if a key is set."""
    if settings.openai_api_key is None:
        return None
    return OpenAIModel(settings.openai_base_url, settings.openai_api_key.get_secret_value(), settings.model)
