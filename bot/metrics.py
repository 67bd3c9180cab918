"""Figures for Prometheus, read from the ledger when asked for."""

from __future__ import annotations

from bot.ledger import Ledger


async def exposition(ledger: Ledger) -> str:
    """Requests by state, jobs by kind, access that should be gone, and how late the latest job is."""
    figures = await ledger.figures()
    lines = ["# TYPE tinyapprover_requests gauge"]
    lines += [f'tinyapprover_requests{{state="{state}"}} {count}' for state, count in figures.requests.items()]
    lines.append("# TYPE tinyapprover_jobs gauge")
    lines += [f'tinyapprover_jobs{{kind="{kind}"}} {count}' for kind, count in figures.jobs.items()]
    overdue = len(await ledger.overdue())
    lines += ["# TYPE tinyapprover_revokes_overdue gauge", f"tinyapprover_revokes_overdue {overdue}"]
    lines += ["# TYPE tinyapprover_jobs_late_seconds gauge", f"tinyapprover_jobs_late_seconds {figures.late:.3f}", ""]
    return "\n".join(lines)
