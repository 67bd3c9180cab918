"""What git knows of a folder: when each file was last committed and by whom, and which files are not its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from knowledge.sources import LATELY, Author
from knowledge.text import one_line

SECONDS = 60.0
MOST_AUTHORS = 50
_SAFELY = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "log.showSignature=false")
_TOGETHER = "%(trailers:key=Co-authored-by,valueonly,separator=%x02)"
_LOG = ("log", "--cc", "--relative", "--name-only", "-z", f"--format=%x01%ct%x02%an <%ae>%x02{_TOGETHER}")
_TRACKED = ("ls-files", "-z", "--cached")
_COMMIT = re.compile(rb"\n?\x01(\d{1,11})\x02(.*)", re.DOTALL)
_PERSON = re.compile(r"([^<>]*)<([^<>\s]{1,200})>")
_IGNORED = ("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory")


@dataclass(frozen=True, slots=True)
class Checkout:
    """Empty for a folder that is no checkout. Paths are relative to the folder, as git writes them."""

    dates: Mapping[str, datetime] = field(default_factory=dict)
    authors: Mapping[str, tuple[Author, ...]] = field(default_factory=dict)
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
        return Checkout(*_history(git, root, tracked), ignored)
    except (subprocess.SubprocessError, OSError):
        return Checkout()


def _command(git: str, root: Path, words: tuple[str, ...]) -> list[str]:
    return [git, "-C", str(root), *_SAFELY, *words, "--", "."]


def _names(git: str, root: Path, words: tuple[str, ...]) -> list[str]:
    done = subprocess.run(_command(git, root, words), capture_output=True, timeout=SECONDS, check=True)  # noqa: S603
    return [name for name in done.stdout.decode(errors="replace").split("\0") if name]


@dataclass(frozen=True, slots=True)
class _Commit:
    at: datetime
    authors: tuple[Author, ...]


def _history(
    git: str, root: Path, tracked: frozenset[str]
) -> tuple[Mapping[str, datetime], Mapping[str, tuple[Author, ...]]]:
    """When each tracked file was last committed (a checkout's own times only say when it was made), and its authors.

    The log is read, newest first, until every file has its date and whoever changed it lately before.
    """
    dates: dict[str, datetime] = {}
    authors: dict[str, dict[str, Author]] = {}
    until = time.monotonic() + SECONDS
    with subprocess.Popen(_command(git, root, _LOG), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as log:  # noqa: S603
        for commit, name in _commits(log):
            if len(dates) == len(tracked) and commit.at < min(dates.values(), default=commit.at) - LATELY:
                break
            if time.monotonic() > until:
                break
            if name in tracked and commit.at >= dates.setdefault(name, commit.at) - LATELY:
                authors.setdefault(name, {}).update({one.id: one for one in commit.authors})
        log.kill()
    return dates, {name: tuple(found.values())[:MOST_AUTHORS] for name, found in authors.items()}


def _commits(log: subprocess.Popen[bytes]) -> Iterator[tuple[_Commit, str]]:
    """Every file of every commit."""
    assert log.stdout
    rest, commit = b"", _Commit(datetime.fromtimestamp(0, UTC), ())
    while part := os.read(log.stdout.fileno(), 1 << 16):
        *fields, rest = (rest + part).split(b"\0")
        for one in fields:
            if found := _COMMIT.fullmatch(one):
                commit = _Commit(datetime.fromtimestamp(int(found[1]), UTC), _people(found[2]))
            elif name := one.decode(errors="replace").strip("\n"):
                yield commit, name


def _people(told: bytes) -> tuple[Author, ...]:
    """The author of a commit, and whoever it says wrote it too, as git takes them at their word."""
    found = (_PERSON.search(one) for one in told.decode(errors="replace").split("\x02"))
    people = ((one_line(one[1], limit=80), one_line(one[2], limit=200).lower()) for one in found if one)
    return tuple(Author(address, name or address) for name, address in people)
