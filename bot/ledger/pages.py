"""How many pages go out: each is reserved before it is opened, and what is too many is listed on one page for all."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, or_, select, update

from bot.core.lifecycle import OPEN
from bot.ledger import tables as t
from bot.ledger.database import Audit, one_at_a_time
from bot.ledger.requests import Requests, numbered

_PAGE = select(t.pages).where(t.pages.c.request_id == bindparam("r"))
_LATELY = (
    select(t.pages.c.policy, func.count())
    .where(t.pages.c.at > bindparam("since"), t.pages.c.listed_on == "")
    .group_by(t.pages.c.policy)
)
_IS_OPEN = or_(*(t.requests.c.state == state.value for state in sorted(OPEN)))
_LISTED = select(t.pages.c.request_id).where(
    t.pages.c.listed_on == bindparam("incident"),
    select(t.requests.c.number).where(t.requests.c.number == numbered(t.pages.c.request_id), _IS_OPEN).exists(),
)


class Pages(Requests):
    """Reserved pages, and what is listed instead."""

    async def reserve_page(
        self, request: str, policy: str, *, since: datetime, most: int, among: Collection[str] | None = None
    ) -> bool:
        """Whether it may have a page of its own: counted and taken in one transaction. A repeat has it already.

        `among` are the policies whose pages are counted; all of them when absent.
        """

        def work(c: Connection) -> bool:
            known = c.execute(_PAGE, {"r": request}).one_or_none()
            if known is not None and not known.listed_on:
                return True
            one_at_a_time(c, "pages")
            lately = c.execute(_LATELY, {"since": since}).all()
            if sum(count for one, count in lately if among is None or one in among) >= most:
                return False
            self._keep_page(c, request, policy, "")
            return True

        return await self._run(work)

    async def paged_lately(self, since: datetime) -> list[str]:
        """The policies that had pages of their own since then."""
        return await self._run(lambda c: [policy for policy, _ in c.execute(_LATELY, {"since": since})])

    async def list_page(self, request: str, policy: str, incident: str) -> None:
        """It is listed on an incident for all that are too many."""

        def work(c: Connection) -> None:
            self._keep_page(c, request, policy, incident)
            self._append(c, request, Audit("tinyapprover", "page.listed", {"incident": incident}))

        await self._run(work)

    async def listed_on(self, request: str) -> str:
        """The incident for all on which it is listed; nothing when it has its own page, or none yet."""
        row = await self._run(lambda c: c.execute(_PAGE, {"r": request}).one_or_none())
        return str(row.listed_on) if row is not None else ""

    async def listed(self, incident: str) -> Sequence[str]:
        """The open requests that have no page but this one."""
        return await self._run(lambda c: c.execute(_LISTED, {"incident": incident}).scalars().all())

    def _keep_page(self, c: Connection, request: str, policy: str, incident: str) -> None:
        values: dict[str, Any] = {"policy": policy, "at": self._now(), "listed_on": incident}
        mine = t.pages.c.request_id == request
        if c.execute(update(t.pages).where(mine).values(**values)).rowcount == 0:
            c.execute(insert(t.pages), {"request_id": request, **values})
