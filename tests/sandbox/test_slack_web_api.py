"""The Web API refuses what Slack refuses, in Slack's words."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk.errors import SlackApiError

from tests.sandbox.slack_desk import Desk, button, buttons, modal, section, typing, words


async def error_of(call: Any) -> dict[str, Any]:
    with pytest.raises(SlackApiError) as caught:
        await call
    return dict(caught.value.response.data)


async def test_auth_test_names_the_bot_and_its_scopes(desk: Desk) -> None:
    told = await desk.client.auth_test()
    assert (told["user_id"], told["bot_id"], told["team_id"]) == ("U0TINYAPP", "B0TINYAPP", "T0SANDBOX")
    assert "chat:write" in told.headers["x-oauth-scopes"].split(",")


async def test_a_wrong_token_is_refused_with_slacks_own_error(desk: Desk) -> None:
    assert (await error_of(desk.client_with("xoxb-wrong").auth_test()))["error"] == "invalid_auth"
    assert (await error_of(desk.client_with("xapp-sandbox-app").auth_test()))["error"] == "not_allowed_token_type"
    opened = desk.client.apps_connections_open(app_token="xoxb-sandbox-bot")
    assert (await error_of(opened))["error"] == "not_allowed_token_type"


async def test_a_method_without_its_scope_is_refused(desk: Desk) -> None:
    desk.slack.workspace.scopes = ("chat:write",)
    refusal = await error_of(desk.client.users_info(user="U0ALICE"))
    assert (refusal["error"], refusal["needed"]) == ("missing_scope", "users:read")


LONG = "a" * 3001
BAD_BLOCKS = [
    ([section(LONG)], "must be less than 3001 characters [json-pointer:/blocks/0/text/text]"),
    ([{"type": "divider"}] * 51, "no more than 50 items allowed [json-pointer:/blocks]"),
    ([{"type": "sticker"}], "unsupported type: sticker [json-pointer:/blocks/0/type]"),
    ([{"type": "section"}], "must define either `text` or `fields` [json-pointer:/blocks/0]"),
    ([{"type": "header"}], "missing required field: text [json-pointer:/blocks/0]"),
    ([{**section("x"), "colour": "red"}], "invalid additional property: colour [json-pointer:/blocks/0]"),
    (
        [buttons(*[button(f"b{i}") for i in range(26)])],
        "no more than 25 items allowed [json-pointer:/blocks/0/elements]",
    ),
    (
        [buttons(button("b", "v" * 2001))],
        "must be less than 2001 characters [json-pointer:/blocks/0/elements/0/value]",
    ),
    ([{"type": "header", "text": words("")}], "must be more than 0 characters [json-pointer:/blocks/0/text/text]"),
    (
        [{"type": "section", "fields": [section("x")["text"]] * 11}],
        "no more than 10 items allowed [json-pointer:/blocks/0/fields]",
    ),
]


@pytest.mark.parametrize(("blocks", "complaint"), BAD_BLOCKS)
async def test_bad_blocks_are_refused_with_slacks_words(desk: Desk, blocks: Any, complaint: str) -> None:
    refusal = await error_of(desk.client.chat_postMessage(channel="C0ACCESS", text="x", blocks=blocks))
    assert refusal["error"] == "invalid_blocks"
    assert complaint in refusal["errors"]
    assert f"[ERROR] {complaint}" in refusal["response_metadata"]["messages"]
    assert await desk.messages() == []


async def test_all_text_together_is_limited_too(desk: Desk) -> None:
    blocks = [section("a" * 2900)] * 5
    refusal = await error_of(desk.client.chat_postMessage(channel="C0ACCESS", text="x", blocks=blocks))
    assert refusal["error"] == "msg_blocks_too_long"


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ({"channel": "C0NOWHERE", "text": "x"}, "channel_not_found"),
        ({"channel": "C0ACCESS", "text": "x" * 40_001}, "msg_too_long"),
        ({"channel": "C0ACCESS", "text": ""}, "no_text"),
        ({"channel": "U0DAVE", "text": "x"}, "channel_not_found"),
        ({"channel": "C0ACCESS", "text": "x", "metadata": {"event_type": 1}}, "invalid_metadata_format"),
    ],
)
async def test_messages_that_cannot_be_posted(desk: Desk, args: dict[str, Any], error: str) -> None:
    assert (await error_of(desk.client.api_call("chat.postMessage", json=args)))["error"] == error


async def test_the_app_must_be_in_a_channel_that_is_not_archived(desk: Desk) -> None:
    await desk.act("carol", "remove_app", channel="general")
    posted = desk.client.chat_postMessage
    assert (await error_of(posted(channel="C0GENERAL", text="x")))["error"] == "not_in_channel"
    await desk.act("carol", "remove_app", channel="C0ACCESS")
    assert (await error_of(posted(channel="C0ACCESS", text="x")))["error"] == "channel_not_found"
    await desk.act("carol", "invite_app", channel="general")
    await desk.act("carol", "archive", channel="general")
    assert (await error_of(posted(channel="C0GENERAL", text="x")))["error"] == "is_archived"


async def test_an_update_leaves_out_what_stays(desk: Desk) -> None:
    ts = await desk.post(buttons(button("approve")))
    await desk.client.chat_update(channel="C0ACCESS", ts=ts, text="new words")
    message = (await desk.messages())[0]
    assert message["text"] == "new words"
    assert message["blocks"][0]["elements"][0]["action_id"] == "approve"


async def test_only_own_messages_can_be_changed(desk: Desk) -> None:
    said = await desk.act("bob", "say", channel="general", text="mine")
    update = desk.client.chat_update
    assert (await error_of(update(channel="C0GENERAL", ts=said["ts"], text="x")))["error"] == "cant_update_message"
    assert (await error_of(update(channel="C0GENERAL", ts="1.000000", text="x")))["error"] == "message_not_found"


async def test_an_ephemeral_is_seen_by_one_present_person(desk: Desk) -> None:
    await desk.client.chat_postEphemeral(channel="C0ACCESS", user="U0BOB", text="for you")
    state = await desk.state()
    assert [seen["text"] for seen in state["ephemerals"]["bob"]] == ["for you"]
    assert state["ephemerals"]["carol"] == []
    absent = desk.client.chat_postEphemeral(channel="C0ACCESS", user="U0ALICE", text="x")
    assert (await error_of(absent))["error"] == "user_not_in_channel"


async def test_direct_messages_open_for_people_who_can_read_them(desk: Desk) -> None:
    opened = await desk.client.conversations_open(users="U0ALICE")
    await desk.client.chat_postMessage(channel=opened["channel"]["id"], text="granted")
    assert [one["text"] for one in (await desk.state())["dms"]["alice"]["messages"]] == ["granted"]
    assert (await error_of(desk.client.conversations_open(users="U0DAVE")))["error"] == "user_disabled"
    assert (await error_of(desk.client.conversations_open(users="U0TINYAPP")))["error"] == "cannot_dm_bot"


async def test_history_comes_page_by_page_newest_first(desk: Desk) -> None:
    sent = [await desk.post(text=f"m{index}") for index in range(5)]
    first = await desk.client.conversations_history(channel="C0ACCESS", limit=2)
    assert [one["text"] for one in first["messages"]] == ["m4", "m3"]
    cursor = first["response_metadata"]["next_cursor"]
    second = await desk.client.conversations_history(channel="C0ACCESS", limit=2, cursor=cursor)
    assert [one["text"] for one in second["messages"]] == ["m2", "m1"]
    last = await desk.client.conversations_history(channel="C0ACCESS", oldest=sent[3])
    assert [one["text"] for one in last["messages"]] == ["m4"]
    assert not last["has_more"]
    bad = desk.client.conversations_history(channel="C0ACCESS", cursor="junk")
    assert (await error_of(bad))["error"] == "invalid_cursor"


async def test_metadata_is_kept_and_given_when_asked_for(desk: Desk) -> None:
    card = {"event_type": "card", "event_payload": {"request": "TA-1"}}
    await desk.client.chat_postMessage(channel="C0ACCESS", text="x", metadata=card)
    plain = await desk.client.conversations_history(channel="C0ACCESS")
    asked = await desk.client.conversations_history(channel="C0ACCESS", include_all_metadata=True)
    assert "metadata" not in plain["messages"][0]
    assert asked["messages"][0]["metadata"] == card


async def test_the_root_of_a_thread_tells_of_its_replies(desk: Desk) -> None:
    root = await desk.post(text="root")
    await desk.client.chat_postMessage(channel="C0ACCESS", text="reply", thread_ts=root)
    history = await desk.client.conversations_history(channel="C0ACCESS")
    assert [(one["text"], one["reply_count"]) for one in history["messages"]] == [("root", 1)]


async def test_people_are_described_as_slack_does(desk: Desk) -> None:
    alice = (await desk.client.users_info(user="U0ALICE"))["user"]
    assert (alice["id"], alice["is_restricted"], alice["deleted"]) == ("U0ALICE", False, False)
    assert (await desk.client.users_info(user="U0ERIN"))["user"]["is_restricted"]
    assert (await desk.client.users_info(user="U0DAVE"))["user"]["deleted"]
    assert (await desk.client.users_info(user="U0TINYAPP"))["user"]["is_bot"]
    assert (await error_of(desk.client.users_info(user="U0NOBODY")))["error"] == "user_not_found"


async def test_channels_list_their_members(desk: Desk) -> None:
    members = await desk.client.conversations_members(channel="C0ACCESS", limit=2)
    assert members["members"] == ["U0BOB", "U0CAROL"]
    assert members["response_metadata"]["next_cursor"]


@pytest.mark.parametrize(
    ("view", "complaint"),
    [
        (
            modal(section("x"), title=words("t" * 25)),
            "must be less than 25 characters [json-pointer:/view/title/text]",
        ),
        ({"type": "modal", "title": words("t")}, "missing required field: blocks [json-pointer:/view]"),
        (
            modal(section("x"), private_metadata="m" * 3001),
            "must be less than 3001 characters [json-pointer:/view/private_metadata]",
        ),
        (modal(*[{"type": "divider"}] * 101), "no more than 100 items allowed [json-pointer:/view/blocks]"),
        (
            modal(typing("A", "same"), typing("B", "same")),
            "block_id must be unique: same [json-pointer:/view/blocks/1/block_id]",
        ),
    ],
)
async def test_bad_views_are_refused_with_slacks_words(desk: Desk, view: Any, complaint: str) -> None:
    refusal = await error_of(desk.client.api_call("views.open", json={"trigger_id": "1.2.3", "view": view}))
    assert refusal["error"] == "invalid_arguments"
    assert f"[ERROR] {complaint}" in refusal["response_metadata"]["messages"]


async def test_an_outdated_home_is_not_overwritten(desk: Desk) -> None:
    home = {"type": "home", "blocks": [section("one")]}
    old = (await desk.client.views_publish(user_id="U0ALICE", view=home))["view"]["hash"]
    await desk.client.views_publish(user_id="U0ALICE", view=home, hash=old)
    late = desk.client.views_publish(user_id="U0ALICE", view=home, hash=old)
    assert (await error_of(late))["error"] == "hash_conflict"


async def test_a_channel_takes_about_one_message_a_second_when_paced(desk: Desk) -> None:
    await desk.act("carol", "pace")
    for index in range(4):
        await desk.post(text=f"m{index}")
    with pytest.raises(SlackApiError) as caught:
        await desk.post(text="too fast")
    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["Retry-After"] == "1"
    await desk.advance(4)
    await desk.post(text="later")


async def test_forms_are_accepted_like_json(desk: Desk) -> None:
    blocks = '[{"type": "divider"}]'
    form = {"token": "xoxb-sandbox-bot", "channel": "C0ACCESS", "text": "x", "blocks": blocks}
    async with desk.http.post("/slack/api/chat.postMessage", data=form) as response:
        assert (await response.json())["ok"]
    assert (await desk.messages())[0]["blocks"][0]["type"] == "divider"
