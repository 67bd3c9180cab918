"""SQLite's write-ahead log is copied into the database beside the work.

By itself SQLite does that in the middle of a commit, whenever the log has a thousand pages: whoever waits for that
commit waits for the disk as well. A connection of its own copies what is there without holding up any writer.
"""

from __future__ import annotations

import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Lock

log = logging.getLogger(__name__)

EVERY = 200  # transactions, those that only read among them
LONGEST_LOG = 20_000  # pages of 4 kB, from which on a commit does it all the same


class Checkpoints:
    """Of one file, or of none. `committed` may be called on any thread."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._since, self._counting = 0, Lock()

    def committed(self) -> None:
        """One more transaction is over."""
        with self._counting:
            self._since += 1
            due = self._since >= EVERY and self._file is not None
            self._since = 0 if due else self._since
        if due:
            self._thread.submit(self._copy)

    def close(self) -> None:
        self._thread.shutdown(wait=True)

    def _copy(self) -> None:
        try:
            with closing(sqlite3.connect(str(self._file), isolation_level=None, timeout=0)) as connection:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as problem:  # the other process may be at it, or the disk is full: the next one will do
            log.info("the write-ahead log was not copied: %s", problem)
