"""Files converted to Markdown in a process of its own, which may die of what it reads."""

from __future__ import annotations

import hashlib
import json
import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from knowledge.sources.html import Page

PATIENCE = 120.0  # seconds, for a file that waits instead of working
MAX_ANSWER = 60_000_000
DIED = "takes its parser down (too large, too slow or broken); split it, or save it in another format"
_VERSION = "1"  # of what the conversion makes; another one makes everything anew
_COMMAND = (sys.executable, "-P", "-m", "knowledge.sources.converting")
_KEPT = ("PATH", "PYTHONPATH", "HOME", "LANG", "VIRTUAL_ENV")


class Converter:
    """One process for many files, started for the first and again when it dies.

    `home` keeps what was made, by the digest of the file, so that a file is converted once; `end` forgets what was not
    asked for since the start.
    """

    def __init__(self, home: Path | None = None) -> None:
        self._home = home
        self._child: subprocess.Popen[bytes] | None = None
        self._asked: set[str] = set()

    def convert(self, kind: str, data: bytes) -> Page:
        """The page in some bytes; `ValueError` says why there is none, and what to do."""
        name = hashlib.sha256(f"{_VERSION} {kind} ".encode() + data).hexdigest()
        self._asked.add(name)
        answer = self._kept(name)
        if answer is None:
            answer = self._ask(kind, data)
            self._keep(name, answer)
        if "why" in answer:
            raise ValueError(answer["why"])
        return Page(answer["title"], answer["text"])

    def end(self, *, forget: bool = False) -> None:
        """End the process; `forget` what was made of files that are not there any more."""
        self._stop()
        if forget and self._home and self._home.is_dir():
            for file in self._home.iterdir():
                if file.stem not in self._asked:
                    file.unlink(missing_ok=True)

    # --- the process -------------------------------------------------------------------------------------------------

    def _ask(self, kind: str, data: bytes) -> dict[str, str]:
        child = self._running()
        assert child.stdin
        try:
            child.stdin.write(json.dumps({"kind": kind, "bytes": len(data)}).encode() + b"\n" + data)
            child.stdin.flush()
            answer: dict[str, str] = json.loads(_line(child))
        except (OSError, ValueError, TimeoutError):
            self._stop()
            return {"why": DIED}
        return answer

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            env = {name: os.environ[name] for name in _KEPT if name in os.environ}
            self._child = subprocess.Popen(  # noqa: S603 - our own module
                _COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env, cwd="/"
            )
        return self._child

    def _stop(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        with suppress(OSError):  # what was still to be written to it
            child.__exit__(None, None, None)

    # --- what was made -----------------------------------------------------------------------------------------------

    def _kept(self, name: str) -> dict[str, str] | None:
        if self._home is None:
            return None
        try:
            answer: dict[str, str] = json.loads((self._home / f"{name}.json").read_bytes())
        except (OSError, ValueError):
            return None
        return answer

    def _keep(self, name: str, answer: dict[str, str]) -> None:
        if self._home is None or answer.get("why") == DIED:
            return
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self._home / f"{name}.new"
        fresh.write_text(json.dumps(answer))
        fresh.replace(self._home / f"{name}.json")


def _line(child: subprocess.Popen[bytes]) -> bytes:
    """What the process answers, up to the end of its line; `ValueError` when it ends or says too much."""
    assert child.stdout
    number, until, said = child.stdout.fileno(), time.monotonic() + PATIENCE, bytearray()
    while not said.endswith(b"\n"):
        ready, _, _ = select.select([number], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            raise TimeoutError
        part = os.read(number, 1 << 20)
        if not part or len(said) > MAX_ANSWER:
            raise ValueError
        said += part
    return bytes(said)
