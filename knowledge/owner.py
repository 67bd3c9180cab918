"""A data directory has one owner, and all work in it is done on one thread."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, ParamSpec, TypeVar

from bot.errors import Fault, SettingsError

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Owner:
    """Holds `home` for this process until it is closed. `SettingsError` when another process has it."""

    def __init__(self, home: Path) -> None:
        self._lock = _own(home)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="knowledge")
        self._closed = False

    async def run(self, step: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """One step on the thread."""
        if self._closed:
            raise Fault("knowledge", "it is closed", permanent=True)
        return await asyncio.get_running_loop().run_in_executor(self._worker, lambda: step(*args, **kwargs))

    async def close(self, last: Callable[[], None] | None) -> None:
        """Give the directory back, after a last step. Whoever comes with another gets a `Fault`."""
        self._closed = True
        if last:
            await asyncio.get_running_loop().run_in_executor(self._worker, last)
        self._worker.shutdown(wait=False)
        self._lock.close()


def _own(home: Path) -> IO[str]:
    """Lock the directory for this process; the lock goes when the file is closed, or with the process."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = (home / "lock").open("a+")
    except OSError as problem:
        raise SettingsError(f"{home} cannot be written ({problem}); choose another TINYAPPROVER_DATA_DIR") from problem
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        owner = file.read(40).strip()
        file.close()
        raise SettingsError(
            f"{home} is in use by another process ({owner or 'unknown'}); "
            "wait until it has ended, stop it, or set TINYAPPROVER_DATA_DIR"
        ) from error
    file.truncate(0)
    file.write(f"pid {os.getpid()}")
    file.flush()
    return file
