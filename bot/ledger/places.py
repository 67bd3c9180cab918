"""What of a request is shown where: our chat messages and incidents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from bot.core.request import Question
from bot.ledger import tables as t
from bot.ledger.database import Audit, Database, Due
from bot.ports import Incident, Sent


@dataclass(frozen=True, slots=True)
class Shown:
    """A chat message of ours as it stands: `digest` is the plan that it shows (empty: none)."""

    sent: Sent
    digest: str
    fingerprint: str
    shown_at: datetime


@dataclass(frozen=True, slots=True)
class Paged:
    """An incident of ours: `digest` is the plan shown on it since `shown_at`."""

    incident_id: str
    url: str
    digest: str
    shown_at: datetime
    resolved: bool


_MESSAGE = select(t.messages).where(t.messages.c.subject == bindparam("s"), t.messages.c.kind == bindparam("k"))
_QUESTIONS = select(t.questions.c.id, t.questions.c.answer).where(t.questions.c.request_id == bindparam("r"))
_INCIDENT = select(t.incidents).where(t.incidents.c.request_id == bindparam("r"))
_POSTED = insert(t.messages)
_REDRAWN = update(t.messages).where(t.messages.c.subject == bindparam("s"), t.messages.c.kind == bindparam("k"))


class Places(Database):
    """Where a request is shown, and which plan is shown there since when."""

    async def shown(self, subject: str, kind: str) -> Shown | None:
        """A message of ours."""
        return await self._run(lambda c: self._shown(c, subject, kind))

    def _shown(self, c: Connection, subject: str, kind: str) -> Shown | None:
        row = c.execute(_MESSAGE, {"s": subject, "k": kind}).one_or_none()
        return _shown(row) if row else None

    async def show(
        self, subject: str, kind: str, sent: Sent, *, digest: str, fingerprint: str, evidence: str = ""
    ) -> None:
        """Record what a message of ours now shows; `shown_at` is kept while the plan on it stays the same.

        A page that went out before its card is told at once where the card is.
        """
        now = self._now()

        def work(c: Connection) -> bool:
            row = c.execute(_MESSAGE, {"s": subject, "k": kind}).one_or_none()
            since = row.shown_at if row and row.digest == digest else now
            content = {"digest": digest, "fingerprint": fingerprint, "shown_at": since}
            values = {"channel": sent.channel, "ts": sent.ts, **content}
            if row is None:
                c.execute(_POSTED, {"subject": subject, "kind": kind, **values})
            else:
                c.execute(_REDRAWN, {"s": subject, "k": kind, **values})
            if row is None or kind == "card":
                what = "message.posted" if row is None else "message.redrawn"
                self._append(c, subject, _message_shown(what, kind, sent, fingerprint, evidence))
            if kind == "card" and digest and since == now:
                self._append(c, subject, _plan_shown(digest, where="card"))
            late = kind == "card" and row is None and c.execute(_INCIDENT, {"r": subject}).one_or_none() is not None
            self._schedule(c, subject, [Due("card_note")] if late else [])
            return late

        if await self._run(work):
            self.on_commit()

    async def forget_message(self, subject: str, kind: str) -> None:
        """The message is gone (deleted, channel archived): the next drawing posts anew."""
        place = (t.messages.c.subject == subject) & (t.messages.c.kind == kind)
        await self._run(lambda c: c.execute(delete(t.messages).where(place)))

    async def paged(self, request: str) -> Paged | None:
        """The incident of a request."""

        def work(c: Connection) -> Paged | None:
            row = c.execute(_INCIDENT, {"r": request}).one_or_none()
            return _paged(row) if row else None

        return await self._run(work)

    async def record_incident(
        self,
        request: str,
        incident: Incident,
        *,
        digest: str,
        jobs: Sequence[Due],
        evidence: str = "",
        asked: Sequence[Question] = (),
    ) -> None:
        """An incident stands for the request, showing the plan of `digest` and what was `asked` back."""

        def work(c: Connection) -> None:
            row = {
                "request_id": request,
                "incident_id": incident.id,
                "url": incident.url,
                "digest": digest,
                "shown_at": self._now(),
            }
            if c.execute(_INCIDENT, {"r": request}).one_or_none() is not None:
                return
            c.execute(insert(t.incidents), row)
            opened = {"incident": incident.id, "digest": digest, "evidence": evidence}
            self._append(c, request, Audit("tinyapprover", "page.opened", opened))
            self._schedule(c, request, [*jobs, *_asked_meanwhile(c, request, asked)])

        await self._change(work)

    async def replace_incident(
        self, request: str, incident: Incident, *, digest: str, jobs: Sequence[Due], asked: Sequence[Question] = ()
    ) -> None:
        """A second page stands for the request now; comments on the first count no more."""

        def work(c: Connection) -> None:
            row = t.incidents.c.request_id == request
            values = {"incident_id": incident.id, "url": incident.url, "digest": digest, "shown_at": self._now()}
            c.execute(update(t.incidents).where(row).values(**values, resolved_at=None))
            self._append(c, request, Audit("tinyapprover", "page.opened", {"incident": incident.id, "digest": digest}))
            self._schedule(c, request, [*jobs, *_asked_meanwhile(c, request, asked)])

        await self._change(work)

    async def plan_on_incident(self, request: str, digest: str) -> None:
        """A changed plan was written to the incident as a note: it counts from now."""
        values = {"digest": digest, "shown_at": self._now()}

        def work(c: Connection) -> None:
            c.execute(update(t.incidents).where(t.incidents.c.request_id == request).values(**values))
            self._append(c, request, _plan_shown(digest, where="note"))

        await self._run(work)

    async def incident_resolved(self, request: str, incident_id: str) -> None:
        """We closed it, after the outcome was written on it."""

        def work(c: Connection) -> None:
            row = t.incidents.c.incident_id == incident_id
            c.execute(update(t.incidents).where(row).values(resolved_at=self._now()))
            self._append(c, request, Audit("tinyapprover", "page.resolved", {"incident": incident_id}))

        await self._run(work)


def _asked_meanwhile(c: Connection, request: str, asked: Sequence[Question]) -> list[Due]:
    """Notes on what was asked or answered while the incident was being opened: what is asked later sees it itself."""
    told = set(_notes_on(asked))
    return [Due(kind) for kind in _notes_on(c.execute(_QUESTIONS, {"r": request})) if kind not in told]


def _notes_on(questions: Iterable[Any]) -> Iterator[str]:
    for one in questions:
        yield f"question_note:{one.id}"
        if one.answer:
            yield f"question_note:{one.id}-answer"


def _message_shown(what: str, kind: str, sent: Sent, fingerprint: str, evidence: str) -> Audit:
    detail = {"kind": kind, "channel": sent.channel, "ts": sent.ts, "shows": fingerprint, "evidence": evidence}
    return Audit("tinyapprover", what, detail)


def _plan_shown(digest: str, *, where: str) -> Audit:
    return Audit("tinyapprover", "plan.shown", {"digest": digest, "where": where})


def _shown(row: Row[Any]) -> Shown:
    return Shown(Sent(row.channel, row.ts), row.digest, row.fingerprint, row.shown_at)


def _paged(row: Row[Any]) -> Paged:
    return Paged(row.incident_id, row.url, row.digest, row.shown_at, row.resolved_at is not None)
