"""The kinds of sources: whatever is installed under the entry point group `tinyapprover.sources`, ours like others.

A company adds one as one file in a package of its own, which holds a `SourceKind` and registers it:

    [project.entry-points."tinyapprover.sources"]
    wiki = "company_wiki:WIKI"

`TINYAPPROVER_SOURCES=documents,wiki` then reads it. Its module is imported only when it is chosen, so it should import
its vendor's package when it opens.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path

from bot.errors import SettingsError
from bot.source_variables import GROUP, installed, prefix
from knowledge.sources import Author, DocumentSource, FollowedSource


@dataclass(frozen=True, slots=True)
class Setting:
    """One variable of a source, by its full name (`TINYAPPROVER_WIKI_URL`).

    `hosts` are given for a vendor's address: it must be on one of them, on this machine, or an allowed host.
    """

    name: str
    help: str
    default: str = ""
    needed: bool = False
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DecidedRequest:
    """A request that people decided. `visibility` is for whoever reads the channel in which they did."""

    id: str
    title: str
    resource: str
    minutes: int
    requester: str
    verdict: str
    reason: str
    at: datetime
    url: str
    visibility: str
    people: tuple[Author, ...]


@dataclass(frozen=True, slots=True)
class Ports:
    """What the program lends a source: the time, a folder for what it can make anew, and what was decided.

    Only a running bot knows of decisions; for a command `decided` is None.
    """

    now: Callable[[], datetime]
    home: Path
    decided: Callable[[], AsyncGenerator[DecidedRequest, None]] | None = None


Settings = Mapping[str, str]
"""Variable to value: every own variable with its default, and the borrowed ones that are set."""


@dataclass(frozen=True, slots=True)
class SourceKind:
    """How one kind of source is opened; the name it is registered under is its name everywhere.

    `open` returns sources named like the kind, or `kind:part` when there are several; it reads nothing yet, and raises
    `SettingsError` for a setting that cannot be used. `borrows` names variables of the program that it needs too.
    `ping` is for `tinyapprover check`: one line when all is well, `SettingsError` or `Fault` with the cure when not.
    """

    open: Callable[[Settings, Ports], Sequence[DocumentSource | FollowedSource]]
    settings: tuple[Setting, ...] = ()
    borrows: tuple[str, ...] = ()
    ping: Callable[[Settings, Ports], Awaitable[str]] | None = None


def load(name: str) -> SourceKind:
    """The kind that is registered under a name; `SettingsError` names those there are."""
    found = [entry for entry in installed() if entry.name == name]
    if not found:
        names = ", ".join(sorted(installed().names)) or "none"
        raise SettingsError(f"TINYAPPROVER_SOURCES: no source named {name!r} is installed; installed are: {names}")
    if len({entry.value for entry in found}) > 1:
        places = " and ".join(sorted(entry.value for entry in found))
        raise SettingsError(f"TINYAPPROVER_SOURCES: two packages register {name!r}: {places}; remove one")
    try:
        kind = found[0].load()
    except (ImportError, AttributeError) as problem:
        raise SettingsError(f"TINYAPPROVER_SOURCES: {name} ({found[0].value}) cannot be imported: {problem}") from None
    if not isinstance(kind, SourceKind):
        raise SettingsError(f"TINYAPPROVER_SOURCES: {found[0].value} is no SourceKind (entry point group {GROUP})")
    return kind


def settings_of(name: str, kind: SourceKind, variables: Mapping[str, str]) -> Settings:
    """A kind's settings out of all variables; `SettingsError` names each one that is missing or unknown."""
    own = {setting.name: setting for setting in kind.settings}
    unknown = sorted(each for each in variables if each.startswith(prefix(name)) and each not in (*own, *kind.borrows))
    missing = [each for each in kind.settings if each.needed and not variables.get(each.name)]
    if unknown or missing:
        lines = [f"{each}: {name} has no such setting{_meant(each, own)}" for each in unknown]
        raise SettingsError("\n".join([*lines, *(f"{each.name}: is not set. {each.help}" for each in missing)]))
    borrowed = {each: variables[each] for each in kind.borrows if variables.get(each)}
    return {**{each: variables.get(each) or setting.default for each, setting in own.items()}, **borrowed}


def _meant(unknown: str, own: Mapping[str, Setting]) -> str:
    close = get_close_matches(unknown, own, n=1)
    return f"; is {close[0]} meant?" if close else f"; it has {', '.join(own) or 'none'}"
