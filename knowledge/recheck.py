"""What comes from a place that can be closed is looked at once more at the moment of showing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from bot.errors import Fault
from knowledge.search import Result
from knowledge.sources import FollowedSource

Places = dict[str, FollowedSource]


def places_of(sources: Sequence[FollowedSource], results: Iterable[Result]) -> Places:
    """The places that results come from, and whom to ask about each."""
    return {place: source for one in results for source in sources if (place := source.place_of(one.id))}


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
    return {place: now[place] for one in results if (place := _place(now, one)) and now[place] != one.visibility}


def may_be_shown(result: Result, places: Places, now: Mapping[str, str], audience: frozenset[str]) -> bool:
    """Doubt shows nothing: a result of a place needs that place's word."""
    place = _place(places, result)
    return not place or now.get(place) in audience


def _place(places: Iterable[str], result: Result) -> str:
    return next((place for place in places if result.id.startswith(place)), "")
