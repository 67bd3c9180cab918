"""Imported once by the fork server of `tests.crash`: whatever a run loads lazily is loaded before the fork.

Nothing here starts a thread or an event loop: neither would survive the fork.
"""

from __future__ import annotations

import inspect

import aiohttp.web  # noqa: F401
import cedarpy  # noqa: F401
import httpcore2  # noqa: F401 - under the openai package, which loads it with the first client
import openai.resources.chat.completions  # noqa: F401
import slack_bolt.async_app  # noqa: F401
from okta import http_client, request_executor  # noqa: F401
from okta.cache import no_op_cache  # noqa: F401
from slack_sdk.web import async_client  # noqa: F401

import bot.app
import bot.commands
import bot.front  # noqa: F401
from bot.screen import warm
from connectors.pagerduty_api import pdpyras_package

warm()
pdpyras_package()
inspect.stack()  # Bolt asks who called it; the first answer reads every module's file name
