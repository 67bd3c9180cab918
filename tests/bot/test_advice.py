"""What the model may know."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bot.advice import brief, supported
from bot.core.request import Advice, Fact, Leaning, Reason
from connectors.advice_format import messages
from tests.builders import a_request, some_chat, some_evidence


def test_the_manager_is_not_told_to_the_model_and_facts_keep_their_numbers() -> None:
    facts = (Fact("okta", "Manager", "carol@example.com"), Fact("okta", "Account", "ACTIVE"))
    told = brief(a_request(), some_evidence(facts=facts), "You advise.")
    assert "carol" not in str(told)
    assert told.facts[1] == facts[1]


DOCUMENT = some_evidence().passages[0]
CHAT, THEIRS = some_chat(id="p2"), replace(DOCUMENT, id="p3", theirs=True)
FOUND = some_evidence(passages=(DOCUMENT, CHAT, THEIRS))


def approval(*cites: str) -> Advice:
    return Advice(Leaning.APPROVE, (Reason("It is usual here.", cites),))


@pytest.mark.parametrize("cites", [("p2",), ("p3",), ("precedent-1",), ("p2", "p3", "precedent-1")])
def test_chat_the_requesters_own_words_and_habit_support_no_approval(cites: tuple[str, ...]) -> None:
    advice = supported(approval(*cites), FOUND)
    assert advice.leaning is Leaning.NEEDS_REVIEW
    assert "none of that supports an approval" in advice.note


@pytest.mark.parametrize("cites", [(DOCUMENT.id,), ("fact-1",), ("p2", DOCUMENT.id)])
def test_a_document_or_a_fact_supports_an_approval(cites: tuple[str, ...]) -> None:
    assert supported(approval(*cites), FOUND) == approval(*cites)


def test_a_denial_may_rest_on_chat() -> None:
    denial = replace(approval("p2"), leaning=Leaning.DENY)
    assert supported(denial, FOUND) == denial


def test_who_said_it_is_not_told_to_the_model() -> None:
    told = brief(a_request(), FOUND, "You advise.")
    assert "carol chen" not in str(told.passages).casefold()
    assert told.passages[1].text == "colleague-1: an hour of reading is usually enough."


def test_the_model_is_told_what_is_policy_and_what_is_not() -> None:
    _, user = messages(brief(a_request(), FOUND, "You advise."), "0123abcd")
    kinds = [one["kind"] for one in json.loads(user["content"])["passages_0123abcd"]]
    assert kinds == ["document", "chat", "written by the requester or beneficiary"]
