"""Confluence Cloud: the pages of chosen spaces, read by REST. A page is a document.

Who may see a page is asked anew at each reading, because closing one makes no new version of it; its words are fetched
only when its version changed, and kept beside the index until then. Everybody may see a page when its space is open to
a group in which everybody is, and neither the page nor anything above it is restricted. Any other is for responders, if
that is set, and is not read at all otherwise. What cannot be found out counts as restricted.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

from bot.errors import Fault, SettingsError
from connectors.atlassian import KEY, Atlassian, Entry, Person, Space
from knowledge.sources import LATELY, PUBLIC, RESPONDERS, Author, Document, DocumentSource, Skipped
from knowledge.sources.registry import Ports, Setting, Settings, SourceKind
from knowledge.sources.storage import markdown_of_storage
from knowledge.text import one_line

NAME = "confluence"
PREFIX = "TINYAPPROVER_CONFLUENCE"
PORTION = 50
CONVERTER = 3  # when the conversion changes, every page is fetched again

Connect = Callable[[], Atlassian]
FindSpaces = Callable[[Atlassian], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Kept:
    """A page's words as they were fetched, and the accounts of whoever changed it lately."""

    version: int
    space: str
    text: str
    authors: tuple[str, ...]
    converter: int = CONVERTER


class KeptPages:
    """Words that were fetched, a file each, so that a page that is gone leaves nothing behind."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def get(self, page: str) -> Kept | None:
        try:
            told = json.loads((self._home / page).read_text("utf-8"))
            return Kept(**{**told, "authors": tuple(told["authors"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def put(self, page: str, kept: Kept) -> None:
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self._home / f".{page}"
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(asdict(kept), file)
        fresh.replace(self._home / page)

    def drop(self, page: str) -> None:
        with suppress(OSError):
            (self._home / page).unlink()

    def ids(self) -> set[str]:
        return {path.name for path in self._home.iterdir()} if self._home.is_dir() else set()


@dataclass(frozen=True, slots=True)
class Survey:
    """What there is: pages by id, the spaces that are open to everybody, and what is wrong with the choice."""

    pages: Mapping[str, tuple[Space, Entry]]
    open: frozenset[str]
    trouble: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A page that may be read, and by whom."""

    space: Space
    entry: Entry
    kept: Kept
    is_public: bool


class Wiki:
    """The pages of some spaces, as a `DocumentSource`. `find` names the spaces; `everybody` are ids of groups."""

    def __init__(
        self, name: str, connect: Connect, find: FindSpaces, kept: KeptPages, *, everybody: frozenset[str], closed: bool
    ) -> None:
        self.name = name
        self._connect = connect
        self._find = find
        self._kept = kept
        self._everybody = everybody
        self._reads_closed = closed

    def read(self) -> Iterator[Document | Skipped]:
        """All pages, some at a time. A site that is down is a `Fault`: then nothing is forgotten.

        Each time is a loop of its own, because whoever reads may stop at any point and in any thread.
        """
        survey = asyncio.run(self._survey())
        yield from survey.trouble
        yield from self._closed(self._kept.ids() - survey.pages.keys())
        restricted: dict[str, bool] = {}
        for some in _portions(survey.pages):
            yield from asyncio.run(self._portion(survey, some, restricted))

    async def ping(self) -> str:
        """Whether the spaces are there and open to everybody, for `check`."""
        survey = await self._survey()
        if survey.trouble:
            raise SettingsError("; ".join(f"{one.what}: {one.why}" for one in survey.trouble))
        spaces = {space.key for space, _ in survey.pages.values()}
        return f"{len(survey.pages)} pages in {', '.join(sorted(spaces)) or 'no space'}"

    async def _survey(self) -> Survey:
        async with self._connect() as site:
            wanted = tuple(await self._find(site))
            spaces = await site.spaces(wanted)
            lists = await asyncio.gather(*(site.pages(space) for space in spaces))
            readers = await asyncio.gather(*(site.readers(space) for space in spaces))
        pages = {entry.id: (space, entry) for space, some in zip(spaces, lists, strict=True) for entry in some}
        held = dict(zip((space.key for space in spaces), readers, strict=True))
        open_to_all = frozenset(key for key, groups in held.items() if groups & self._everybody)
        return Survey(pages, open_to_all, tuple(self._troubles(wanted, held)))

    def _troubles(self, wanted: Iterable[str], held: Mapping[str, frozenset[str]]) -> Iterator[Skipped]:
        for key in sorted(set(wanted)):
            if key not in held:
                yield Skipped(f"space {key}", "is not there, or the account may not view it; let it")
            elif not held[key] & self._everybody and not self._reads_closed:
                groups = ", ".join(sorted(held[key])) or "none"
                yield Skipped(f"space {key}", f"no group of ..._EVERYBODY may view it; groups that may: {groups}")

    def _closed(self, pages: Iterable[str]) -> Iterator[Document]:
        """Pages that were read and may not be any more lose their words now, however many they are."""
        for page in sorted(pages):
            self._kept.drop(page)
            yield Document(f"{self.name}/{page}", "A page that is not open", "", "", "", None, RESPONDERS)

    async def _portion(
        self, survey: Survey, some: Sequence[str], restricted: dict[str, bool]
    ) -> list[Document | Skipped]:
        async with self._connect() as site:
            answers = await asyncio.gather(*(self._one(site, survey, page, restricted) for page in some))
            items = [item for items in answers for item in items]
            found = [item for item in items if isinstance(item, Found)]
            people = await site.people(account for item in found for account in item.kept.authors)
        return [self._document(site.url, item, people) if isinstance(item, Found) else item for item in items]

    async def _one(
        self, site: Atlassian, survey: Survey, page: str, restricted: dict[str, bool]
    ) -> list[Document | Skipped | Found]:
        space, entry = survey.pages[page]
        try:
            is_public = space.key in survey.open and not await _is_closed(site, survey, page, restricted)
            if not is_public and not self._reads_closed:
                return list(self._closed({page} & self._kept.ids()))
            kept = await self._words(site, space, entry)
        except Fault as fault:
            if not fault.permanent:
                raise
            return [Skipped(f"{self.name}/{page}", fault.what), *self._closed({page} & self._kept.ids())]
        return [] if kept is None else [Found(space, entry, kept, is_public)]

    async def _words(self, site: Atlassian, space: Space, entry: Entry) -> Kept | None:
        """The words of a page, fetched only if they changed; None when it has just gone."""
        kept = self._kept.get(entry.id)
        if kept is not None and (kept.version, kept.converter) == (entry.version, CONVERTER):
            return kept
        found = await site.words(entry.id)
        if found is None:
            self._kept.drop(entry.id)
            return None
        version, storage = found
        kept = Kept(version, space.key, markdown_of_storage(storage), await _authors(site, entry.id))
        self._kept.put(entry.id, kept)
        return kept

    def _document(self, url: str, found: Found, people: Mapping[str, Person]) -> Document:
        space, entry = found.space, found.entry
        return Document(
            id=f"{self.name}/{entry.id}",
            title=one_line(entry.title, limit=150),
            text=found.kept.text,
            url=f"{url}/wiki/spaces/{space.key}/pages/{entry.id}",
            file=f"{self.name}/{space.key}/{entry.id}",
            updated_at=entry.updated_at,
            visibility=PUBLIC if found.is_public else RESPONDERS,
            authors=tuple(_author(people.get(account), account) for account in found.kept.authors),
        )


async def _authors(site: Atlassian, page: str) -> tuple[str, ...]:
    """The accounts of whoever changed a page lately, the last one first."""
    found: dict[str, None] = {}
    last: datetime | None = None
    async with aclosing(site.versions(page)) as versions:
        async for account, at in versions:
            last = last or at
            if at < last - LATELY:
                break
            found[account] = None
    return tuple(found)


def _author(person: Person | None, account: str) -> Author:
    """Known by their address, if they show it, and else by how they call themselves."""
    if person is None:
        return Author(account, account)
    return Author(person.email.lower() or account, one_line(person.name, limit=80) or account)


async def _is_closed(site: Atlassian, survey: Survey, page: str, known: dict[str, bool]) -> bool:
    """Whether a page or anything above it is restricted."""
    for one in await _path(site, survey, page):
        if one not in known:
            known[one] = await site.is_restricted(one)
        if known[one]:
            return True
    return False


async def _path(site: Atlassian, survey: Survey, page: str) -> list[str]:
    """A page and what is above it. Beyond the pages that are listed (folders, archived pages) the site is asked."""
    path = [page]
    while parent := survey.pages[path[-1]][1].parent:
        if parent not in survey.pages or parent in path:
            return [*path, *await site.above(path[-1])]
        path.append(parent)
    return path


def _portions(pages: Mapping[str, object]) -> Iterator[list[str]]:
    rest = iter(pages)
    while some := list(islice(rest, PORTION)):
        yield some


# --- settings --------------------------------------------------------------------------------------------------------


def site_settings(prefix: str) -> tuple[Setting, ...]:
    """What reading pages needs, for each source that does."""
    return (
        Setting(
            f"{prefix}_URL", "Address of the site, https://NAME.atlassian.net.", needed=True, hosts=("atlassian.net",)
        ),
        Setting(f"{prefix}_EMAIL", "E-mail of the account that reads: its own, with viewing rights only.", needed=True),
        Setting(f"{prefix}_TOKEN", "API token of that account.", needed=True),
        Setting(
            f"{prefix}_EVERYBODY",
            "Ids of the groups in which everybody is, comma separated; a space that none may view is restricted.",
        ),
        Setting(
            f"{prefix}_RESTRICTED",
            "responders: restricted pages are read and shown to responders alone. Empty: they are not read.",
        ),
    )


def wiki(name: str, prefix: str, settings: Settings, ports: Ports, find: FindSpaces) -> Wiki:
    """A reader of pages with the settings under a prefix."""
    url, email, token, restricted = (settings[f"{prefix}_{what}"] for what in ("URL", "EMAIL", "TOKEN", "RESTRICTED"))
    if restricted not in ("", RESPONDERS):
        raise SettingsError(f"{prefix}_RESTRICTED: {restricted!r} is not {RESPONDERS}; leave it empty or set that")
    return Wiki(
        name,
        lambda: Atlassian(url, email, token),
        find,
        KeptPages(ports.home / name),
        everybody=frozenset(words_of(settings[f"{prefix}_EVERYBODY"])),
        closed=restricted == RESPONDERS,
    )


def words_of(value: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in value.split(",") if word.strip())


def keys_of(name: str, value: str) -> tuple[str, ...]:
    """Keys of spaces or projects; `SettingsError` names one that cannot be."""
    keys = words_of(value)
    if wrong := [key for key in keys if not KEY.fullmatch(key)]:
        raise SettingsError(f"{name}: {wrong[0]!r} is no key; a key is what stands after /spaces/ in an address")
    return keys


def _open_wiki(settings: Settings, ports: Ports) -> Wiki:
    keys = keys_of(f"{PREFIX}_SPACES", settings[f"{PREFIX}_SPACES"])

    async def chosen(_site: Atlassian) -> Sequence[str]:
        return keys

    return wiki(NAME, PREFIX, settings, ports, chosen)


def _open(settings: Settings, ports: Ports) -> list[DocumentSource]:
    return [_open_wiki(settings, ports)]


def _ping(settings: Settings, ports: Ports) -> Coroutine[None, None, str]:
    return _open_wiki(settings, ports).ping()


CONFLUENCE = SourceKind(
    _open,
    (*site_settings(PREFIX), Setting(f"{PREFIX}_SPACES", "Keys of the spaces to read, comma separated.", needed=True)),
    ping=_ping,
)
