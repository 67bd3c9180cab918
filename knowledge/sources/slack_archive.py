"""The ZIP that Slack makes of a workspace, read where it lies: nothing of it is ever unpacked to disk.

https://slack.com/help/articles/220556107-How-to-read-Slack-data-exports: `channels.json` lists the public channels,
`groups.json` the private ones, `users.json` (`org_users.json` of an Enterprise organization) the people, and a folder
of a channel's name holds its messages, a file a day. Other entries, direct messages among them, are never opened.
Whoever made the file may have made it to do harm, so whatever Slack would not make is refused with a sentence.
"""

from __future__ import annotations

import json
import re
import stat
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from knowledge.sources import Skipped
from knowledge.text import one_line

OPEN, PRIVATE = "channels", "groups"
MOST_ENTRIES, MOST_BYTES, MOST_OF_A_CHANNEL = 500_000, 50_000_000, 300_000_000
MOST_RATIO, SMALL = 200, 5_000  # text that is packed more tightly than this is none that people wrote
_DAY = re.compile(r"([^/\\]{1,100})/(\d{4}-\d\d-\d\d)\.json", re.ASCII)
_STRANGE = re.compile(r"(?:^|[/\\])\.\.(?:[/\\]|$)|^[/\\]|^[A-Za-z]:|[\x00-\x1f]")
_ID = re.compile(r"[CG][A-Z0-9]{2,30}", re.ASCII)
_SHARED = ("is_shared", "is_ext_shared", "is_org_shared", "is_pending_ext_shared")
_BROKEN = (BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError)


@dataclass(frozen=True, slots=True)
class Listed:
    """A channel as the export lists it. `closed` says why nothing in it may be quoted; empty when it may."""

    id: str
    name: str
    kind: str
    closed: str


class Archive:
    """An export that is open. Raises ValueError, with what to do, for a file that is none."""

    def __init__(self, path: Path) -> None:
        try:
            self._zip = ZipFile(path)
        except _BROKEN as error:
            raise ValueError(f"is no ZIP file that can be read ({type(error).__name__}); export it anew") from None
        self._entries = self._zip.infolist()
        self._twice = {name for name, times in Counter(one.filename for one in self._entries).items() if times > 1}
        self._days: dict[str, list[ZipInfo]] = defaultdict(list)
        for one in self._entries:
            if day := _DAY.fullmatch(one.filename):
                self._days[day[1]].append(one)
        try:
            self.trouble = tuple(self._troubles())
            self.channels = self._listed()
            self.people = self._people()
        except ValueError:
            self.close()
            raise

    def close(self) -> None:
        self._zip.close()

    def _troubles(self) -> Iterator[Skipped]:
        if len(self._entries) > MOST_ENTRIES:
            raise ValueError(f"holds more than {MOST_ENTRIES} entries; export a shorter time")
        if "channels.json" not in self._zip.NameToInfo:
            raise ValueError("has no channels.json at its top; give the ZIP as Slack made it, not one packed anew")
        strange = [one.filename for one in self._entries if _strange(one)]
        if strange:
            why = f"no name that Slack gives, one of {len(strange)} such entries; they are not read"
            yield Skipped(one_line(strange[0], limit=80), why)

    def _listed(self) -> tuple[Listed, ...]:
        """Every channel whose name no other has. What is in both lists is private."""
        listed = [_channel(item, kind) for kind in (OPEN, PRIVATE) for item in self._items(f"{kind}.json")]
        found = {one.id: one for one in listed if one is not None}
        times = Counter(one.name for one in found.values())
        return tuple(one for one in found.values() if times[one.name] == 1)

    def _items(self, name: str) -> list[Mapping[str, Any]]:
        """The objects in a list that need not be there; ValueError when it cannot be read."""
        info = self._zip.NameToInfo.get(name)
        return self._objects(info) if info else []

    def _people(self) -> dict[str, str]:
        """How people are called, by user id."""
        users = self._items("users.json") or self._items("org_users.json")
        return {str(one.get("id")): _called(one) for one in users}

    def messages(self, channel: Listed) -> Iterator[Mapping[str, Any] | Skipped]:
        """What was said in a channel, the latest day first, as far back as there is room for."""
        total = 0
        for day in sorted(self._days[channel.name], key=lambda one: one.filename, reverse=True):
            total += day.file_size
            if total > MOST_OF_A_CHANNEL:
                yield Skipped(day.filename, f"this day and older ones: more than {MOST_OF_A_CHANNEL} bytes a channel")
                return
            try:
                yield from self._objects(day)
            except ValueError as problem:
                yield Skipped(one_line(day.filename, limit=120), str(problem))

    def _objects(self, info: ZipInfo) -> list[Mapping[str, Any]]:
        """The objects of a list; ValueError says why it is not read."""
        self._check(info)
        try:
            data = self._zip.read(info)
        except _BROKEN as error:
            raise ValueError(f"{_name(info)} is damaged ({type(error).__name__}); export it anew") from None
        try:
            items = json.loads(data.decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise ValueError(f"{_name(info)} is not UTF-8; export it anew") from None
        except (ValueError, RecursionError):
            raise ValueError(f"{_name(info)} is not JSON; export it anew") from None
        if not isinstance(items, list):
            raise ValueError(f"{_name(info)} is no list; export it anew")
        return [item for item in items if isinstance(item, Mapping)]

    def _check(self, info: ZipInfo) -> None:
        if info.filename in self._twice:
            raise ValueError(f"{_name(info)} is in it twice; nobody can say which one counts")
        if _strange(info):
            raise ValueError(f"{_name(info)} is no plain file")
        if info.flag_bits & 1 or info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise ValueError(f"{_name(info)} is encrypted, or packed in a way that Slack does not use")
        if info.file_size > MOST_BYTES or info.file_size > MOST_RATIO * max(info.compress_size, SMALL):
            raise ValueError(f"{_name(info)} would be {info.file_size} bytes unpacked, which no day of people is")


def _name(info: ZipInfo) -> str:
    return one_line(info.filename, limit=120)


def _strange(info: ZipInfo) -> bool:
    """A name that leads elsewhere, or an entry that is a link."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    return bool(_STRANGE.search(info.orig_filename)) or kind not in (0, stat.S_IFREG, stat.S_IFDIR)


def _channel(item: Mapping[str, Any], kind: str) -> Listed | None:
    channel, name = item.get("id"), item.get("name")
    if not (isinstance(channel, str) and _ID.fullmatch(channel) and isinstance(name, str) and name):
        return None
    return Listed(channel, name, kind, _closed(item))


def _closed(item: Mapping[str, Any]) -> str:
    if item.get("is_im") or item.get("is_mpim"):
        return "it holds direct messages"
    if any(item.get(name) for name in _SHARED):
        return "it was shared with somebody outside this workspace"
    return "it was archived when it was exported" if item.get("is_archived") else ""


def _called(user: Mapping[str, Any]) -> str:
    profile = user.get("profile")
    told = [profile.get("real_name")] if isinstance(profile, Mapping) else []
    told += [user.get("real_name"), user.get("name")]
    return next((name for name in told if isinstance(name, str) and name.strip()), "")
