"""On SQLite one process does the jobs of a role: a lock file beside the database, let go by the system at any death."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Self

from bot.errors import SettingsError


class RoleLock:
    """Held from start to end of a process that does jobs."""

    def __init__(self, end: int) -> None:
        self._end = end

    @classmethod
    def take(cls, database: Path, role: str) -> Self:
        """`SettingsError` says which process has the role already, and what to do."""
        file = database.with_name(f"{database.name}.{role}.lock")
        end = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(end, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(end, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(end)
            raise SettingsError(
                f"{database}: another process (pid {holder}) is the {role} of this database already: stop it first, "
                "or set TINYAPPROVER_DATA_DIR to another place. Several at once need PostgreSQL: set "
                "TINYAPPROVER_DATABASE_URL"
            ) from None
        os.truncate(end, 0)
        os.pwrite(end, f"{os.getpid()}\n".encode(), 0)
        return cls(end)

    def release(self) -> None:
        os.close(self._end)
