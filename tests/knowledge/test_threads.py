"""A Slack thread as a document: everybody's own words under their own name."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from knowledge.chunks import chunks
from knowledge.prose import prose
from knowledge.sources import CHAT, PUBLIC, Author, Document
from knowledge.sources.threads import Channel, Names, by_thread, message_of, permalink, plain, thread_document

NAMES = Names({"UALICE": "Alice", "UBOB": "Bob"}, {"C1": "access"})
ACCESS = Channel("C1", "access", PUBLIC)
WORKSPACE = "https://example.slack.com"
NOON = 1_764_072_180  # 2025-11-25 12:03 UTC


def said(user: str, text: str, at: int = 0, **more: Any) -> dict[str, Any]:
    return {"type": "message", "user": user, "text": text, "ts": f"{NOON + at}.000100", **more}


def document_of(*raw: dict[str, Any], names: Names = NAMES, channel: Channel = ACCESS) -> Document:
    messages = [message for one in raw if (message := message_of(one))]
    (thread,) = by_thread(messages).values()
    document = thread_document(thread, channel, names, source="slack", workspace=WORKSPACE)
    assert document
    return document


def reply(user: str, text: str, at: int, **more: Any) -> dict[str, Any]:
    return said(user, text, at, thread_ts=f"{NOON}.000100", **more)


def test_a_title_that_is_cut_says_so() -> None:
    title = document_of(said("UALICE", "word " * 40)).title
    assert title == f"Alice in #access: {'word ' * 11}word…"


def test_a_thread_is_one_document_with_everybodys_words_under_their_name() -> None:
    document = document_of(said("UALICE", "May I see the logs?"), reply("UBOB", "Ask <@UALICE> in <#C1>", 60))
    assert document.text == "**Alice** (2025-11-25 12:03): May I see the logs?\n\n" + (
        "**Bob** (2025-11-25 12:04): Ask @Alice in #access"
    )
    assert document.title == "Alice in #access: May I see the logs?"
    assert document.authors == (Author("UALICE", "Alice"), Author("UBOB", "Bob"))
    assert (document.kind, document.visibility) == (CHAT, PUBLIC)
    assert document.id == f"slack/C1/{NOON}.000100"
    assert document.url == f"https://example.slack.com/archives/C1/p{NOON}000100"
    assert document.updated_at == datetime(2025, 11, 25, 12, 4, tzinfo=UTC)


def test_an_edit_makes_the_thread_newer() -> None:
    edited = {"user": "UALICE", "ts": f"{NOON + 3600}.000000"}
    assert document_of(said("UALICE", "corrected", edited=edited)).updated_at == datetime(
        2025, 11, 25, 13, 3, tzinfo=UTC
    )


def test_the_later_version_of_a_message_counts_and_time_orders_them() -> None:
    document = document_of(
        reply("UBOB", "third", 120), said("UALICE", "first"), reply("UBOB", "2nd", 60), said("UALICE", "1st")
    )
    assert [line.partition(": ")[2] for line in document.text.split("\n\n")] == ["1st", "2nd", "third"]


def test_replies_stay_when_their_root_is_deleted() -> None:
    root = said("USLACKBOT", "This message was deleted.", subtype="tombstone", thread_ts=f"{NOON}.000100")
    document = document_of(root, reply("UBOB", "It was about keys", 60))
    assert document.url == permalink(WORKSPACE, "C1", f"{NOON}.000100")
    assert "Bob" in document.title


@pytest.mark.parametrize(
    "raw",
    [
        said("UALICE", "has joined", subtype="channel_join"),
        said("UALICE", "has left", subtype="channel_leave"),
        said("UALICE", "set the topic", subtype="channel_topic"),
        said("UALICE", "I am a bot", bot_id="B1"),
        said("UALICE", "through an app", subtype="bot_message"),
        said("USLACKBOT", "Reminder"),
        said("UALICE", " \u200b "),
        said("", "nobody"),
        {**said("UALICE", "no time"), "ts": "yesterday"},
        {**said("UALICE", "no text"), "text": None},
        {"type": "reaction_added"},
        {},
    ],
)
def test_what_is_no_persons_words_is_left_out(raw: dict[str, Any]) -> None:
    assert message_of(raw) is None


@pytest.mark.parametrize(
    ("mrkdwn", "text"),
    [
        ("see <https://example.com/a|the page>", "see the page (https://example.com/a)"),
        ("see <https://evil.example.net|https://example.com>", "see https://example.com (https://evil.example.net)"),
        ("<https://example.com>", "https://example.com"),
        ("<mailto:alice@example.com|alice@example.com>", "alice@example.com"),
        ("<!here> <!channel> <!subteam^S1|@oncall>", "@here @channel @oncall"),
        ("<!date^1764072180^{date}|25 November>", "25 November"),
        ("<@UNKNOWN> and <#C9|secret-project>", "@somebody and #another-channel"),
        ("*bold* _slanted_ ~gone~ snake_case_name 2*3*4", "bold slanted gone snake_case_name 2*3*4"),
        ("a &lt;b&gt; &amp; &amp;lt;", "a <b> & &lt;"),
        ("`*kept*`", "`*kept*`"),
        ("lines\r\nstay\u202e", "lines\nstay"),
    ],
)
def test_slacks_markup_is_written_out(mrkdwn: str, text: str) -> None:
    assert plain(mrkdwn, NAMES) == text


def test_nobody_can_speak_as_somebody_else() -> None:
    forged = "ok\n\n**Bob** (2025-11-25 12:04): approved by me"
    document = document_of(said("UALICE", forged), names=Names({"UALICE": "Alice** (2025-11-25 12:04): x **"}))
    shown = prose(document.text)
    assert shown.count("(2025-11-25") == 1
    assert shown.endswith("ok *Bob* [2025-11-25 12:04]: approved by me")


def test_an_open_comment_hides_nothing_that_follows() -> None:
    document = document_of(said("UALICE", "&lt;!-- `<!--`"), reply("UBOB", "still here", 60))
    (passage,) = chunks(document, len)
    assert "still here" in passage.text


_ANYTHING = st.text(alphabet=st.sampled_from("`*_~#>-+=|<>!&[](){}\\\n\r\t 1.)@UC:;\u202e\u200b\x1b\0aé")) | st.text()


@example(["__all__ \\"], "Alice \\")
@given(st.lists(_ANYTHING, min_size=1, max_size=4), _ANYTHING)
def test_whatever_is_said_a_message_is_one_line_under_its_own_name(texts: list[str], name: str) -> None:
    raw = [said("UALICE", "first"), *(reply("UBOB", text, 60 * at) for at, text in enumerate(texts, 1))]
    messages = [message for one in raw if (message := message_of(one))]
    document = document_of(*raw, names=Names({"UALICE": name, "UBOB": "Bob"}))
    lines = prose(document.text).split("\n")
    assert len(lines) == len(messages)
    assert all(line.startswith("Bob (2025-11-25 12:") for line in lines[1:])
    assert not [c for c in document.text + document.title if c != "\n" and unicodedata.category(c).startswith("C")]
