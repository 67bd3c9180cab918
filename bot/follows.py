"""What follows: the jobs that a change leaves behind, so that everybody sees it and its next step begins."""

from __future__ import annotations

from datetime import datetime

from bot.ledger import Due, Job

BOT = "tinyapprover"
STUCK = "stuck"
CLOSED_JOBS = (Due("card"), Due("dm"), Due("tell:outcome"), Due("resolve"))
APPROVED_JOBS = (Due("grant"), Due("card"), Due("dm"))
CHANGED_JOBS = (Due("card"), Due("dm"), Due("page"), Due("plan_note"), Due("tell:again"))
PAGED_JOBS = (Due("plan_note"), Due("advice_note"), Due("codes"), Due("resolve"))


def telling(job: Job, subject: str, words: str, *, since: datetime) -> Due:
    """The responder channel is told, once for a job, what the program cannot put right by itself."""
    return Due(f"{STUCK}:{job.id}", payload={"words": words, "since": since.isoformat()}, subject=subject)
