"""Policy questions asked in chat, each answered once, and what people thought of the answers.

They are personal words: they go after thirty days, and at once when their writer is erased.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from enum import Enum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, or_, select, update

from bot.core.question import PolicyQuestion, Where
from bot.ledger import tables as t
from bot.ledger.database import Audit, Database, Due, one_at_a_time
from bot.ports import Sent

KEPT = timedelta(days=30)
_Q = t.policy_questions.c
_NAMES = tuple(column.name for column in t.policy_questions.columns)
_ANSWER = "answer"


class Rated(Enum):
    """What became of an opinion on an answer."""

    ANEW = "anew"
    AS_BEFORE = "as before"
    FORGOTTEN = "forgotten"


class PolicyQuestions(Database):
    """What was asked, and where the answer stands."""

    async def take_question(self, question: PolicyQuestion, refuse: Callable[[int], str]) -> bool:
        """Take a question once, with the job that answers it or says why not; false when it was taken before.

        `refuse` says why not, or nothing, by how many this person asked in the hour before. That is counted in the same
        transaction, so that questions at the same moment count each other.
        """
        return await self._change(lambda c: self._take_question(c, question, refuse))

    def _take_question(self, c: Connection, question: PolicyQuestion, refuse: Callable[[int], str]) -> bool:
        if c.execute(select(_Q.id).where(_Q.id == question.id)).scalar() is not None:
            return False
        one_at_a_time(c, "questions")
        _forget(c, _Q.asked_at < self._now() - KEPT)
        recent = (_Q.user == question.user) & (_Q.asked_at > question.asked_at - timedelta(hours=1))
        refusal = refuse(int(c.execute(select(func.count()).where(recent)).scalar_one()))
        c.execute(insert(t.policy_questions), {name: getattr(question, name) for name in _NAMES})
        self._schedule(c, question.id, [Due(_ANSWER, subject=question.id, payload={"refusal": refusal})])
        return True

    async def policy_question(self, question: str) -> PolicyQuestion | None:
        """A question; None when it was forgotten."""
        query = select(t.policy_questions).where(_Q.id == question)

        def work(c: Connection) -> PolicyQuestion | None:
            row = c.execute(query).one_or_none()
            return _question(row) if row else None

        return await self._run(work)

    async def asked_before(self, question: PolicyQuestion, *, most: int) -> list[str]:
        """What was asked earlier in the same thread, oldest first; the question that the thread answers among it."""
        in_thread = or_(_Q.thread == question.thread, _Q.answer_ts == question.thread)
        earlier = (_Q.asked_at <= question.asked_at) & (_Q.id != question.id) & (_Q.text != "")
        query = (
            select(_Q.text)
            .where(_Q.channel == question.channel, in_thread, earlier)
            .order_by(_Q.asked_at.desc())
            .limit(most)
        )
        if not question.thread:
            return []
        return await self._run(lambda c: list(c.execute(query).scalars())[::-1])

    async def answer_stands(self, question: str, sent: Sent) -> None:
        """Our message is there, and will hold the answer."""
        values = {"channel": sent.channel, "answer_ts": sent.ts}
        await self._run(lambda c: c.execute(update(t.policy_questions).where(_Q.id == question).values(**values)))

    async def answer_given(self, question: PolicyQuestion, *, person: str, audit: Audit) -> None:
        """The message holds the answer. `person` is who asked, if that is known: erasing them erases it."""
        values = {"answered_at": self._now(), "person": person}

        def work(c: Connection) -> None:
            given = (_Q.id == question.id) & _Q.answered_at.is_(None)
            if c.execute(update(t.policy_questions).where(given).values(**values)).rowcount == 1:
                self._append(c, "", audit)

        await self._run(work)

    async def rate(self, question: str, user: str, *, helpful: bool, audit: Audit) -> Rated:
        """What somebody thinks of an answer. Saying the same again is nothing."""
        return await self._run(lambda c: self._rate(c, question, user, helpful, audit))

    def _rate(self, c: Connection, question: str, user: str, helpful: bool, audit: Audit) -> Rated:
        if c.execute(select(_Q.id).where(_Q.id == question)).scalar() is None:
            return Rated.FORGOTTEN
        mine = (t.ratings.c.question_id == question) & (t.ratings.c.user == user)
        before = c.execute(select(t.ratings.c.helpful).where(mine)).scalar()
        if before is None:
            row = {"question_id": question, "user": user, "helpful": helpful, "at": self._now()}
            c.execute(insert(t.ratings), row)
        elif before == helpful:
            return Rated.AS_BEFORE
        else:
            c.execute(update(t.ratings).where(mine).values(helpful=helpful, at=self._now()))
        self._append(c, "", audit)
        return Rated.ANEW

    async def opinions(self) -> dict[bool, int]:
        """How many opinions on the answers that are kept say helpful, and how many not."""
        query = select(t.ratings.c.helpful, func.count()).group_by(t.ratings.c.helpful)
        counted = await self._run(lambda c: {bool(helpful): int(count) for helpful, count in c.execute(query)})
        return {helpful: counted.get(helpful, 0) for helpful in (True, False)}

    async def ratings(self, question: str) -> dict[str, bool]:
        """Who found an answer helpful and who did not."""
        query = select(t.ratings.c.user, t.ratings.c.helpful).where(t.ratings.c.question_id == question)
        return await self._run(lambda c: {row.user: row.helpful for row in c.execute(query)})


def forget_questions_of(c: Connection, person: str) -> None:
    """Erase what somebody asked and what they thought of answers, under every chat account known of them."""
    users = accounts_of(c, person)
    c.execute(delete(t.ratings).where(t.ratings.c.user.in_(users)))
    _forget(c, _Q.user.in_(users))


def accounts_of(c: Connection, person: str) -> set[str]:
    """The chat accounts that are linked to somebody, and those that they asked from."""
    linked = select(t.people.c.slack_user).where(t.people.c.id == person)
    asked_as = select(_Q.user).where(_Q.person == person)
    return {user for query in (linked, asked_as) for user in c.execute(query).scalars() if user}


def _forget(c: Connection, which: ColumnElement[bool]) -> None:
    """Questions and their ratings. A job that would answer one of them finds it gone."""
    ids = select(_Q.id).where(which)
    c.execute(delete(t.ratings).where(t.ratings.c.question_id.in_(ids)))
    c.execute(delete(t.policy_questions).where(which))


def _question(row: Row[Any]) -> PolicyQuestion:
    values = {name: getattr(row, name) for name in _NAMES}
    return PolicyQuestion(**{**values, "where": Where(row.where)})
