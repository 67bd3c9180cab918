"""The audit trail: append-only events, each hashed together with the one before it.

An event is written in the same transaction as the change it tells of. Its hash is SHA-256 over the RFC 8785 form
of everything else in it, so that anybody can check the chain with the exported lines alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import rfc8785

GENESIS = "0" * 64


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


def event_hash(body: dict[str, Any]) -> str:
    """The hash of an event (seq, at, request_id, actor, what, detail, prev) over its canonical JSON."""
    return hashlib.sha256(rfc8785.dumps(body)).hexdigest()


def text_hash(text: str) -> str:
    """What stands in the trail for a text that people wrote: it proves the words without telling them."""
    return hashlib.sha256(text.encode()).hexdigest()


def broken_link(events: Iterable[AuditEvent]) -> int | None:
    """The `seq` of the first event that does not follow from the one before it; None when the chain is whole."""
    prev, expected = GENESIS, 1
    for event in events:
        body = {**asdict(event), "prev": prev}
        body.pop("hash")
        recomputed = event_hash(body)
        if event.seq != expected or event.prev != prev or event.hash != recomputed:
            return event.seq
        prev, expected = event.hash, expected + 1
    return None
