"""Figures for Prometheus, read from the ledger when asked for."""

from __future__ import annotations

from datetime import UTC, datetime

from bot.ledger import Ledger


async def exposition(ledger: Ledger) -> str:
    """Requests by state, jobs by kind, and how late the latest of them is."""
    figures = await ledger.figures()
    lines = ["# TYPE tinyapprover_requests gauge"]
    lines += [f'tinyapprover_requests{{state="{state}"}} {count}' for state, count in figures.requests.items()]
    lines.append("# TYPE tinyapprover_jobs gauge")
    lines += [f'tinyapprover_jobs{{kind="{kind}"}} {count}' for kind, count in figures.jobs.items()]
    lines += ["# TYPE tinyapprover_jobs_late_seconds gauge", f"tinyapprover_jobs_late_seconds {figures.late:.3f}"]
    lines += [*await _roles(ledger), ""]
    return "\n".join(lines)


async def _roles(ledger: Ledger) -> list[str]:
    """How long ago each role was seen at work, and whether everything is frozen."""
    now, seen = datetime.now(UTC), await ledger.presence()
    ages = {role: (now - at).total_seconds() for role, at in seen.items()}
    frozen = int(await ledger.frozen() is not None)
    return [
        "# TYPE tinyapprover_role_seen_seconds gauge",
        *(f'tinyapprover_role_seen_seconds{{role="{role}"}} {age:.1f}' for role, age in sorted(ages.items())),
        "# TYPE tinyapprover_frozen gauge",
        f"tinyapprover_frozen {frozen}",
    ]
