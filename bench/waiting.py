"""What ten thousand waiting requests cost: while nothing happens, at a start, and when somebody decides."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp

import policies
from bench.catalogue import channel, entitlement, write_policies
from bench.figures import Figure
from bench.outside import APPROVER, crowded_world, token
from bench.small import environment, running
from bench.stage import Outside, outside
from bot.clock import SystemClock
from bot.core.lifecycle import Event
from bot.core.request import Draft, Entitlement, Evidence, Fact, Person, Plan, Ruling
from bot.ledger import Audit, Due, Ledger
from bot.ports import Incident, Message
from connectors.slack import Slack, new_client
from policies.load import load

NAMES = ("start-full", "memory-full", "idle-full", "cpu-full", "decide-full")
QUIET = frozenset({"idle-full", "cpu-full"})  # cannot be told before all messages are read back
WAITING, QUICK = 10_000, 1_000
AT_ONCE = 100
DECISIONS, FEW, EVERY = 100, 20, 0.3
SETTLED, IDLE = 15.0, 60.0  # seconds
COMPARED = 75.0  # seconds: after a start the messages of every channel are read back, a channel a second
ASKED_AGO = timedelta(hours=2)
READ_IN = 2 * WAITING / 1  # seconds: two calls for each open incident, one call a second for all that are old
MEGABYTE = 1024 * 1024
FILLER = Audit("bench", "filled")
CARD = Message("Somebody waits.", [{"type": "section", "text": {"type": "plain_text", "text": "Somebody waits."}}])


async def measure_waiting(wanted: Collection[str], *, quick: bool, database: str = "") -> AsyncIterator[Figure]:
    """The shipped program in processes of its own, first on an empty ledger, then on one where all of them wait.

    `wanted` are the figures that are asked for; others may come as well, where they cost nothing. `database` is the
    address of an empty PostgreSQL database; without one it is SQLite.
    """
    count, decisions = (QUICK, FEW) if quick else (WAITING, DECISIONS)
    with tempfile.TemporaryDirectory() as directory, outside(decisions) as base:
        catalogue = write_policies(Path(str(policies.__file__)).parent, Path(directory) / "policies")
        own = {"TINYAPPROVER_POLICIES": str(catalogue), "TINYAPPROVER_EMBEDDER": "none"}
        ledger = database or f"sqlite:///{Path(directory) / 'data' / 'tinyapprover.db'}"
        env = environment(base, Path(directory) / "data", **own, TINYAPPROVER_DATABASE_URL=ledger)
        await _link(env)
        async with running(env) as (pid, start_empty):
            await asyncio.sleep(SETTLED)
            empty = _resident(pid)
        await _fill(env, base, count)
        async with running(env) as (pid, start_full), aiohttp.ClientSession() as http:
            yield _start(start_empty, start_full, count)
            await asyncio.sleep(SETTLED)
            yield _memory(empty, _resident(pid), count)
            vendors, cases = Outside(base, http), range(decisions)
            idle = 0.0
            if not QUIET.isdisjoint(wanted):
                await asyncio.sleep(COMPARED)
                yield (figure := await _idle(pid, vendors, count))
                idle = figure.p50
            yield await _submit(pid, vendors, [*cases], idle)
            yield await _decide(vendors, [*cases], count, limit=150.0 if database else 100.0)


# --- the figures -----------------------------------------------------------------------------------------------------


def _start(empty: float, full: float, count: int) -> Figure:
    notes = (f"with none waiting {empty:.0f} ms",)
    return Figure("start-full", 5000.0, f"5 s until /readyz, with {count:,} waiting", [full], aim=1.0, notes=notes)


def _memory(empty: float, full: float, count: int) -> Figure:
    made_of = f"50 MB more than with none waiting ({empty:.0f} MB), with {count:,} waiting"
    return Figure("memory-full", 50.0, made_of, [full - empty], aim=1.0, unit="MB")


async def _idle(pid: int, vendors: Outside, count: int) -> Figure:
    """Processor time of the program while nobody does anything, in milliseconds for each second."""
    asked, begun, used = await _asked(vendors), time.monotonic(), used_ms(pid)
    await asyncio.sleep(IDLE)
    seconds, cpu = time.monotonic() - begun, used_ms(pid) - used
    calls = (await _asked(vendors) - asked) / seconds
    made_of = f"1 % of a core, over {seconds:.0f} s with {count:,} waiting"
    notes = (f"{calls:.1f} calls a second to PagerDuty",)
    return Figure("idle-full", 10.0, made_of, [cpu / seconds], aim=1.0, unit="ms/s", notes=notes)


async def _asked(vendors: Outside) -> int:
    async with vendors.http.get(f"{vendors.base}/_sandbox/calls", params={"vendor": "pagerduty"}) as answer:
        told = await answer.json()
    return int(told["next"])


async def _submit(pid: int, vendors: Outside, cases: Sequence[int], idle: float) -> Figure:
    """Processor time from submissions to full cards and pages, the idle time aside; the vendors answer at once."""
    await vendors.act("bench.open", cases=cases)
    begun, used = time.monotonic(), used_ms(pid)
    await vendors.act("bench.submit", cases=cases, every=EVERY)
    await vendors.until(["full"], [token(case) for case in cases])
    cpu = used_ms(pid) - used - idle * (time.monotonic() - begun)
    made_of = "10 ms; here with everything that is said to the vendors, by their own packages"
    return Figure("cpu-full", 10.0, made_of, [cpu / len(cases)])


async def _decide(vendors: Outside, cases: Sequence[int], count: int, *, limit: float) -> Figure:
    """From the press of *Approve* to the first write at Okta; the vendors answer at once."""
    clicked = await vendors.act("bench.click", cases=cases, every=EVERY)
    seen = await vendors.until(["acting"], clicked)
    samples = [(seen[case]["acting"] - sent) * 1000 for case, (sent, _, _) in clicked.items()]
    made_of = f"{limit:.0f} ms from the press to the write at the directory, with {count:,} waiting"
    return Figure("decide-full", limit, made_of, samples, aim_p99=1.0)


# --- the program's process -------------------------------------------------------------------------------------------


def _family(pid: int) -> list[int]:
    """A process and all that it has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in _family(int(child)))]


def _resident(pid: int) -> float:
    """Megabytes of all of them."""
    pages = sum(int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in _family(pid))
    return pages * os.sysconf("SC_PAGE_SIZE") / MEGABYTE


def used_ms(pid: int) -> float:
    """Milliseconds of processor time of all of them so far."""
    ticks = 0
    for one in _family(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks * 1000 / os.sysconf("SC_CLK_TCK")


async def _link(env: dict[str, str]) -> None:
    """What an admin does once."""
    person = crowded_world(0).people[APPROVER]
    command = (sys.executable, "-m", "bot", "people", "link", person.email, "--slack", person.slack)
    done = await asyncio.create_subprocess_exec(*command, env=env, stdout=asyncio.subprocess.DEVNULL)
    assert await done.wait() == 0, "the approver could not be linked"


# --- filling ---------------------------------------------------------------------------------------------------------


async def _fill(env: dict[str, str], base: str, count: int) -> None:
    """Requests as they are two hours after they were asked: shown, paged, undecided, their comments read in turn."""
    entitlements = load(Path(env["TINYAPPROVER_POLICIES"])).entitlements
    room = asyncio.Semaphore(AT_ONCE)
    now = datetime.now(UTC) - ASKED_AGO
    ledger = await Ledger.open(env["TINYAPPROVER_DATABASE_URL"], kind="production", now=lambda: now)
    slack = Slack(new_client(env["SLACK_API_URL"], env["SLACK_BOT_TOKEN"]), SystemClock())
    async with aiohttp.ClientSession(base, headers=_headers(env)) as http:

        async def one(number: int) -> None:
            async with room:
                draft = _draft(number)
                incident = await _page(http, env, draft.key)
                entitled = entitlements[draft.entitlement]
                await _wait_for_it(ledger, slack, draft, entitled, incident, number / count)

        await asyncio.gather(*(one(number) for number in range(count)))
    await slack.close()
    await ledger.close()


def _draft(number: int) -> Draft:
    person = Person(f"00uwait{number:013d}", f"waiting-{number}@example.com", f"Waiting {number}")
    words = "look at yesterday's error logs of the checkout service, as agreed with the team"
    return Draft(f"waiting/{number}", entitlement(number), person, person, 60, words)


async def _page(http: aiohttp.ClientSession, env: dict[str, str], key: str) -> Incident:
    service = {"id": env["PAGERDUTY_SERVICE_ID"], "type": "service_reference"}
    incident = {"type": "incident", "title": key, "service": service, "incident_key": key, "urgency": "low"}
    async with http.post("/pagerduty/incidents", json={"incident": incident}) as answer:
        told = (await answer.json())["incident"]
    return Incident(told["id"], told["html_url"], told["status"], datetime.now(UTC))


def _headers(env: dict[str, str]) -> dict[str, str]:
    token = f"Token token={env['PAGERDUTY_API_KEY']}"
    return {"Authorization": token, "From": env["PAGERDUTY_FROM_EMAIL"]}


async def _wait_for_it(
    ledger: Ledger, slack: Slack, draft: Draft, entitled: Entitlement, incident: Incident, share: float
) -> None:
    """Everything up to the decision, through the ledger's own changes. `share` spreads the next readings."""
    now = datetime.now(UTC)
    deadline = now + timedelta(hours=6)
    request = await ledger.receive(draft, entitled, deadline=deadline, jobs=())
    plan = Plan("okta.group", request, entitled.id, draft.beneficiary.id, 60, {"group": "00g1"}, ("adds them",))
    ruling = Ruling(True, f"catalogue/{entitled.id}#ask", "engineers may ask", 1, entitled.approvers.group)
    await ledger.move(request, Event.PLANNED, audit=FILLER, values={"plan": plan, "ruling": ruling, "planned_at": now})
    evidence = Evidence(facts=tuple(Fact("okta", f"Fact {n}", "something that is known of them") for n in range(8)))
    await ledger.record(request, audit=FILLER, values={"evidence": evidence})
    number = int(draft.key.rpartition("/")[2])
    card = await slack.post(channel(number), CARD, key=f"{request}/card")
    await ledger.show(request, "card", card, digest=plan.digest, fingerprint=CARD.fingerprint)
    reading = Due("poll", at=now + timedelta(seconds=share * READ_IN))
    await ledger.record_incident(request, incident, digest=plan.digest, jobs=(reading,))
