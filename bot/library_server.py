"""Commands reach the index through the process that holds it, by a Unix socket that only our own user can open.

`POST /search` answers at once. `POST /index` tells how far it is, a line of JSON a step, and ends with the outcome or
with what went wrong. A reading goes on when whoever asked for it goes away; several may ask at the same time.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from bot.errors import Fault, SettingsError
from bot.library import OwnLibrary
from bot.library_wire import (
    INDEX,
    LONGEST_REQUEST,
    SEARCH,
    SOCKET,
    Ask,
    Json,
    Read,
    answer_as_json,
    folder,
    outcome_as_json,
)
from bot.unix_socket import listen

log = logging.getLogger(__name__)

T = TypeVar("T")
STOPS = "the bot stops; what was read so far is kept"
BROKEN = "it broke off; see the bot's log"
OTHER_VERSION = "the bot that runs does not understand this; start it again if the program was updated meanwhile"


class LibraryServer:
    """Over one library, for as long as its process holds the index."""

    def __init__(self, library: OwnLibrary) -> None:
        self._library = library
        self._readings: set[asyncio.Task[None]] = set()
        app = web.Application(client_max_size=LONGEST_REQUEST, middlewares=[_errors])
        app.add_routes([web.post(SEARCH, self._search), web.post(INDEX, self._index)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
        self._path: Path | None = None

    async def start(self, data_dir: Path) -> None:
        """Listen in the data directory. Where that cannot be, the program runs without."""
        await self._runner.setup()
        try:
            listener = listen(data_dir / SOCKET, private=data_dir / "knowledge")
        except OSError as problem:
            log.warning("commands cannot search or index while this runs: %s", problem, extra={"step": "index"})
            return
        self._path = data_dir / SOCKET
        await web.SockSite(self._runner, listener).start()

    async def stop(self) -> None:
        """Take no more, and tell whoever waits for a reading that it ends."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        for reading in self._readings:
            reading.cancel()
        await asyncio.gather(*self._readings, return_exceptions=True)
        await self._runner.cleanup()

    async def _search(self, request: web.Request) -> web.Response:
        ask = await _parsed(request, Ask)
        self._library.check_folder(folder(ask.documents))
        answer = await self._library.search(ask.question, ask.k, responders=ask.responders)
        return web.json_response(answer_as_json(answer))

    async def _index(self, request: web.Request) -> web.StreamResponse:
        read = await _parsed(request, Read)
        self._library.check_folder(folder(read.documents))
        self._library.named(read.sources)
        telling = Telling()
        self._begin(self._read(read, telling))
        response = web.StreamResponse(headers={"Content-Type": "application/jsonl"})
        with suppress(ConnectionError):  # whoever asked went away
            await response.prepare(request)
            async for line in telling.lines():
                await response.write(json.dumps(line).encode() + b"\n")
        return response

    def _begin(self, work: Any) -> None:
        reading = asyncio.create_task(work)
        self._readings.add(reading)
        reading.add_done_callback(self._readings.discard)

    async def _read(self, read: Read, telling: Telling) -> None:
        end: Json = {"fault": BROKEN}
        try:
            outcome = await self._library.index(read.sources, telling.step, rebuild=read.rebuild, consent=read.consent)
            end = {"outcome": outcome_as_json(outcome)}
            log.info(
                "read for a command: %s", ", ".join(one.source for one in outcome.reports), extra={"step": "index"}
            )
        except (Fault, SettingsError) as problem:
            end = _as_error(problem)
        except asyncio.CancelledError:
            end = {"fault": STOPS}
            raise
        except Exception:
            log.exception("a reading for a command broke off", extra={"step": "index"})
        finally:
            telling.end(end)


class Telling:
    """How far a reading is, for somebody who may listen slowly: of each step the latest alone, then its end."""

    def __init__(self) -> None:
        self._steps: dict[str, tuple[int, int]] = {}
        self._end: Json | None = None
        self._news = asyncio.Event()

    def step(self, name: str, done: int, total: int) -> None:
        self._steps[name] = (done, total)
        self._news.set()

    def end(self, line: Json) -> None:
        self._end = line
        self._news.set()

    async def lines(self) -> AsyncIterator[Json]:
        """Each as a line, until the end."""
        while True:
            await self._news.wait()
            self._news.clear()
            steps, self._steps = self._steps, {}
            for name, (done, total) in steps.items():
                yield {"step": name, "done": done, "of": total}
            if self._end is not None:
                yield self._end
                return


async def _parsed(request: web.Request, form: Callable[..., T]) -> T:
    try:
        told = await request.json()
        return form(**{name: tuple(value) if isinstance(value, list) else value for name, value in told.items()})
    except (ValueError, TypeError, AttributeError):
        raise SettingsError(OTHER_VERSION) from None


def _as_error(problem: Fault | SettingsError) -> Mapping[str, str]:
    return {"settings" if isinstance(problem, SettingsError) else "fault": str(problem)}


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except (Fault, SettingsError) as problem:
        return web.json_response(_as_error(problem), status=422)
    except web.HTTPException as problem:
        return web.json_response({"fault": f"{problem.reason}; {OTHER_VERSION}"}, status=problem.status)
    except Exception:
        log.exception("a command could not be answered", extra={"step": "index"})
        return web.json_response({"fault": BROKEN}, status=500)
