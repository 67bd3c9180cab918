"""Block Kit, as small functions. Outside text goes into plain or rich text, which Slack never parses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from bot.core.words import date, one_line, run

Block = dict[str, Any]

LINE = 300


def escape(text: str) -> str:
    """Make text safe inside mrkdwn: nothing in it can mention, link or format a date."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescape(text: str) -> str:
    """What somebody typed, from the text of their message: the inverse of `escape`."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def said(text: str, limit: int = LINE) -> str:
    """Outside text for mrkdwn: on one line, escaped, and cut so that it fits when it is escaped."""
    words = one_line(text, limit)
    while (over := len(escape(words)) - limit) > 0:
        words = one_line(words, len(words) - max(1, over // 4))
    return escape(words)


def href(url: str, label: str) -> str:
    """A link in mrkdwn; `label` is ours."""
    return f"<{escape(url).replace('|', '%7C')}|{label}>"


def characters(block: Any) -> int:
    """All the text in blocks together, which Slack limits beside the single limits."""
    if isinstance(block, dict):
        return sum(
            len(value) if key == "text" and isinstance(value, str) else characters(value)
            for key, value in block.items()
        )
    return sum(characters(one) for one in block) if isinstance(block, list) else 0


def plain(text: str, limit: int = 2000) -> Block:
    """A plain text object: no mrkdwn, no emoji names."""
    return {"type": "plain_text", "text": one_line(text, limit) or " ", "emoji": False}


def mrkdwn(text: str) -> Block:
    """A mrkdwn object for our own words only."""
    return {"type": "mrkdwn", "text": text or " ", "verbatim": True}


def header(text: str) -> Block:
    return {"type": "header", "text": plain(text, 150)}


def section(text: str, **extra: Any) -> Block:
    """A section in our own words (mrkdwn, so escape what is put into it)."""
    return {"type": "section", "text": mrkdwn(text), **extra}


def fields(pairs: Iterable[tuple[str, str]]) -> Block:
    """Label and value pairs as plain text."""
    return {"type": "section", "fields": [plain(f"{label}: {value}", LINE) for label, value in pairs]}


def context(text: str) -> Block:
    return {"type": "context", "elements": [mrkdwn(text)]}


def text(value: str, *, limit: int = LINE, **style: bool) -> Block:
    """A run of rich text."""
    piece: Block = {"type": "text", "text": run(value, limit) or " "}
    return {**piece, "style": style} if style else piece


def link(url: str, label: str) -> Block:
    """A link that shows its label; only http and https are linked, anything else stays text."""
    if url.startswith(("https://", "http://")):
        return {"type": "link", "url": url[:3000], "text": one_line(label, 150) or one_line(url, 150)}
    return text(label)


def rich(*elements: Block) -> Block:
    return {"type": "rich_text", "elements": list(elements)}


def line(*runs: Block) -> Block:
    return {"type": "rich_text_section", "elements": list(runs)}


def quote(value: str, *, limit: int = 2000) -> Block:
    """Somebody's words, set apart."""
    return {"type": "rich_text_quote", "elements": [text(value, limit=limit)]}


def bullets(lines: Sequence[Sequence[Block]]) -> Block:
    return {"type": "rich_text_list", "style": "bullet", "elements": [line(*runs) for runs in lines]}


def when(at: datetime) -> str:
    """A moment in the reader's own zone (mrkdwn)."""
    return f"<!date^{int(at.timestamp())}^{{date_short_pretty}} at {{time}}|{date(at)}>"


def button(label: str, action_id: str, value: str, **extra: Any) -> Block:
    """A button. `value` holds ids only."""
    return {"type": "button", "text": plain(label, 75), "action_id": action_id, "value": value, **extra}


def confirm(title: str, body: str, yes: str) -> Block:
    """The question before a button does something."""
    return {"title": plain(title, 100), "text": plain(body, 300), "confirm": plain(yes, 30), "deny": plain("Back", 30)}


def option(label: str, value: str) -> Block:
    return {"text": plain(label, 75), "value": value}


def actions(block_id: str, *elements: Block) -> Block:
    return {"type": "actions", "block_id": block_id, "elements": list(elements)}


def modal(callback_id: str, title: str, blocks: Sequence[Block], **extra: Any) -> Block:
    """A modal; with `submit` it is a form."""
    close = plain(extra.pop("close", "Cancel"), 24)
    return {
        "type": "modal",
        "callback_id": callback_id,
        "title": plain(title, 24),
        "close": close,
        "blocks": list(blocks),
        **extra,
    }


def input_block(block_id: str, label: str, element: Block, **extra: Any) -> Block:
    return {"type": "input", "block_id": block_id, "label": plain(label, 200), "element": element, **extra}
