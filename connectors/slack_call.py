"""One call of Slack's Web API, with the one translation of its errors; everything that speaks to Slack uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

from bot.errors import Fault

LOST_FOR_GOOD = frozenset(
    [
        "account_inactive",
        "invalid_auth",
        "invalid_blocks",
        "missing_scope",
        "not_authed",
        "token_revoked",
        "user_not_found",
    ]
)


async def answered(call: Awaitable[Any], seconds: float) -> Any:
    """Slack's answer, or a `Fault`. Anything without an answer may have been done."""
    from aiohttp import ClientError
    from slack_sdk.errors import SlackApiError, SlackClientError

    try:
        return await asyncio.wait_for(call, seconds)
    except SlackApiError as error:
        raise _fault(error.response) from error
    except (SlackClientError, ClientError, TimeoutError, OSError, ValueError) as error:
        raise Fault("slack", f"no usable answer ({type(error).__name__})", unknown=True) from error


def _fault(response: Any) -> Fault:
    data = response.data if isinstance(response.data, Mapping) else {}
    code = str(data.get("error") or f"http {response.status_code}")
    if response.status_code == 429 or code == "ratelimited":
        return Fault("slack", "ratelimited", status=429, retry_after=_patience(response.headers.get("Retry-After")))
    unknown = not data or response.status_code >= 500
    what = f"{code} ({data['needed']})" if data.get("needed") else code
    asked = response.headers.get("Retry-After")
    return Fault(
        "slack",
        what,
        status=response.status_code,
        retry_after=_patience(asked) if asked else None,
        unknown=unknown,
        permanent=code in LOST_FOR_GOOD,
    )


def _patience(seconds: Any) -> float:
    """How long Slack asks to wait: a second when it does not say."""
    return float(seconds) if str(seconds).isdigit() and int(seconds) > 0 else 1.0
