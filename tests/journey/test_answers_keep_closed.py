"""Whoever asks, and whatever channels turn into: no answer and no model gets what not everybody there may see."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from tests.journey.test_answers import ASK, ask, only_answer, words
from tests.story import CHANNEL, Json, Story, opened

READ = {"general": "C0GENERAL", "access-requests": CHANNEL}
PEOPLE = ("bob", "carol", "mallory")  # members of both
STEPS = 16
TOKEN = re.compile(r"word\d+")


@dataclass
class Walk:
    """A workspace in which things happen, and who may see what by its own word."""

    story: Story
    random: Random
    there: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    """Token to channel, timestamp and writer of every message that is there."""
    asked: int = 0
    quoted: int = 0

    async def step(self, number: int) -> None:
        await self.random.choice((self.say, self.say, self.take_back, self.convert))(number)
        await self.story.advance(61)  # no older word of Slack's counts any more
        assert self.story.running is not None
        await self.story.running.front.knowledge.follow()
        await self.ask()

    async def say(self, number: int) -> None:
        who, channel = self.random.choice(PEOPLE), self.random.choice([*READ.values()])
        said = await self.story.act(who, "slack.say", channel=channel, text=f"Payroll keys for word{number}, payroll.")
        self.there[f"word{number}"] = (channel, said["ts"], who)

    async def take_back(self, _number: int) -> None:
        if self.there:
            channel, ts, who = self.there.pop(self.random.choice([*self.there]))
            await self.story.act(who, "slack.unsay", channel=channel, ts=ts)

    async def convert(self, _number: int) -> None:
        channel = self.random.choice([*READ.values()])
        await self.story.act("carol", "slack.convert", channel=channel, private=self.random.random() < 0.5)

    async def ask(self) -> None:
        await self.story.act("bob", "openai.mode", mode=self.random.choice(("right", "absent")))
        told, place = len(self.story.sandbox.world.calls), self.random.choice((ASK, CHANNEL, ""))
        who = self.random.choice(PEOPLE)
        asked = await self._asks(who, place)
        shown = set(TOKEN.findall(words(await only_answer(self.story, asked))))
        assert shown <= self._seen_by_all() | self._seen_in(place), (place, shown, self.there)
        assert self._told_since(told) <= self._seen_by_all()
        self.asked, self.quoted = self.asked + 1, self.quoted + len(shown)

    async def _asks(self, who: str, place: str) -> Json:
        if place:
            return await ask(self.story, who, text="@TinyApprover who has the payroll keys?", channel=place)
        return await self.story.act(who, "slack.say", text="who has the payroll keys?")

    def _told_since(self, calls: int) -> set[str]:
        bodies = [call.body for call in self.story.sandbox.world.calls[calls:] if call.vendor == "openai"]
        return set(TOKEN.findall(json.dumps(bodies)))

    def _seen_in(self, place: str) -> set[str]:
        return {token for token, (channel, _, _) in self.there.items() if channel == place}

    def _seen_by_all(self) -> set[str]:
        channels = self.story.state["slack"]["channels"]
        return {token for token, (channel, _, _) in self.there.items() if not channels[channel]["private"]}


@pytest.mark.parametrize("seed", range(3))
async def test_no_answer_says_what_not_everybody_there_may_see(tmp_path: Path, seed: int) -> None:
    settings = {
        "TINYAPPROVER_DOCUMENTS": None,
        "TINYAPPROVER_SOURCES": "slack-history",
        "TINYAPPROVER_SLACK_HISTORY_CHANNELS": ",".join(READ),
        "SLACK_ASK_CHANNELS": f"{ASK},{CHANNEL}",
    }
    async with opened(Story(tmp_path / "data", **settings)) as story:
        walk = Walk(story, Random(seed))
        for number in range(STEPS):
            await walk.step(number)
    assert walk.asked == STEPS
    assert walk.quoted >= STEPS // 4
