"""What was written in channels, read back as Slack gives it, and what the app hears when it changes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError

from tests.sandbox.slack_desk import PATIENCE, Desk

EVENTS = ("message", "channel_archive", "channel_unarchive", "channel_shared", "channel_deleted", "group_left")


async def error_of(call: Any) -> dict[str, Any]:
    with pytest.raises(SlackApiError) as caught:
        await call
    return dict(caught.value.response.data)


async def listening(desk: Desk) -> asyncio.Queue[dict[str, Any]]:
    """Whatever a Bolt app hears from now on."""
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    app: AsyncApp = desk.app()

    async def hear(event: dict[str, Any]) -> None:
        heard.put_nowait(event)

    for name in EVENTS:
        app.event(name)(hear)
    await desk.connect(app)
    return heard


async def next_of(heard: asyncio.Queue[dict[str, Any]]) -> dict[str, Any]:
    return await asyncio.wait_for(heard.get(), PATIENCE)


async def test_a_thread_comes_page_by_page_with_its_first_message_first(desk: Desk) -> None:
    root = (await desk.act("alice", "say", channel="general", text="root"))["ts"]
    for number in range(3):
        await desk.act("bob", "say", channel="general", text=f"reply {number}", thread_ts=root)
    first = await desk.client.conversations_replies(channel="C0GENERAL", ts=root, limit=2)
    assert [one["text"] for one in first["messages"]] == ["root", "reply 0"]
    assert first["has_more"]
    cursor = first["response_metadata"]["next_cursor"]
    rest = await desk.client.conversations_replies(channel="C0GENERAL", ts=root, cursor=cursor)
    assert [one["text"] for one in rest["messages"]] == ["reply 1", "reply 2"]
    lost = desk.client.conversations_replies(channel="C0GENERAL", ts="1.000000")
    assert (await error_of(lost))["error"] == "thread_not_found"


async def test_a_private_channel_needs_the_scopes_for_groups(desk: Desk) -> None:
    desk.slack.workspace.scopes = ("channels:history", "channels:read")
    history = await error_of(desk.client.conversations_history(channel="C0ACCESS"))
    assert (history["error"], history["needed"]) == ("missing_scope", "groups:history")
    info = await error_of(desk.client.conversations_info(channel="C0ACCESS"))
    assert (info["error"], info["needed"]) == ("missing_scope", "groups:read")
    joined = await error_of(desk.client.users_conversations(types="public_channel,private_channel"))
    assert (joined["error"], joined["needed"]) == ("missing_scope", "groups:read")
    public = (await desk.client.users_conversations())["channels"]
    assert "C0GENERAL" in [one["id"] for one in public]
    assert not any(one["is_private"] for one in public)


async def test_only_members_read_and_only_those_who_see_a_channel_know_of_it(desk: Desk) -> None:
    await desk.act("carol", "remove_app", channel="general")
    await desk.act("carol", "remove_app", channel="C0ACCESS")
    assert (await error_of(desk.client.conversations_history(channel="C0GENERAL")))["error"] == "not_in_channel"
    assert not (await desk.client.conversations_info(channel="C0GENERAL"))["channel"]["is_member"]
    assert (await error_of(desk.client.conversations_info(channel="C0ACCESS")))["error"] == "channel_not_found"


async def test_a_channel_says_what_became_of_it(desk: Desk) -> None:
    await desk.act("carol", "convert", channel="general")
    await desk.act("carol", "share", channel="general")
    await desk.act("carol", "archive", channel="general")
    told = (await desk.client.conversations_info(channel="C0GENERAL"))["channel"]
    assert told["is_private"]
    assert told["is_ext_shared"]
    assert told["is_archived"]
    kinds = [one.get("subtype") for one in (await desk.client.conversations_history(channel="C0GENERAL"))["messages"]]
    assert kinds == ["channel_convert_to_private"]


async def test_the_app_hears_of_edits_and_deletions(desk: Desk) -> None:
    heard = await listening(desk)
    said = await desk.act("alice", "say", channel="general", text="one")
    assert (await next_of(heard))["text"] == "one"
    await desk.act("alice", "edit", channel="general", ts=said["ts"], text="two")
    changed = await next_of(heard)
    assert (changed["subtype"], changed["message"]["text"]) == ("message_changed", "two")
    assert changed["previous_message"]["text"] == "one"
    assert changed["ts"] != said["ts"]
    await desk.act("alice", "unsay", channel="general", ts=said["ts"])
    gone = await next_of(heard)
    assert (gone["subtype"], gone["deleted_ts"]) == ("message_deleted", said["ts"])
    assert await desk.messages("C0GENERAL") == []


async def test_the_first_message_of_a_thread_leaves_a_gravestone(desk: Desk) -> None:
    root = (await desk.act("alice", "say", channel="general", text="root"))["ts"]
    await desk.act("bob", "say", channel="general", text="reply", thread_ts=root)
    await desk.act("alice", "unsay", channel="general", ts=root)
    thread = (await desk.client.conversations_replies(channel="C0GENERAL", ts=root))["messages"]
    assert [one.get("subtype", "") for one in thread] == ["tombstone", ""]
    assert thread[0]["text"] == "This message was deleted."


async def test_the_app_hears_what_happens_to_its_channels(desk: Desk) -> None:
    heard = await listening(desk)
    await desk.act("carol", "convert", channel="general")
    converted = await next_of(heard)
    assert (converted["subtype"], converted["channel_type"]) == ("channel_convert_to_private", "group")
    await desk.act("carol", "remove_app", channel="general")
    assert (await next_of(heard))["type"] == "group_left"
    await desk.act("carol", "convert", channel="general", private=False)
    await desk.act("carol", "invite_app", channel="general")
    for verb, event in [
        ("archive", "channel_archive"),
        ("share", "channel_shared"),
        ("delete_channel", "channel_deleted"),
    ]:
        await desk.act("carol", verb, channel="general")
        assert (await next_of(heard))["type"] == event


async def test_nobody_edits_what_others_wrote(desk: Desk) -> None:
    said = await desk.act("alice", "say", channel="general", text="mine")
    for verb in ("edit", "unsay"):
        refusal = await desk.refusal("bob", verb, channel="general", ts=said["ts"], text="x")
        assert refusal == "they wrote no such message"
