"""What git knows of a folder: when each file was last committed, and which files are not its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

SECONDS = 60.0
_SAFELY = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "log.showSignature=false")
_LOG = ("log", "--relative", "--name-only", "-z", "--format=%x01%ct")
_TRACKED = ("ls-files", "-z", "--cached")
_COMMIT = re.compile(rb"\n?\x01(\d{1,11})")
_IGNORED = ("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory")


@dataclass(frozen=True, slots=True)
class Checkout:
    """Empty for a folder that is no checkout. Paths are relative to the folder, as git writes them."""

    dates: dict[str, datetime] = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()

    def ignores(self, relative: str) -> bool:
        """Whether a file is ignored, by itself or with a folder that it is in."""
        parts = relative.split("/")
        return relative in self.ignored or any("/".join(parts[:n]) + "/" in self.ignored for n in range(1, len(parts)))


def look_at(root: Path) -> Checkout:
    """What git says about a folder. What it does not say within a minute stays unknown."""
    git = shutil.which("git")
    if git is None:
        return Checkout()
    try:
        ignored, tracked = (frozenset(_names(git, root, words)) for words in (_IGNORED, _TRACKED))
        return Checkout(_dates(git, root, tracked), ignored)
    except (subprocess.SubprocessError, OSError):
        return Checkout()


def _command(git: str, root: Path, words: tuple[str, ...]) -> list[str]:
    return [git, "-C", str(root), *_SAFELY, *words, "--", "."]


def _names(git: str, root: Path, words: tuple[str, ...]) -> list[str]:
    done = subprocess.run(_command(git, root, words), capture_output=True, timeout=SECONDS, check=True)  # noqa: S603
    return [name for name in done.stdout.decode(errors="replace").split("\0") if name]


def _dates(git: str, root: Path, tracked: frozenset[str]) -> dict[str, datetime]:
    """When each tracked file was last committed: in a checkout the files' own times only say when it was made.

    The log is read, newest first, until every file has its date.
    """
    dates: dict[str, datetime] = {}
    until = time.monotonic() + SECONDS
    with subprocess.Popen(_command(git, root, _LOG), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as log:  # noqa: S603
        for when, name in _commits(log):
            if name in tracked:
                dates.setdefault(name, when)
            if len(dates) == len(tracked) or time.monotonic() > until:
                break
        log.kill()
    return dates


def _commits(log: subprocess.Popen[bytes]) -> Iterator[tuple[datetime, str]]:
    """Time and name of every file of every commit."""
    assert log.stdout
    rest, when = b"", datetime.fromtimestamp(0, UTC)
    while part := os.read(log.stdout.fileno(), 1 << 16):
        *fields, rest = (rest + part).split(b"\0")
        for one in fields:
            if commit := _COMMIT.fullmatch(one):
                when = datetime.fromtimestamp(int(commit[1]), UTC)
            elif name := one.decode(errors="replace").strip("\n"):
                yield when, name
