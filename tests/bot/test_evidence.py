"""The auditor's file: what it holds, and what it finds."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.audit import AuditEvent
from bot.core.lifecycle import Event
from bot.core.request import Advice, Answer, Leaning, Plan, Request
from bot.evidence_checks import Finding
from bot.evidence_file import Period, build
from bot.ledger import Audit, Ledger, written
from bot.ports import Sent
from tests.bot.conftest import HandClock, behind_our_back
from tests.builders import NOW, a_decision, a_draft, a_plan, a_ruling, an_entitlement, some_evidence

BOT = "tinyapprover"
MARCH = Period(NOW - timedelta(days=1), NOW + timedelta(days=30))
WHY = "Look at yesterday's error logs"


class Steps:
    """What the story does to the ledger, so that a test can leave something out or do it in another order."""

    def __init__(self, ledger: Ledger, clock: HandClock) -> None:
        self.ledger = ledger
        self.clock = clock

    async def asks(self, *, approvals: int = 1, evidence: bool = True) -> Request:
        """Alice asks, the plan is known, and evidence and advice are there."""
        request = await self.ledger.receive(a_draft(), an_entitlement(), deadline=NOW + timedelta(hours=8), jobs=())
        plan = a_plan(await self.ledger.request(request))
        ruling = a_ruling(approvals=approvals)
        told = {"digest": plan.digest, "rule": ruling.rule, "policy": "abc", "approvals": approvals}
        audit = Audit(BOT, "request.planned", {**told, "group": ruling.approver_group, "conflicts": []})
        values = {"plan": plan, "ruling": ruling, "planned_at": NOW}
        await self.ledger.move(request, Event.PLANNED, audit=audit, values=values)
        await self.ledger.record(request, audit=_gathered(), values={"evidence": some_evidence()})
        await self.ledger.record(request, audit=_advised(), values={"advice": Advice(Leaning.DENY, model="a-model")})
        return await self.ledger.request(request)

    async def shows(self, request: Request) -> None:
        sent = Sent("C0ACCESS", "1.0")
        await self.ledger.show(request.id, "card", sent, digest=request.decidable_digest, fingerprint="f")

    async def approves(self, request: Request, who: str = "bob", **more: Any) -> None:
        digest = request.plan.digest if request.plan else ""
        decision = a_decision(who, Answer.APPROVE, request_id=request.id, digest=digest, reason="Fine", **more)
        await self.ledger.decide(decision, approved_jobs=(), closed_jobs=(), jobs=())

    async def writes(self, request: Request, plan: Plan | None = None) -> None:
        """A write begins, of this plan or of the request's own, whatever the ledger would have said to it."""
        begun = plan or request.plan
        assert begun is not None
        await self.ledger.note_event(Audit(BOT, "grant.writing", written(begun)), request=request.id)

    async def grants(self, request: Request) -> None:
        assert request.plan is not None
        await self.ledger.start_grant(request.plan, 60, actor=BOT)
        detail = {**written(request.plan), "held_before": False, "added": True, "receipt": "an-okta-id"}
        audit = Audit(BOT, "grant.verified", detail)
        assert await self.ledger.granted(request, audit=audit, jobs=lambda _: ())

    async def takes_back(self, request: Request, **after: float) -> None:
        self.clock.advance(**after)
        await self.ledger.taken_back(request.id, outcome="over", audit=Audit(BOT, "grant.revoked"), jobs=())

    async def all_of_it(self) -> Request:
        """Everything as it must be."""
        request = await self.asks()
        await self.shows(request)
        await self.approves(request)
        await self.grants(request)
        await self.takes_back(request, minutes=60)
        return request


def _gathered() -> Audit:
    return Audit(BOT, "evidence.gathered", {"digest": some_evidence().digest})


def _advised() -> Audit:
    return Audit(BOT, "advice.given", {"model": "a-model", "leaning": "deny", "prompt": "p"})


@pytest.fixture
def steps(ledger: Ledger, clock: HandClock) -> Steps:
    return Steps(ledger, clock)


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    return tmp_path / "evidence.db"


async def built(steps: Steps, evidence: Path, *, period: Period = MARCH, with_text: bool = False) -> Sequence[Finding]:
    told: list[tuple[int, int]] = []
    found = await build(
        steps.ledger,
        evidence,
        period,
        verified=await steps.ledger.verify(),
        now=steps.clock.now(),
        with_text=with_text,
        advance=lambda done, total: told.append((done, total)),
    )
    assert not told or told[-1][0] == told[-1][1]
    return found


def ask(evidence: Path, query: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(evidence)) as disk:
        disk.row_factory = sqlite3.Row
        return [dict(row) for row in disk.execute(query)]


def held(evidence: Path, *words: str) -> list[str]:
    """Which of these words stand anywhere in the file."""
    content = evidence.read_bytes()
    return [one for one in words if one.encode() in content]


def checks(found: Sequence[Finding]) -> set[str]:
    return {finding.check for finding in found}


# --- what it holds ----------------------------------------------------------------------------------------------------


async def test_a_request_is_traced_from_asking_to_its_end_in_one_row(steps: Steps, evidence: Path) -> None:
    await steps.all_of_it()
    assert await built(steps, evidence) == []
    (row,) = ask(evidence, "SELECT * FROM access_requests")
    assert {name: row[name] for name in ("id", "state", "rule", "policy_digest", "findings")} == {
        "id": "TA-1",
        "state": "ended",
        "rule": "catalogue/prod-readonly#ask",
        "policy_digest": "abc",
        "findings": 0,
    }
    assert row["approvers"] == "00ubob00000000002"
    assert row["created_at"] <= row["first_approval"] <= row["written_at"] <= row["verified_at"] < row["ended_at"]
    assert (row["granted_minutes"], row["seconds_late"], row["removed"]) == (60, 0.0, 1)
    assert ask(evidence, "SELECT vendor_request FROM grants") == [{"vendor_request": "an-okta-id"}]
    assert ask(evidence, "SELECT * FROM sample_of_25_granted")[0]["id"] == "TA-1"
    assert [one["answer"] for one in ask(evidence, "SELECT * FROM decided_against_the_model")] == ["approve"]


async def test_every_event_of_the_trail_is_in_it_and_can_be_searched(steps: Steps, evidence: Path) -> None:
    await steps.all_of_it()
    await built(steps, evidence)
    events = await steps.ledger.events()
    assert [row["hash"] for row in ask(evidence, "SELECT hash FROM events ORDER BY seq")] == [
        one.hash for one in events
    ]
    found = ask(
        evidence, "SELECT what FROM events WHERE rowid IN (SELECT rowid FROM events_fts WHERE events_fts MATCH 'deny')"
    )
    assert [row["what"] for row in found] == ["advice.given"]


async def test_words_and_names_are_in_it_only_when_they_are_asked_for(
    steps: Steps, evidence: Path, tmp_path: Path
) -> None:
    await steps.all_of_it()
    await built(steps, evidence)
    assert held(evidence, WHY, "Fine", "Bob Baker", "Alice Archer", "alice@example.com") == []
    await built(steps, tmp_path / "words.db", with_text=True)
    (row,) = ask(tmp_path / "words.db", "SELECT requester, justification FROM requests")
    assert row == {"requester": "Alice Archer <alice@example.com>", "justification": WHY}
    assert ask(tmp_path / "words.db", "SELECT name, reason FROM decisions") == [{"name": "Bob Baker", "reason": "Fine"}]


async def test_what_was_erased_stays_erased(steps: Steps, evidence: Path) -> None:
    request = await steps.all_of_it()
    await steps.ledger.erase(request.requester.id, by="admin carol", why="they asked")
    assert await built(steps, evidence, with_text=True) == []
    assert ask(evidence, "SELECT justification FROM requests") == [{"justification": None}]


async def test_a_request_outside_the_period_is_not_in_it(steps: Steps, evidence: Path) -> None:
    await steps.all_of_it()
    await built(steps, evidence, period=Period(NOW + timedelta(days=10), NOW + timedelta(days=30)))
    assert ask(evidence, "SELECT id FROM requests") == ask(evidence, "SELECT seq FROM events") == []


async def test_every_version_of_the_policies_is_in_it_word_for_word(steps: Steps, evidence: Path) -> None:
    for version in ("one", "one", "two"):
        await steps.ledger.know_policy(version, {"advice.md": f"Policy {version}."}, commit="c0ffee", actor=BOT)
    await built(steps, evidence)
    assert [row["digest"] for row in ask(evidence, "SELECT * FROM policies")] == ["one", "two"]
    assert ask(evidence, 'SELECT DISTINCT "commit" FROM policies') == [{"commit": "c0ffee"}]
    assert "Policy two." in ask(evidence, "SELECT files FROM policies WHERE digest = 'two'")[0]["files"]
    assert len(ask(evidence, "SELECT seq FROM events WHERE what = 'policy.in_force'")) == 2


# --- what it finds ----------------------------------------------------------------------------------------------------


async def test_a_grant_before_its_approval_is_found(steps: Steps, evidence: Path) -> None:
    request = await steps.asks()
    await steps.shows(request)
    await steps.writes(request)
    await steps.approves(request)
    found = await built(steps, evidence)
    assert [(one.check, one.request_id) for one in found] == [("approval before provisioning", "TA-1")]
    assert ask(evidence, "SELECT finding FROM findings")[0]["finding"].startswith(
        "0 of 1 approvals of this plan came before"
    )


async def test_one_approval_where_two_are_needed_is_found(steps: Steps, evidence: Path) -> None:
    request = await steps.asks(approvals=2)
    await steps.shows(request)
    await steps.approves(request)
    await steps.writes(request)
    assert checks(await built(steps, evidence)) == {"approval before provisioning"}


async def test_approvals_of_another_plan_do_not_count(steps: Steps, evidence: Path) -> None:
    request = await steps.asks()
    await steps.shows(request)
    await steps.approves(request)
    await steps.writes(request, a_plan(request, minutes=240))
    assert checks(await built(steps, evidence)) == {"approval before provisioning"}


async def test_approvals_before_the_plan_changed_do_not_count(steps: Steps, evidence: Path) -> None:
    request = await steps.asks()
    await steps.shows(request)
    await steps.approves(request)
    assert request.plan is not None
    changed = Audit(BOT, "plan.changed", {"digest": request.plan.digest, "rule": a_ruling().rule})
    await steps.ledger.reopen(request.id, request.plan, a_ruling(), audit=changed, jobs=())
    await steps.writes(request)
    assert checks(await built(steps, evidence)) == {"approval before provisioning"}


async def test_an_approval_of_a_plan_that_was_not_shown_is_found(steps: Steps, evidence: Path) -> None:
    request = await steps.asks()
    await steps.approves(request)
    await steps.grants(request)
    assert checks(await built(steps, evidence)) == {"plan shown before approval"}


async def test_an_approval_by_the_requester_is_found(steps: Steps, evidence: Path) -> None:
    request = await steps.asks()
    await steps.shows(request)
    await steps.approves(request, "alice")
    await steps.grants(request)
    assert checks(await built(steps, evidence)) == {"separation of duties"}


@pytest.mark.parametrize(("minutes", "late"), [(64, set()), (66, {"taken back on time"})])
async def test_access_that_is_taken_back_late_is_found(
    steps: Steps, evidence: Path, minutes: int, late: set[str]
) -> None:
    request = await steps.asks()
    await steps.shows(request)
    await steps.approves(request)
    await steps.grants(request)
    await steps.takes_back(request, minutes=minutes)
    assert checks(await built(steps, evidence)) == late


async def test_access_that_was_never_taken_back_is_found(steps: Steps, evidence: Path) -> None:
    request = await steps.asks()
    await steps.shows(request)
    await steps.approves(request)
    await steps.grants(request)
    steps.clock.advance(days=1)
    found = await built(steps, evidence)
    assert [one.finding.partition(", ")[2] for one in found] == ["not taken back yet"]


async def test_a_write_that_nothing_came_of_is_found(steps: Steps, evidence: Path) -> None:
    request = await steps.asks()
    await steps.shows(request)
    await steps.approves(request)
    await steps.writes(request)
    steps.clock.advance(hours=1)
    assert checks(await built(steps, evidence)) == {"writes have an end"}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE decisions SET person_id = '00ucarol0000000003'",
        "UPDATE decisions SET answer = 'deny'",
        "UPDATE decisions SET digest = 'of another plan'",
        "UPDATE requests SET state = 'denied'",
        "UPDATE requests SET minutes = 30",
        "UPDATE requests SET number = 7",
        "UPDATE requests SET beneficiary = replace(beneficiary, '00ualice0000000001', '00umallory000000004')",
        "DELETE FROM requests",
    ],
)
async def test_what_was_changed_in_the_tables_alone_is_found(
    steps: Steps, evidence: Path, database: str, statement: str
) -> None:
    await steps.all_of_it()
    behind_our_back(database, statement)
    assert checks(await built(steps, evidence)) == {"tables agree with the trail"}


async def test_tables_that_were_made_to_look_right_hide_nothing_that_the_trail_tells(
    steps: Steps, evidence: Path, database: str
) -> None:
    request = await steps.asks(approvals=2)
    await steps.shows(request)
    await steps.approves(request, "alice")
    await steps.writes(request)
    asked = "UPDATE requests SET {0} = replace({0}, '00ualice0000000001', '00ubob00000000002')"
    rule = """UPDATE requests SET ruling = replace(ruling, '"approvals":2', '"approvals":1')"""
    behind_our_back(database, rule, asked.format("requester"), asked.format("beneficiary"))
    found = checks(await built(steps, evidence))
    assert found == {"approval before provisioning", "separation of duties", "tables agree with the trail"}


async def test_a_code_that_is_sent_to_somebody_moves_nothing(steps: Steps, evidence: Path) -> None:
    request = await steps.asks()
    await steps.ledger.give_code(request.id, "00ubob00000000002", request.decidable_digest, "K7QF-2M9D")
    assert await built(steps, evidence) == []


async def test_a_file_that_is_built_while_the_program_runs_finds_nothing_wrong(
    evidence: Path, database: str, clock: HandClock
) -> None:
    """After the trail was read, a request is denied and another comes."""

    class Busy(Ledger):
        async def events(self, request: str | None = None, *, what: str | None = None) -> list[AuditEvent]:
            events = await super().events(request, what=what)
            if request is None:
                await self.decide(a_decision(answer=Answer.DENY), approved_jobs=(), closed_jobs=(), jobs=())
                await self.receive(a_draft("b"), an_entitlement(), deadline=NOW + timedelta(hours=8), jobs=())
            return events

    busy = await Busy.open(database, kind="production", now=clock.now)
    await Steps(busy, clock).asks()
    assert await built(Steps(busy, clock), evidence) == []
    assert ask(evidence, "SELECT id, state FROM requests") == [{"id": "TA-1", "state": "denied"}]
    await busy.close()


async def test_a_broken_chain_is_the_first_finding(steps: Steps, evidence: Path, database: str) -> None:
    await steps.all_of_it()
    behind_our_back(database, "UPDATE events SET at = replace(at, '2026', '2025') WHERE seq = 1")
    assert (await built(steps, evidence))[0].check == "audit chain"


@pytest.mark.parametrize("detail", ["{}", "nonsense"])
async def test_events_that_say_nonsense_are_found_and_end_nothing(
    steps: Steps, evidence: Path, database: str, detail: str
) -> None:
    await steps.all_of_it()
    behind_our_back(database, f"UPDATE events SET detail = '{detail}'")
    assert (await built(steps, evidence))[0].check == "audit chain"


async def test_a_clock_that_was_set_back_is_found(steps: Steps, evidence: Path) -> None:
    request = await steps.asks()
    await steps.shows(request)
    await steps.approves(request)
    steps.clock.advance(minutes=-10)
    await steps.grants(request)
    assert checks(await built(steps, evidence)) == {"times in order"}
