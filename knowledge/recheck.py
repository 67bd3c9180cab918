"""What comes from a place that can be closed is looked at once more at the moment of showing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from bot.core.request import Passage
from bot.errors import Fault
from knowledge.catalogue import Catalogue, Row
from knowledge.prose import prose
from knowledge.search import Result
from knowledge.sources import FollowedSource

Places = dict[str, FollowedSource]


def places_of(sources: Sequence[FollowedSource], passages: Iterable[str]) -> Places:
    """The places that passages come from, by their ids, and whom to ask about each."""
    return {place: source for one in passages for source in sources if (place := source.place_of(one))}


async def who_may_see(places: Places) -> dict[str, str]:
    """Who may see each place now; what cannot be told is left out."""
    told = await asyncio.gather(*(_told(source, place) for place, source in places.items()))
    return {place: visibility for place, visibility in zip(places, told, strict=True) if visibility is not None}


async def _told(source: FollowedSource, place: str) -> str | None:
    try:
        return await source.visibility_now(place)
    except Fault:
        return None


def moved(now: Mapping[str, str], results: Iterable[Result]) -> dict[str, str]:
    """The places of results that are for others by now than the catalogue says, and for whom."""
    return {place: now[place] for one in results if (place := _place(now, one.id)) and now[place] != one.visibility}


def may_be_shown(passage: str, places: Places, now: Mapping[str, str], audience: frozenset[str]) -> bool:
    """Doubt shows nothing: a passage of a place needs that place's word."""
    place = _place(places, passage)
    return not place or now.get(place) in audience


def _place(places: Iterable[str], passage: str) -> str:
    return next((place for place in places if passage.startswith(place)), "")


def still_standing(catalogue: Catalogue, passages: Sequence[Passage], audience: frozenset[str]) -> list[Passage]:
    """The passages whose words stand in their documents now, however those are cut by now, for an audience to see."""
    there = catalogue.rows([one.row for one in passages], audience)
    cut_anew = {document_of(one.row) for one in passages if one.row not in there}
    rows = [*there.values(), *catalogue.rows_of(sorted(cut_anew), audience)]
    return [now for one in passages for now in _as_it_stands(one, rows)]


def document_of(passage: str) -> str:
    """The document's part of a passage's id."""
    return passage.rpartition("#")[0]


def _as_it_stands(passage: Passage, rows: Iterable[Row]) -> Iterator[Passage]:
    """Under the title of today, which may quote what was taken back meanwhile."""
    beside = [row for row in rows if row.doc_id == document_of(passage.row) and row.heading == passage.heading]
    lines = {line for row in beside for line in prose(row.text).splitlines()}
    if beside and lines.issuperset(passage.text.splitlines()):
        yield replace(passage, title=beside[0].title)
