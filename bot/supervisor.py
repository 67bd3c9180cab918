"""`tinyapprover run`: the front and the executor as two processes, each begun again when it dies.

Each child is given its own role's settings and nothing of the other's, in its environment alone: it reads no `.env`.
Its standard input is its lifeline: when this process ends, however it ends, that closes and the child ends too, so
that whatever restarts us (systemd, Docker) finds no orphan. A child says one line on its standard output: where it
listens, or what is wrong with its settings, or who is away. Its log is ours.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import threading
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping
from contextlib import suppress

from bot.config import EXECUTOR, FRONT, Settings, as_text, roles_of, setting_names
from bot.errors import SettingsError
from bot.jobs import GRACE_SECONDS
from bot.source_variables import of_sources

log = logging.getLogger(__name__)

SUPERVISED = "TINYAPPROVER_SUPERVISED"
KILL_AFTER = GRACE_SECONDS + 4.0
LONG_LIFE, LONGEST_WAIT = 60.0, 30.0


def environment(settings: Settings, role: str, ours: Mapping[str, str]) -> dict[str, str]:
    """What a child is given: our environment, in which the only settings are those that its role may know."""
    names = setting_names()
    known = {name.casefold() for name in (*names.values(), *of_sources(ours))}
    others = {name: value for name, value in ours.items() if name.casefold() not in known}
    set_for_it = (field for field in names if field in settings.model_fields_set and role in roles_of(field))
    given = {names[field]: as_text(getattr(settings, field)) for field in set_for_it}
    return {**others, **given, **(settings.of_sources if role == FRONT else {}), SUPERVISED: role}


def wait_before(deaths: int) -> float:
    """Seconds before a child is begun again: the first time at once, then longer and longer."""
    return 0.0 if deaths <= 1 else min(2.0 ** (deaths - 2), LONGEST_WAIT)


class Child:
    """One role's process."""

    def __init__(self, role: str, given: Mapping[str, str]) -> None:
        self.role = role
        self._given = given
        self._process: Process | None = None
        self._began = 0.0
        self._deaths = 0

    async def begin(self) -> dict[str, str]:
        """Start it; what it says when it runs (`url`), cannot (`trouble`), or cannot for now (`away`)."""
        command = (sys.executable, "-P", "-m", "bot", "run", "--role", self.role)
        self._began = time.monotonic()
        self._process = await asyncio.create_subprocess_exec(
            *command, env=self._given, stdin=PIPE, stdout=PIPE, start_new_session=True
        )
        assert self._process.stdout is not None
        said = await self._process.stdout.readline()
        if not said:
            return {"trouble": f"the {self.role} ended with {await self._process.wait()} as it started; see its log"}
        heard: dict[str, str] = json.loads(said)
        return heard

    async def keep(self) -> None:
        """Begin it again whenever it has ended, until cancelled."""
        while True:
            code = await self._process.wait() if self._process else None
            self._deaths = self._deaths + 1 if time.monotonic() - self._began < LONG_LIFE else 1
            seconds = wait_before(self._deaths)
            log.warning("the %s ended with %s and is begun again in %.0f s", self.role, code, seconds)
            await asyncio.sleep(seconds)
            said = await self.begin()
            if trouble := said.get("trouble") or said.get("away"):
                log.warning("%s", trouble)

    def ask_to_stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.terminate()

    async def ended(self) -> None:
        """Wait for its orderly end; what takes too long is killed, and runs again at the next start."""
        if self._process is None:
            return
        try:
            async with asyncio.timeout(KILL_AFTER):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


async def supervise(settings: Settings, *, say: Callable[[str], None]) -> None:
    """Both roles, until cancelled. `SettingsError` when either cannot start at first: later it is tried again.

    While Slack is away at the start, as after a reboot in an outage, the front is tried again and the executor works.
    """
    children = [Child(role, environment(settings, role, os.environ)) for role in (FRONT, EXECUTOR)]
    try:
        said = await asyncio.gather(*(child.begin() for child in children))
        _raise_first_troubles(said)
        say(said[0].get("url", ""))
        await asyncio.gather(*(child.keep() for child in children))
    finally:
        for child in children:
            child.ask_to_stop()
        await asyncio.gather(*(child.ended() for child in children))


def _raise_first_troubles(said: list[dict[str, str]]) -> None:
    """Both may have found the same: each line once."""
    troubles = [one["trouble"] for one in said if "trouble" in one]
    if troubles:
        raise SettingsError("\n".join(dict.fromkeys("\n".join(troubles).splitlines())))


# --- in the child ----------------------------------------------------------------------------------------------------


def is_supervised() -> bool:
    """Whether this process was begun by a supervisor."""
    return SUPERVISED in os.environ


def tell_supervisor(**told: str) -> None:
    """The one line."""
    sys.stdout.write(f"{json.dumps(told)}\n")
    sys.stdout.flush()


def hold_lifeline() -> None:
    """End when the supervisor has: in order if this program still can, by force if its event loop is stuck."""
    threading.Thread(target=_until_alone, name="lifeline", daemon=True).start()


def _until_alone() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(KILL_AFTER)
    os._exit(1)
