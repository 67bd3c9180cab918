"""A folder or git checkout of documents: handbooks, policies, runbooks, as Markdown, HTML, text, PDF or DOCX."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit

from bot.errors import Fault, SettingsError
from knowledge.sources import PUBLIC, RESPONDERS, Document, DocumentSource, Skipped
from knowledge.sources.checkout import Checkout, look_at
from knowledge.sources.converter import Converter
from knowledge.sources.markdown import first_heading, split_front, visible
from knowledge.sources.registry import Ports, Setting, Settings, SourceKind
from knowledge.text import clean, one_line

MAX_BYTES, MAX_CONVERTED_BYTES = 2_000_000, 50_000_000
MAX_FILES = 20_000
_TEXT, _CONVERTED = (
    frozenset({".md", ".markdown", ".txt"}),
    {
        ".html": "html",
        ".htm": "html",
        ".pdf": "pdf",
        ".docx": "docx",
    },
)
_UNREADABLE: Mapping[str, Any] = {"visibility": RESPONDERS}  # in place of front matter that might say so
_UPDATED = ("updated", "updated_at", "last_updated", "date")


class Folder:
    """Every document below `root`. Links out of the folder, hidden, ignored and huge files are not read.

    A document's address is its front matter's `url` (http or https), else `base_url` + path, else the path itself.
    Below `restricted`, and where front matter says so, a document is for responders alone. `home` keeps what was made
    of HTML, PDF and DOCX files, so that one that did not change is not converted again.
    """

    name = "documents"

    def __init__(
        self, root: Path, *, base_url: str = "", restricted: Sequence[str] = (), home: Path | None = None
    ) -> None:
        self._root = root
        self._base_url = base_url.rstrip("/")
        self._restricted = tuple(PurePosixPath(path) for path in restricted)
        self._home = home

    def read(self) -> Iterator[Document | Skipped]:
        """The files in order of their paths; `Fault` when the folder itself is not there."""
        root = self._root.resolve()
        if not root.is_dir():
            raise Fault("documents", f"{self._root} is not a folder", permanent=True)
        checkout, converter, whole = look_at(root), Converter(self._home), False
        try:
            yield from self._all(root, checkout, converter)
            whole = True
        finally:
            converter.end(forget=whole)

    def _all(self, root: Path, checkout: Checkout, converter: Converter) -> Iterator[Document | Skipped]:
        count, closed = 0, list[OSError]()
        for path in _files(root, closed.append):
            relative = path.relative_to(root).as_posix()
            if checkout.ignores(relative):
                continue
            if count == MAX_FILES:
                yield Skipped(str(self._root), f"more than {MAX_FILES} files; the rest is not read")
                return
            count += 1
            yield from self._one(root, path, checkout, converter)
        for error in closed:
            yield Skipped(one_line(os.path.relpath(error.filename, root), limit=200), f"the folder: {error.strerror}")

    def _one(self, root: Path, path: Path, checkout: Checkout, converter: Converter) -> Iterator[Document | Skipped]:
        relative = path.relative_to(root).as_posix()
        try:
            if not relative.isprintable():
                raise ValueError("its name holds characters that cannot be seen, or is not UTF-8; rename it")
            data = _read(root, path)
            title, front, body = _parsed(path, data, converter)
            changed = checkout.dates.get(relative) or datetime.fromtimestamp(path.stat().st_mtime, UTC)
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a loop of links
            yield Skipped(one_line(relative, limit=200), one_line(str(error), limit=200))
            return
        if front is _UNREADABLE:
            yield Skipped(relative, "from what everybody may see, as its front matter cannot be read; mend it")
        yield Document(
            id=f"{self.name}/{relative}",
            title=title,
            text=body,
            url=_http(front.get("url")) or (f"{self._base_url}/{quote(relative)}" if self._base_url else relative),
            file=relative,
            updated_at=_updated(front) or changed,
            visibility=RESPONDERS if self._is_restricted(relative) else _visibility(front),
            authors=checkout.authors.get(relative, ()),
        )

    def _is_restricted(self, relative: str) -> bool:
        return any(PurePosixPath(relative).is_relative_to(path) for path in self._restricted)


def _files(root: Path, cannot_open: Callable[[OSError], None]) -> Iterator[Path]:
    for folder, folders, names in os.walk(root, onerror=cannot_open, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in (*_TEXT, *_CONVERTED):
                yield Path(folder) / name


def _read(root: Path, path: Path) -> bytes:
    """What the file holds; ValueError says why it is not read."""
    real = path.resolve(strict=True)
    if not real.is_relative_to(root):
        raise ValueError("a link out of the documents folder")
    if not real.is_file():
        raise ValueError("not a regular file")
    limit = MAX_BYTES if path.suffix.lower() in _TEXT else MAX_CONVERTED_BYTES
    with real.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"larger than {limit // 1_000_000} MB; split it, or move it out of the folder")
    return data


def _parsed(path: Path, data: bytes, converter: Converter) -> tuple[str, Mapping[str, Any], str]:
    """Title, front matter and body, whatever the format; ValueError says why not."""
    kind = _CONVERTED.get(path.suffix.lower())
    if kind:
        page = converter.convert(kind, data)
        return _title({}, page.title or first_heading(page.text), path), {}, page.text
    try:
        front, body = split_front(clean(data.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}; save it as UTF-8") from error
    body = visible(body)
    known = _UNREADABLE if front is None else front
    return _title(known, first_heading(body), path), known, body


def _title(front: Mapping[str, Any], found: str, path: Path) -> str:
    """The front matter's title, else what the document calls itself, else the file's name."""
    stated = front.get("title")
    title = stated if isinstance(stated, str) and stated.strip() else found
    return one_line(title, limit=150) or one_line(path.stem, limit=150)


def _visibility(front: Mapping[str, Any]) -> str:
    """For everybody, unless front matter says anything else: a word that is not known may mean that it is not."""
    return PUBLIC if str(front.get("visibility", PUBLIC)).strip().lower() == PUBLIC else RESPONDERS


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


def _open(settings: Settings, ports: Ports) -> list[DocumentSource]:
    named = settings.get("TINYAPPROVER_DOCUMENTS")
    if not named:
        raise SettingsError("TINYAPPROVER_DOCUMENTS: is not set, and the source documents reads that folder")
    root = Path(named)
    if not root.is_dir():
        raise SettingsError(f"TINYAPPROVER_DOCUMENTS: {named} is not a folder")
    restricted = [part.strip().strip("/") for part in settings[_RESTRICTED].split(",") if part.strip().strip("/")]
    for part in restricted:
        if not (root / part).exists():
            raise SettingsError(f"{_RESTRICTED}: there is no {part} in {named}; what is not there cannot be kept apart")
    base_url = settings.get("TINYAPPROVER_DOCUMENTS_URL", "")
    return [Folder(root, base_url=base_url, restricted=restricted, home=ports.home / "converted")]


_RESTRICTED = "TINYAPPROVER_DOCUMENTS_RESPONDERS"
DOCUMENTS = SourceKind(
    _open,
    (Setting(_RESTRICTED, "Folders and files in it that only responders may see, comma separated."),),
    borrows=("TINYAPPROVER_DOCUMENTS", "TINYAPPROVER_DOCUMENTS_URL"),
)
