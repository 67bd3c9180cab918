"""What the model may know."""

from __future__ import annotations

from bot.advice import brief
from bot.core.request import Fact
from tests.builders import a_request, some_evidence


def test_the_manager_is_not_told_to_the_model_and_facts_keep_their_numbers() -> None:
    facts = (Fact("okta", "Manager", "carol@example.com"), Fact("okta", "Account", "ACTIVE"))
    told = brief(a_request(), some_evidence(facts=facts), "You advise.")
    assert "carol" not in str(told)
    assert told.facts[1] == facts[1]
