"""The audit trail: append-only events, each hashed together with the one before it.

An event is written in the same transaction as the change it tells of. Its hash is SHA-256 over the RFC 8785 form
of everything else in it, so that anybody can check the chain with the exported lines alone. Words of people stand
beside the chain: the event holds a digest salted per text, so that they can be erased and the chain stays whole.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import rfc8785

GENESIS = "0" * 64
TEXTS = "texts"  # where an event's detail keeps the digests of its texts
SPOILED = "not as it was written"


@dataclass(frozen=True, slots=True)
class Audit:
    """An event to append: who, what, JSON details, and the words of people that belong to it.

    The event keeps a salted digest of each of `texts`; the words stand beside it and can be erased. `of` is the id of
    whom they are from or about, when that is not the actor.
    """

    actor: str
    what: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    of: str = ""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One line of the trail. `at` is an ISO 8601 UTC time; `detail` holds JSON values only."""

    seq: int
    at: str
    request_id: str
    actor: str
    what: str
    detail: Mapping[str, Any]
    prev: str
    hash: str


@dataclass(frozen=True, slots=True)
class AuditText:
    """Words that an event holds the salted digest of. `person` is the id of whom they are from or about."""

    seq: int
    name: str
    person: str
    salt: str
    text: str


@dataclass(frozen=True, slots=True)
class Anchor:
    """The head of a trail as it is told to a place outside the database: event `seq` of `count` has the hash."""

    database: str
    seq: int
    hash: str
    at: str = ""
    count: int = 0

    @property
    def key(self) -> str:
        """Its name in such a place, which says everything that is to be compared; keys sort like the events."""
        return f"{self.seq:012d}-{self.hash}-{self.database}"


_ANCHOR_KEY = re.compile(r"(\d{12})-([0-9a-f]{64})-([0-9a-f]{1,64})")


def read_anchor(key: str, *, at: str = "") -> Anchor | None:
    """The anchor that a name tells of; None for the name of something else."""
    match = _ANCHOR_KEY.fullmatch(key)
    return Anchor(match[3], int(match[1]), match[2], at) if match else None


def canonical(value: Any) -> str:
    """The one form in which a JSON value is hashed (RFC 8785); `ValueError` for what has none."""
    try:
        return rfc8785.dumps(value).decode()
    except (rfc8785.CanonicalizationError, UnicodeError, TypeError, RecursionError) as problem:
        raise ValueError(f"has no canonical form ({type(problem).__name__})") from None


def event_hash(body: dict[str, Any]) -> str:
    """The hash of an event (seq, at, request_id, actor, what, detail, prev) over its canonical JSON."""
    return hashlib.sha256(canonical(body).encode()).hexdigest()


def salted_digest(salt: str, person: str, text: str) -> str:
    """What stands in the trail for words, and whose they are: a proof while the salt is kept, and nothing after."""
    return hmac.new(salt.encode(), f"{person}\n{text}".encode(), hashlib.sha256).hexdigest()


def follows(event: AuditEvent, seq: int, prev: str) -> bool:
    """Whether the event is what was written as number `seq` behind the event with the hash `prev`."""
    body = asdict(event)
    del body["hash"]
    try:
        return event.seq == seq and event.prev == prev and event.hash == event_hash(body)
    except ValueError:
        return False


def broken_link(events: Iterable[AuditEvent]) -> int | None:
    """The `seq` of the first event that does not follow from the one before it; None when the chain is whole."""
    prev, expected = GENESIS, 1
    for event in events:
        if not follows(event, expected, prev):
            return event.seq
        prev, expected = event.hash, expected + 1
    return None
