"""The ledger's promises: one winner, one answer per person, one use per code, and a trail that shows tampering."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.audit import AuditEvent, broken_link
from bot.core.lifecycle import Event, State
from bot.core.request import Answer, Decision, Extension, Request
from bot.core.verdict import Outcome, Tally
from bot.errors import Refused, SettingsError
from bot.ledger import Audit, Due, Figures, Job, Ledger
from tests.bot.conftest import HandClock, behind_our_back
from tests.builders import NOW, a_decision, a_draft, a_grant, a_person, a_plan, a_request, a_ruling, an_entitlement

HOUR = timedelta(hours=1)


async def received(ledger: Ledger, key: str = "view-1") -> str:
    return await ledger.receive(a_draft(key), an_entitlement(), deadline=NOW + HOUR, jobs=[Due("card")])


async def pending(ledger: Ledger, *, approvals: int = 1) -> Request:
    """A stored request that can be decided."""
    request = await ledger.request(await received(ledger))
    values = {"plan": a_plan(request), "ruling": a_ruling(approvals=approvals), "planned_at": NOW}
    assert await ledger.move(request.id, Event.PLANNED, audit=Audit("tinyapprover", "request.planned"), values=values)
    return await ledger.request(request.id)


def an_answer(request: Request, who: str = "bob", answer: Answer = Answer.APPROVE, **more: Any) -> Decision:
    digest = request.plan.digest if request.plan else ""
    return a_decision(who, answer, **{"request_id": request.id, "digest": digest, **more})


async def decide(ledger: Ledger, decision: Decision, *, code: str = "") -> Tally | None:
    return await ledger.decide(
        decision, code=code, approved_jobs=[Due("grant")], closed_jobs=[Due("resolve")], jobs=[Due("card")]
    )


async def state(ledger: Ledger, request: Request) -> State:
    return (await ledger.request(request.id)).state


# --- requests ---------------------------------------------------------------------------------------------------------


async def test_what_is_submitted_in_the_same_moment_is_committed_together(ledger: Ledger) -> None:
    first = asyncio.create_task(received(ledger, "first"))
    for _ in range(3):
        await asyncio.sleep(0)
    assert (ledger.queued, first.done()) == (0, False)  # not on its way yet, so that others join
    others = [asyncio.create_task(received(ledger, str(number))) for number in range(31)]
    assert len({await one for one in (first, *others)}) == 32


async def test_what_is_being_committed_counts_as_not_committed_yet(ledger: Ledger) -> None:
    counted: list[int] = []
    await ledger._run(lambda c: counted.append(ledger.queued))
    assert (counted, ledger.queued) == ([1], 0)


async def test_a_new_request_is_handed_over_as_it_is_stored_with_its_card_claimed(ledger: Ledger) -> None:
    handed: list[Job] = []
    ledger.hand_first_cards_to(handed.append, lease=60)
    request = await received(ledger)
    assert await received(ledger) == request  # the same submission again hands over nothing
    (job,) = handed
    assert (job.subject, job.kind, job.attempts, job.claim) == (request, "card", 1, 1)
    assert job.reading == await ledger.to_show(request, "card")
    assert await ledger.claim(("front",), most=9, lease=60) == []
    await ledger.finish(job)
    assert await ledger.figures() == Figures({"received": 1}, {"expire": 1}, 0.0)


async def test_the_first_card_of_an_extension_says_what_it_extends(ledger: Ledger) -> None:
    handed: list[Job] = []
    ledger.hand_first_cards_to(handed.append, lease=60)
    draft = a_draft("longer", extends=Extension("TA-1", NOW + HOUR, 60))
    request = await ledger.receive(draft, an_entitlement(), deadline=NOW + HOUR, jobs=[Due("card")])
    assert handed[0].reading == await ledger.to_show(request, "card")


async def test_what_fails_undoes_nothing_that_is_committed_together_with_it(ledger: Ledger) -> None:
    unknown = ledger.request("TA-99")
    stored, failed = await asyncio.gather(received(ledger), unknown, return_exceptions=True)
    assert isinstance(failed, KeyError)
    assert isinstance(stored, str)
    assert (await ledger.request(stored)).state is State.RECEIVED
    assert [event.what for event in await ledger.events()] == ["request.received"]


async def test_a_submission_that_comes_twice_is_one_request(ledger: Ledger) -> None:
    ids = await asyncio.gather(*(received(ledger) for _ in range(5)))
    assert set(ids) == {(await ledger.requests())[0].id}
    assert [event.what for event in await ledger.events()] == ["request.received"]
    assert await received(ledger, "view-2") not in ids
    assert len(await ledger.requests()) == 2


async def test_what_is_stored_comes_back_as_it_was(ledger: Ledger) -> None:
    request = await pending(ledger)
    assert request == a_request(
        plan=a_plan(a_request()), ruling=a_ruling(), planned_at=NOW, deadline=NOW + HOUR, entitlement=an_entitlement()
    )


async def test_any_text_that_people_write_is_kept(ledger: Ledger) -> None:
    words = "tab\tnul\x00 \ufffd \u202e 😀 'quoted' \\ % :x"
    draft = a_draft("view-\x00", justification=words)
    request = await ledger.receive(draft, an_entitlement(), deadline=NOW + HOUR, jobs=[])
    assert (await ledger.request(request)).justification in (words, words.replace("\x00", "\ufffd"))
    assert await ledger.receive(draft, an_entitlement(), deadline=NOW + HOUR, jobs=[]) == request


@pytest.mark.parametrize("unknown", ["TA-2", "TA-", "", "x", "TA-0", "TA--1"])
async def test_an_id_that_is_not_known_finds_nothing(ledger: Ledger, unknown: str) -> None:
    await received(ledger)
    assert await ledger.find(unknown) is None


async def test_of_two_moves_at_the_same_time_one_wins(ledger: Ledger) -> None:
    request = await pending(ledger)
    ends = (Event.WITHDRAWN, Event.EXPIRED, Event.REFUSED)
    won = await asyncio.gather(*(ledger.move(request.id, end, audit=Audit("x", str(end))) for end in ends))
    assert sorted(won) == [False, False, True]
    assert len(await ledger.events(request.id)) == 3  # received, planned, and the one that won


async def test_a_move_that_the_state_does_not_have_changes_nothing(ledger: Ledger) -> None:
    request = await ledger.request(await received(ledger))
    for event in (Event.APPROVED, Event.GRANTED, Event.TAKEN_BACK, Event.RETRIED):
        assert not await ledger.move(request.id, event, audit=Audit("x", "y"), jobs=[Due("grant")])
    assert await ledger.request(request.id) == request
    assert {job.kind for job in await ledger.claim(["front", "executor"], most=9, lease=1)} == {"card"}


# --- decisions --------------------------------------------------------------------------------------------------------


async def test_one_person_answers_once(ledger: Ledger) -> None:
    request = await pending(ledger, approvals=2)
    answers = await asyncio.gather(*(decide(ledger, an_answer(request, receipt=str(n))) for n in range(4)))
    assert [answer is None for answer in answers].count(False) == 1
    assert await state(ledger, request) is State.PENDING
    assert await decide(ledger, an_answer(request, answer=Answer.DENY)) is None


async def test_two_people_make_a_quorum_of_two_with_the_shorter_time(ledger: Ledger) -> None:
    request = await pending(ledger, approvals=2)
    await decide(ledger, an_answer(request, "bob", minutes=30))
    counted = await decide(ledger, an_answer(request, "carol"))
    assert counted == Tally(Outcome.APPROVED, 2, 2, 30)
    assert await state(ledger, request) is State.APPROVED


async def test_of_an_approval_and_a_denial_at_the_same_time_one_decides(ledger: Ledger) -> None:
    request = await pending(ledger)
    yes, no = an_answer(request, "bob"), an_answer(request, "carol", Answer.DENY)
    answers = await asyncio.gather(decide(ledger, yes), decide(ledger, no))
    assert [answer is None for answer in answers].count(True) == 1


async def test_an_approval_counts_only_for_the_plan_as_it_is(ledger: Ledger) -> None:
    request = await pending(ledger)
    assert await decide(ledger, an_answer(request, digest="another plan")) is None
    assert await decide(ledger, an_answer(request, digest="")) is None
    assert (await ledger.request(request.id)).decisions == ()


async def test_before_there_is_a_plan_a_denial_counts_and_an_approval_does_not(ledger: Ledger) -> None:
    request = await ledger.request(await received(ledger))
    assert await decide(ledger, an_answer(request)) is None
    assert await decide(ledger, an_answer(request, answer=Answer.DENY, reason="No.")) is not None
    denied = await ledger.request(request.id)
    assert (denied.state, denied.outcome) == (State.DENIED, "No.")


async def test_a_changed_plan_makes_the_decisions_void_and_asks_the_same_people_again(ledger: Ledger) -> None:
    request = await pending(ledger)
    await decide(ledger, an_answer(request))
    changed = a_plan(request, lines=("adds alice to another group",))
    assert await ledger.reopen(request.id, changed, a_ruling(), audit=Audit("tinyapprover", "plan.changed"), jobs=[])
    again = await ledger.request(request.id)
    assert (again.state, again.round, again.decisions) == (State.PENDING, 2, ())
    assert await decide(ledger, an_answer(request)) is None  # the old plan
    assert await decide(ledger, an_answer(again)) is not None


async def test_a_code_is_its_owners_for_this_plan_and_works_once(ledger: Ledger) -> None:
    request = await pending(ledger, approvals=2)
    bob, carol, digest = a_person("bob").id, a_person("carol").id, an_answer(request).digest
    assert await ledger.give_code(request.id, bob, digest, "K7QF-2M9D") == "K7QF-2M9D"
    assert await ledger.give_code(request.id, bob, digest, "AAAA-BBBB") == "K7QF-2M9D"
    await ledger.give_code(request.id, carol, "another plan", "CCCC-DDDD")
    for who, code in (("carol", "K7QF-2M9D"), ("carol", "CCCC-DDDD"), ("bob", "AAAA-BBBB")):
        with pytest.raises(Refused) as refused:
            await decide(ledger, an_answer(request, who), code=code)
        assert refused.value.rule == "invariant#code"
    assert (await ledger.request(request.id)).decisions == ()  # a wrong code leaves no answer behind
    assert await decide(ledger, an_answer(request, "bob"), code="K7QF-2M9D") is not None
    assert await decide(ledger, an_answer(request, "bob"), code="K7QF-2M9D") is None


# --- grants -----------------------------------------------------------------------------------------------------------


async def granted(ledger: Ledger) -> Request:
    request = await pending(ledger)
    await decide(ledger, an_answer(request))
    assert request.plan is not None
    await ledger.start_grant(request.plan, 60, actor="tinyapprover")
    assert await ledger.granted(request, audit=Audit("tinyapprover", "grant.verified"), jobs=lambda _: ())
    return await ledger.request(request.id)


async def test_a_grant_lasts_from_when_it_was_read_back(ledger: Ledger) -> None:
    request = await granted(ledger)
    assert request.state is State.ACTIVE
    assert request.grant == a_grant(request)


async def test_reading_it_back_twice_does_not_make_it_last_longer(ledger: Ledger, clock: HandClock) -> None:
    request = await granted(ledger)
    clock.advance(minutes=30)
    assert not await ledger.granted(request, audit=Audit("tinyapprover", "grant.verified"), jobs=lambda _: ())
    assert (await ledger.request(request.id)).grant == request.grant


async def test_a_second_start_finds_the_first(ledger: Ledger, clock: HandClock) -> None:
    request = await pending(ledger)
    assert request.plan is not None
    first = await ledger.start_grant(request.plan, 60, actor="tinyapprover")
    clock.advance(minutes=5)
    changed = replace(request.plan, already=True)
    assert await ledger.start_grant(changed, 30, actor="tinyapprover") == first


async def test_overdue_is_told_once(ledger: Ledger) -> None:
    request = await granted(ledger)
    for _ in range(3):
        await ledger.mark_overdue(request.id, audit=Audit("tinyapprover", "revoke.overdue"), jobs=[])
    assert (await ledger.request(request.id)).revoke_overdue
    assert [event.what for event in await ledger.events(request.id)].count("revoke.overdue") == 1


# --- inbox and people -------------------------------------------------------------------------------------------------


async def test_a_delivery_is_taken_once(ledger: Ledger) -> None:
    taken = await asyncio.gather(*(ledger.accept("pagerduty.event", "01ABC") for _ in range(5)))
    assert sorted(taken) == [False, False, False, False, True]
    assert await ledger.accept("slack.press", "01ABC")
    assert await ledger.accepted("pagerduty.event", ["01ABC", "01DEF"]) == {"01ABC"}


async def test_people_are_found_by_each_of_their_ids_until_they_are_unlinked(ledger: Ledger) -> None:
    bob = a_person("bob")
    await ledger.link(bob, by="admin")
    assert await ledger.person(bob.id) == bob
    assert await ledger.person_by_slack("T0SANDBOX", "U0BOB") == bob
    assert await ledger.person_by_slack("T0OTHER", "U0BOB") is None
    assert await ledger.person_by_pagerduty("PBOB") == bob
    assert await ledger.unlink(bob.id, by="admin")
    assert not await ledger.unlink(bob.id, by="admin")
    assert await ledger.person_by_slack("T0SANDBOX", "U0BOB") is None


# --- the database itself ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second"), [("sandbox", "production"), ("production", "sandbox")])
async def test_a_database_of_the_other_kind_is_refused(
    database: str, clock: HandClock, first: str, second: str
) -> None:
    ledger = await Ledger.open(database, kind=first, now=clock.now)
    await ledger.close()
    with pytest.raises(SettingsError, match=f"belongs to a {first} run and this is a {second} run"):
        await Ledger.open(database, kind=second, now=clock.now)


@pytest.mark.parametrize("url", ["sqlite:////proc/nowhere/x.db", "nonsense", "oracle://db/x", "sqlite://[oops"])
async def test_an_address_that_is_no_database_is_one_clear_message(url: str, clock: HandClock) -> None:
    with pytest.raises(SettingsError, match=r"^TINYAPPROVER_DATABASE_URL: ") as caught:
        await Ledger.open(url, kind="production", now=clock.now)
    assert len(str(caught.value).splitlines()) == 1


async def test_a_file_that_is_no_database_is_one_clear_message(tmp_path: Path, clock: HandClock) -> None:
    (tmp_path / "x.db").write_text("This is a letter, not a database.\n" * 100)
    with pytest.raises(SettingsError, match=r"^TINYAPPROVER_DATABASE_URL: "):
        await Ledger.open(f"sqlite:///{tmp_path / 'x.db'}", kind="production", now=clock.now)


async def test_what_was_committed_is_there_after_a_restart(ledger: Ledger, database: str, clock: HandClock) -> None:
    request = await granted(ledger)
    again = await Ledger.open(database, kind="production", now=clock.now)
    assert await again.request(request.id) == request
    await again.close()


# --- the trail --------------------------------------------------------------------------------------------------------

Spoil = Callable[[list[AuditEvent]], list[AuditEvent]]


def changed(place: int, **more: Any) -> Spoil:
    return lambda events: [*events[:place], replace(events[place], **more), *events[place + 1 :]]


def removed(place: int) -> Spoil:
    return lambda events: events[:place] + events[place + 1 :]


@pytest.mark.parametrize(
    ("spoil", "first_wrong"),
    [
        (changed(0, actor="somebody else"), 1),
        (changed(1, what="request.refused"), 2),
        (changed(1, detail={"from": "received", "to": "approved"}), 2),
        (changed(1, at="2026-03-02T09:00:00.001+00:00"), 2),
        (changed(1, request_id="TA-2"), 2),
        (changed(1, hash="0" * 64), 2),
        (changed(1, prev="0" * 64), 2),
        (changed(1, seq=7), 7),
        (removed(0), 2),
        (removed(1), 3),
        (lambda events: [events[1], events[0], *events[2:]], 2),
        (lambda events: [events[0], events[0], *events[1:]], 1),
    ],
)
async def test_a_trail_that_was_touched_shows_where(ledger: Ledger, spoil: Spoil, first_wrong: int) -> None:
    await granted(ledger)
    events = await ledger.events()
    assert len(events) == 6
    assert broken_link(events) is None
    assert broken_link(spoil(events)) == first_wrong


async def test_one_byte_changed_on_disk_is_found(ledger: Ledger, database: str) -> None:
    await granted(ledger)
    behind_our_back(database, "UPDATE events SET detail = replace(detail, '60', '61') WHERE seq = 1")
    assert broken_link(await ledger.events()) == 1


async def test_the_trail_keeps_the_order_and_names_who_did_what(ledger: Ledger) -> None:
    await granted(ledger)
    told = [(event.seq, event.actor, event.what) for event in await ledger.events("TA-1")]
    assert told == [
        (1, a_person("alice").id, "request.received"),
        (2, "tinyapprover", "request.planned"),
        (3, a_person("bob").id, "decision.approve"),
        (4, "tinyapprover", "grant.started"),
        (5, "tinyapprover", "grant.writing"),
        (6, "tinyapprover", "grant.verified"),
    ]


async def test_a_whole_trail_is_verified_on_either_database(ledger: Ledger) -> None:
    await pending(ledger)
    verified = await ledger.verify(())
    assert verified.whole
    assert verified.events == len(await ledger.events())


async def test_of_answers_at_the_same_moment_one_is_news(ledger: Ledger, database: str, clock: HandClock) -> None:
    beside = await Ledger.open(database, kind="production", now=clock.now)
    said = [one.first_since("told", "TA-1/bob/", str(n), NOW - HOUR) for n, one in enumerate([ledger, beside] * 20)]
    assert sum(await asyncio.gather(*said)) == 1
    await beside.close()
