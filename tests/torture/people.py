"""People who do not give up: what each request lives through, told as they would tell it.

Nobody here looks into the program. A person sees cards, messages and incidents, and tries again what did not take.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from connectors.sandbox.slack_store import Message
from tests.story import CHANNEL, Json
from tests.torture.stage import Stage

READONLY = ("Production, read only", "prod-readonly")
ADMIN = ("Production, administrator", "prod-admin")
ROOT = ("Production, root (break-glass)", "prod-root")
SHORT, USUAL = "15 minutes", "30 minutes"
GLANCE, AGAIN = 0.05, 0.3
PATIENCE = 300.0
FINISHED = ("Ended", "Denied", "Expired", "Withdrawn", "Refused", "Could not be granted")
DECIDED = (*FINISHED, "Approved", "Granted and read back")
ENDS = re.compile(r"ends <!date\^(\d+)")


class Stuck(Exception):
    """Somebody waited for something that never came."""


@dataclass(slots=True)
class Case:
    """One request as its people know it. `expected` is how it must end; empty when a race decides."""

    token: str
    story: str
    who: str
    group: str
    acknowledged: bool = False
    expected: str = ""
    stuck: str = ""
    retries: int = 0

    def __str__(self) -> str:
        return f"{self.token} ({self.story})"


@dataclass(slots=True)
class Life:
    """One request and the people around it."""

    stage: Stage
    case: Case
    access: str

    # --- looking ----------------------------------------------------------------------------------------------------

    def card(self) -> Message | None:
        """The card in the responders' channel."""
        return self._mine(CHANNEL, "/card")

    def dm(self) -> Message | None:
        """The requester's own message."""
        person = self.stage.world.people[self.case.who]
        return self._mine(self.stage.slack.workspace.im(person.slack).id, "/dm")

    def _mine(self, channel: str, kind: str) -> Message | None:
        """Of two that tell of the same, the one that is kept up to date."""
        messages = self.stage.slack.workspace.channels[channel].messages.values()
        mine = [one for one in messages if key_of(one).endswith(kind) and self.case.token in str(one.blocks)]
        return max(mine, key=lambda one: (len(one.versions), one.ts), default=None)

    @property
    def request(self) -> str:
        card = self.card()
        return key_of(card).partition("/")[0] if card else ""

    def incident(self) -> Json | None:
        """The newest page about it."""
        name = self.request
        found = [one for one in self.stage.pager.state()["incidents"] if one["title"].startswith(f"{name}:")]
        return found[-1] if name and found else None

    def says(self, *words: str) -> Callable[[], bool]:
        """Whether the card says one of these."""
        return lambda: any(word in card.text for word in words) if (card := self.card()) else False

    def offers(self, button: str) -> bool:
        card = self.card()
        return card is not None and f"'action_id': '{button}'" in str(card.blocks)

    # --- waiting ----------------------------------------------------------------------------------------------------

    async def until(self, holds: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > deadline:
                card = self.card()
                raise Stuck(f"{what}; the card says {card.text if card else 'nothing'!r}")
            await asyncio.sleep(GLANCE)

    async def keep_trying(self, act: Callable[[], Awaitable[Any]], done: Callable[[], Any], what: str) -> None:
        """Do it again until it shows."""
        deadline = time.monotonic() + PATIENCE
        while not done():
            if time.monotonic() > deadline:
                raise Stuck(what)
            await act()
            await self._a_moment(done)

    async def _a_moment(self, done: Callable[[], Any]) -> None:
        for _ in range(round(AGAIN / GLANCE)):
            if done():
                return
            await asyncio.sleep(GLANCE)

    # --- acting -----------------------------------------------------------------------------------------------------

    async def act(self, who: str, do: str, /, **arguments: Any) -> Json:
        """As a person; an empty answer when it cannot be done (any more)."""
        return await self.stage.try_to(who, do, arguments)

    async def ask(self, duration: str = SHORT, **fields: str) -> None:
        """Fill in the form and press *Request* until it is taken."""
        why = f"{self.case.token}: look at yesterday's error logs"
        values = {"Access": self.access, "Duration": duration, "Justification": why, **fields}
        view, sent = "", False

        async def submit() -> None:
            nonlocal view, sent
            view = view or await self._opened(self.case.who, "slack.shortcut", callback_id="request_access")
            if not view:
                return
            answer = await self.act(self.case.who, "slack.submit", view_id=view, values=values)
            self.case.acknowledged = bool(answer.get("closed"))
            sent = sent or bool(answer.get("error"))  # without an answer it may have arrived: only the same form again
            view = view if sent else ""

        await self.keep_trying(submit, lambda: self.case.acknowledged, "the request was never acknowledged")
        await self.until(self.card, "no card appeared")

    async def _opened(self, who: str, do: str, **arguments: Any) -> str:
        """The form that opens for it; empty if none does."""
        return str(((await self.act(who, do, await_view=True, **arguments)).get("view") or {}).get("id", ""))

    async def press(self, who: str, button: str) -> bool:
        """Press a button of the card until it is taken; false when it is not there (any more)."""
        deadline = time.monotonic() + PATIENCE
        while (card := self.card()) and self.offers(button):
            answer = await self.act(who, "slack.click", channel=CHANNEL, ts=card.ts, action_id=button)
            if answer.get("acknowledged"):
                return True
            if time.monotonic() > deadline:
                raise Stuck(f"nobody could press {button}")
            await asyncio.sleep(AGAIN)
        return False

    async def approve(self, who: str) -> None:
        """Press until the card asks nobody any more: whoever hit a twin of it is told so, and presses the right one."""
        await self.until(lambda: self.offers("approve") or self.says(*DECIDED)(), "nobody could approve")

        pending = self.says("Waiting for a decision", "Gathering")  # what they hit may have been a twin that is gone

        async def press() -> None:
            await self.press(who, "approve")
            await self._long_moment(lambda: not pending())

        await self.keep_trying(press, lambda: not pending(), f"{who} could not approve")

    async def deny(self, who: str) -> bool:
        """The button and its form."""
        return await self.fill_in(who, "deny", lambda: not self.offers("deny"), reason="not this week")

    async def fill_in(self, who: str, button: str, done: Callable[[], bool], **values: str) -> bool:
        """Press a button of the card and submit the form that it opens, until that is taken; false when it is done."""
        taken = False

        async def submit() -> None:
            nonlocal taken
            card = self.card()
            place = {"channel": CHANNEL, "ts": card.ts if card else "", "action_id": button}
            if view := await self._opened(who, "slack.click", **place):
                taken = bool((await self.act(who, "slack.submit", view_id=view, values=values)).get("closed"))

        await self.keep_trying(submit, lambda: taken or done(), f"nobody could {button}")
        return taken

    async def comment(self, who: str, words: str) -> None:
        """On the page, again if nothing comes of it."""
        await self.until(lambda: self.incident() or self.says(*DECIDED)(), "nobody was paged")
        pending = self.says("Waiting for a decision", "Gathering")

        async def write() -> None:
            if incident := self.incident():
                content = f"{words} {self.request}"
                await self.act(who, "pagerduty.comment", incident=incident["id"], content=content)
                await self._long_moment(lambda: not pending())

        await self.keep_trying(write, lambda: not pending(), f"the comment {words!r} was not heard")

    async def _long_moment(self, done: Callable[[], Any]) -> None:
        """Comments are read every five seconds of the sandbox's time."""
        for _ in range(20):
            await self._a_moment(done)

    async def decided(self) -> None:
        await self.until(self.says(*FINISHED, "Granted and read back"), "nothing came of the decision")

    async def granted(self) -> None:
        """Granted; after a failure a responder presses *Try again*, as long as it takes."""
        done = self.says("Granted and read back", "Ended")
        failed = self.says("Could not be granted")

        async def try_again() -> None:
            if failed():
                self.case.retries += await self.press("bob", "retry")

        await self.keep_trying(try_again, done, "it was not granted")

    async def ended(self) -> None:
        """Its time passes, and the access is gone."""
        card = self.card()
        if card and (ends := ENDS.search(str(card.blocks))):
            async with self.stage.asleep(datetime.fromtimestamp(int(ends[1]) + 1, self.stage.world.now().tzinfo)):
                await self.until(self.says("Ended"), "the access was not taken back")
        await self.until(self.says("Ended"), "the access was not taken back")

    async def ended_if_granted(self) -> None:
        if self.says("Granted and read back")():
            await self.ended()

    async def question(self, who: str, words: str) -> None:
        """Asked on the card, until it stands there."""
        await self.fill_in(
            who, "ask", lambda: words in str(card.blocks) if (card := self.card()) else False, reason=words
        )

    async def own_button(self, button: str, done: Callable[[], bool]) -> None:
        """The requester presses a button of their own message until it shows."""

        async def press() -> None:
            if (dm := self.dm()) and f"'action_id': '{button}'" in str(dm.blocks):
                await self.act(self.case.who, "slack.click", ts=dm.ts, action_id=button)

        await self.keep_trying(press, done, f"{button} came to nothing")


def key_of(message: Message) -> str:
    """Under which of our keys a message was posted; empty if it is not ours."""
    return str(((message.metadata or {}).get("event_payload") or {}).get("key", ""))


# --- the stories -----------------------------------------------------------------------------------------------------


async def approved_on_the_card(life: Life) -> None:
    life.case.expected = "granted"
    await life.ask()
    await life.approve("bob")
    await life.granted()
    await life.ended()


async def approved_by_comment(life: Life) -> None:
    life.case.expected = "granted"
    await life.ask()
    await life.comment("carol", "approve")
    await life.granted()
    await life.ended()


async def approved_by_everybody_twice(life: Life) -> None:
    life.case.expected = "granted"
    await life.ask()
    await asyncio.gather(*(life.approve(who) for who in ("bob", "bob", "carol")), life.comment("carol", "approve"))
    await life.granted()
    await life.ended()


async def given_back(life: Life) -> None:
    life.case.expected = "granted"
    await life.ask(USUAL)
    await life.approve("carol")
    await life.granted()
    await life.own_button("give_back", life.says("Ended"))


async def denied_on_the_card(life: Life) -> None:
    life.case.expected = "denied"
    await life.ask()
    await life.deny("carol")
    await life.decided()


async def denied_by_comment(life: Life) -> None:
    life.case.expected = "denied"
    await life.ask()
    await life.comment("bob", "deny")
    await life.decided()


async def approved_and_denied_at_once(life: Life) -> None:
    await life.ask()
    await life.until(life.incident, "nobody was paged")
    await asyncio.gather(life.approve("bob"), life.comment("carol", "deny"))
    await life.decided()
    await life.ended_if_granted()


async def withdrawn(life: Life) -> None:
    life.case.expected = "withdrawn"
    await life.ask()
    await life.own_button("withdraw", life.says("Withdrawn"))


async def approved_and_withdrawn_at_once(life: Life) -> None:
    await life.ask()
    await asyncio.gather(life.approve("bob"), life.own_button("withdraw", life.says(*DECIDED)))
    await life.decided()
    await life.ended_if_granted()


async def asked_and_answered(life: Life) -> None:
    life.case.expected = "granted"
    await life.ask()
    await life.question("bob", "For which customer?")
    await life.approve("bob")
    await life.granted()
    await life.ended()


async def passed_on(life: Life) -> None:
    life.case.expected = "granted"
    await life.ask()
    await life.until(life.incident, "nobody was paged")
    await life.press("bob", "not_me")
    await life.approve("carol")
    await life.granted()
    await life.ended()


async def approved_by_two(life: Life) -> None:
    life.case.expected = "granted"
    await life.ask(Ticket="https://tickets.example.com/INC-3")
    await asyncio.gather(life.approve("bob"), life.approve("carol"))
    await life.granted()
    await life.ended()


async def left_undecided(life: Life) -> None:
    life.case.expected = "expired"
    await life.ask()
    async with life.stage.asleep(life.stage.world.now() + timedelta(hours=8, seconds=1)):
        await life.until(life.says("Expired"), "it did not expire")


STORIES: dict[Callable[[Life], Awaitable[None]], tuple[tuple[str, str], int]] = {
    approved_on_the_card: (READONLY, 4),
    approved_by_comment: (READONLY, 3),
    approved_by_everybody_twice: (READONLY, 2),
    given_back: (READONLY, 2),
    denied_on_the_card: (READONLY, 1),
    denied_by_comment: (READONLY, 1),
    approved_and_denied_at_once: (READONLY, 2),
    withdrawn: (READONLY, 1),
    approved_and_withdrawn_at_once: (READONLY, 1),
    asked_and_answered: (ADMIN, 3),
    passed_on: (ADMIN, 3),
    approved_by_two: (ROOT, 2),
    left_undecided: (READONLY, 2),
}
