"""What is quoted on a card: what its channel may see at that moment, and no further than that channel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.quoting import redraw
from tests.story import CHANNEL, PATIENCE, Story, opened

SECRET = "the zircon list names who may read production without asking"
TALK = (
    "Who may have production access to look at production logs, the policy rule or limit for Production, read only, an "
    "exception for prod-readonly, and who approves production access, read only"
)
TAKEN_BACK = "taken back since"
UNSURE = "could not be checked just now"


@pytest.fixture
async def story(tmp_path: Path) -> AsyncIterator[Story]:
    """Documents for everybody and for responders, and one public channel that is read."""
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "open.md").write_text("# Production access\nReading production needs a ticket.\n", "utf-8")
    (folder / "closed.md").write_text(
        f"---\nvisibility: responders\n---\n# Exceptions\nProduction: {SECRET}.\n", "utf-8"
    )
    told = Story(
        tmp_path / "data",
        TINYAPPROVER_DOCUMENTS=folder,
        TINYAPPROVER_SOURCES="documents,slack-history",
        TINYAPPROVER_SLACK_HISTORY_CHANNELS="general",
    )
    await told.open()
    yield told
    await told.close()


async def chat(story: Story, text: str, who: str = "bob") -> str:
    """Somebody writes in the channel that is read, and the index has heard it."""
    ts = str((await story.act(who, "slack.say", channel="general", text=text))["ts"])
    await heard(story, text)
    return ts


async def heard(story: Story, words: str) -> None:
    assert story.running is not None
    async with asyncio.timeout(PATIENCE):
        while not await story.running.front.knowledge.search([words]):  # noqa: ASYNC110 - looked at from outside
            await asyncio.sleep(0.02)


async def look_again(story: Story) -> None:
    """What the program does after every reading of its sources."""
    assert story.running is not None
    await redraw(story.running.ledger)


async def shown(story: Story, words: str, *, there: bool = True) -> None:
    await story.until(lambda: (words in str(story.card()["blocks"])) is there, what=f"{words!r}: not as it should be")


async def test_what_responders_alone_may_see_stands_on_the_card_and_nowhere_else(story: Story) -> None:
    await story.asks()
    await shown(story, SECRET)
    incident = await story.until(story.incidents)
    assert "1 more passage that only the responders' channel may see" in str(incident)
    await story.until(lambda: story.card(button="show_advice"))
    opened = await story.presses("bob", "details", await_view=True)
    assert "Reading production needs a ticket" in str(incident)
    assert "Details of" in str(opened)
    await story.settle()
    elsewhere = [story.state["pagerduty"], story.state["slack"]["dms"], opened, story.sandbox.world.calls]
    assert SECRET not in str([*elsewhere[:3], [call for call in elsewhere[3] if call.vendor == "openai"]])


async def test_a_channel_that_turns_public_shows_it_no_longer(story: Story) -> None:
    await story.asks()
    await shown(story, SECRET)
    await story.act("bob", "slack.convert", channel=CHANNEL, private=False)
    await shown(story, SECRET, there=False)
    assert TAKEN_BACK in str(story.card()["blocks"])
    assert "Reading production needs a ticket" in str(story.card()["blocks"])


async def test_a_card_in_a_public_channel_never_had_it(story: Story) -> None:
    await story.act("bob", "slack.convert", channel=CHANNEL, private=False)
    await story.asks()
    await shown(story, "Reading production needs a ticket")
    await story.settle()
    assert SECRET not in str(story.state)


async def test_while_slack_does_not_say_who_reads_along_it_is_left_out_and_comes_back(story: Story) -> None:
    await story.asks()
    await shown(story, SECRET)
    await story.settle()
    await story.advance(30)
    await story.fault("slack", "*conversations.info", "error", times=None)
    await look_again(story)
    await shown(story, UNSURE)
    assert SECRET not in str(story.card()["blocks"])
    await story.settle()
    await story.mend()
    await story.advance(21)
    await shown(story, SECRET)


async def test_that_nothing_was_said_is_told(story: Story) -> None:
    await story.asks()
    await shown(story, "Nothing about this, in the channels that are read")


async def test_however_much_is_said_no_document_is_crowded_out(story: Story) -> None:
    for number in range(12):
        await story.act("bob", "slack.say", channel="general", text=f"{TALK}, {number}?")
    assert story.running is not None
    await story.running.front.knowledge.follow()
    await story.asks()
    await shown(story, "Reading production needs a ticket")
    await shown(story, "Said in Slack")
    assert "No document says anything" not in str(story.card()["blocks"])


async def test_where_chat_is_not_read_nothing_is_told_of_it(tmp_path: Path) -> None:
    async with opened(Story(tmp_path / "data")) as story:
        await story.asks()
        await shown(story, "Earlier requests like this")
        assert "Said in Slack" not in str(story.card()["blocks"])


async def test_chat_that_is_taken_back_goes_from_the_card(story: Story) -> None:
    ts = await chat(story, "reading production is fine while the incident lasts")
    await story.asks()
    await shown(story, "fine while the incident lasts")
    await story.act("bob", "slack.unsay", channel="general", ts=ts)
    await shown(story, "fine while the incident lasts", there=False)


async def test_chat_stays_on_the_card_when_somebody_replies_in_its_thread(story: Story) -> None:
    ts = await chat(story, "reading production is fine while the incident lasts")
    await story.asks()
    await shown(story, "fine while the incident lasts")
    await story.act("carol", "slack.say", channel="general", thread_ts=ts, text="and please close the ticket")
    await heard(story, "please close the ticket")
    await look_again(story)
    await story.settle()
    assert "fine while the incident lasts" in str(story.card()["blocks"])


async def test_chat_whose_channel_is_closed_goes_from_the_card_and_from_a_later_page(story: Story) -> None:
    await chat(story, "reading production is fine while the incident lasts")
    await story.asks()
    await shown(story, "fine while the incident lasts")
    await story.act("carol", "slack.convert", channel="general")
    await shown(story, "fine while the incident lasts", there=False)
    await story.until(story.incidents)
    await story.act("bob", "pagerduty.resolve", incident=story.incidents()[0]["id"])
    await story.advance(6)
    await story.until(lambda: "closed without a decision" in story.told("alice"))
    await story.advance(601)
    again = await story.until(lambda: story.incidents()[1:])
    assert "fine while the incident lasts" not in str(again)


async def test_a_slow_slack_costs_the_chat_alone_and_the_card_says_so(story: Story) -> None:
    await chat(story, "reading production is fine while the incident lasts")
    await story.advance(61)
    await story.fault("slack", "*conversations.info", "held", times=None)
    await story.asks()  # what Slack holds back stays away until the end
    await shown(story, "Slack's history did not answer in time")
    card = str(story.card()["blocks"])
    assert "Reading production needs a ticket" in card
    assert "fine while the incident lasts" not in card
    assert "documents did not answer" not in card
    await story.mend()
