"""Streams are refused as Slack refuses them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.slack_desk import Desk, section
from tests.sandbox.test_slack_web_api import error_of

TASK = {"type": "task_update", "id": "t1", "title": "Looking", "status": "in_progress"}
TO = {"recipient_team_id": "T0SANDBOX", "recipient_user_id": "U0ALICE"}


async def start(desk: Desk, **more: Any) -> Any:
    asked = await desk.act("alice", "say", channel="general", text="who decides?")
    return await desk.client.chat_startStream(channel="C0GENERAL", **{"thread_ts": asked["ts"], **TO, **more})


@pytest.mark.parametrize("name", sorted(TO))
async def test_a_stream_in_a_channel_names_its_reader(desk: Desk, name: str) -> None:
    assert (await error_of(start(desk, **{name: None})))["error"] == f"missing_{name}"


async def test_a_stream_answers_a_message(desk: Desk) -> None:
    assert (await error_of(start(desk, thread_ts="1.1")))["error"] == "invalid_thread_ts"


BAD_CHUNKS = [
    [{**TASK, "status": "busy"}],
    [{**TASK, "title": "a" * 257}],
    [{"type": "sticker"}],
    [{"type": "blocks", "blocks": [{"type": "sticker"}]}],
    [{"type": "blocks"}],
]


@pytest.mark.parametrize("chunks", BAD_CHUNKS)
async def test_chunks_are_checked(desk: Desk, chunks: list[Any]) -> None:
    sent = await start(desk, chunks=[TASK])
    appended = desk.client.api_call(
        "chat.appendStream", json={"channel": "C0GENERAL", "ts": sent["ts"], "chunks": chunks}
    )
    assert (await error_of(appended))["error"] == "invalid_chunks"


async def test_an_open_stream_takes_no_change_and_a_stopped_one_takes_no_more(desk: Desk) -> None:
    stream = {"channel": "C0GENERAL", "ts": (await start(desk))["ts"]}
    assert (await error_of(desk.client.chat_update(**stream, text="x")))["error"] == "streaming_state_conflict"
    assert (await error_of(desk.client.chat_delete(**stream)))["error"] == "cant_delete_message"
    told = await desk.client.chat_stopStream(**stream, blocks=[section("done")])
    assert told["message"]["blocks"][0]["type"] == "section"
    for late in (desk.client.chat_appendStream(**stream, chunks=[TASK]), desk.client.chat_stopStream(**stream)):
        assert (await error_of(late))["error"] == "message_not_in_streaming_state"
    await desk.client.chat_delete(**stream)
