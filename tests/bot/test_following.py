"""Which thread an event of a channel is about, whatever it looks like."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.slack.following import Heard, heard

HERE = {"type": "message", "channel": "C0GENERAL", "channel_type": "channel", "ts": "9.000000"}
REPLY = {"ts": "2.000000", "thread_ts": "1.000000", "user": "U0ALICE", "text": "words"}
names = st.sampled_from(["type", "subtype", "channel", "ts", "thread_ts", "message", "previous_message", "deleted_ts"])
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8)
    | st.sampled_from(["message_changed", "message_deleted", "channel_convert_to_private", "tombstone"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=4,
)  # fmt: skip


@pytest.mark.parametrize(
    ("event", "what"),
    [
        ({"ts": "1.000000", "user": "U0BOB"}, Heard("C0GENERAL", "1.000000")),
        (REPLY, Heard("C0GENERAL", "1.000000")),
        ({"subtype": "message_changed", "message": REPLY}, Heard("C0GENERAL", "1.000000")),
        ({"subtype": "message_deleted", "deleted_ts": "2.000000", "previous_message": REPLY}, "1.000000"),
        ({"subtype": "message_deleted", "deleted_ts": "2.000000"}, "2.000000"),
        ({"subtype": "message_changed", "message": {"ts": "1.000000", "subtype": "tombstone"}}, "1.000000"),
        ({"subtype": "channel_convert_to_private"}, Heard("C0GENERAL")),
        ({"subtype": "channel_convert_to_public"}, Heard("C0GENERAL")),
    ],
)
def test_an_event_names_the_thread_to_look_at(event: dict[str, Any], what: Heard | str) -> None:
    wanted = what if isinstance(what, Heard) else Heard("C0GENERAL", what, deleted=True)
    assert heard({**HERE, **event}) == wanted


def test_what_bots_write_changes_nothing() -> None:
    assert heard({**HERE, "bot_id": "B0TINYAPP", "subtype": "bot_message"}) is None
    assert heard({**HERE, "subtype": "message_changed", "message": {"ts": "1.000000", "bot_id": "B0TINYAPP"}}) is None


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(names, junk, max_size=6))
def test_no_event_is_too_strange_to_be_read(event: dict[str, Any]) -> None:
    what = heard(event)
    assert what is None or isinstance(what.root, str)
