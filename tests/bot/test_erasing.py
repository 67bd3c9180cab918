"""Forgetting somebody: their words go from everywhere, and the trail still proves everything else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bot import emergency
from bot.core.lifecycle import Event
from bot.core.request import Answer
from bot.ledger import Audit, Ledger
from tests.bot.test_halting import approved
from tests.builders import NOW, a_decision, a_draft, a_person, a_plan, a_ruling, an_entitlement, some_evidence

ALICE, BOB = a_person("alice").id, a_person("bob").id
WORDS = ("Wedding in Reykjavik", "OPS-4711", "You are on holiday", "Which hotel", "The blue one", "Alice Archer")


async def a_denied_request(ledger: Ledger, key: str = "view-1", who: str = "alice") -> str:
    """With words of everybody in every place that holds them."""
    person = a_person(who)
    draft = a_draft(key, requester=person, beneficiary=person, justification=WORDS[0], ticket=WORDS[1])
    request = await ledger.receive(draft, an_entitlement(), deadline=NOW + timedelta(hours=8), jobs=())
    stored = await ledger.request(request)
    values = {"plan": a_plan(stored), "ruling": a_ruling(), "planned_at": NOW, "evidence": some_evidence()}
    await ledger.move(request, Event.PLANNED, audit=Audit("tinyapprover", "request.planned"), values=values)
    asked = Audit(BOB, "question.asked", texts={"question": WORDS[3]})
    number = await ledger.ask(request, "Bob Baker", WORDS[3], receipt=key, audit=asked, jobs=lambda _: ())
    answered = Audit(person.id, "question.answered", {"question": number}, {"answer": WORDS[4]})
    await ledger.answer(number, WORDS[4], request=request, audit=answered, jobs=())
    denial = a_decision("bob", Answer.DENY, request_id=request, reason=WORDS[2])
    await ledger.decide(denial, approved_jobs=(), closed_jobs=(), jobs=())
    return request


def on_disk(database: str) -> bytes:
    file = Path(database.removeprefix("sqlite:///"))
    return b"".join(one.read_bytes() for one in file.parent.glob(f"{file.name}*") if one.is_file())


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_no_word_of_an_erased_person_stays_in_the_file_and_the_chain_is_whole(
    ledger: Ledger, database: str
) -> None:
    await ledger.link(a_person("alice"), by="a test")
    await a_denied_request(ledger)
    await ledger.unlink(ALICE, by="a test")
    before = on_disk(database)
    assert all(word.encode() in before for word in (*WORDS, "alice@example.com"))
    await ledger.erase(ALICE, by="admin carol", why="they asked")
    after = on_disk(database)
    assert [word for word in (*WORDS, "alice@example.com") if word.encode() in after] == []
    verified = await ledger.verify()
    assert (verified.findings, verified.erased) == ((), 7)
    (event,) = await ledger.events(what="text.erased")
    assert (event.actor, event.detail["person"], event.detail["requests"]) == ("admin carol", ALICE, ["TA-1"])


async def test_who_decided_stays_when_the_requester_is_erased(ledger: Ledger) -> None:
    request = await a_denied_request(ledger)
    await ledger.erase(ALICE, by="admin carol", why="they asked")
    found = await ledger.request(request)
    assert [(one.person_id, one.name, one.reason) for one in found.decisions] == [(BOB, "Bob Baker", "")]
    assert (found.requester.id, found.requester.name) == (ALICE, "(erased)")
    assert "Bob Baker" in {text.text for text in await ledger.texts(1, 99)}


async def test_an_approver_who_is_erased_leaves_their_id_and_their_answer(ledger: Ledger) -> None:
    request = await a_denied_request(ledger)
    await ledger.erase(BOB, by="admin carol", why="they asked")
    found = await ledger.request(request)
    assert [(one.person_id, one.answer, one.name) for one in found.decisions] == [(BOB, Answer.DENY, "(erased)")]
    assert found.questions[0].asked_by == "(erased)"
    assert found.justification == WORDS[0]
    assert (await ledger.verify()).whole


async def test_an_open_request_and_a_standing_link_keep_their_words(ledger: Ledger) -> None:
    await ledger.link(a_person("alice"), by="a test")
    open_one = await ledger.receive(a_draft("open"), an_entitlement(), deadline=NOW + timedelta(hours=8), jobs=())
    erasure = await ledger.erase(ALICE, by="admin carol", why="they asked")
    assert (erasure.texts, erasure.requests, erasure.kept, erasure.linked) == ((), (), (open_one,), True)
    assert (await ledger.request(open_one)).justification == a_draft().justification


async def test_a_mention_in_what_was_gathered_for_somebody_else_goes_too(ledger: Ledger) -> None:
    await a_denied_request(ledger)
    other = await a_denied_request(ledger, "view-2", "mallory")
    await ledger.erase(ALICE, by="admin carol", why="they asked")
    found = await ledger.request(other)
    assert found.evidence is None
    assert found.requester.name == "Mallory Moss"


async def test_looking_first_changes_nothing(ledger: Ledger, database: str) -> None:
    await a_denied_request(ledger)
    events = await ledger.events()
    erasure = await ledger.to_erase(ALICE)
    assert erasure.requests == ("TA-1",)
    assert {text.name for text in erasure.texts} == {"justification", "ticket", "question", "answer", "reason"}
    assert await ledger.events() == events


@pytest.mark.parametrize(("email", "found"), [("ALICE@example.com", ALICE), ("nobody@example.com", None)])
async def test_somebody_is_found_by_the_login_in_their_requests(ledger: Ledger, email: str, found: str | None) -> None:
    await a_denied_request(ledger)
    assert await ledger.id_of(email) == found


async def test_an_erasure_names_every_chat_account_that_somebody_had(ledger: Ledger) -> None:
    alice = a_person("alice")
    await ledger.link(replace(alice, slack_user="U0OLDER"), by="a test")
    await ledger.link(alice, by="a test")
    assert await ledger.id_of("U0ALICE") == ALICE
    await ledger.unlink(ALICE, by="a test")
    assert await ledger.id_of("U0ALICE") is None
    assert (await ledger.erase(ALICE, by="admin carol", why="they asked")).accounts == ("U0ALICE", "U0OLDER")
    assert (await ledger.erase("U0STRANGER", by="admin carol", why="they asked")).accounts == ("U0STRANGER",)
    first, second = await ledger.erasures(0)
    assert (first.detail["person"], first.detail["accounts"]) == (ALICE, ["U0ALICE", "U0OLDER"])
    assert await ledger.erasures(first.seq) == [second]


async def test_what_was_stopped_keeps_its_words_until_the_access_is_gone(ledger: Ledger) -> None:
    """Whoever is paged because it cannot be removed has to read what is to be removed, and of whom."""
    request = await approved(ledger)
    assert request.plan is not None
    await ledger.start_grant(request.plan, 60, actor="tinyapprover")
    await emergency.stop(ledger, request, by=BOB, who="Bob Baker in Slack")
    erasure = await ledger.erase(ALICE, by="admin carol", why="they asked")
    assert (erasure.requests, erasure.kept) == ((), (request.id,))
    assert (await ledger.request(request.id)).plan == request.plan
    await ledger.taken_back(request.id, outcome="gone", audit=Audit("tinyapprover", "grant.revoked"), jobs=())
    assert (await ledger.erase(ALICE, by="admin carol", why="they asked")).requests == (request.id,)
