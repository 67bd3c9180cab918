"""Decided requests in the index of documents: for whoever decides, without whoever was erased, never as policy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.core.request import Answer
from bot.decided import PORTION, DecidedRequests
from bot.ledger import Ledger
from knowledge import Knowledge, Wanted
from knowledge.search import Result
from knowledge.sources import DECIDED, EVERYBODY, RESPONDERS
from knowledge.sources.decisions import Decisions
from tests.bot.test_precedents import asked, decided, link, settle
from tests.builders import NOW, a_draft, a_person, an_entitlement

CHANNEL = "C0ACCESS"
DECIDERS = EVERYBODY | {CHANNEL, RESPONDERS}


@pytest.fixture
async def knowledge(ledger: Ledger, tmp_path: Path) -> AsyncIterator[Knowledge]:
    source = Decisions(DecidedRequests(ledger, link, CHANNEL).latest)
    knowledge = await Knowledge.open(tmp_path, None, embedder=Wanted("none"), sources=[source])
    yield knowledge
    await knowledge.close()


async def found(knowledge: Knowledge, words: str, audience: frozenset[str] = DECIDERS) -> list[Result]:
    return await knowledge.search([words], audience=audience)


async def test_a_decision_is_found_with_what_was_asked_for_by_whom_and_why(
    ledger: Ledger, knowledge: Knowledge
) -> None:
    await decided(ledger, "1", reason="Ask the *zanzibar* team <!channel>")
    await knowledge.follow()
    (one,) = await found(knowledge, "zanzibar")
    assert one.text == (
        "Asked for: Production, read only (prod-readonly)\n\nResource: okta.group prod-readonly\n\n"
        "Asked by: Alice Archer\n\nDecision: denied by Bob Baker\n\nDuration: 60 minutes\n\n"
        "Reason: Ask the \\*zanzibar\\* team &lt;!channel&gt;"
    )
    assert (one.title, one.url) == ("TA-1: Production, read only (prod-readonly)", "https://slack.example.com/1.0")
    assert {author.id for author in one.authors} == {a_person("alice").id, a_person("bob").id}


async def test_a_decision_is_somebodys_word_and_no_policy(ledger: Ledger, knowledge: Knowledge) -> None:
    await decided(ledger, "1", Answer.APPROVE, reason="zanzibar is always allowed")
    await knowledge.follow()
    assert [one.kind for one in await found(knowledge, "zanzibar")] == [DECIDED]
    theirs = await knowledge.passages(["zanzibar"], audience=DECIDERS, people=frozenset([a_person("alice").id]))
    assert [(one.chat, one.decided, one.theirs) for one in theirs] == [(True, True, True)]


async def test_a_decision_is_for_the_channel_of_whoever_decides_alone(ledger: Ledger, knowledge: Knowledge) -> None:
    await decided(ledger, "1", reason="zanzibar")
    await knowledge.follow()
    assert not await found(knowledge, "zanzibar", EVERYBODY | {CHANNEL})


async def test_what_was_decided_in_another_channel_is_for_that_one(ledger: Ledger, knowledge: Knowledge) -> None:
    elsewhere = an_entitlement(channel="C0OTHER")
    request = await ledger.receive(a_draft("1"), elsewhere, deadline=NOW + timedelta(hours=8), jobs=())
    await settle(ledger, await ledger.request(request), Answer.DENY, "zanzibar")
    await knowledge.follow()
    assert not await found(knowledge, "zanzibar")
    assert len(await found(knowledge, "zanzibar", EVERYBODY | {"C0OTHER"})) == 1


async def test_what_nobody_decided_yet_is_not_among_them(ledger: Ledger, knowledge: Knowledge) -> None:
    await asked(ledger, "1")
    assert (await knowledge.follow()).documents == 0


async def test_whoever_is_erased_vanishes_from_it(ledger: Ledger, knowledge: Knowledge) -> None:
    await decided(ledger, "1", who="mallory", reason="zanzibar for Mallory")
    await knowledge.follow()
    mallory = a_person("mallory")
    await ledger.erase(mallory.id, by="admin carol", why="they asked")
    await knowledge.read_again(await knowledge.forget_people([mallory.id]))
    assert not await found(knowledge, "zanzibar")
    await knowledge.follow()
    (one,) = await found(knowledge, "prod-readonly")
    assert "allory" not in one.text
    assert "zanzibar" not in one.text
    assert [author.name for author in one.authors] == ["Bob Baker"]


async def test_many_are_read_some_at_a_time_and_all_are_there(ledger: Ledger, knowledge: Knowledge) -> None:
    for number in range(PORTION + 1):
        await decided(ledger, str(number))
    assert (await knowledge.follow()).documents == PORTION + 1
    assert (await knowledge.follow()).change.new == 0


async def test_a_command_keeps_what_the_bot_read(ledger: Ledger, tmp_path: Path) -> None:
    await decided(ledger, "1")
    for source in (Decisions(DecidedRequests(ledger, link, CHANNEL).latest), Decisions(None)):
        knowledge = await Knowledge.open(tmp_path, None, embedder=Wanted("none"), sources=[source])
        summary = await knowledge.follow()
        await knowledge.close()
        assert summary.documents == 1
    assert summary.trouble == ()
    assert "only the running bot" in summary.skipped[0].why
