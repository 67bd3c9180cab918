"""A short run of the kill harness; `make torture` runs the long one."""

from __future__ import annotations

from pathlib import Path

from tests.postgres import Server
from tests.torture.aims import RANDOM, Aims
from tests.torture.batch import REPLICAS, Order, run

KILLS = 30
PACE = 0.4


async def killed(order: Order, place: Path) -> None:
    """Amid faults nothing is lost, doubled or left behind."""
    outcome = await run(order, place, aims := Aims(pace=PACE))
    assert outcome.findings.wrong == []
    assert outcome.tally.kills == KILLS
    assert aims.hits[RANDOM] < KILLS
    assert outcome.findings.requests > 0
    assert outcome.findings.failed_calls > outcome.findings.calls * 0.1


async def test_killed_thirty_times_on_sqlite_nothing_is_lost_doubled_or_left_behind(tmp_path: Path) -> None:
    await killed(Order("short", KILLS), tmp_path)


async def test_the_same_holds_for_two_replicas_on_postgresql(tmp_path: Path, postgres: Server) -> None:
    await killed(Order("short", KILLS, REPLICAS, postgres.empty_database("torture")), tmp_path)
