"""Bob and carol linked as an administrator links them, without asking any vendor."""

from __future__ import annotations

from bot.core.request import Person
from bot.demo import RESPONDERS
from bot.ledger import Ledger
from connectors.sandbox.world import World


async def link_in(database: str, world: World, *, kind: str) -> None:
    """Into a database that no program has open yet."""
    ledger = await Ledger.open(database, kind=kind, now=world.now)
    for key in RESPONDERS:
        await ledger.link(_responder(world, key), by="test")
    await ledger.close()


def _responder(world: World, key: str) -> Person:
    who = world.people[key]
    return Person(
        id=str(who.okta),
        email=who.email,
        name=who.name,
        slack_team=world.seed["workspace"]["id"],
        slack_user=who.slack,
        pagerduty_user=who.pagerduty,
        decides=True,
    )
