"""What follows: the jobs that a change leaves behind, so that everybody sees it and its next step begins."""

from __future__ import annotations

from bot.ledger import Due

BOT = "tinyapprover"
CLOSED_JOBS = (Due("card"), Due("dm"), Due("tell:outcome"), Due("resolve"))
APPROVED_JOBS = (Due("grant"), Due("card"), Due("dm"))
CHANGED_JOBS = (Due("card"), Due("dm"), Due("page"), Due("plan_note"), Due("tell:again"))
PAGED_JOBS = (Due("plan_note"), Due("advice_note"), Due("codes"), Due("resolve"))
