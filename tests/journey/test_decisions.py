"""Deciding: where, by whom, how many, for how long, and what happens when nobody does."""

from __future__ import annotations

import json
import re
from typing import Any

from connectors.sandbox.pagerduty_webhooks import sign
from tests.journey.relay import Relay
from tests.story import CHANNEL, Story

READONLY, ADMIN, ROOT = "prod-readonly", "prod-admin", "prod-root"
ALICE = "alice@example.com"
TICKET = "https://tickets.example.com/INC-3"


async def asks_for_root(story: Story) -> str:
    """A critical request."""
    return await story.asks(access="Production, root (break-glass)", Ticket=TICKET)


async def denies(story: Story, who: str, reason: str) -> dict[str, Any]:
    """The button and its form."""
    opened = await story.presses(who, "deny", await_view=True)
    return await story.act(who, "slack.submit", view_id=opened["view"]["id"], values={"Reason": reason})


async def code_of(story: Story, who: str) -> str:
    """The code that somebody got by direct message."""
    pattern = re.compile(r"approve TA-\d+ ([0-9A-Z]{4}-[0-9A-Z]{4})")
    found = await story.until(lambda: pattern.search(story.told(who)), what=f"{who} got no code")
    return str(found[1])


# --- by a comment on the page ----------------------------------------------------------------------------------------


async def test_a_comment_approves_at_once_when_a_signed_webhook_tells_of_it(story: Story, relay: Relay) -> None:
    request = await story.asks()
    await story.until(story.incidents)
    await story.act("bob", "pagerduty.comment", incident=story.incidents()[0]["id"], content="Approved.")
    await story.until(lambda: story.members(READONLY) == [ALICE])
    await story.until(lambda: "Granted and read back" in story.card()["text"])
    assert "Bob Baker on the page" in str(story.card()["blocks"])
    assert "decision.approve" in await story.trail(request)


async def test_a_comment_approves_by_polling_alone(story: Story) -> None:
    request = await story.asks()
    await story.until(story.incidents)
    await story.comments("bob", f"approve {request}")
    await story.until(lambda: story.members(READONLY) == [ALICE])
    await story.until(lambda: "granted and read back" in story.notes())


async def test_a_forged_webhook_is_refused_and_a_replayed_one_is_harmless(story: Story, relay: Relay) -> None:
    await story.asks()
    await story.until(story.incidents)
    await story.act("bob", "pagerduty.comment", incident=story.incidents()[0]["id"], content="approve")
    await story.until(lambda: story.members(READONLY) == [ALICE])
    body, signature = next(kept for kept in relay.kept if b'"approve"' in kept[0])
    assert await relay.deliver(body, sign(["somebody else's secret"], body)) == 401
    assert await relay.deliver(body, "") == 401
    assert await relay.deliver(body.replace(b"approve", b"deny"), signature) == 401
    assert [await relay.deliver(body, signature) for _ in range(3)] == [202, 202, 202]
    await story.settle()
    assert story.changes() == [("add", ALICE, READONLY)]


async def test_what_a_webhook_claims_is_not_believed(story: Story, relay: Relay) -> None:
    """It is only a hint: the comments are read from PagerDuty."""
    await story.asks()
    incident = (await story.until(story.incidents))[0]["id"]
    bob = {"id": "PBOB001", "type": "user_reference"}
    data = {"incident": {"id": incident}, "id": "PNOTE99", "content": "approve", "type": "incident_note"}
    event = {"id": "E1", "event_type": "incident.annotated", "agent": bob, "occurred_at": "2026-01-01T00:00:00Z"}
    body = json.dumps({"event": {**event, "resource_type": "incident", "client": None, "data": data}}).encode()
    read = story.calls("pagerduty", f"GET /incidents/{incident}/notes")
    secret = str(story.settings["PAGERDUTY_WEBHOOK_SECRETS"])
    assert await relay.deliver(body, sign([secret], body)) == 202
    await story.until(lambda: story.calls("pagerduty", f"GET /incidents/{incident}/notes") > read)
    await story.settle()
    assert story.members(READONLY) == []


async def test_a_denial_by_comment_carries_its_reason(story: Story) -> None:
    request = await story.asks()
    await story.until(story.incidents)
    await story.comments("bob", f"deny {request} no ticket")
    await story.until(lambda: "Denied" in story.card()["text"])
    await story.until(lambda: "Reason: no ticket" in story.told("alice"))
    assert "no ticket" in str(story.card()["blocks"])
    await story.until(lambda: story.incidents()[0]["status"] == "resolved")
    assert story.changes() == []


async def test_a_denial_whose_reason_holds_half_a_character_counts(story: Story) -> None:
    request = await story.asks(why="Look at \ud83d the logs")
    assert "Look at \ufffd the logs" in str(story.card()["blocks"])
    await story.until(story.incidents)
    await story.comments("bob", f"deny {request} no \ud83d ticket")
    await story.until(lambda: "Denied" in story.card()["text"])
    await story.until(lambda: "Reason: no \ufffd ticket" in story.told("alice"))


async def test_a_denial_whose_reason_shows_nothing_counts_without_one(story: Story) -> None:
    request = await story.asks()
    await story.until(story.incidents)
    await story.comments("bob", f"deny {request} \u2800\u3164")
    await story.until(lambda: "Denied" in story.card()["text"])
    await story.settle()
    assert "\u2800" not in story.told("alice") + str(story.card()["blocks"])


# --- by the card -----------------------------------------------------------------------------------------------------


async def test_a_denial_by_button_asks_for_its_reason_and_tells_it(story: Story) -> None:
    await story.asks()
    assert (await denies(story, "bob", "Use the <dashboard> instead")).get("closed")
    await story.until(lambda: "Denied" in story.card()["text"])
    assert story.buttons(story.card()) == set()
    await story.until(lambda: "Reason: Use the &lt;dashboard&gt; instead" in story.told("alice"))
    await story.until(lambda: "Reason: Use the <dashboard> instead" in story.notes())
    assert story.changes() == []


async def test_a_denial_needs_a_reason(story: Story) -> None:
    await story.asks()
    assert "reason" in (await denies(story, "bob", "  "))["errors"]
    await story.settle()
    assert "Waiting for a decision" in story.card()["text"]


async def test_the_requester_can_withdraw(story: Story) -> None:
    await story.asks()
    message = await story.until(lambda: story.dms("alice")[0])
    await story.act("alice", "slack.click", ts=message["ts"], action_id="withdraw")
    await story.until(lambda: "Withdrawn" in story.card()["text"])
    assert story.buttons(story.card()) == set()
    await story.until(lambda: story.incidents() and story.incidents()[0]["status"] == "resolved")
    await story.presses("bob", "approve", stale=True)
    await story.until(lambda: "Too late" in story.told("bob"))
    assert story.changes() == []


async def test_nobody_answers_and_it_expires(story: Story) -> None:
    request = await story.asks()
    await story.until(story.incidents)
    await story.advance(8 * 3600 + 1)
    await story.until(lambda: "Expired" in story.card()["text"])
    assert story.buttons(story.card()) == set()
    await story.until(lambda: "Nobody decided in time" in story.told("alice"))
    await story.until(lambda: story.incidents()[0]["status"] == "resolved")
    await story.presses("bob", "approve", stale=True)
    await story.until(lambda: "Nobody decided in time" in story.told("bob"))
    assert story.changes() == []
    assert (await story.trail(request)).count("request.expired") == 1


async def test_an_approval_for_less_ends_sooner(story: Story) -> None:
    await story.asks()
    await story.presses("bob", "approve_less", option="Approve for 15 minutes")
    await story.until(lambda: story.members(READONLY) == [ALICE])
    await story.until(lambda: "Granted" in story.card()["text"])
    await story.advance(14 * 60)
    await story.settle()
    assert story.members(READONLY) == [ALICE]
    await story.advance(61)
    await story.until(lambda: story.members(READONLY) == [])


# --- critical: two different people, in Slack ------------------------------------------------------------------------


async def test_critical_access_takes_two_different_people(story: Story) -> None:
    request = await asks_for_root(story)
    await story.presses("bob", "approve")
    await story.until(lambda: "1 of 2 approvals" in str(story.card()["blocks"]))
    await story.until(lambda: "1 of 2 approvals" in story.told("alice"))
    await story.presses("bob", "approve")
    await story.until(lambda: "one answer a person counts" in story.told("bob"))
    await story.settle()
    assert story.members(ROOT) == []
    await story.presses("carol", "approve")
    await story.until(lambda: story.members(ROOT) == [ALICE])
    assert (await story.trail(request)).count("decision.approve") == 2


async def test_one_denial_ends_a_critical_request(story: Story) -> None:
    await asks_for_root(story)
    await story.presses("bob", "approve")
    await story.until(lambda: "1 of 2 approvals" in str(story.card()["blocks"]))
    await denies(story, "carol", "Not today")
    await story.until(lambda: "Denied" in story.card()["text"])
    assert story.changes() == []


async def test_a_comment_on_critical_access_decides_nothing_and_is_sent_to_the_card(story: Story) -> None:
    request = await asks_for_root(story)
    await story.until(story.incidents)
    await story.comments("bob", f"approve {request}")
    answer = await story.until(lambda: next(line for line in story.notes().splitlines() if "decided in Slack" in line))
    assert "decided nothing" in answer
    assert f"/archives/{CHANNEL}/p" in story.notes()
    await story.settle()
    assert story.members(ROOT) == []
    assert await story.refusals(request) == ["invariant#critical-in-slack"]


# --- high: a code of one's own in the comment ------------------------------------------------------------------------


async def test_high_access_by_comment_takes_the_code_from_slack(story: Story) -> None:
    request = await story.asks(access="Production, administrator")
    await story.until(story.incidents)
    code = await code_of(story, "bob")
    await story.comments("bob", f"approve {request}")
    await story.until(lambda: "needs your code" in story.notes())
    assert story.members(ADMIN) == []
    await story.comments("bob", f"approve {request} {code.lower()}")
    await story.until(lambda: story.members(ADMIN) == [ALICE])
    ours = [note["content"] for note in story.incidents()[0]["notes"] if note["author"] == "bot"]
    assert code not in "\n".join([story.incidents()[0]["body"], *ours])


async def test_somebody_elses_code_is_refused(story: Story) -> None:
    request = await story.asks(access="Production, administrator")
    await story.until(story.incidents)
    bobs, carols = await code_of(story, "bob"), await code_of(story, "carol")
    assert bobs != carols
    await story.comments("bob", f"approve {request} {carols}")
    await story.until(lambda: "code is not yours" in story.notes())
    await story.settle()
    assert story.members(ADMIN) == []
    assert "invariant#code" in await story.refusals(request)


async def test_a_code_is_for_one_request_only(story: Story) -> None:
    first = await story.asks(access="Production, administrator")
    await story.until(story.incidents)
    code = await code_of(story, "bob")
    await story.comments("bob", f"approve {first} {code}")
    await story.until(lambda: story.members(ADMIN) == [ALICE])
    await story.asks("bob", access="Production, administrator")
    await story.until(lambda: len(story.incidents()) == 2)
    await story.comments("carol", f"approve TA-2 {code}")
    await story.until(lambda: "code is not yours" in story.notes())
    await story.settle()
    assert story.members(ADMIN) == [ALICE]


async def test_a_denial_needs_no_code(story: Story) -> None:
    request = await story.asks(access="Production, administrator")
    await story.until(story.incidents)
    await story.comments("carol", f"deny {request}: wrong week")
    await story.until(lambda: "Denied" in story.card()["text"])
    await story.until(lambda: "wrong week" in story.told("alice"))
