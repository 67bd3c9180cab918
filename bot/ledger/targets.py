"""One hand at a time on a target: whoever adds or removes an access holds it for as long as their job is claimed.

Nothing here runs out by the clock. A holder that died is claimed again by its own lease, takes the target for itself
and lets go when it is finished, so that nobody ever has to guess whether a write is still under way.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from bot.claims import Busy
from bot.core.request import Request
from bot.ledger.queue import Job
from bot.ledger.requests import Requests

_HOLD = text(
    "INSERT INTO targets (target, job) VALUES (:target, :job) "
    "ON CONFLICT (target) DO UPDATE SET job = excluded.job WHERE targets.job = excluded.job OR NOT EXISTS "
    "(SELECT 1 FROM jobs WHERE jobs.id = targets.job AND jobs.leased_until <> 0)"
)


class Targets(Requests):
    """The access that a job is about to change."""

    async def with_target(self, job: Job) -> Request:
        """The job's request, its target held from now on; `Busy` while another job changes the same access."""

        def work(c: Connection) -> Request | None:
            request = self._load(c, job.subject)
            return request if self._take_target(c, request, job) else None

        request = await self._run(work)
        if request is None:
            raise Busy
        return request

    def _take_target(self, c: Connection, request: Request, job: Job) -> bool:
        if request.plan is None:
            return True
        return c.execute(_HOLD, {"target": request.plan.target, "job": job.id}).rowcount == 1
