"""What Slack would say of what we draw, by the sandbox's own table of limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bot.ports import Message
from connectors.sandbox.slack_blocks import characters, message_problems
from connectors.sandbox.slack_views import checked_view

BUDGET = 12_000  # Slack's own sum is undocumented, at about 13,200


def assert_message_fits(message: Message) -> None:
    assert message_problems(message.blocks) == []
    assert characters(message.blocks) <= BUDGET
    assert 0 < len(message.text) < 4000
    assert_nothing_is_spoofed(message.text, message.blocks)


def assert_view_fits(view: dict[str, Any]) -> None:
    checked_view(view, view["type"])
    assert_nothing_is_spoofed("", view)


def assert_nothing_is_spoofed(text: str, drawn: Any) -> None:
    """In mrkdwn no mention and no link but our own; anywhere no character that hides or turns other text round."""
    for words in [text, *mrkdwn(drawn)]:
        ours = [piece.partition(">")[0] for piece in words.split("<")[1:]]
        assert all(piece.startswith(("!date^", "https://example.pagerduty.com/")) for piece in ours)
        assert words.count(">") == words.count("<")
    for words in strings(drawn):
        assert not set(words) & set("\u200b\u2060\ufeff\u202a\u202b\u202d\u202e\u2066\u2067\u2068\x00\x1b\u2028")


def mrkdwn(drawn: Any) -> Iterator[str]:
    """The text of every mrkdwn object."""
    if isinstance(drawn, dict):
        if drawn.get("type") == "mrkdwn":
            yield drawn["text"]
        drawn = list(drawn.values())
    for one in drawn if isinstance(drawn, list) else ():
        yield from mrkdwn(one)


def strings(drawn: Any) -> Iterator[str]:
    """Every text that is shown."""
    if isinstance(drawn, dict):
        if isinstance(drawn.get("text"), str):
            yield drawn["text"]
        drawn = list(drawn.values())
    for one in drawn if isinstance(drawn, list) else ():
        yield from strings(one)
