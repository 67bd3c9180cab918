"""People and their linked accounts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Select,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from bot.core.request import (
    Person,
)
from bot.ledger import tables as t
from bot.ledger.database import Audit, Database

_PERSON_BY_SLACK = select(t.people).where(
    t.people.c.slack_team == bindparam("team"), t.people.c.slack_user == bindparam("user")
)
_PERSON_BY_PAGER = select(t.people).where(t.people.c.pagerduty_user == bindparam("user"))
_PERSON = select(t.people).where(t.people.c.id == bindparam("id"))


class Links(Database):
    """Who is who, by immutable ids."""

    async def person(self, person: str) -> Person | None:
        return await self._one_person(_PERSON, {"id": person})

    async def person_by_slack(self, team: str, user: str) -> Person | None:
        return await self._one_person(_PERSON_BY_SLACK, {"team": team, "user": user})

    async def person_by_pagerduty(self, user: str) -> Person | None:
        return await self._one_person(_PERSON_BY_PAGER, {"user": user})

    async def people(self) -> list[Person]:
        """Everybody linked."""
        query = select(t.people).order_by(t.people.c.email)
        return await self._run(lambda c: [_person(row) for row in c.execute(query)])

    async def _one_person(self, query: Select[Any], values: Mapping[str, str]) -> Person | None:
        def work(c: Connection) -> Person | None:
            row = c.execute(query, values).one_or_none()
            return _person(row) if row else None

        return await self._run(work)

    async def link(self, person: Person, *, by: str) -> None:
        """Link somebody's accounts, replacing an earlier link of the same directory account. Audited."""

        def work(c: Connection) -> None:
            values = {
                "email": person.email,
                "name": person.name,
                "slack_team": person.slack_team,
                "slack_user": person.slack_user,
                "pagerduty_user": person.pagerduty_user,
                "decides": person.decides,
                "linked_by": by,
                "linked_at": self._now(),
            }
            row = t.people.c.id == person.id
            if c.execute(update(t.people).where(row).values(**values)).rowcount == 0:
                c.execute(insert(t.people), {"id": person.id, **values})
            ids = {"slack": person.slack_user, "pagerduty": person.pagerduty_user, "decides": person.decides}
            texts = {"email": person.email, "name": person.name}
            self._append(c, "", Audit(by, "person.linked", {"person": person.id, **ids}, texts, of=person.id))

        await self._run(work)

    async def unlink(self, person: str, *, by: str) -> bool:
        """Forget a link; false when there was none."""

        def work(c: Connection) -> bool:
            gone = c.execute(delete(t.people).where(t.people.c.id == person)).rowcount == 1
            if gone:
                self._append(c, "", Audit(by, "person.unlinked", {"person": person}))
            return gone

        return await self._run(work)


def _person(row: Row[Any]) -> Person:
    return Person(
        id=row.id,
        email=row.email,
        name=row.name,
        slack_team=row.slack_team,
        slack_user=row.slack_user,
        pagerduty_user=row.pagerduty_user,
        decides=row.decides,
    )
