"""What was gathered, as people see it on the card: facts, passages, what was said in Slack, earlier requests.

On the card stands the best of each kind; the rest is behind *Details*. Every quote has its link and its age.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from bot.core.excerpt import cut, in_a_row
from bot.core.request import (
    CHAT_SHOWN,
    CLOSED_SHOWN,
    DOCUMENTS_SHOWN,
    Evidence,
    Fact,
    Flag,
    Passage,
    Precedent,
    Request,
)
from bot.core.words import TODAY, age, date, is_old, one_line, span
from bot.slack.blocks import Block, bullets, context, line, link, quote, rich, text

PRECEDENTS = 3
PASSAGE_LIMIT = 280
DOCUMENTS, EARLIER = "documents", "precedents"  # the sources' names
UNREAD = "⚠ This could not be looked up in time."

MARKS = {Flag.PLAIN: "", Flag.GOOD: "✓ ", Flag.WARN: "⚠ Check: ", Flag.SILENT: "⚠ "}


def on_card(request: Request, room: int) -> Iterator[Block]:
    """The best of each kind, each text at most `room` long."""
    evidence = cut(request, min(PASSAGE_LIMIT, room))
    if evidence is None:
        yield context("Looking things up…")
        return
    now = evidence.gathered_at or request.created_at
    if evidence.facts or evidence.silent:
        yield rich(line(text("What is known", bold=True)), bullets([*_facts(evidence, room)]))
    yield rich(line(text("What the documents say", bold=True)), *_documents(evidence, now, room))
    if chat := evidence.chat[:CHAT_SHOWN]:
        yield rich(_said_title(), *_passages(chat, now, room))
    elif evidence.unsaid:
        yield rich(_said_title(), bullets([[text("Nothing about this, in the channels that are read.")]]))
    if closed := evidence.closed[:CLOSED_SHOWN]:
        yield rich(_closed_title(), *_passages(closed, now, room))
    yield rich(line(text("Earlier requests like this", bold=True)), bullets([*_precedents(evidence, now, room)]))


def rest(request: Request) -> Iterator[Block]:
    """What had no place on the card."""
    evidence = cut(request, PASSAGE_LIMIT)
    if evidence is None:
        return
    now = evidence.gathered_at or request.created_at
    if more := evidence.documents[DOCUMENTS_SHOWN:]:
        yield rich(line(text("More of the documents", bold=True)), *_passages(more, now, PASSAGE_LIMIT))
    if more := evidence.chat[CHAT_SHOWN:]:
        yield rich(_said_title(), *_passages(more, now, PASSAGE_LIMIT))


def _facts(evidence: Evidence, room: int) -> Iterator[list[Block]]:
    yield from (_fact(fact, room) for fact in evidence.facts[:20])
    for name in evidence.silent[:10]:
        yield [text(f"⚠ {one_line(name, 80)} did not answer in time, so what it knows is missing here")]


def _fact(fact: Fact, room: int) -> list[Block]:
    return [text(f"{MARKS[fact.flag]}{one_line(fact.label, min(80, room))}: ", bold=True), text(fact.value, limit=room)]


def _documents(evidence: Evidence, now: datetime, room: int) -> list[Block]:
    found = _passages(evidence.documents[:DOCUMENTS_SHOWN], now, room)
    nothing = UNREAD if DOCUMENTS in evidence.silent else "No document says anything about this."
    missing = evidence.left_out or ("" if found else nothing)
    return [*found, bullets([[text(missing)]])] if missing else found


def _said_title() -> Block:
    return line(text("Said in Slack", bold=True), text(" · somebody's words, not policy"))


def _closed_title() -> Block:
    return line(text("For this channel alone", bold=True), text(" · in no incident, and the model does not see it"))


def _passages(passages: Sequence[Passage], now: datetime, room: int) -> list[Block]:
    return [block for passage in passages for block in _passage(passage, now, room)]


def _passage(passage: Passage, now: datetime, room: int) -> list[Block]:
    place = f"{passage.title} › {passage.heading}" if passage.heading else passage.title
    return [
        bullets([[link(passage.url, one_line(place, min(150, room))), text(_about(passage, now), limit=room)]]),
        quote(in_a_row(passage.text), limit=min(PASSAGE_LIMIT, room)),
    ]


def _about(passage: Passage, now: datetime) -> str:
    """Whose words, when, and how far to trust them."""
    names = ", ".join(one_line(name, 60) for name in passage.authors[:3])
    by = f" · by {names}{' in an earlier request' if passage.decided else ''}" if passage.chat and names else ""
    return f"{by}{_theirs(passage)}{_dated(passage, now)}" or " "


def _theirs(passage: Passage) -> str:
    return " · ⚠ written by whoever asks or is to get the access: no policy" if passage.theirs else ""


def _dated(passage: Passage, now: datetime) -> str:
    at = passage.updated_at
    if at is None:
        return ""
    old = " · ⚠ old" if is_old(at, now) else ""
    ago = age(at, now)
    return f" · {at:%-d %b %Y}, {ago if ago == TODAY else f'{ago} old'}{old}"


def _precedents(evidence: Evidence, now: datetime, room: int) -> Iterator[list[Block]]:
    if not evidence.precedents:
        yield [text(UNREAD if EARLIER in evidence.silent else "Nothing like this was decided before.")]
    yield from (_precedent(one, now, room) for one in evidence.precedents[:PRECEDENTS])


def _precedent(one: Precedent, now: datetime, room: int) -> list[Block]:
    what = f" · {one.title}" if one.title else ""
    reason = f": {one.reason}" if one.reason else ""
    words = f"{what} · {one.requester} · {span(one.minutes)} · {one.verdict}{reason}"
    ago = age(one.at, now)
    when = f" · {date(one.at)}, {ago if ago == TODAY else f'{ago} ago'}"
    return [link(one.url, one_line(one.request_id, 40)), text(words, limit=room), text(when)]
