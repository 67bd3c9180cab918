"""Whether the bot of these settings runs already: it listens in its data directory and answers at its port."""

from __future__ import annotations

from contextlib import suppress

import aiohttp

from bot.config import Settings
from bot.library_wire import SOCKET
from bot.unix_socket import is_listening

PATIENCE = aiohttp.ClientTimeout(total=5)


async def runs_here(settings: Settings) -> bool:
    """Both must be so: a port alone may be anybody's, and a bot alone may have another port."""
    with suppress(PermissionError):
        return is_listening(settings.data_dir / SOCKET) and await _is_alive(settings)
    return False


async def _is_alive(settings: Settings) -> bool:
    host = f"[{settings.http_host}]" if ":" in settings.http_host else settings.http_host
    url = f"http://{host}:{settings.http_port}/healthz"
    try:
        async with aiohttp.ClientSession(timeout=PATIENCE) as web, web.get(url) as answer:
            return bool(await answer.json() == {"alive": True})
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return False
