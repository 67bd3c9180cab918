"""What our own machinery takes: the ledger and the jobs of a request until it waits, nobody outside asked."""

from __future__ import annotations

import asyncio
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import policies
from bench.figures import Figure
from bot.clock import SystemClock
from bot.core.lifecycle import Event
from bot.core.request import Advice, Draft, Entitlement, Evidence, Fact, Leaning, Person, Plan, Ruling
from bot.jobs import Handler, Worker
from bot.ledger import Audit, Due, Job, Ledger
from bot.ports import Incident, Sent
from policies.load import load

REQUESTS = 300
DONE = Audit("bench", "done")
FACTS = tuple(Fact("okta", f"Fact {number}", "something that is known of them") for number in range(8))


def cpu() -> Figure:
    """Processor time a request, with the shipped ledger and worker and steps that only record."""
    with tempfile.TemporaryDirectory() as directory:
        taken = asyncio.run(_through(Path(directory) / "ledger.db"))
    made_of = "10 ms of processor time for the ledger and all jobs of a request until it waits, no vendor asked"
    return Figure("cpu", 10.0, made_of, [taken / REQUESTS], aim=1.0)


async def _through(database: Path) -> float:
    ledger = await Ledger.open(f"sqlite:///{database}", kind="sandbox", now=lambda: datetime.now(UTC))
    entitlement = next(iter(load(Path(str(policies.__file__)).parent).entitlements.values()))
    steps = Steps(ledger)
    worker = Worker(ledger, steps.table(), SystemClock(), roles=("front",), on_trouble=_fail)
    ledger.on_commit = worker.wake
    working = asyncio.create_task(worker.run())
    await asyncio.sleep(0.2)
    begun = time.process_time()
    for number in range(REQUESTS):
        await ledger.receive(
            *_draft(number, entitlement), deadline=_soon(), jobs=[*map(Due, ("card", "plan", "gather"))]
        )
        await asyncio.sleep(0.005)
    await steps.all_wait.wait()
    taken = (time.process_time() - begun) * 1000
    await worker.stop()
    await working
    await ledger.close()
    return taken


def _soon() -> datetime:
    return datetime.now(UTC) + timedelta(hours=8)


def _draft(number: int, entitlement: Entitlement) -> tuple[Draft, Entitlement]:
    person = Person(f"00u{number:017d}", f"requester-{number}@example.com", f"Requester {number}")
    words = "look at yesterday's error logs of the checkout service, as agreed with the team"
    return Draft(f"bench/{number}", entitlement.id, person, person, 60, words), entitlement


async def _fail(job: Job, trouble: str) -> None:
    raise AssertionError(f"{job.kind}: {trouble}")


class Steps:
    """What the story records at each of its steps."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting = 0
        self.all_wait = asyncio.Event()

    def table(self) -> dict[str, Handler]:
        steps = (self.plan, self.gather, self.advise, self.card, self.dm, self.page)
        return {step.__name__: step for step in steps}

    async def plan(self, job: Job) -> None:
        request = await self._ledger.request(job.subject)
        entitled = request.entitlement
        plan = Plan(entitled.action, request.id, entitled.id, request.beneficiary.id, 60, {"group": "00g1"}, ("adds",))
        ruling = Ruling(True, f"catalogue/{entitled.id}#ask", "they may ask", 1, entitled.approvers.group)
        values = {"plan": plan, "ruling": ruling, "planned_at": datetime.now(UTC)}
        jobs = [*map(Due, ("card", "dm", "page"))]
        await self._ledger.move(request.id, Event.PLANNED, audit=DONE, values=values, jobs=jobs)

    async def gather(self, job: Job) -> None:
        await self._ledger.request(job.subject)
        values = {"evidence": Evidence(facts=FACTS, gathered_at=datetime.now(UTC))}
        await self._ledger.record(job.subject, audit=DONE, values=values, jobs=[*map(Due, ("card", "page", "advise"))])

    async def advise(self, job: Job) -> None:
        await self._ledger.request(job.subject)
        await self._ledger.record(
            job.subject, audit=DONE, values={"advice": Advice(Leaning.APPROVE)}, jobs=[Due("card")]
        )
        self._waiting += 1
        if self._waiting == REQUESTS:
            self.all_wait.set()

    async def card(self, job: Job) -> None:
        request, _ = job.reading or await self._ledger.to_show(job.subject, "card")
        await self._show(job.subject, "card", request.decidable_digest)

    async def dm(self, job: Job) -> None:
        request, _ = await self._ledger.to_show(job.subject, "dm")
        await self._show(job.subject, "dm", request.decidable_digest)

    async def _show(self, request: str, kind: str, digest: str) -> None:
        await self._ledger.show(request, kind, Sent("C0BENCH", request), digest=digest, fingerprint="")

    async def page(self, job: Job) -> None:
        request, _ = await self._ledger.to_show(job.subject, "card")
        if request.plan is None or request.evidence is None or request.incident_id:
            return
        incident = Incident(f"Q{request.id}", "", "triggered", datetime.now(UTC))
        poll = Due("poll", at=_soon())
        await self._ledger.record_incident(request.id, incident, digest=request.decidable_digest, jobs=[poll])
