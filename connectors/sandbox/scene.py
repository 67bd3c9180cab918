"""The demo's scene: a world in which something was said before, and requests that are lived through before it begins.

Nothing here is made up behind the program's back: earlier requests are asked for, decided and ended by people who press
buttons, while the clock stands some days back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from importlib import resources
from typing import Any

import yaml

from connectors.sandbox.server import Sandbox
from connectors.sandbox.slack import Slack
from connectors.sandbox.slack_store import Message
from connectors.sandbox.world import World, new_world

CARDS = "C0ACCESS"
PATIENCE = 20.0
GRANT = timedelta(minutes=61)


def set_world() -> World:
    """The people of the sandbox, with the scene's colleagues and words."""
    world, scene = new_world(), _scene()
    for group, holders in scene["holders"].items():
        for one in world.seed["colleagues"]:
            one["groups"] += [group] if one["email"] in holders else []
    world.seed["said"] = scene["said"]
    return world


@dataclass(frozen=True, slots=True)
class Past:
    """The days before the demo begins. `slack` is where people ask and decide."""

    world: World
    slack: Slack

    def begin(self) -> None:
        """Set the clock back; the program is started then."""
        self.world.advance(-timedelta(days=max(one["days_ago"] for one in _scene()["asked"])))

    async def live_through(self) -> None:
        """Every request of the scene in its day, and then today. `TimeoutError` when the program does not go along."""
        for one in _scene()["asked"]:
            self.world.advance(-timedelta(days=one["days_ago"]) - self.world.offset)
            async with asyncio.timeout(PATIENCE):
                await self._ask(one)
                await self._decide(one)
        self.world.advance(-self.world.offset)

    async def _ask(self, one: Mapping[str, str]) -> None:
        opened = await self._act(one["who"], "shortcut", callback_id="request_access", await_view=True)
        values = {"Access": one["access"], "Justification": one["why"]}
        await self._act(one["who"], "submit", view_id=opened["view"]["id"], values=values)

    async def _decide(self, one: Mapping[str, str]) -> None:
        button = "deny" if "denied_because" in one else "approve"
        card = await self._card(lambda card: f"'{button}'" in str(card.blocks) and one["access"] in str(card.blocks))
        pressed = {"channel": CARDS, "ts": card.ts, "action_id": button}
        if button == "approve":
            await self._act(one["by"], "click", **pressed)
            await self._card(lambda card: "Granted" in card.text)
            self.world.advance(GRANT)
            await self._card(lambda card: "Ended" in card.text)
        else:
            opened = await self._act(one["by"], "click", **pressed, await_view=True)
            reason = {"Reason": one["denied_because"]}
            await self._act(one["by"], "submit", view_id=opened["view"]["id"], values=reason)
            await self._card(lambda card: "Denied" in card.text)

    async def _act(self, who: str, verb: str, **arguments: Any) -> Any:
        return await self.slack.acts()[verb](who, arguments)

    async def _card(self, is_so: Callable[[Message], bool]) -> Message:
        """The newest card, once it is so."""
        while (card := self._newest_card()) is None or not is_so(card):
            await self.world.wait("version", self.world.version, 1.0)
        return card

    def _newest_card(self) -> Message | None:
        messages = reversed(self.slack.workspace.channels[CARDS].messages.values())
        return next((one for one in messages if _key(one).endswith("/card")), None)


def past_of(sandbox: Sandbox) -> Past:
    """The past of a sandbox that was made of `set_world`."""
    slack = sandbox.stand_ins["slack"]
    assert isinstance(slack, Slack)
    return Past(sandbox.world, slack)


def _key(message: Message) -> str:
    return str(((message.metadata or {}).get("event_payload") or {}).get("key", ""))


def _scene() -> dict[str, Any]:
    scene: dict[str, Any] = yaml.safe_load((resources.files(__package__) / "scene.yml").read_text("utf-8"))
    return scene
