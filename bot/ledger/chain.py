"""The rows of the audit trail: one event behind the other, and beside them the words that may be erased."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, Row, bindparam, insert, select

from bot.audit import GENESIS, SPOILED, TEXTS, Audit, AuditEvent, AuditText, canonical, event_hash, salted_digest
from bot.ledger import tables as t

PAGE = 500
BEFORE_ALL = -(2**62)
SALT_BYTES = 16

_HEAD = select(t.events.c.seq, t.events.c.hash).order_by(t.events.c.seq.desc()).limit(1)
_EVENT = insert(t.events)
_TEXT = insert(t.texts)
_AFTER = (  # a number that somebody put in may be of any size
    select(t.events).where(t.events.c.seq > bindparam("after", type_=BigInteger)).order_by(t.events.c.seq).limit(PAGE)
)


def append(c: Connection, told: Sequence[tuple[str, Audit]], *, at: datetime) -> None:
    """Put events behind the last one, each with the request that it is about, and their texts beside them."""
    head = c.execute(_HEAD).one_or_none()
    last, prev = (head.seq, head.hash) if head else (0, GENESIS)
    rows, beside = [], []
    for seq, (request, audit) in enumerate(told, start=last + 1):
        texts = [_text(seq, name, text, audit) for name, text in audit.texts.items() if text]
        row = _event(seq, prev, request, audit, texts, at=at)
        rows.append(row)
        beside += texts
        prev = row["hash"]
    c.execute(_EVENT, rows)
    if beside:
        c.execute(_TEXT, beside)


def _event(
    seq: int, prev: str, request: str, audit: Audit, texts: Sequence[Mapping[str, Any]], *, at: datetime
) -> dict[str, Any]:
    detail = dict(audit.detail)
    if texts:
        detail[TEXTS] = {one["name"]: salted_digest(one["salt"], one["person"], one["text"]) for one in texts}
    body = {
        "seq": seq,
        "at": at.isoformat(timespec="milliseconds"),
        "request_id": request,
        "actor": audit.actor,
        "what": audit.what,
        "detail": detail,
        "prev": prev,
    }
    return {**body, "detail": canonical(detail), "hash": event_hash(body)}


def _text(seq: int, name: str, text: str, audit: Audit) -> dict[str, Any]:
    salt = secrets.token_hex(SALT_BYTES)
    return {"seq": seq, "name": name, "person": audit.of or audit.actor, "salt": salt, "text": text}


def read_event(row: Row[Any]) -> AuditEvent:
    """An event as it stands. A detail that is not byte for byte as we write it is marked, so that no hash fits it."""
    return AuditEvent(**{**row._mapping, "detail": _detail(row.detail)})


def _detail(text: Any) -> dict[str, Any]:
    try:
        detail = json.loads(text)
        as_written = isinstance(detail, dict) and canonical(detail) == text
    except (ValueError, TypeError, RecursionError):
        as_written = False
    return detail if as_written else {SPOILED: repr(text)}


def read(c: Connection, request: str | None = None, what: str | None = None) -> list[AuditEvent]:
    """The trail, oldest first; of one request, or of one kind."""
    query = select(t.events).order_by(t.events.c.seq)
    if request is not None:
        query = query.where(t.events.c.request_id == request)
    if what is not None:
        query = query.where(t.events.c.what == what)
    with whatever_bytes(c):
        return [read_event(row) for row in c.execute(query)]


def pages(c: Connection) -> Iterator[list[AuditEvent]]:
    """The whole trail as it stands, whatever was done to it; oldest first, some at a time."""
    after = BEFORE_ALL
    with whatever_bytes(c):
        while rows := c.execute(_AFTER, {"after": after}).all():
            yield [read_event(row) for row in rows]
            after = rows[-1].seq


@contextmanager
def whatever_bytes(c: Connection) -> Iterator[None]:
    """SQLite hands out text that is not UTF-8 instead of failing: it is to be named, not to end the reading."""
    if c.dialect.name != "sqlite":
        yield
        return
    raw: Any = c.connection.dbapi_connection
    before, raw.text_factory = raw.text_factory, lambda content: content.decode(errors="surrogateescape")
    try:
        yield
    finally:
        raw.text_factory = before


def read_text(row: Row[Any]) -> AuditText:
    """Words beside an event."""
    return AuditText(**row._mapping)
