"""Imported once by the fork server of `tests.crash`: whatever a run loads lazily is loaded before the fork."""

from __future__ import annotations

import aiohttp.web  # noqa: F401
import openai  # noqa: F401
import slack_bolt.async_app  # noqa: F401
from okta import http_client, request_executor  # noqa: F401
from okta.cache import no_op_cache  # noqa: F401
from slack_sdk.web import async_client  # noqa: F401

import bot.app
import bot.commands  # noqa: F401
from bot.app import SANDBOX, policy_directory  # noqa: F401
from bot.screen import warm
from connectors import pagerduty
from policies.load import load

warm()
pagerduty._pdpyras()
