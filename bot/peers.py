"""Peers: how many of the beneficiary's colleagues hold already what is asked for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from bot.core.request import Entitlement, Evidence, Fact, Request
from bot.errors import Fault
from bot.ports import Directory, Headcount

MEMBERSHIP = "okta.group"
LABEL = "Peers"
STANDING_AGE, COUNT_AGE = 60.0, 3600.0
COUNTING_SECONDS = 2.5  # of a department of thousands, which takes a page for each 200

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Peers:
    """Implements `bot.ports.Source` from the directory, for what is the membership of one group."""

    directory: Directory
    name: str = "peers"

    async def gather(self, request: Request) -> Evidence:
        """Nothing for other actions, and for people of no department."""
        group = _group(request.entitlement)
        if not group:
            return Evidence()
        beneficiary = request.beneficiary.id
        department, holders = await asyncio.gather(
            self._department(beneficiary), self.directory.members(group, max_age=COUNT_AGE)
        )
        if department is None:
            return Evidence()
        name, count = department
        others = Headcount(count.people - {beneficiary}, count.complete)
        return Evidence(facts=(Fact("okta", LABEL, held_by(others, holders, name)),))

    async def _department(self, person: str) -> tuple[str, Headcount] | None:
        standing = await self.directory.standing(person, max_age=STANDING_AGE)
        if not standing.department:
            return None
        return standing.department, await _count(self.directory, standing.department)


async def foresee(directory: Directory, entitlement: Entitlement, department: str) -> None:
    """Begin the readings when it is chosen in the form: they are there by the time it is asked for."""
    wanted = [directory.members(group, max_age=COUNT_AGE)] if (group := _group(entitlement)) else []
    try:
        await asyncio.gather(*wanted, *([_count(directory, department)] if wanted and department else []))
    except Fault as fault:
        log.info("not foreseen: %s", fault, extra={"step": "foresee", "vendor": fault.vendor})


def held_by(others: Headcount, holders: Sequence[str], department: str) -> str:
    """`9 of 11 other people in Payments hold this`."""
    if not others.people:
        return f"nobody else is in {department}"
    holding, count = len(others.people.intersection(holders)), len(others.people)
    least = "" if others.complete else "at least "
    people = "person" if count == 1 else "people"
    holds = "holds" if holding == 1 else "hold"
    return f"{least}{holding} of {least}{count} other {people} in {department} {holds} this"


def _group(entitlement: Entitlement) -> str:
    return entitlement.params.get("group", "") if entitlement.action == MEMBERSHIP else ""


async def _count(directory: Directory, department: str) -> Headcount:
    return await directory.department(department, seconds=COUNTING_SECONDS, max_age=COUNT_AGE)
