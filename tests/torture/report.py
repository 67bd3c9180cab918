"""The table that README and docs/reliability.md quote."""

from __future__ import annotations

from rich.table import Table

from tests.torture.aims import RANDOM, Aims
from tests.torture.judge import Findings
from tests.torture.stage import Tally


def rows(tally: Tally, found: Findings, aims: Aims) -> list[tuple[str, str]]:
    """What is told, in order."""
    kinds = {hit.partition(" ")[2] for hit in aims.hits if hit != RANDOM}
    share = found.failed_calls / found.calls if found.calls else 0.0
    return [
        ("`kill -9`", f"{tally.kills}, {tally.cold} of them after a cold start"),
        ("of these at a chosen outside call", f"{tally.kills - aims.hits[RANDOM]}"),
        ("kinds of outside call; fewest kills right before or after one", f"{len(kinds)}; {aims.fewest}"),
        ("outside calls, and how many of them failed", f"{found.calls:,}, {share:.0%}"),
        ("acknowledged requests, and grants", f"{found.requests}, {found.grants}"),
        ("requests or answers lost", f"{len(found.lost)}"),
        ("conflicting outcomes", f"{len(found.conflicting)}"),
        ("actions applied twice", f"{len(found.twice)}"),
        ("grants left behind", f"{len(found.left_behind)}"),
        ("audit chains broken", f"{len(found.chain)}"),
        ("anything else wrong", f"{len(found.other)}"),
        ("writes sent again, as it was not known whether they had been done", f"{found.sent_again}"),
        ("messages that people saw twice; notes", f"{found.messages_twice}; {found.notes_twice}"),
        ("revocations late while it was up, p50 and p99", _late(found)),
    ]


def _late(found: Findings) -> str:
    late = sorted(found.late)
    if not late:
        return "none"
    return f"{late[len(late) // 2]:.1f} s, {late[min(len(late) - 1, int(len(late) * 0.99))]:.1f} s (n={len(late)})"


def table(database: str, tally: Tally, found: Findings, aims: Aims) -> Table:
    """For a terminal."""
    drawn = Table("", database, title="make torture")
    for row in rows(tally, found, aims):
        drawn.add_row(*row)
    return drawn
