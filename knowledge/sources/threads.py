"""A Slack thread as one document: who said what and when, as Markdown in which nobody can speak as somebody else.

Pure functions, for the API and for an export alike: raw messages in by `message_of`, grouped by `by_thread`, a document
out by `thread_document`. Only people's words stay: joins, leaves, bots and apps are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from knowledge.sources import CHAT, Author, Document
from knowledge.sources.escaping import literal
from knowledge.text import clean, one_line

PEOPLE_SUBTYPES = frozenset({"", "thread_broadcast", "me_message", "file_share"})
SLACKBOT = "USLACKBOT"
SOMEBODY = "somebody"

_TS = re.compile(r"\d{1,11}\.\d{1,6}", re.ASCII)
_ID = re.compile(r"[A-Z0-9]{2,30}", re.ASCII)
_REFERENCE = re.compile(r"<([^<>\n]{1,3000})>")
_MARK = re.compile(r"(?<![\w`])([*_~])(?=\S)([^\n`]{1,300}?)(?<=\S)\1(?![\w`])")
_CODE = re.compile(r"```(.{1,8000}?)```|`([^`]+)`", re.DOTALL)
_HEAD = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d)\)")


@dataclass(frozen=True, slots=True)
class ThreadMessage:
    """One person's message. `ts` is its id and time, `thread_ts` the root's; `text` is Slack's mrkdwn."""

    ts: str
    thread_ts: str
    user: str
    text: str
    edited_ts: str = ""


@dataclass(frozen=True, slots=True)
class Channel:
    """Where a thread is, and who may see it (`PUBLIC`, or the channel's own id when it is private)."""

    id: str
    name: str
    visibility: str


@dataclass(frozen=True, slots=True)
class Names:
    """What ids stand for: people by user id; only channels that everybody may know of, by channel id."""

    people: Mapping[str, str] = field(default_factory=dict)
    channels: Mapping[str, str] = field(default_factory=dict)

    def person(self, user: str) -> str:
        return one_line(self.people.get(user, ""), limit=80) or SOMEBODY


def message_of(raw: Mapping[str, object]) -> ThreadMessage | None:
    """A message as Slack tells it; None when it is not a person's words or not well formed."""
    ts, user, text = (_text(raw, name) for name in ("ts", "user", "text"))
    if raw.get("type", "message") != "message" or _text(raw, "subtype") not in PEOPLE_SUBTYPES:
        return None
    if any(raw.get(name) for name in ("bot_id", "bot_profile", "app_id", "hidden")) or user == SLACKBOT:
        return None
    if not _TS.fullmatch(ts) or not _ID.fullmatch(user) or not clean(text).strip():
        return None
    root, edited = _text(raw, "thread_ts"), raw.get("edited")
    return ThreadMessage(
        ts=ts,
        thread_ts=root if _TS.fullmatch(root) else ts,
        user=user,
        text=text,
        edited_ts=_text(edited, "ts") if isinstance(edited, Mapping) else "",
    )


def _text(raw: Mapping[str, object], name: str) -> str:
    value = raw.get(name)
    return value if isinstance(value, str) else ""


def by_thread(messages: Iterable[ThreadMessage]) -> dict[str, list[ThreadMessage]]:
    """Root to the thread's messages in order of time; of two versions of one message the later in `messages` counts."""
    threads: dict[str, dict[str, ThreadMessage]] = {}
    for message in messages:
        threads.setdefault(message.thread_ts, {})[message.ts] = message
    return {root: sorted(told.values(), key=lambda one: _number(one.ts)) for root, told in threads.items()}


def thread_document(
    messages: Sequence[ThreadMessage], channel: Channel, names: Names, *, source: str, workspace: str
) -> Document | None:
    """The document of one thread, messages in order of time; None for a thread in which nobody said anything.

    `workspace` is the address of the workspace (https://example.slack.com), for the link.
    """
    if not messages:
        return None
    first, root = messages[0], messages[0].thread_ts
    place = one_line(channel.name, limit=80) or channel.id
    users = dict.fromkeys(message.user for message in messages)
    opening = one_line(plain(first.text, names), limit=60)
    return Document(
        id=f"{source}/{channel.id}/{root}",
        title=f"{names.person(first.user)} in #{place}: {opening}",
        text="\n\n".join(_said(message, names) for message in messages),
        url=permalink(workspace, channel.id, root),
        file=f"{source}/{place}/{root}",
        updated_at=max(
            _time(ts) for message in messages for ts in (message.ts, message.edited_ts) if _TS.fullmatch(ts)
        ),
        visibility=channel.visibility,
        kind=CHAT,
        authors=tuple(Author(user, names.person(user)) for user in users),
    )


def permalink(workspace: str, channel: str, ts: str) -> str:
    """The address of a message, which Slack makes of the workspace's, the channel and the time."""
    return f"{workspace.rstrip('/')}/archives/{channel}/p{ts.replace('.', '')}"


def _said(message: ThreadMessage, names: Names) -> str:
    """A message as one paragraph on one line. No message can hold what the head of another looks like."""
    name, words = (_escaped(_HEAD.sub(r"[\1]", text)) for text in (names.person(message.user), _flat(message, names)))
    return f"**{name}** ({_time(message.ts):%Y-%m-%d %H:%M}): {words}"


def _flat(message: ThreadMessage, names: Names) -> str:
    return " ".join(plain(message.text, names).split())


def _number(ts: str) -> tuple[int, int]:
    seconds, _, rest = ts.partition(".")
    return int(seconds), int(rest.ljust(6, "0"))


def _time(ts: str) -> datetime:
    return datetime.fromtimestamp(_number(ts)[0], UTC)


# --- Slack's markup --------------------------------------------------------------------------------------------------


def plain(mrkdwn: str, names: Names) -> str:
    """Slack's mrkdwn as the text that people see: mentions and channels by name, links with their address."""
    text = _REFERENCE.sub(lambda found: _written_out(found[1], names), clean(mrkdwn))
    return clean(_unescaped(_MARK.sub(r"\2", text)))


def _unescaped(text: str) -> str:
    """The three characters that Slack escapes, and no other entity: what somebody typed stays what they typed."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _written_out(reference: str, names: Names) -> str:
    """`@U1`, `#C1|name`, `!here`, `https://...|label`."""
    target, _, label = reference.partition("|")
    if target.startswith("@"):
        return f"@{names.person(target[1:])}"
    if target.startswith("#"):
        return f"#{one_line(names.channels.get(target[1:], ''), limit=80) or 'another-channel'}"
    if target.startswith("!"):
        return label or f"@{target[1:].partition('^')[0]}"
    address = target.removeprefix("mailto:")
    return f"{label} ({address})" if label and label != address else address


def _escaped(text: str) -> str:
    """Text as Markdown that shows just that; pieces of code stay code, and nothing begins a comment."""
    pieces, at = [], 0
    for code in _CODE.finditer(text):
        inner = (code[1] or code[2]).replace("`", "").replace("<!--", "<! --").strip()
        pieces += [literal(text[at : code.start()]), f"`{inner}`" if inner else ""]
        at = code.end()
    return "".join([*pieces, literal(text[at:])])
