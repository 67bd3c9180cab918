"""A PostgreSQL server of the tests' own: on a Unix socket in a temporary directory, gone with the test run."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

MISSING = "no PostgreSQL server is installed here (initdb and pg_ctl; Debian: postgresql)"
NOBODY = 65534
UNSAFE = {"fsync": "off", "max_connections": "200", "listen_addresses": "''", "log_min_messages": "fatal"}


class Server:
    """A running server; `url` names one of its databases."""

    def __init__(self, directory: Path, user: list[str]) -> None:
        self.directory = directory
        self._user = user

    def url(self, database: str) -> str:
        return f"postgresql://tests@/{database}?host={self.directory}"

    def empty_database(self, name: str = "story") -> str:
        """The address of a database with nothing in it, whatever a test before left there."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            left = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            connection.execute(left, [name])
        with psycopg.connect(self.url(name), autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        return self.url(name)

    def start(self) -> None:
        options = " ".join(f"-c {name}={value}" for name, value in UNSAFE.items())
        self._ctl("start", "-w", "-l", str(self.directory / "log"), "-o", f"{options} -k {self.directory}")

    def stop(self, how: str = "immediate") -> None:
        self._ctl("stop", "-w", "-m", how)

    def initialise(self) -> None:
        self._run("initdb", "-D", str(self.directory / "data"), "-U", "tests", "-A", "trust", "-N", "-E", "UTF8")

    def _ctl(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self.directory / "data"), *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._user, str(_found(program)), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.directory)


@contextmanager
def a_server() -> Iterator[Server]:
    """Start it, as nobody when the tests run as root: PostgreSQL refuses to run as root."""
    if not (_found("initdb") and _found("pg_ctl")):
        if os.environ.get("CI"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    directory = Path(tempfile.mkdtemp(prefix="tinyapprover-pg-"))
    user: list[str] = []
    if os.geteuid() == 0:
        user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        os.chown(directory, NOBODY, NOBODY)
    server = Server(directory, user)
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        _end(server)


def _end(server: Server) -> None:
    try:
        server.stop()
    finally:
        shutil.rmtree(server.directory, ignore_errors=True)


def _found(program: str) -> Path | None:
    on_path = shutil.which(program)
    if on_path:
        return Path(on_path)
    installed: list[Any] = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    return installed[-1] if installed else None
