"""A folder of Markdown files: handbooks, policies, runbooks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import yaml

from bot.errors import Fault, SettingsError
from knowledge.sources import Document, DocumentSource, Skipped
from knowledge.sources.registry import Ports, Settings, SourceKind
from knowledge.text import clean, one_line

MAX_BYTES = 500_000
MAX_FILES = 20_000
_SUFFIXES = frozenset({".md", ".markdown"})
_FRONT = re.compile(r"\A---[ \t]*\n(.{0,20000}?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_HEADING = re.compile(r"^#{1,6}[ ]+(.{1,500}?)[ #]*$", re.MULTILINE)
_UPDATED = ("updated", "updated_at", "last_updated", "date")
_GIT = (
    "-c",
    "log.showSignature=false",
    "log",
    "--max-count=5000",
    "--relative",
    "--name-only",
    "-z",
    "--format=%x01%ct",
)


class Folder:
    """Every Markdown file below `root`. Links out of the folder, hidden files and huge files are not read.

    A document's address is its front matter's `url` (http or https), else `base_url` + path, else the path itself.
    """

    name = "documents"

    def __init__(self, root: Path, *, base_url: str = "") -> None:
        self._root = root
        self._base_url = base_url.rstrip("/")

    def read(self) -> Iterator[Document | Skipped]:
        """The files in order of their paths; `Fault` when the folder itself is not there."""
        root = self._root.resolve()
        if not root.is_dir():
            raise Fault("documents", f"{self._root} is not a folder", permanent=True)
        dates = _git_dates(root)
        for count, path in enumerate(_files(root)):
            if count == MAX_FILES:
                yield Skipped(str(self._root), f"more than {MAX_FILES} files; the rest is not read")
                return
            yield self._one(root, path, dates)

    def _one(self, root: Path, path: Path, dates: Mapping[str, datetime]) -> Document | Skipped:
        relative = path.relative_to(root).as_posix()
        try:
            text = _read(root, path)
            changed = dates.get(relative) or datetime.fromtimestamp(path.stat().st_mtime, UTC)
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a loop of links
            return Skipped(one_line(relative, limit=200), one_line(str(error), limit=200))
        front, body = _split(text)
        return Document(
            id=clean(relative),
            title=_title(front, body, path),
            text=body,
            url=_http(front.get("url")) or (f"{self._base_url}/{quote(relative)}" if self._base_url else relative),
            file=clean(relative),
            updated_at=_updated(front) or changed,
        )


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in _SUFFIXES:
                yield Path(folder) / name


def _read(root: Path, path: Path) -> str:
    """The file's cleaned text; ValueError says why it is not read."""
    real = path.resolve(strict=True)
    if not real.is_relative_to(root):
        raise ValueError("a link out of the documents folder")
    if not real.is_file():
        raise ValueError("not a regular file")
    with real.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES} bytes")
    try:
        return clean(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}") from error


def _split(text: str) -> tuple[Mapping[str, Any], str]:
    """Front matter and body. Front matter that is no YAML mapping is dropped, not shown."""
    found = _FRONT.match(text)
    if not found:
        return {}, text
    try:
        front = yaml.safe_load(found[1])
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: an impossible date
        front = None
    return front if isinstance(front, dict) else {}, text[found.end() :]


def _title(front: Mapping[str, Any], body: str, path: Path) -> str:
    """The front matter's title, else the first heading, else the file's name."""
    stated = front.get("title")
    heading = _HEADING.search(body)
    found = stated if isinstance(stated, str) and stated.strip() else heading[1] if heading else path.stem
    return one_line(found, limit=150) or one_line(path.stem, limit=150)


def _http(value: object) -> str:
    """`value` if it is a plain web address, else nothing: a link must not run or read anything."""
    if not isinstance(value, str) or len(value) > 500 or re.search(r"[\s<>\"'|\\]", value):
        return ""
    try:
        parts = urlsplit(value)
    except ValueError:
        return ""
    return value if parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc else ""


def _updated(front: Mapping[str, Any]) -> datetime | None:
    value = next((front[key] for key in _UPDATED if key in front), None)
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    return datetime(value.year, value.month, value.day, tzinfo=UTC) if isinstance(value, date) else None


def _git_dates(root: Path) -> dict[str, datetime]:
    """When each file was last committed: in a checkout the files' own times only say when it was checked out."""
    git = shutil.which("git")
    if git is None:
        return {}
    try:
        done = subprocess.run(  # noqa: S603 - our own words; the folder's name is passed as an argument
            [git, "-C", str(root), *_GIT, "--", "."], capture_output=True, timeout=20, check=True
        )
    except (subprocess.SubprocessError, OSError):
        return {}
    dates: dict[str, datetime] = {}
    for commit in done.stdout.decode(errors="replace").split("\x01")[1:]:
        seconds, _, names = commit.partition("\0")
        when = datetime.fromtimestamp(int(seconds.strip()), UTC)
        for name in names.split("\0"):
            dates.setdefault(name.strip("\n"), when)
    return dates


def _open(settings: Settings, _ports: Ports) -> list[DocumentSource]:
    named = settings.get("TINYAPPROVER_DOCUMENTS")
    if not named:
        raise SettingsError("TINYAPPROVER_DOCUMENTS: is not set, and the source documents reads that folder")
    if not Path(named).is_dir():
        raise SettingsError(f"TINYAPPROVER_DOCUMENTS: {named} is not a folder")
    return [Folder(Path(named), base_url=settings.get("TINYAPPROVER_DOCUMENTS_URL", ""))]


DOCUMENTS = SourceKind(_open, borrows=("TINYAPPROVER_DOCUMENTS", "TINYAPPROVER_DOCUMENTS_URL"))
