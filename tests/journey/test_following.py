"""What people write in an indexed channel is found within seconds, and what they take back is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.knowledge.exports import DAY, an_export, said
from tests.story import PATIENCE, Story

GENERAL = "C0GENERAL"


@pytest.fixture
async def story(tmp_path: Path) -> AsyncIterator[Story]:
    """A program that follows one channel, after its first reading."""
    told = Story(
        tmp_path,
        TINYAPPROVER_SOURCES="slack-history",
        TINYAPPROVER_SLACK_HISTORY_CHANNELS="general",
    )
    await told.open()
    await say(told, "the first words of all")
    await until(lambda: found(told, "first words"))
    yield told
    await told.close()


async def say(story: Story, text: str, who: str = "alice", **more: str) -> str:
    return str((await story.act(who, "slack.say", channel="general", text=text, **more))["ts"])


async def find(story: Story, words: str) -> list[str]:
    """What a public place is told."""
    assert story.running is not None
    return [one.text for one in await story.running.front.knowledge.search([words])]


async def until(holds: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await holds():  # noqa: ASYNC110 - the program is looked at from outside
            await asyncio.sleep(0.02)


async def found(story: Story, words: str) -> bool:
    return bool(await find(story, words))


async def lost(story: Story, words: str) -> bool:
    return not await find(story, words)


async def test_a_message_and_its_replies_are_found_as_they_are_written(story: Story) -> None:
    root = await say(story, "who rotates the staging keys")
    await until(lambda: found(story, "staging keys"))
    await say(story, "the platform team rotates them", "bob", thread_ts=root)
    await until(lambda: found(story, "platform team"))
    assert "staging keys" in (await find(story, "platform team"))[0]


async def test_an_edit_replaces_what_was_written(story: Story) -> None:
    ts = await say(story, "the vault is unlocked on mondays")
    await until(lambda: found(story, "mondays"))
    await story.act("alice", "slack.edit", channel="general", ts=ts, text="the vault is unlocked on tuesdays")
    await until(lambda: found(story, "tuesdays"))
    assert await lost(story, "mondays")


async def test_a_deleted_message_is_forgotten_even_while_slack_tells_nothing(story: Story) -> None:
    root = await say(story, "a thread that stays")
    reply = await say(story, "something regretted", "bob", thread_ts=root)
    await until(lambda: found(story, "regretted"))
    await story.fault("slack", "*conversations.replies", "error", times=None)
    await story.act("bob", "slack.unsay", channel="general", ts=reply)
    await until(lambda: lost(story, "regretted"))
    await story.mend()


async def test_the_first_message_of_a_thread_can_be_taken_back_alone(story: Story) -> None:
    root = await say(story, "regretted question")
    await say(story, "a useful answer", "bob", thread_ts=root)
    await until(lambda: found(story, "useful answer"))
    await story.act("alice", "slack.unsay", channel="general", ts=root)
    await until(lambda: lost(story, "regretted"))
    await until(lambda: found(story, "useful answer"))


@pytest.mark.parametrize("verb", ["convert", "archive", "share", "remove_app", "delete_channel"])
async def test_a_channel_that_is_closed_is_silent_within_seconds(story: Story, verb: str) -> None:
    await say(story, "the merger is near")
    await until(lambda: found(story, "merger"))
    await story.act("carol", f"slack.{verb}", channel="general")
    await until(lambda: lost(story, "merger"))


async def test_a_channel_that_opens_again_is_heard_again(story: Story) -> None:
    await say(story, "how we deploy")
    await until(lambda: found(story, "deploy"))
    await story.act("carol", "slack.archive", channel="general")
    await until(lambda: lost(story, "deploy"))
    await story.act("carol", "slack.archive", channel="general", on=False)
    await until(lambda: found(story, "deploy"))


async def test_other_channels_and_direct_messages_are_not_listened_to(story: Story) -> None:
    await story.act("bob", "slack.say", channel="C0ACCESS", text="secret plans of the responders")
    await story.act("alice", "slack.say", text="secret plans of alice")
    await say(story, "public plans")
    await until(lambda: found(story, "public plans"))
    assert await lost(story, "secret")


async def test_an_export_is_read_by_a_program_that_follows_nothing_else(tmp_path: Path) -> None:
    file = an_export(tmp_path / "export.zip", {f"general/{DAY}": [said("U0BOB", "how we rotated keys")]})
    story = Story(
        tmp_path,
        TINYAPPROVER_SOURCES="slack-export",
        TINYAPPROVER_SLACK_EXPORT_FILE=str(file),
        TINYAPPROVER_SLACK_EXPORT_CHANNELS="general",
    )
    await story.open()
    await until(lambda: found(story, "rotated keys"))
    await story.close()
