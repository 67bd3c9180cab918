"""The trail for other systems, line by line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.audit import AuditEvent
from bot.export import COLUMNS, lines


def an_event(what: str, *, actor: str = "tinyapprover", seq: int = 1, **detail: Any) -> AuditEvent:
    return AuditEvent(seq, "2026-03-02T09:00:00.000+00:00", "TA-1", actor, what, detail, "0" * 64, "f" * 64)


MEMBER: dict[str, Any] = {"action": "okta.group", "changes": {"group": "00gprod", "user": "00ualice0000000001"}}
TRAIL = [
    an_event("request.received", actor="00ualice0000000001", minutes=60),
    an_event("decision.deny", seq=2, reason="=1+1"),
    an_event("grant.revoked", seq=3, **MEMBER),
    an_event("grant.ended", seq=4, why="It was held before the request, so nothing was removed."),
]


def test_json_lines_hold_every_event_whole() -> None:
    assert [json.loads(line) for line in lines(TRAIL, "jsonl")] == [asdict(event) for event in TRAIL]


def test_csv_has_a_heading_and_a_row_an_event() -> None:
    heading, *rows = csv.reader(lines(TRAIL, "csv"))
    assert tuple(heading) == COLUMNS
    assert [row[COLUMNS.index("what")] for row in rows] == [event.what for event in TRAIL]
    assert json.loads(rows[0][COLUMNS.index("detail")]) == {"minutes": 60}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_cell_that_looks_like_a_formula_is_defused(start: str) -> None:
    name = f'{start}HYPERLINK("https://example.com")'
    _, row = csv.reader(lines([an_event("request.received", actor=name)], "csv"))
    assert row[COLUMNS.index("actor")] == f"'{name}"


def ocsf(event: AuditEvent) -> Mapping[str, Any]:
    (line,) = lines([event], "ocsf")
    found: dict[str, Any] = json.loads(line)
    return found


def test_ocsf_names_what_happened_to_whom_and_when() -> None:
    told = ocsf(TRAIL[0])
    assert (told["category_uid"], told["class_uid"], told["activity_id"], told["type_uid"]) == (3, 3004, 1, 300401)
    assert told["time"] == 1_772_442_000_000
    assert told["actor"]["user"]["uid"] == "00ualice0000000001"
    assert told["unmapped"]["detail"] == {"minutes": 60}


def test_ocsf_says_that_a_member_was_added_or_removed_only_when_one_was() -> None:
    assert ocsf(an_event("grant.verified", added=True, **MEMBER))["type_uid"] == 300603
    assert ocsf(an_event("grant.verified", added=False, **MEMBER))["type_uid"] == 300403
    assert ocsf(TRAIL[2])["type_uid"] == 300604
    assert ocsf(TRAIL[3])["type_uid"] == 300403


def test_ocsf_names_the_member_and_the_group() -> None:
    told = ocsf(TRAIL[2])
    assert (told["user"], told["group"]) == ({"uid": "00ualice0000000001"}, {"uid": "00gprod"})
    assert told["unmapped"]["request"] == "TA-1"


def test_ocsf_tells_another_kind_of_action_as_a_privilege_assigned_and_revoked() -> None:
    account: dict[str, Any] = {
        "action": "aws.permission_set",
        "changes": {"account": "111122223333", "user": "00ualice0000000001"},
    }
    given = ocsf(an_event("grant.verified", added=True, **account))
    assert (given["type_uid"], given["privileges"]) == (300501, ["account=111122223333"])
    assert ocsf(an_event("grant.revoked", **account))["type_uid"] == 300502


def test_ocsf_tells_a_refusal_as_a_failure() -> None:
    assert ocsf(an_event("decision.refused", rule="invariant#linked-to-decide"))["status_id"] == 2
    assert ocsf(TRAIL[1])["status_id"] == 1


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
DETAILS = st.dictionaries(TEXT, st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT, max_size=4)
EVENTS = st.lists(st.builds(an_event, TEXT, actor=TEXT, seq=st.integers(1, 10**9)), max_size=4)


@given(events=EVENTS, detail=DETAILS)
def test_whatever_stands_in_events_every_format_parses_back(events: list[AuditEvent], detail: dict[str, Any]) -> None:
    told = [replace(event, detail=detail) for event in events]
    assert [json.loads(line) for line in lines(told, "jsonl")] == [asdict(event) for event in told]
    assert [json.loads(line)["unmapped"]["detail"] for line in lines(told, "ocsf")] == [detail for _ in told]
    table = io.StringIO("".join(f"{line}\n" for line in lines(told, "csv")), newline="")
    rows = list(csv.DictReader(table))
    assert [row["what"].removeprefix("'") for row in rows] == [event.what.removeprefix("'") for event in told]
    assert [json.loads(row["detail"]) for row in rows] == [detail for _ in told]
