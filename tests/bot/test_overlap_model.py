"""Grants of one access, overlapping at random, on the real ledger: the access is there as long as any of them lasts.

The model is a line: what was not held by hand is there exactly while a grant covers it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.claims import Busy
from bot.core.lifecycle import Event
from bot.ledger import Audit, Due, Job, Ledger
from tests.builders import NOW, a_draft, a_plan, a_ruling, an_entitlement

SOMEBODY = Audit("somebody", "something")
intervals = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 12)), min_size=1, max_size=6)


@dataclass
class Scene:
    """One access, a clock, and the ledger."""

    ledger: Ledger
    clock: list[datetime]
    by_hand: bool
    there: bool = field(init=False)
    open: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.there = self.by_hand

    async def begin(self, key: int, start: int, minutes: int) -> None:
        ledger = self.ledger
        request = await ledger.receive(a_draft(str(key)), an_entitlement(), deadline=NOW + timedelta(days=9), jobs=())
        drafted = a_plan(await ledger.request(request))
        ours = await ledger.other_grant(drafted.target, besides=request) is not None
        plan = a_plan(await ledger.request(request), already=self.there and not ours)
        await ledger.move(request, Event.PLANNED, audit=SOMEBODY, values={"plan": plan, "ruling": a_ruling()})
        await ledger.move(request, Event.APPROVED, audit=SOMEBODY)
        grant = await ledger.start_grant(plan, minutes, actor="somebody")
        assert grant is not None
        self.there = self.there or not grant.held_before
        await ledger.granted(await ledger.request(request), audit=SOMEBODY, jobs=lambda _: [Due("revoke")])
        self.open[request] = start + minutes

    async def end(self, request: str) -> None:
        grant = (await self.ledger.request(request)).grant
        assert grant is not None
        if not grant.held_before and await self.ledger.hand_over(request, actor="somebody") is None:
            self.there = False
        await self.ledger.taken_back(request, outcome="over", audit=SOMEBODY, jobs=())
        del self.open[request]


async def _play(wanted: list[tuple[int, int]], by_hand: bool, folder: str) -> None:
    clock = [NOW]
    ledger = await Ledger.open(f"sqlite:///{Path(folder) / 'x.db'}", kind="sandbox", now=lambda: clock[0])
    scene = Scene(ledger, clock, by_hand)
    try:
        for minute in range(40):
            clock[0] = NOW + timedelta(minutes=minute)
            for request in [one for one, end in scene.open.items() if end == minute]:
                await scene.end(request)
            for key, (start, minutes) in enumerate(wanted):
                if start == minute:
                    await scene.begin(key, start, minutes)
            covered = any(start <= minute < start + minutes for start, minutes in wanted)
            assert scene.there == (by_hand or covered), f"minute {minute}"
    finally:
        await ledger.close()


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(wanted=intervals, by_hand=st.booleans())
def test_access_lasts_exactly_as_long_as_somebody_may_hold_it(wanted: list[tuple[int, int]], by_hand: bool) -> None:
    with TemporaryDirectory() as folder:
        asyncio.run(_play(wanted, by_hand, folder))


async def gets_it(ledger: Ledger, job: Job) -> bool:
    try:
        await ledger.with_target(job)
    except Busy:
        return False
    return True


async def test_a_target_is_in_one_hand_until_that_job_lets_go(tmp_path: Path) -> None:
    """Also in another process on the same database, and whatever the clock does meanwhile."""
    clock = [NOW]
    url = f"sqlite:///{tmp_path / 'x.db'}"
    ledger = await Ledger.open(url, kind="sandbox", now=lambda: clock[0])
    elsewhere = await Ledger.open(url, kind="sandbox", now=lambda: clock[0])
    for key in "ab":
        request = await ledger.receive(a_draft(key), an_entitlement(), deadline=NOW + timedelta(days=1), jobs=())
        plan = a_plan(await ledger.request(request))
        await ledger.move(request, Event.PLANNED, audit=SOMEBODY, values={"plan": plan, "ruling": a_ruling()})
        await ledger.schedule(request, [Due("grant")])
    first, second = await ledger.claim(("executor",), most=2, lease=60)
    assert await gets_it(ledger, first)
    assert await gets_it(ledger, first)
    assert not await gets_it(ledger, second)
    assert not await gets_it(elsewhere, second)
    clock[0] += timedelta(days=1)
    assert not await gets_it(elsewhere, second)
    await ledger.finish(first, again_at=NOW + timedelta(days=2), retry=True)
    assert await gets_it(elsewhere, second)
    assert not await gets_it(ledger, first)
    await elsewhere.close()
    await ledger.close()
