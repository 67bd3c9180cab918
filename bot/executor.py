"""The executor: the steps that write, and nothing to talk to people with, to listen on or to read documents with."""

from __future__ import annotations

from collections.abc import Mapping

from bot.acting import Acting
from bot.base import Base
from bot.jobs import Handler
from bot.overtaken import Overtaken


def handlers(base: Base) -> Mapping[str, Handler]:
    """Every kind of job of the executor's and the step that does it."""
    actors = {base.actor.kind: base.actor}
    acting = Acting(base.ledger, actors, base.planning, base.clock)
    return {"grant": acting.grant, "revoke": acting.revoke, "look": Overtaken(base.ledger, actors, base.clock).look}
