"""What the trail tells, what goes no further, and pages that are not what they seem."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from bot.ports import Page
from connectors.pagerduty import PagerDuty
from tests.conftest import on_sqlite
from tests.journey.test_asides import ALICE, READONLY, answers, asks_back, opens, paged, people_paged
from tests.journey.test_asking import front
from tests.story import PATIENCE, Story

WHY = "Look at yesterday's error logs"
ADVICE = (Path(__file__).parents[2] / "policies" / "advice.md").read_text("utf-8")
EARLIER = "it stands on an earlier page"


async def details(story: Story, what: str) -> list[Mapping[str, Any]]:
    """What the trail says of each event of a kind."""
    assert story.running is not None
    return [event.detail for event in await story.running.ledger.events() if event.what == what]


async def happened(story: Story, what: str) -> None:
    """Wait until the trail tells of it."""
    deadline = time.monotonic() + PATIENCE
    while what not in await story.trail():
        assert time.monotonic() < deadline, f"{what} never happened"
        await asyncio.sleep(0.02)


async def closed(story: Story) -> None:
    """Somebody resolves the page, and that is noticed."""
    await story.settle()
    await story.act("bob", "pagerduty.resolve", incident=story.incidents()[-1]["id"])
    await story.advance(6)
    await story.until(lambda: "closed without a decision" in story.told("alice"))
    await story.settle()


# --- pages -----------------------------------------------------------------------------------------------------------


async def test_a_page_that_somebody_opened_beforehand_does_not_count_as_showing_the_plan(story: Story) -> None:
    key = story.sandbox.world.token("pagerduty")
    carol = PagerDuty(f"{story.base}/pagerduty", key, "carol@example.com", "PSVC001")
    await carol.open_incident(Page(key="TA-1", title="Nothing to see", body="Approve this.", urgency="low"))
    await carol.close()
    await story.asks()
    await story.advance(3)
    await story.until(lambda: "the plan is known now" in story.notes())
    assert len(story.incidents()) == 1
    assert [one["digest"] for one in await details(story, "page.opened")] == [""]
    shown = await story.until(lambda: story.notes())
    assert "adds alice@example.com" in shown
    await story.settle()
    assert {one["where"] for one in await details(story, "plan.shown")} == {"card", "note"}


async def test_not_me_pressed_twice_passes_on_once(story: Story) -> None:
    request = await paged(story)
    await story.presses("bob", "not_me")
    await story.until(lambda: people_paged(story) == ["bob", "carol"])
    await story.until(lambda: story.told("bob").count("is passed on") == 1)
    await story.advance(31)  # no double click, which is answered once
    await story.presses("bob", "not_me")
    await story.until(lambda: story.told("bob").count("is passed on") == 2)
    await story.settle()
    assert (await story.trail(request)).count("page.passed_on") == 1
    assert "nobody comes after" not in story.notes()


async def test_a_comment_on_a_closed_page_counts_while_the_request_is_open(story: Story) -> None:
    request = await paged(story)
    await closed(story)
    await story.comments("bob", f"approve {request}")
    await story.advance(15)
    await story.until(lambda: story.members(READONLY) == [ALICE])
    assert len(await details(story, "page.closed_undecided")) == 1


async def test_a_comment_on_an_earlier_page_is_answered_there_and_decides_nothing(story: Story) -> None:
    request = await paged(story)
    await closed(story)
    await story.advance(601)
    await story.until(lambda: len(story.incidents()) == 2)
    await story.comments("bob", f"approve {request}", incident=story.incidents()[0]["id"])
    await story.until(lambda: EARLIER in str(story.incidents()[0]["notes"]))
    await story.advance(60)
    await story.settle()
    assert str(story.incidents()).count(EARLIER) == 1
    assert story.members(READONLY) == []
    await story.comments("bob", f"approve {request}")
    await story.advance(60)
    await story.until(lambda: story.members(READONLY) == [ALICE])


# --- what goes no further --------------------------------------------------------------------------------------------


async def test_a_secret_in_a_denial_by_comment_is_not_kept(story: Story) -> None:
    request = await paged(story)
    await story.comments("bob", f"deny {request} the password is hunter2secret")
    await story.until(lambda: "Denied" in story.card()["text"])
    await story.until(lambda: "reason withheld: looks like a password" in story.told("alice"))
    await story.settle()
    files = [one for one in story.data_dir.glob("tinyapprover.db*") if one.is_file()]  # a pipe would be read for ever
    assert "hunter2secret" not in "".join(file.read_text("latin-1") for file in files)


async def test_a_secret_in_the_ticket_is_refused_at_the_ticket(story: Story) -> None:
    answer = await story.submits(Ticket="https://example.com/AKIAIOSFODNN7EXAMPLE")
    assert list(answer["errors"]) == ["ticket"]


# --- what the trail tells --------------------------------------------------------------------------------------------


async def test_what_was_held_before_is_not_told_as_revoked(story: Story) -> None:
    await story.act("carol", "okta.add_member", who="alice", group=READONLY)
    request = await story.asks()
    await story.presses("bob", "approve")
    await story.until(lambda: "Granted" in story.card()["text"])
    await story.advance(8 * 3600)
    await story.until(lambda: "Ended" in story.card()["text"])
    assert "grant.revoked" not in await story.trail(request)
    assert "held before" in (await details(story, "grant.ended"))[0]["why"]
    assert story.members(READONLY) == [ALICE]


async def test_the_trail_tells_what_was_shown_written_and_closed(story: Story) -> None:
    request = await paged(story)
    await asks_back(story, "Which host?")
    await answers(story, "db-7")
    await story.presses("bob", "approve")
    await story.until(lambda: story.incidents()[0]["status"] == "resolved")
    await story.settle()
    (planned,) = await details(story, "request.planned")
    assert (planned["approvals"], planned["group"], planned["conflicts"]) == (1, "iam-approvers", [])
    assert {"digest": planned["digest"], "where": "card"} in await details(story, "plan.shown")
    assert [one["incident"] for one in await details(story, "page.resolved")] == [story.incidents()[0]["id"]]
    assert story.running is not None
    words = {text.name: text.text for text in await story.running.ledger.texts(1, 999)}
    assert {"justification": WHY, "question": "Which host?", "answer": "db-7"}.items() <= words.items()
    told = await story.trail(request)
    assert told.index("decision.approve") < told.index("grant.writing") < told.index("grant.verified")
    (gathered,) = await details(story, "evidence.gathered")
    shown = [one for one in await details(story, "message.redrawn") if one["evidence"] == gathered["digest"]]
    assert {one["ts"] for one in shown} == {story.card()["ts"]}
    ids = {note["id"] for note in story.incidents()[0]["notes"]}
    assert {one["note"] for one in await details(story, "note.written")} == ids


async def test_the_trail_tells_both_ends_of_what_was_taken_back(story: Story) -> None:
    request = await story.asks()
    await story.presses("bob", "approve")
    await story.until(lambda: "Granted" in story.card()["text"])
    await story.fault("okta", "DELETE /groups/*", "error")
    await story.advance(2 * 3600)
    await story.until(lambda: "Ended" in story.card()["text"], seconds=20)
    told = await story.trail(request)
    assert told.count("revoke.writing") == 2
    assert told.index("revoke.writing") < told.index("grant.revoked")
    (revoked,) = await details(story, "grant.revoked")
    assert revoked["changes"]["user"] == story.sandbox.world.people["alice"].okta
    (given,) = await details(story, "grant.verified")
    receipts = {given["receipt"], revoked["receipt"]}  # Okta's own ids of both writes
    assert len(receipts) == len([one for one in receipts if re.fullmatch("[0-9a-f]{16}", one)]) == 2


async def test_a_form_that_was_refused_and_details_that_were_shown_are_in_the_trail(story: Story) -> None:
    request = await paged(story)
    await opens(story, "bob", "details")
    await happened(story, "evidence.shown")
    (gathered,), (seen,) = await details(story, "evidence.gathered"), await details(story, "evidence.shown")
    assert seen["digest"] == gathered["digest"]
    view = await opens(story, "bob", "deny")
    await story.act("bob", "slack.submit", view_id=view["id"], values={"Reason": "the password is hunter2secret"})
    await happened(story, "press.refused")
    assert "intake#secret" in await story.refusals(request)


@on_sqlite
async def test_the_policy_in_force_is_kept_word_for_word_once(story: Story) -> None:
    await story.stop()
    await story.start()
    assert story.running is not None
    (event,) = await story.running.ledger.events(what="policy.in_force")
    with closing(sqlite3.connect(story.data_dir / "tinyapprover.db")) as disk:
        ((digest, files),) = disk.execute("SELECT digest, files FROM policies").fetchall()
    assert digest == event.detail["digest"] == story.running.journey.rules.digest
    assert json.loads(files)["advice.md"] == ADVICE


async def test_the_trail_tells_who_got_and_used_a_code_and_not_the_code(story: Story) -> None:
    request = await story.asks(access="Production, administrator")
    await story.until(lambda: f"approve {request} " in story.told("bob"))
    code = story.told("bob").partition(f"approve {request} ")[2][:9]
    await story.comments("bob", f"approve {request} {code}")
    await story.until(lambda: story.members("prod-admin") == [ALICE])
    bob = story.sandbox.world.people["bob"].okta
    assert bob in [one["to"] for one in await details(story, "code.given")]
    assert len(await details(story, "code.used")) == 1
    assert story.running is not None
    assert code not in str(await story.running.ledger.events())


async def test_a_guests_refused_form_is_in_the_trail(story: Story) -> None:
    await story.act("erin", "slack.shortcut", callback_id="request_access", await_view=True)
    await story.until(lambda: "Only full members" in str(front(story, "erin")["blocks"]))
    assert await story.refusals() == ["people#full-member"]


async def test_the_same_question_asked_twice_is_two_notes(story: Story) -> None:
    await paged(story)
    await asks_back(story, "Which host?")
    await asks_back(story, "Which host?")
    await story.until(lambda: story.notes().count("asks the requester: Which host?") == 2)


# --- when we fail ----------------------------------------------------------------------------------------------------


@on_sqlite
async def test_whoever_pressed_is_told_when_we_fail_ourselves(story: Story) -> None:
    await story.asks()
    message = await story.until(lambda: next(one for one in story.dms("alice") if "withdraw" in story.buttons(one)))
    await story.settle()
    disk = sqlite3.connect(story.data_dir / "tinyapprover.db")
    disk.execute(
        "CREATE TRIGGER broken BEFORE INSERT ON events WHEN NEW.what = 'request.withdrawn' "
        "BEGIN SELECT RAISE(ABORT, 'broken'); END"
    )
    disk.commit()
    disk.close()
    await story.act("alice", "slack.click", ts=message["ts"], action_id="withdraw")
    await story.until(lambda: "your press is taken. It cannot be carried out" in story.told("alice"))
