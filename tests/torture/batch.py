"""One batch: some lives of requests, some kills of the program, and what came of it."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import policies
from bot.app import SANDBOX
from bot.config import EXECUTOR, FRONT, ROLES
from bot.ledger import Ledger
from tests.torture.aims import Aims
from tests.torture.judge import Findings, Judge
from tests.torture.people import STORIES, Case, Life, Stuck
from tests.torture.stage import Fleet, Stage, Tally

AT_ONCE = 6
CROWD = 48
LATER = (timedelta(minutes=2), timedelta(hours=1), timedelta(hours=9))
APART: Fleet = ((FRONT,), (EXECUTOR,))
REPLICAS: Fleet = (ROLES, ROLES)
ENTRIES = ("prod-readonly", "prod-admin", "prod-root")
BY_GROUP = "who_decides: {group: iam-approvers}"
BY_WHOEVER_IS_ON_CALL = "who_decides: {group: iam-approvers, on_call: {escalation_policy: PPOL001}}"


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done: so many kills, chosen by `seed`, of a `fleet` of processes on a database."""

    seed: str
    kills: int
    fleet: Fleet = APART
    database: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done, and what came of it."""

    tally: Tally
    findings: Findings


async def run(order: Order, place: Path, aims: Aims, progress: Callable[[Tally], None] = lambda _: None) -> Outcome:
    """Everything of one batch, in a new directory."""
    chance = random.Random(order.seed)
    stage = Stage(place, crowd=CROWD, kills=order.kills, aims=aims, chance=chance)
    _few_policies(place / "policies")
    settings = {
        "TINYAPPROVER_EMBEDDER": "none",
        "TINYAPPROVER_POLICIES": place / "policies",
        "TINYAPPROVER_DATABASE_URL": order.database,
    }
    cases: list[Case] = []
    try:
        await stage.open(order.fleet, **settings)
        await _lives(stage, cases, chance, progress)
        codes = await _settle(stage)
        findings = Judge(stage).of(cases)
    finally:
        await stage.close()
        await stage.sandbox.stop()
    findings.other += [f"it ended with {code} after SIGTERM" for code in codes if code != 0]
    findings.chain += await _chain(stage)
    return Outcome(stage.tally, findings)


def _few_policies(place: Path) -> None:
    """Reading the whole catalogue is most of a warm start. One of them is decided by whoever is on call."""
    ours = Path(str(policies.__file__)).parent
    (place / "catalogue").mkdir(parents=True)
    entries = (f"catalogue/{entry}.yml" for entry in ENTRIES)
    for name in (*entries, "guardrails.cedar", "guardrails.cedarschema", "advice.md"):
        shutil.copy(ours / name, place / name)
    admin = place / "catalogue/prod-admin.yml"
    admin.write_text(admin.read_text("utf-8").replace(BY_GROUP, BY_WHOEVER_IS_ON_CALL), "utf-8")


async def _lives(stage: Stage, cases: list[Case], chance: random.Random, progress: Callable[[Tally], None]) -> None:
    """A few at a time, and new ones as long as there is somebody to ask and something to be killed."""
    stories = list(STORIES)
    weights = [weight for _, weight in STORIES.values()]

    async def one_after_another() -> None:
        while stage.kills_left > 0 and len(cases) < CROWD:
            number, (story,) = len(cases), chance.choices(stories, weights)
            (access, group), _ = STORIES[story]
            case = Case(f"case-{number:03d}", story.__name__, f"requester-{number}", group)
            cases.append(case)
            await _live(Life(stage, case, access), story)
            progress(stage.tally)

    await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))


async def _live(life: Life, story: Callable[[Life], Any]) -> None:
    life.stage.lives += 1
    try:
        await story(life)
    except Stuck as stuck:
        life.case.stuck = str(stuck)
    finally:
        life.stage.lives -= 1


async def _settle(stage: Stage) -> list[int]:
    """No more kills, no more faults; whatever is to be done later is done; then it is stopped in order."""
    stage.kills_left = 0
    stage.world.faults.clear()
    for later in LATER:
        await stage.quiet()
        stage.world.advance(later)
    await stage.quiet()
    return await stage.close()


async def _chain(stage: Stage) -> list[str]:
    """What `tinyapprover audit verify` finds, when nothing runs."""
    ledger = await Ledger.open(stage.settings.ledger_url, kind=SANDBOX, now=stage.world.now)
    verified = await ledger.verify(())
    await ledger.close()
    return [f"audit: {finding}" for finding in verified.findings]
