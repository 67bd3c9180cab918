"""What follows: the jobs that a change leaves behind, so that everybody sees it and its next step begins."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from bot.core.patience import REMIND, SILENCE
from bot.ledger import Due

BOT = "tinyapprover"
CLOSED_JOBS = (Due("card"), Due("dm"), Due("tell:outcome"), Due("resolve"))
APPROVED_JOBS = (Due("grant"), Due("card"), Due("dm"))
CHANGED_JOBS = (Due("card"), Due("dm"), Due("page"), Due("plan_note"), Due("tell:again"))
PAGED_JOBS = (Due("plan_note"), Due("advice_note"), Due("codes"), Due("resolve"))


def on_silence(times: Mapping[str, datetime]) -> list[Due]:
    """What follows if nobody answers. A reminder says less than what comes after it, so it knows when that is."""
    until = {"until": times[SILENCE].isoformat()}
    return [Due(kind, at=when, payload=until if kind == REMIND else {}) for kind, when in times.items()]
