"""One SQLite file for an auditor: requests, decisions, grants and their ends over a period, with the checks done.

It opens in Datasette or any SQLite tool. The fields are those that reviewers of SOC 2 (CC6.1 to CC6.3) and ISO 27001
(A.5.3, 5.15, 5.18, 8.2) ask for. Words and names of people are left out unless they are asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path

from bot.audit import AuditEvent
from bot.core.words import whole
from bot.evidence_checks import IN_THE_TABLES, Case, Finding, findings
from bot.evidence_rows import (
    Row,
    Words,
    decision_rows,
    event_row,
    grant_rows,
    person_row,
    policy_row,
    request_row,
    revocation_rows,
)
from bot.ledger import Ledger
from bot.verifying import Verified

Advance = Callable[[int, int], None]

COLUMNS = {
    "about": ("name", "value"),
    "requests": (
        *("id", "state", "entitlement", "title", "action", "sensitivity", "requester_id", "requester"),
        *("beneficiary_id", "beneficiary", "requested_minutes", "justification", "ticket", "origin", "created_at"),
        *("deadline", "closed_at", "policy_digest", "rule", "approvals_needed", "approver_group", "conflicts"),
        *("plan_digest", "evidence_digest", "evidence_opened_by", "ai_model", "ai_leaning", "ai_prompt_digest"),
        *("ai_shown_before_decision_to", "incident", "refused_attempts"),
    ),
    "decisions": (
        *("seq", "request_id", "person_id", "name", "answer", "at", "place", "receipt", "plan_digest", "minutes"),
        *("as_member_of", "on_call_for", "reason"),
    ),
    "grants": (
        *("seq", "request_id", "plan_digest", "action", "changes", "held_before", "minutes", "written_at"),
        *("verified_at", "ends_at", "vendor_request"),
    ),
    "revocations": (
        *("seq", "request_id", "at", "removed", "why_not_removed", "given_back_early", "due_at", "seconds_late"),
        "vendor_request",
    ),
    "policies": ("digest", "first_seen", "commit", "files"),
    "people": ("id", "name", "slack_user", "pagerduty_user", "decides"),
    "events": ("seq", "at", "request_id", "actor", "what", "detail", "has_words", "prev", "hash"),
    "findings": ("request_id", "check", "finding", "seq"),
}
KEYS = {"about": "name", "requests": "id", "policies": "digest", "people": "id", "findings": None}
SEARCHED = {
    "requests": ("id", "entitlement", "title", "requester", "beneficiary", "justification", "ticket", "rule"),
    "events": ("request_id", "actor", "what", "detail"),
}
VIEWS = {
    "access_requests": """
        SELECT r.*, d.approvers, d.first_approval, d.last_approval, g.written_at, g.verified_at,
          g.minutes AS granted_minutes, g.held_before, g.ends_at, v.at AS ended_at, v.removed, v.seconds_late,
          (SELECT count(*) FROM findings f WHERE f.request_id = r.id) AS findings
        FROM requests r
        LEFT JOIN (SELECT request_id, group_concat(person_id, ', ') AS approvers, min(at) AS first_approval,
            max(at) AS last_approval FROM decisions WHERE answer = 'approve' GROUP BY request_id) d
          ON d.request_id = r.id
        LEFT JOIN grants g ON g.seq = (SELECT max(seq) FROM grants WHERE request_id = r.id)
        LEFT JOIN revocations v ON v.seq = (SELECT max(seq) FROM revocations WHERE request_id = r.id)
        ORDER BY r.created_at""",
    "granted": "SELECT * FROM access_requests WHERE verified_at IS NOT NULL",
    "not_granted": "SELECT * FROM access_requests WHERE verified_at IS NULL",
    "sample_of_25_granted": """
        SELECT g.* FROM granted g JOIN events e ON e.request_id = g.id AND e.what = 'request.received'
        ORDER BY e.hash LIMIT 25""",
    "timeline": "SELECT request_id, seq, at, actor, what, detail FROM events ORDER BY request_id, seq",
    "decided_against_the_model": """
        SELECT r.id, r.entitlement, r.ai_model, r.ai_leaning, r.ai_shown_before_decision_to, d.answer, d.person_id
        FROM requests r JOIN decisions d ON d.request_id = r.id
        WHERE r.ai_leaning IN ('approve', 'deny') AND r.ai_leaning != d.answer""",
}


@dataclass(frozen=True, slots=True)
class Period:
    """From one time (included) to another (not included)."""

    since: datetime
    until: datetime

    def holds(self, event: AuditEvent) -> bool:
        return self.since <= datetime.fromisoformat(event.at) < self.until


async def build(
    ledger: Ledger,
    path: Path,
    period: Period,
    *,
    verified: Verified,
    silent: Sequence[str] = (),
    now: datetime,
    with_text: bool,
    advance: Advance,
) -> Sequence[Finding]:
    """Write the file; what is wrong with the chain, or with a request that something happened to in the period.

    `verified` is the trail as it was checked against its anchors, `silent` the places whose anchors nobody could read.
    """
    population, events = await ledger.every_request(), await ledger.events()
    cases = await _cases(ledger, events, period, advance)
    words = await _words(ledger, events, wanted=with_text)
    found = [Finding("", "audit chain", trouble) for trouble in verified.findings]
    found += [Finding("", "anchors", f"could not be read: {trouble}") for trouble in silent]
    found += await _population(ledger, set(population), {event.request_id for event in events} - {""})
    found += [finding for case in cases for finding in findings(case, now=now)]
    told = {event.seq: event for case in cases for event in case.events}
    told |= {event.seq: event for event in events if period.holds(event)}
    tables: dict[str, Iterable[Row]] = {
        "about": _about(period, now, verified, cases, found, with_text=with_text),
        "requests": (request_row(case, words) for case in cases),
        "decisions": chain.from_iterable(decision_rows(case, words) for case in cases),
        "grants": chain.from_iterable(grant_rows(case) for case in cases),
        "revocations": chain.from_iterable(revocation_rows(case) for case in cases),
        "policies": [policy_row(policy, events) for policy in await ledger.policies()],
        "people": [person_row(person, words) for person in await ledger.people()],
        "events": (event_row(told[seq]) for seq in sorted(told)),
        "findings": (asdict(finding) for finding in found),
    }
    _write(path, tables)
    return found


async def _cases(ledger: Ledger, events: Iterable[AuditEvent], period: Period, advance: Advance) -> list[Case]:
    """The requests that something happened to in the period, each with all of its events."""
    stories: dict[str, list[AuditEvent]] = defaultdict(list)
    for event in events:
        if event.request_id:
            stories[event.request_id].append(event)
    wanted = {name: story for name, story in stories.items() if any(period.holds(event) for event in story)}
    cases: list[Case] = []
    for done, (name, story) in enumerate(wanted.items(), start=1):
        cases += await _case(ledger, name, story)
        advance(done, len(wanted))
    return cases


async def _case(ledger: Ledger, name: str, story: Sequence[AuditEvent]) -> list[Case]:
    """A request and its events as they stand at one moment, also while the program runs; none that the tables lack."""
    while True:
        request, now = await ledger.find(name), await ledger.events(name)
        if len(now) == len(story):
            return [Case(request, story)] if request else []
        story = now


async def _population(ledger: Ledger, stored: set[str], told: set[str]) -> list[Finding]:
    """An auditor draws a sample of all there were, so every request stands in both, or came while this was read."""
    unheard = [Finding(one, IN_THE_TABLES, "it stands in the tables alone") for one in sorted(stored - told)]
    lost = [one for one in sorted(told - stored) if await ledger.find(one) is None]
    return unheard + [Finding(one, IN_THE_TABLES, "it stands in the trail alone") for one in lost]


async def _words(ledger: Ledger, events: Sequence[AuditEvent], *, wanted: bool) -> Words:
    texts = await ledger.texts(1, events[-1].seq) if wanted and events else []
    return Words({(text.seq, text.name): text.text for text in texts}, wanted)


def _about(
    period: Period,
    now: datetime,
    verified: Verified,
    cases: Sequence[Case],
    found: Sequence[Finding],
    *,
    with_text: bool,
) -> list[Row]:
    """What the file is, and what was checked for it."""
    facts = {
        "from": period.since.isoformat(),
        "to": period.until.isoformat(),
        "built at": now.isoformat(),
        "requests": len(cases),
        "events in the whole trail": verified.events,
        "last hash of the trail": verified.head.hash if verified.head else "",
        "anchors compared": verified.anchors,
        "newest event that is anchored": verified.anchored_to,
        "texts erased": verified.erased,
        "holds words and names of people": "yes" if with_text else "no",
        "findings": len(found),
    }
    return [{"name": name, "value": str(value)} for name, value in facts.items()]


def _write(path: Path, tables: Mapping[str, Iterable[Row]]) -> None:
    """The file gets its name once it is whole."""
    from sqlite_utils import Database

    partial = path.with_name(f"{path.name}.part")
    partial.unlink(missing_ok=True)
    database = Database(partial)
    for name, rows in tables.items():
        database.table(name).create(dict.fromkeys(COLUMNS[name], str) | _types(name), pk=KEYS.get(name, "seq"))
        database.table(name).insert_all(map(_as_text, rows))
    for name, columns in SEARCHED.items():
        database.table(name).enable_fts(columns)
    for name, query in VIEWS.items():
        database.create_view(name, query)
    database.close()
    partial.rename(path)


def _as_text(row: Row) -> Row:
    """Bytes that are no text, which somebody has put there, end no writing."""
    return {name: whole(value) if isinstance(value, str) else value for name, value in row.items()}


def _types(table: str) -> dict[str, type]:
    numbers = {"seq", "minutes", "requested_minutes", "approvals_needed", "refused_attempts"}
    whole = numbers | {"held_before", "removed", "given_back_early", "decides", "has_words"}
    return {name: int for name in COLUMNS[table] if name in whole} | (
        {"seconds_late": float} if table == "revocations" else {}
    )
