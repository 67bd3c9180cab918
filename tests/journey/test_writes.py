"""Every write of the program outside, and every way in which it can go wrong: judged by what the vendor holds then."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from connectors.okta_api import OktaApi
from connectors.pagerduty import PagerDuty
from tests.story import CHANNEL, Story, opened

READONLY, ALICE = "prod-readonly", "alice@example.com"
LIMIT = 1.5  # how long the program waits for an answer in these stories
STEPS = 40
LOST = ("lost_answer", "html", "empty", "slow")
KINDS = (*LOST, "cut", "error", "rate_limit", "rate_limit_bare")


@dataclass(frozen=True)
class Write:
    """One write: how it comes about, when it has come about, and how often what it leaves is found then."""

    vendor: str
    route: str
    begin: Callable[[Story], Awaitable[None]]
    done: Callable[[Story], bool]
    count: Callable[[Story], int]
    twice: tuple[str, ...] = ()
    """After which faults it may be found twice; `docs/reliability.md` says why."""


async def ask(story: Story) -> None:
    await story.submits()


async def paged(story: Story) -> None:
    await story.asks()
    await story.until(lambda: "not_me" in story.buttons(story.card()))


async def approved(story: Story) -> None:
    await story.asks()
    await story.presses("bob", "approve")


async def withdrawn(story: Story) -> None:
    await paged(story)
    message = await story.until(lambda: story.dms("alice")[0])
    await story.act("alice", "slack.click", ts=message["ts"], action_id="withdraw")


async def passed_on(story: Story) -> None:
    await paged(story)
    await story.presses("bob", "not_me")


async def ended(story: Story) -> None:
    await approved(story)
    await story.until(lambda: story.members(READONLY) == [ALICE])
    await story.until(lambda: "Granted and read back" in story.card()["text"])
    await story.advance(3601)


async def refused(story: Story) -> None:
    """Mallory presses, and is told that it is not for her."""
    await story.asks()
    await story.presses("mallory", "approve", stale=True)


async def home(story: Story) -> None:
    await story.asks()
    await story.act("alice", "slack.home")


def keyed(story: Story, *, dm: bool = False) -> int:
    """The most messages that carry one key."""
    messages = story.dms("alice") if dm else story.messages()
    return max(Counter(one["metadata"]["event_payload"]["key"] for one in messages).values(), default=0)


def notes(story: Story) -> int:
    return max(Counter(one["content"] for one in story.incidents()[0]["notes"]).values(), default=0)


def told(story: Story) -> int:
    return len(story.whispers("mallory"))


WRITES = {
    "a post": Write(
        "slack",
        "POST /api/chat.postMessage",
        ask,
        lambda s: "approve" in s.buttons(s.card()) and bool(s.dms("alice")),
        lambda s: max(keyed(s), keyed(s, dm=True)),
    ),
    "an update": Write(
        "slack", "POST /api/chat.update", approved, lambda s: "Granted and read back" in s.card()["text"], keyed
    ),
    "a whisper": Write("slack", "POST /api/chat.postEphemeral", refused, lambda s: told(s) > 0, told, twice=LOST),
    "opening direct messages": Write(
        "slack", "POST /api/conversations.open", ask, lambda s: bool(s.dms("alice")), lambda s: keyed(s, dm=True)
    ),
    "a home": Write(
        "slack", "POST /api/views.publish", home, lambda s: "withdraw" in s.buttons(s.home("alice")), lambda _: 1
    ),
    "an incident": Write(
        "pagerduty", "POST /incidents", ask, lambda s: "|page>" in str(s.card()["blocks"]), lambda s: len(s.incidents())
    ),
    "a note": Write(
        "pagerduty",
        "POST /incidents/*/notes",
        withdrawn,
        lambda s: s.incidents()[0]["status"] == "resolved",
        notes,
        twice=("slow",),
    ),
    "resolving": Write(
        "pagerduty", "PUT /incidents/*", withdrawn, lambda s: s.incidents()[0]["status"] == "resolved", lambda _: 1
    ),
    "passing on": Write(
        "pagerduty",
        "PUT /incidents/*",
        passed_on,
        lambda s: "passed on to level 2" in s.notes(),
        lambda s: sum(one["person"] == "carol" for one in s.state["pagerduty"]["paged"]),
        twice=("slow",),
    ),
    "a grant": Write(
        "okta",
        "PUT /groups/*",
        approved,
        lambda s: "Granted and read back" in s.card()["text"],
        lambda s: s.changes().count(("add", ALICE, READONLY)),
    ),
    "an end": Write(
        "okta",
        "DELETE /groups/*",
        ended,
        lambda s: "Ended" in s.card()["text"],
        lambda s: s.changes().count(("remove", ALICE, READONLY)),
    ),
}


@pytest.fixture
async def impatient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Story]:
    """A story whose program waits less than a second for an answer."""
    monkeypatch.setattr("connectors.slack.TIMEOUT_SECONDS", LIMIT)
    for connector in (PagerDuty, OktaApi):
        monkeypatch.setitem(connector.__init__.__kwdefaults__ or {}, "timeout", LIMIT)
    async with opened(Story(tmp_path / "data")) as story:
        yield story


async def eventually(story: Story, holds: Callable[[Story], bool]) -> None:
    """Time passes until it is so, a few seconds at a time, and then until nothing of it is left to do."""
    for _ in range(STEPS):
        if story._look(lambda: holds(story)):
            break
        await story.advance(5)
        await story.settle()
    assert holds(story)
    for _ in range(2):
        await story.advance(65)
        await story.settle()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", WRITES)
async def test_a_write_that_goes_wrong_is_made_once_in_the_end(name: str, kind: str, impatient: Story) -> None:
    story, write = impatient, WRITES[name]
    await story.fault(write.vendor, write.route, kind, seconds=2 * LIMIT if kind == "slow" else 5)
    await write.begin(story)
    await eventually(story, write.done)
    assert any(call.fault == kind for call in story.sandbox.world.calls), "the fault was never played"
    assert write.count(story) in ((1, 2) if kind in write.twice else (1,))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_window_that_does_not_open_is_told_and_opens_at_the_next_press(kind: str, impatient: Story) -> None:
    """Slack's trigger works once and for three seconds, so it is the person who repeats this one."""
    story = impatient
    await story.asks()
    await story.fault("slack", "POST /api/views.open", kind, seconds=2 * LIMIT if kind == "slow" else 5)
    await story.presses("bob", "details")
    await story.until(lambda: "Please try again" in story.told("bob"))
    assert (await story.presses("bob", "details", await_view=True))["view"]


# --- pace ------------------------------------------------------------------------------------------------------------


def updates(story: Story, channel: str) -> int:
    """How many updates of messages in a channel Slack was asked for."""
    calls = [call for call in story.sandbox.world.calls if call.route == "POST /api/chat.update"]
    return sum(call.body["channel"] == channel for call in calls)


async def test_a_channel_that_slack_asks_to_wait_holds_up_no_other(story: Story) -> None:
    await story.fault("slack", "POST /api/chat.postMessage", "rate_limit", seconds=40)
    await story.submits()
    await story.until(lambda: story.dms("alice"))
    await story.settle()
    assert story.messages() == []
    await story.advance(41)
    await story.until(lambda: story.card(button="approve"))


async def test_a_burst_of_changes_to_a_card_becomes_one_update(story: Story) -> None:
    await story.asks()
    await story.until(lambda: "not_me" in story.buttons(story.card()))
    await story.settle()
    before = updates(story, CHANNEL)
    await story.fault("slack", "POST /api/chat.update", "rate_limit", seconds=30)
    for words in ("Which host?", "Why now?", "Who else?"):
        view = (await story.presses("bob", "ask", await_view=True))["view"]
        await story.act("bob", "slack.submit", view_id=view["id"], values={"Question": words})
        await story.settle()
    await story.advance(31)
    await story.until(lambda: "Who else?" in str(story.card()["blocks"]))
    await story.settle()
    assert updates(story, CHANNEL) == before + 2, "one that was refused, and one for all"
