"""Slack's history from an export, for what is older than the API may be asked for: a thread is a document.

The export says what was written, and Slack who may see it now. A channel is quoted as openly as both allow: one that
was private when it was exported stays with its channel for ever, and one that Slack does not know, or that was or is
archived or shared with others, is not quoted at all. Direct messages are never opened.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from bot.errors import Fault, SettingsError
from connectors.slack_history import Place, new_reader
from knowledge.forgotten import Forgotten, read_forgotten
from knowledge.sources import PUBLIC, Document, Held, Skipped, Step
from knowledge.sources.registry import Ports, Setting, Settings, SourceKind
from knowledge.sources.slack import LOOK_AGAIN, SLACK_HISTORY
from knowledge.sources.slack import NAME as LIVE
from knowledge.sources.slack_archive import OPEN, Archive, Listed
from knowledge.sources.slack_doors import Doors
from knowledge.sources.threads import Channel, Names, ThreadMessage, by_thread, message_of, thread_document

NAME = "slack-export"
PORTION = 200
READS = 1  # raise it when threads are made differently: every channel is read again
CHANGED, DELETED = "message_changed", "message_deleted"
_DAYS = "TINYAPPROVER_SLACK_HISTORY_DAYS"


class Reader(Protocol):
    """What is asked of Slack."""

    url: str

    async def connect(self) -> None: ...
    async def place(self, channel: str, *, patient: bool = True) -> Place: ...


@dataclass(frozen=True, slots=True)
class Live:
    """The channels, by id or name, that `slack-history` reads too, and how far back: only what is older is taken."""

    channels: frozenset[str] = frozenset()
    days: int = 0


class SlackExport:
    """Some channels of an export, as a `FollowedSource`. `url` is the workspace's address, else as Slack says."""

    name = NAME

    def __init__(
        self,
        file: Path,
        channels: Sequence[str],
        reader: Reader,
        now: Callable[[], datetime],
        *,
        url: str = "",
        live: Live | None = None,
        forgotten: Callable[[], Forgotten] = Forgotten,
    ) -> None:
        self._file = file
        self._wanted = [channel.removeprefix("#") for channel in channels]
        self._reader = reader
        self._now = now
        self._url = url
        self._live = live or Live()
        self._forgotten = forgotten
        self._doors = Doors(reader.place, lambda place: not place.barred and (place.joined or not place.private), now)

    # --- a reading ---------------------------------------------------------------------------------------------------

    async def changes(self, held: Held) -> AsyncGenerator[Step, None]:
        """Every chosen channel; one that was read from this very file is only asked about."""
        await self._reader.connect()
        archive = await self._archive()
        try:
            chosen, lost = self._choose(archive.channels)
            places = {_prefix(one): await self._doors.look(one.id) for one in chosen}
            others = () if lost else tuple(name for name in held.documents if self.place_of(name) not in places)
            read = _read_before(held.cursor, chosen)
            yield Step(gone=others, skipped=(*lost, *archive.trouble), cursor=json.dumps(read))
            forgotten = self._forgotten()
            people = {user: name for user, name in archive.people.items() if user not in forgotten}
            names = Names(people, self._public(chosen))
            for one in chosen:
                kept = [name for name in held.documents if self.place_of(name) == _prefix(one)]
                async for step in self._channel(archive, one, places[_prefix(one)], names, kept, read):
                    yield step
        finally:
            archive.close()

    async def _archive(self) -> Archive:
        try:
            return await asyncio.to_thread(Archive, self._file)
        except (ValueError, OSError) as problem:
            raise Fault(NAME, f"{self._file} {problem}", permanent=True) from None

    def _choose(self, there: Sequence[Listed]) -> tuple[list[Listed], list[Skipped]]:
        """The chosen channels, and the names that the export does not hold."""
        known = {key: one for one in there for key in (one.name, one.id)}
        why = "the export holds no channel of this name, or two"
        lost = [Skipped(name, why) for name in self._wanted if name not in known]
        return list({known[name].id: known[name] for name in self._wanted if name in known}.values()), lost

    def _public(self, chosen: Iterable[Listed]) -> dict[str, str]:
        """The channels that everybody may know of."""
        return {one.id: one.name for one in chosen if not one.closed and self._visibility(_prefix(one)) == PUBLIC}

    async def _channel(
        self, archive: Archive, one: Listed, place: Place, names: Names, kept: Sequence[str], read: dict[str, str]
    ) -> AsyncGenerator[Step, None]:
        state = self._state(one)
        visibility = "" if one.closed else self._visibility(_prefix(one))
        if not visibility:
            read.pop(one.id, None)
            why = Skipped(f"#{one.name}", one.closed or place.closed)
            yield Step(gone=tuple(kept), skipped=(why,), cursor=json.dumps(read))
            return
        yield Step(moved=((_prefix(one), visibility),))
        if read.get(one.id) == state:
            return
        documents, skipped = await asyncio.to_thread(self._documents, archive, one, visibility, names)
        for start in range(0, len(documents), PORTION):
            yield Step(documents[start : start + PORTION])
        read[one.id] = state
        gone = set(kept) - {document.id for document in documents}
        yield Step(gone=tuple(sorted(gone)), skipped=skipped, cursor=json.dumps(read))

    def _documents(
        self, archive: Archive, one: Listed, visibility: str, names: Names
    ) -> tuple[tuple[Document, ...], tuple[Skipped, ...]]:
        told, skipped = list[Mapping[str, Any]](), list[Skipped]()
        for item in archive.messages(one):
            skipped.append(item) if isinstance(item, Skipped) else told.append(item)
        forgotten, before = self._forgotten(), self._before(one)
        place, source = Channel(one.id, one.name, visibility), f"{NAME}/{one.kind}"
        threads = by_thread(message for message in as_it_stands(told) if message.user not in forgotten)
        made = (
            thread_document(messages, place, names, source=source, workspace=self._url or self._reader.url)
            for root, messages in threads.items()
            if float(root) < before
        )
        return tuple(document for document in made if document is not None), tuple(skipped)

    def _state(self, one: Listed) -> str:
        """What is read of a channel: from which file, up to when, and without how many people."""
        file = self._file.stat()
        return f"{READS} {file.st_size} {file.st_mtime_ns} {self._before(one)} {len(self._forgotten().digests)}"

    def _before(self, one: Listed) -> float:
        """Only threads that are older are taken: the rest of a channel that is read live is left to that."""
        if not self._live.channels & {one.id, one.name}:
            return float("inf")
        today = self._now().replace(hour=0, minute=0, second=0, microsecond=0)
        return (today - timedelta(days=self._live.days) - LOOK_AGAIN).timestamp()

    # --- who may see it ----------------------------------------------------------------------------------------------

    async def again(self, document_id: str) -> Step:
        """Left to the next reading, which reads a channel anew when there are more people to be left out."""
        return Step()

    def place_of(self, document_id: str) -> str:
        """The channel's part of a document's id, which also says whether it was private when it was exported."""
        parts = document_id.split("/")
        return "/".join([*parts[:3], ""]) if parts[0] == NAME and len(parts) == 4 else ""

    async def visibility_now(self, place: str) -> str:
        """As Slack said within the last minute and the export allows; `Fault` when Slack does not say so quickly."""
        await self._doors.visibility_now(_channel(place))
        return self._visibility(place)

    def _visibility(self, place: str) -> str:
        """What Slack said last, if the export allows it; a private channel never becomes everybody's."""
        channel = _channel(place)
        verdict = self._doors.verdict(channel)
        told = verdict.visibility if verdict else ""
        return channel if told == PUBLIC and place.split("/")[1] != OPEN else told

    async def look_around(self) -> list[Skipped]:
        """Each chosen channel, with why it cannot be quoted or nothing."""
        await self._reader.connect()
        archive = await self._archive()
        archive.close()
        chosen, lost = self._choose(archive.channels)
        for one in chosen:
            place = await self._doors.look(one.id)
            visibility = self._visibility(_prefix(one))
            kind = "public" if visibility == PUBLIC else "private"
            lost.append(Skipped(f"#{one.name} ({kind})", one.closed or ("" if visibility else place.closed)))
        return lost


def as_it_stands(told: Iterable[Mapping[str, Any]]) -> Iterator[ThreadMessage]:
    """People's messages in their last version, in exports with and without a log of edits and deletions."""
    gone: set[str] = set()
    latest: dict[str, ThreadMessage] = {}
    for raw in told:
        if raw.get("subtype") == DELETED:
            gone.add(str(raw.get("deleted_ts")))
            continue
        inner = raw.get("message") if raw.get("subtype") == CHANGED else raw
        message = message_of(inner) if isinstance(inner, Mapping) else None
        if message is None:
            gone.add(str(inner.get("ts")) if isinstance(inner, Mapping) else "")  # such as a tombstone
        elif message.ts not in latest or _edited(message) >= _edited(latest[message.ts]):
            latest[message.ts] = message
    return (message for ts, message in latest.items() if ts not in gone)


def _edited(message: ThreadMessage) -> tuple[int, str]:
    return len(message.edited_ts), message.edited_ts


def _read_before(cursor: str, chosen: Iterable[Listed]) -> dict[str, str]:
    """What was read of each channel; one that was not chosen meanwhile is read as if for the first time."""
    ids = {one.id for one in chosen}
    return {channel: state for channel, state in json.loads(cursor or "{}").items() if channel in ids}


def _prefix(one: Listed) -> str:
    return f"{NAME}/{one.kind}/{one.id}/"


def _channel(place: str) -> str:
    return place.split("/")[2]


# --- settings --------------------------------------------------------------------------------------------------------


def _open_export(settings: Settings, ports: Ports) -> SlackExport:
    file = Path(settings["TINYAPPROVER_SLACK_EXPORT_FILE"])
    if not file.is_file():
        raise SettingsError(f"TINYAPPROVER_SLACK_EXPORT_FILE: {file} is not a file; name the ZIP that Slack made")
    if not settings.get("SLACK_BOT_TOKEN"):
        raise SettingsError("SLACK_BOT_TOKEN: is not set; slack-export asks Slack who may see what was exported")
    return SlackExport(
        file,
        _words(settings["TINYAPPROVER_SLACK_EXPORT_CHANNELS"]),
        new_reader(settings.get("SLACK_API_URL") or "https://slack.com/api/", settings["SLACK_BOT_TOKEN"]),
        ports.now,
        url=settings["TINYAPPROVER_SLACK_EXPORT_URL"],
        live=_live(settings),
        forgotten=partial(read_forgotten, ports.home),
    )


def _live(settings: Settings) -> Live:
    """What `slack-history` reads, if it is chosen; it names a wrong number of days itself."""
    if LIVE not in _words(settings.get("TINYAPPROVER_SOURCES", "")):
        return Live()
    usual = next(setting.default for setting in SLACK_HISTORY.settings if setting.name == _DAYS)
    days = settings.get(_DAYS, usual)
    channels = _words(settings.get("TINYAPPROVER_SLACK_HISTORY_CHANNELS", ""))
    return Live(frozenset(name.removeprefix("#") for name in channels), int(days) if days.isdecimal() else 0)


def _words(value: str) -> list[str]:
    return [word.strip() for word in value.split(",") if word.strip()]


async def _ping(settings: Settings, ports: Ports) -> str:
    """Every chosen channel, and who may see what is quoted of it; `SettingsError` names each that cannot be."""
    found = await _open_export(settings, ports).look_around()
    if troubles := [f"TINYAPPROVER_SLACK_EXPORT_CHANNELS: {one.what}: {one.why}" for one in found if one.why]:
        raise SettingsError("; ".join(troubles))
    return ", ".join(one.what for one in found)


SLACK_EXPORT = SourceKind(
    lambda settings, ports: [_open_export(settings, ports)],
    settings=(
        Setting("TINYAPPROVER_SLACK_EXPORT_FILE", "The ZIP that Slack made, as it is.", needed=True),
        Setting(
            "TINYAPPROVER_SLACK_EXPORT_CHANNELS",
            "Channels (ids or names, comma separated) of the export whose threads are read.",
            needed=True,
        ),
        Setting(
            "TINYAPPROVER_SLACK_EXPORT_URL",
            "Address of the workspace, for links; else as Slack says.",
            hosts=("slack.com",),
        ),
    ),
    borrows=(
        "SLACK_BOT_TOKEN",
        "SLACK_API_URL",
        "TINYAPPROVER_SOURCES",
        "TINYAPPROVER_SLACK_HISTORY_CHANNELS",
        _DAYS,
    ),
    ping=_ping,
)
