"""The tables, their types, and how values of the domain are kept in them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

from bot.core.request import Advice, Entitlement, Evidence, Extension, Person, Plan, Ruling
from bot.ledger.append_only import append_only

metadata = MetaData()


BigNumber = BigInteger().with_variant(Integer, "sqlite")  # whose integers are all as big


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime, also where the database keeps no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        instant: datetime = value
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


class Value(TypeDecorator[Any]):
    """A frozen dataclass of the domain, as JSON."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else _adapter(self.kind).dump_json(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else _parsed(self.kind, value)


@lru_cache(maxsize=2048)
def _parsed(kind: Any, text: str) -> Any:
    """The value that a text stands for: frozen, and read many times in the life of a request."""
    return _adapter(kind).validate_json(text)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


requests = Table(
    "requests",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("key", String, nullable=False, unique=True),
    Column("state", String, nullable=False, index=True),
    Column("round", Integer, nullable=False, default=1),
    Column("entitlement_id", String, nullable=False, index=True),
    Column("entitlement", Value(Entitlement), nullable=False),
    Column("requester_id", String, nullable=False, index=True),
    Column("requester", Value(Person), nullable=False),
    Column("beneficiary_id", String, nullable=False, index=True),
    Column("beneficiary", Value(Person), nullable=False),
    Column("minutes", Integer, nullable=False),
    Column("department", String, nullable=False, default=""),
    Column("justification", Text, nullable=False),
    Column("ticket", Text, nullable=False),
    Column("can_wait", Boolean, nullable=False),
    Column("origin", String, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("deadline", Instant, nullable=False),
    Column("planned_at", Instant),
    Column("plan", Value(Plan)),
    Column("ruling", Value(Ruling)),
    Column("evidence", Value(Evidence)),
    Column("advice", Value(Advice)),
    Column("outcome", Text, nullable=False, default=""),
    Column("closed_at", Instant),
    Column("extends_id", String, nullable=False, default="", index=True),
    Column("extends", Value(Extension)),
    sqlite_autoincrement=True,
)

decisions = Table(
    "decisions",
    metadata,
    Column("request_id", String, primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("person_id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("answer", String, nullable=False),
    Column("place", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("minutes", Integer),
    Column("reason", Text, nullable=False),
    Column("receipt", String, nullable=False),
    Column("at", Instant, nullable=False),
)

questions = Table(
    "questions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("request_id", String, nullable=False, index=True),
    Column("asked_by", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("receipt", String, nullable=False, unique=True),
    Column("answer", Text, nullable=False, default=""),
)

grants = Table(
    "grants",
    metadata,
    Column("request_id", String, primary_key=True),
    Column("target", Text, nullable=False, index=True),
    Column("held_before", Boolean, nullable=False),
    Column("minutes", Integer, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("verified_at", Instant),
    Column("ends_at", Instant),
    Column("revoked_at", Instant),
    Column("overdue", Boolean, nullable=False, default=False, index=True),
)

targets = Table(
    "targets",
    metadata,
    Column("target", Text, primary_key=True),
    Column("job", Integer, nullable=False),
)

freezes = Table(
    "freezes",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("why", Text, nullable=False),
    Column("by", String, nullable=False),
    Column("at", Instant, nullable=False),
    Column("thawed_at", Instant),
    Column("thawed_by", String, nullable=False, default=""),
)

presence = Table(
    "presence",
    metadata,
    Column("role", String, primary_key=True),
    Column("seen_at", Instant, nullable=False),
)

messages = Table(
    "messages",
    metadata,
    Column("subject", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("channel", String, nullable=False),
    Column("ts", String, nullable=False),
    Column("digest", String, nullable=False, default=""),
    Column("fingerprint", String, nullable=False, default=""),
    Column("shown_at", Instant, nullable=False),
    Index("messages_place", "channel", "ts"),
)

incidents = Table(
    "incidents",
    metadata,
    Column("request_id", String, primary_key=True),
    Column("incident_id", String, nullable=False, unique=True),
    Column("url", String, nullable=False),
    Column("digest", String, nullable=False, default=""),
    Column("shown_at", Instant, nullable=False),
    Column("resolved_at", Instant),
)

pages = Table(
    "pages",
    metadata,
    Column("request_id", String, primary_key=True),
    Column("policy", String, nullable=False),
    Column("at", Instant, nullable=False, index=True),
    Column("listed_on", String, nullable=False, default="", index=True),
)

codes = Table(
    "codes",
    metadata,
    Column("request_id", String, primary_key=True),
    Column("person_id", String, primary_key=True),
    Column("digest", String, primary_key=True),
    Column("code", String, nullable=False),
    Column("used_at", Instant),
)

people = Table(
    "people",
    metadata,
    Column("id", String, primary_key=True),
    Column("email", String, nullable=False),
    Column("name", String, nullable=False),
    Column("slack_team", String),
    Column("slack_user", String),
    Column("pagerduty_user", String, unique=True),
    Column("decides", Boolean, nullable=False),
    Column("linked_by", String, nullable=False),
    Column("linked_at", Instant, nullable=False),
    UniqueConstraint("slack_team", "slack_user"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("subject", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("role", String, nullable=False),
    Column("lane", String, nullable=False),
    Column("due", Float, nullable=False),
    Column("not_before", Float, nullable=False, default=0.0),
    Column("wanted", Integer, nullable=False, default=1),
    Column("attempts", Integer, nullable=False, default=0),
    Column("claim", Integer, nullable=False, default=0),
    Column("leased_until", Float, nullable=False, default=0.0),
    Column("payload", JSON, nullable=False),
    Column("trouble", Text, nullable=False, default=""),
    UniqueConstraint("subject", "kind"),
    Index("jobs_due", "role", "due"),
    sqlite_autoincrement=True,
)

events = Table(
    "events",
    metadata,
    Column("seq", BigNumber, primary_key=True, autoincrement=False),
    Column("at", String, nullable=False),
    Column("request_id", String, nullable=False, index=True),
    Column("actor", String, nullable=False),
    Column("what", String, nullable=False),
    Column("detail", Text, nullable=False),  # canonical JSON, byte for byte what is hashed
    Column("prev", String, nullable=False),
    Column("hash", String, nullable=False),
)
append_only(events, "UPDATE", "DELETE")

texts = Table(
    "texts",
    metadata,
    Column("seq", BigNumber, primary_key=True, autoincrement=False),
    Column("name", String, primary_key=True),
    Column("person", String, nullable=False, index=True),
    Column("salt", String, nullable=False),
    Column("text", Text, nullable=False),
)
append_only(texts, "UPDATE")  # deleting is erasing, which is an event of its own

policies = Table(
    "policies",
    metadata,
    Column("digest", String, primary_key=True),
    Column("files", JSON, nullable=False),
    Column("first_seen", Instant, nullable=False),
)

inbox = Table(
    "inbox",
    metadata,
    Column("source", String, primary_key=True),
    Column("delivery_id", String, primary_key=True),
    Column("at", Instant, nullable=False),
)

seen = Table(
    "seen",
    metadata,
    Column("name", String, primary_key=True),
    Column("times", Integer, nullable=False),
    Column("at", Instant, nullable=False),
    Column("words", String, nullable=False, default=""),
)

policy_questions = Table(
    "policy_questions",
    metadata,
    Column("id", String, primary_key=True),
    Column("where", String, nullable=False),
    Column("team", String, nullable=False),
    Column("user", String, nullable=False, index=True),
    Column("channel", String, nullable=False),
    Column("thread", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("asked_at", Instant, nullable=False, index=True),
    Column("answer_ts", String, nullable=False, default=""),
    Column("answered_at", Instant),
    Column("person", String, nullable=False, default="", index=True),
    Index("policy_questions_thread", "channel", "thread"),
)

ratings = Table(
    "ratings",
    metadata,
    Column("question_id", String, primary_key=True),
    Column("user", String, primary_key=True),
    Column("helpful", Boolean, nullable=False),
    Column("at", Instant, nullable=False),
)

stamp = Table("stamp", metadata, Column("name", String, primary_key=True), Column("value", String, nullable=False))
