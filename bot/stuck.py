"""What the program cannot put right by itself, handed to the front, which tells the responder channel once."""

from __future__ import annotations

from bot.ledger import Due, Job, Ledger
from bot.ledger.kinds import kind_of
from bot.ports import Clock

STUCK = "stuck"


def news(clock: Clock, job: Job, subject: str, **what: str | int) -> Due:
    """The job that tells it; `what` is for `bot.slack.troubles`."""
    return Due(f"{STUCK}:{job.id}", payload={"since": clock.now().isoformat(), **what}, subject=subject)


async def tell_stuck(ledger: Ledger, clock: Clock, job: Job, trouble: str) -> None:
    """A job that has failed so often is told in the channel, and goes on trying: once, until it has gone well again."""
    if kind_of(job.kind) is kind_of(STUCK):
        return
    told = news(clock, job, job.subject, kind=job.kind, trouble=trouble, tries=job.attempts)
    since_it_went_well = job.claim - job.attempts
    await ledger.accept("job.stuck", f"{job.id}/{since_it_went_well}", jobs=[told])
