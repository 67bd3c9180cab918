"""A short run of the kill harness; `make torture` runs the long one."""

from __future__ import annotations

from pathlib import Path

from tests.torture.aims import RANDOM, Aims
from tests.torture.batch import Order, run

KILLS = 30


async def test_killed_thirty_times_amid_faults_nothing_is_lost_doubled_or_left_behind(tmp_path: Path) -> None:
    outcome = await run(Order("short", KILLS), tmp_path, aims := Aims())
    assert outcome.findings.wrong == []
    assert outcome.tally.kills == KILLS
    assert aims.hits[RANDOM] < KILLS
    assert outcome.findings.requests > 0
    assert outcome.findings.failed_calls > outcome.findings.calls * 0.1
