"""Erasing the words of a person: from beside the trail, and from wherever else they stand. The trail stays whole."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, Text, delete, exists, or_, select, type_coerce, update

from bot.audit import Audit, AuditEvent, AuditText
from bot.core.lifecycle import FINAL
from bot.core.request import Person
from bot.ledger import tables as t
from bot.ledger.chain import read, read_event
from bot.ledger.database import Database
from bot.ledger.engine import patiently
from bot.ledger.policy_questions import accounts_of, forget_questions_of
from bot.ledger.requests import number_of, numbered, request_id
from bot.verifying import ERASED

NAMELESS = "(erased)"
ACCOUNT = re.compile(r"[UW][A-Z0-9]{6,20}", re.ASCII)  # a Slack user id
FORGETTING = ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)")
_TEXTS = select(t.texts, t.events.c.request_id).join(t.events, t.events.c.seq == t.texts.c.seq)
_EVIDENCE = type_coerce(t.requests.c.evidence, Text)
_LEFT = exists().where(numbered(t.grants.c.request_id) == t.requests.c.number, t.grants.c.revoked_at.is_(None))
_CLOSED = t.requests.c.state.in_([state.value for state in FINAL]) & ~_LEFT  # what was stopped may be there still


@dataclass(frozen=True, slots=True)
class Erasure:
    """What erasing a person means: texts beside the trail, and closed requests of theirs that lose their words.

    `kept` are their requests that are still open, which need their words; `linked` says that their accounts are linked,
    so that their name is still needed. `accounts` are their chat accounts, whose words are in indexed threads.
    """

    person: str
    texts: tuple[AuditText, ...]
    requests: tuple[str, ...]
    kept: tuple[str, ...]
    linked: bool
    accounts: tuple[str, ...] = ()


class Erasing(Database):
    """Forgetting, which is an event of its own."""

    async def to_erase(self, person: str) -> Erasure:
        """What would be erased of somebody, by their directory id."""
        return await self._run(lambda c: _erasure(c, person))

    async def erase(self, person: str, *, by: str, why: str) -> Erasure:
        """Erase it in one transaction with the event that says so, then have the file forget it too."""
        erasure = await self._run(lambda c: self._erase(c, person, Audit(by, ERASED, texts={"why": why})))
        await asyncio.get_running_loop().run_in_executor(self._threads, self._forget_freed_pages)
        return erasure

    def _erase(self, c: Connection, person: str, audit: Audit) -> Erasure:
        erasure, names = _erasure(c, person), _names(c, person)
        for text in erasure.texts:
            c.execute(delete(t.texts).where(t.texts.c.seq == text.seq, t.texts.c.name == text.name))
        for request in erasure.requests:
            _erase_request(c, request, person)
        _erase_answers(c, person, names)
        _erase_mentions(c, names)
        forget_questions_of(c, person)
        detail = {
            "person": person,
            "accounts": list(erasure.accounts),
            "requests": list(erasure.requests),
            "erased": _by_event(erasure.texts),
        }
        self._append(c, "", replace(audit, detail=detail))
        return erasure

    async def erasures(self, after: int) -> list[AuditEvent]:
        """Every erasure behind an event of the trail, oldest first."""
        query = select(t.events).where(t.events.c.seq > after, t.events.c.what == ERASED).order_by(t.events.c.seq)
        return await self._run(lambda c: [read_event(row) for row in c.execute(query)])

    def _forget_freed_pages(self) -> None:
        """SQLite leaves what was deleted in free pages and in the log until they are written over."""
        if self._engine.dialect.name == "sqlite":
            connection = self._engine.raw_connection()
            for statement in ("PRAGMA busy_timeout=5000", *FORGETTING, "PRAGMA busy_timeout=0"):
                patiently(connection.driver_connection, statement)
            connection.close()

    async def id_of(self, known_as: str) -> str | None:
        """The directory id of whoever has this login, in a link or in a request, or this linked Slack account."""
        return await self._run(lambda c: _id_of_account(c, known_as) or _id_of(c, known_as.casefold()))


def _erasure(c: Connection, person: str) -> Erasure:
    concerned = c.execute(select(t.requests.c.number, _CLOSED.label("closed")).where(_concerns(person))).all()
    closed = tuple(request_id(row.number) for row in concerned if row.closed)
    kept = tuple(request_id(row.number) for row in concerned if not row.closed)
    linked = c.execute(select(t.people.c.id).where(t.people.c.id == person)).scalar() is not None
    about = t.events.c.request_id.in_(closed) & (t.texts.c.name != "name")
    rows = c.execute(_TEXTS.where(or_(t.texts.c.person == person, about)).order_by(t.texts.c.seq)).all()
    texts = tuple(_text(row) for row in rows if _may_go(c, row.request_id, linked=linked))
    return Erasure(person, texts, closed, kept, linked, accounts=tuple(sorted(_accounts(c, person))))


def _concerns(person: str) -> Any:
    return or_(t.requests.c.requester_id == person, t.requests.c.beneficiary_id == person)


def _may_go(c: Connection, request: str, *, linked: bool) -> bool:
    """Words in an open request stay, and so does the name in a link that stands."""
    if not request:
        return not linked
    return bool(c.execute(select(_CLOSED).where(t.requests.c.number == number_of(request))).scalar())


def _text(row: Row[Any]) -> AuditText:
    return AuditText(row.seq, row.name, row.person, row.salt, row.text)


def _by_event(texts: Iterable[AuditText]) -> dict[str, list[str]]:
    """Event number to the names of its texts, as it stands in the trail."""
    erased: dict[str, list[str]] = {}
    for text in texts:
        erased.setdefault(str(text.seq), []).append(text.name)
    return erased


# --- where else they stand -------------------------------------------------------------------------------------------


def _erase_request(c: Connection, request: str, person: str) -> None:
    """Ids, times and digests stay; what people wrote, and what was read about the person, goes."""
    mine = t.requests.c.number == number_of(request)
    row = c.execute(select(t.requests).where(mine)).one()
    values = {
        "department": "",
        "justification": "",
        "ticket": "",
        "outcome": "",
        "evidence": None,
        "advice": None,
        "plan": replace(row.plan, lines=()) if row.plan else None,
        "requester": _nameless(row.requester, person),
        "beneficiary": _nameless(row.beneficiary, person),
    }
    c.execute(update(t.requests).where(mine).values(**values))
    c.execute(update(t.decisions).where(t.decisions.c.request_id == request).values(reason=""))
    asked = t.questions.c.request_id == request
    c.execute(update(t.questions).where(asked).values(text=NAMELESS, answer=NAMELESS))


def _nameless(one: Person, person: str) -> Person:
    return Person(id=one.id, email="", name=NAMELESS) if one.id == person else one


def _erase_answers(c: Connection, person: str, names: Sequence[str]) -> None:
    """What they decided and asked about closed requests of others."""
    closed = [request_id(number) for number in c.execute(select(t.requests.c.number).where(_CLOSED)).scalars()]
    decided = (t.decisions.c.person_id == person) & t.decisions.c.request_id.in_(closed)
    c.execute(update(t.decisions).where(decided).values(name=NAMELESS, reason=""))
    asked = t.questions.c.asked_by.in_(names) & t.questions.c.request_id.in_(closed)
    c.execute(update(t.questions).where(asked).values(asked_by=NAMELESS, text=NAMELESS))


def _erase_mentions(c: Connection, names: Sequence[str]) -> None:
    """What was gathered for closed requests of others and names them, such as an earlier request of theirs."""
    for name in names:
        named = _CLOSED & _EVIDENCE.contains(name, autoescape=True)
        c.execute(update(t.requests).where(named).values(evidence=None, advice=None))


def _names(c: Connection, person: str) -> list[str]:
    """Every name and e-mail that somebody is known by here."""
    people = c.execute(select(t.people.c.name, t.people.c.email).where(t.people.c.id == person)).all()
    found = {word for row in people for word in row}
    found |= set(c.execute(select(t.decisions.c.name).where(t.decisions.c.person_id == person)).scalars())
    for row in c.execute(select(t.requests.c.requester, t.requests.c.beneficiary).where(_concerns(person))):
        found |= {word for one in row if one.id == person for word in (one.name, one.email)}
    return sorted(found - {"", NAMELESS})


def _accounts(c: Connection, person: str) -> set[str]:
    """Every chat account that somebody is or was known by; an account may be named in the place of a person."""
    found = accounts_of(c, person) | ({person} if ACCOUNT.fullmatch(person) else set())
    linked = (event.detail for event in read(c, what="person.linked") if event.detail.get("person") == person)
    return found | {str(detail["slack"]) for detail in linked if detail.get("slack")}


def _id_of_account(c: Connection, account: str) -> str | None:
    return c.execute(select(t.people.c.id).where(t.people.c.slack_user == account)).scalars().first()


def _id_of(c: Connection, email: str) -> str | None:
    for row in c.execute(select(t.people.c.id, t.people.c.email)):
        if row.email.casefold() == email:
            return str(row.id)
    for row in c.execute(select(t.requests.c.requester, t.requests.c.beneficiary)):
        for one in row:
            if one.email.casefold() == email:
                return str(one.id)
    return None
