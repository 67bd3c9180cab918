"""The audit trail, read: for a person, for the program, and to be verified from end to end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import BigInteger, Connection, Row, Select, bindparam, func, insert, select

from bot.audit import Anchor, Audit, AuditEvent, AuditText
from bot.ledger import tables as t
from bot.ledger.chain import BEFORE_ALL, pages, read, read_text, whatever_bytes
from bot.ledger.database import Database
from bot.verifying import Verified, Verifier

AFTER_ALL = -BEFORE_ALL
POLICY_IN_FORCE = "policy.in_force"

_HEAD = select(t.events.c.seq, t.events.c.hash, t.events.c.at).order_by(t.events.c.seq.desc()).limit(1)
_COUNT = select(func.count()).select_from(t.events)
_place = partial(bindparam, type_=BigInteger)
_BETWEEN = select(t.texts).where(t.texts.c.seq.between(_place("first"), _place("last")))
_POLICY = select(t.policies.c.digest).where(t.policies.c.digest == bindparam("d"))
_LAST_POLICY = (
    select(t.events.c.detail).where(t.events.c.what == POLICY_IN_FORCE).order_by(t.events.c.seq.desc()).limit(1)
)
_NAME = select(t.stamp.c.value).where(t.stamp.c.name == "id")


class Trail(Database):
    """What the trail says, and what stands beside it."""

    async def events(self, request: str | None = None, *, what: str | None = None) -> list[AuditEvent]:
        """The trail, oldest first; of one request, or of one kind."""
        return await self._run(lambda c: read(c, request, what))

    async def has_counted(self, request: str, receipt: str) -> bool:
        """Whether the trail tells already what came of a click or comment: it is written together with that."""
        return any(event.detail.get("receipt") == receipt for event in await self.events(request))

    async def texts(self, first: int, last: int) -> list[AuditText]:
        """The words that still stand beside the events from one number to another."""
        return await self._run(lambda c: _texts(c, first, last))

    async def know_policy(self, digest: str, files: Mapping[str, str], *, commit: str, actor: str) -> None:
        """Keep the text of a policy that was not seen before; that another one is in force now is an event."""

        def work(c: Connection) -> None:
            if c.execute(_POLICY, {"d": digest}).scalar() is None:
                c.execute(insert(t.policies), {"digest": digest, "files": dict(files), "first_seen": self._now()})
            before = c.execute(_LAST_POLICY).scalar()
            if before is None or json.loads(before)["digest"] != digest:
                self._append(c, "", Audit(actor, POLICY_IN_FORCE, {"digest": digest, "commit": commit}))

        await self._run(work)

    async def policies(self) -> list[dict[str, Any]]:
        """Every version of the policies that was in force, word for word."""
        query = select(t.policies).order_by(t.policies.c.first_seen)
        return await self._run(lambda c: [_policy(row) for row in c.execute(query)])

    async def head(self) -> Anchor | None:
        """The last event, as it is told to the outside; None while there is none."""
        return await self._run(_head)

    async def head_before(self, at: datetime) -> Anchor | None:
        """What was the last event at a time; None if there was none yet."""
        last = _HEAD.where(t.events.c.at < at.isoformat())
        return await self._run(lambda c: _head(c, last))

    async def verify(self, anchors: Sequence[Anchor] = ()) -> Verified:
        """Read everything once, as it stands, and compare it with itself and with the anchors."""
        return await self._run(lambda c: _verify(c, anchors))


def _policy(row: Row[Any]) -> dict[str, Any]:
    files = json.dumps(row.files, ensure_ascii=False, indent=1)
    return {"digest": row.digest, "first_seen": row.first_seen.isoformat(), "files": files}


def _head(c: Connection, last: Select[Any] = _HEAD) -> Anchor | None:
    row = c.execute(last).one_or_none()
    if row is None:
        return None
    return Anchor(c.execute(_NAME).scalar_one(), row.seq, row.hash, row.at, c.execute(_COUNT).scalar_one())


def _texts(c: Connection, first: int, last: int) -> list[AuditText]:
    with whatever_bytes(c):
        return [read_text(row) for row in c.execute(_BETWEEN, {"first": first, "last": last})]


def _verify(c: Connection, anchors: Sequence[Anchor]) -> Verified:
    verifier, after = Verifier(c.execute(_NAME).scalar_one(), anchors), BEFORE_ALL
    for page in pages(c):
        verifier.take(page, _texts(c, after + 1, page[-1].seq))
        after = page[-1].seq
    verifier.take((), _texts(c, after + 1, AFTER_ALL))
    return verifier.verified()
