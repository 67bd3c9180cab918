"""Figures for Prometheus, read from the ledger when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from bot.ledger import Ledger
from bot.ledger.inbox import Seen
from bot.webhooks import ACTIVE, REFUSED, SUBSCRIPTION, TAKEN


async def exposition(ledger: Ledger, *, gauges: Mapping[str, float]) -> str:
    """Requests by state, jobs by kind and lateness, overdue access, webhooks, opinions on answers, and `gauges`."""
    figures = await ledger.figures()
    lines = ["# TYPE tinyapprover_requests gauge"]
    lines += [f'tinyapprover_requests{{state="{state}"}} {count}' for state, count in figures.requests.items()]
    lines.append("# TYPE tinyapprover_jobs gauge")
    lines += [f'tinyapprover_jobs{{kind="{kind}"}} {count}' for kind, count in figures.jobs.items()]
    lines += _gauge("tinyapprover_revokes_overdue", len(await ledger.overdue()))
    lines += _gauge("tinyapprover_jobs_late_seconds", figures.late)
    lines += _webhooks(await ledger.seen())
    lines.append("# TYPE tinyapprover_answers_rated gauge")
    opinions = await ledger.opinions()
    lines += [f'tinyapprover_answers_rated{{helpful="{said}"}} {count}'.lower() for said, count in opinions.items()]
    for name, value in gauges.items():
        lines += _gauge(f"tinyapprover_{name}", value)
    return "\n".join([*lines, *await _roles(ledger), ""])


def _gauge(name: str, value: float) -> list[str]:
    return [f"# TYPE {name} gauge", f"{name} {value:.3f}"]


def _webhooks(seen: Mapping[str, Seen]) -> list[str]:
    """Deliveries by what became of them, when the last came, and whether PagerDuty delivers at all."""
    outcomes = {name.partition(".")[2]: one for name, one in seen.items() if name in (*TAKEN, REFUSED)}
    lines = ["# TYPE tinyapprover_webhook_events_total counter"]
    lines += [f'tinyapprover_webhook_events_total{{outcome="{name}"}} {one.times}' for name, one in outcomes.items()]
    lines.append("# TYPE tinyapprover_webhook_last_seconds gauge")
    lines += [
        f'tinyapprover_webhook_last_seconds{{outcome="{name}"}} {one.at.timestamp():.0f}'
        for name, one in outcomes.items()
    ]
    if SUBSCRIPTION in seen:
        lines += _gauge("tinyapprover_webhook_active", float(seen[SUBSCRIPTION].words == ACTIVE))
    return lines


async def _roles(ledger: Ledger) -> list[str]:
    """How long ago each role was seen at work, and whether everything is frozen."""
    now, present = datetime.now(UTC), await ledger.presence()
    ages = {role: (now - at).total_seconds() for role, at in present.items()}
    return [
        "# TYPE tinyapprover_role_seen_seconds gauge",
        *(f'tinyapprover_role_seen_seconds{{role="{role}"}} {age:.1f}' for role, age in sorted(ages.items())),
        *_gauge("tinyapprover_frozen", float(await ledger.frozen() is not None)),
    ]
