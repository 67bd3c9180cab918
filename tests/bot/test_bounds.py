"""What comes in is bounded: texts by their length, queues by how much waits; beyond that people are told so."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.core.notes import LOOKED_AT, Chatter, Deny, Unclear, read_comment
from bot.errors import Refused
from bot.ledger import database
from bot.slack import beside, forms
from bot.slack.beside import Beside
from tests.builders import an_entitlement
from tests.story import Story


def typed(block: str, words: str) -> dict[str, Any]:
    return {"state": {"values": {block: {block: {"value": words}}}}}


def test_a_text_that_is_too_long_is_refused_at_its_field_and_never_cut() -> None:
    assert forms.read_text(typed(forms.REASON, "x" * forms.MAX_TEXT)) == "x" * forms.MAX_TEXT
    with pytest.raises(Refused, match="in 1000 characters") as refused:
        forms.read_text(typed(forms.REASON, "x" * (forms.MAX_TEXT + 1)))
    assert refused.value.field == forms.REASON


def test_only_the_beginning_of_what_is_typed_is_searched_for() -> None:
    offered = [an_entitlement()]
    assert forms.access_options(offered, "production" + " " * forms.MAX_TYPED + "nothing")
    assert not forms.access_options(offered, "production nothing")


def test_a_decision_word_deep_in_a_long_comment_is_nobodys_decision() -> None:
    assert read_comment("x" * 10 + " approve", case="TA-1") == Unclear()
    assert read_comment("x" * LOOKED_AT + " approve", case="TA-1") == Chatter()
    assert read_comment("deny TA-1 " + "x" * 100_000, case="TA-1") == Deny("TA-1", "x" * 1000)


async def test_when_too_much_runs_beside_people_are_asked_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "MOST", 2)
    tasks, gate, told = Beside(), asyncio.Event(), []

    async def waits() -> None:
        await gate.wait()

    async def tells() -> None:
        told.append(True)

    tasks.run(waits())
    tasks.run(waits())
    with pytest.raises(Refused, match="try again in a minute"):
        tasks.run(waits())
    tasks.tell(tells())
    gate.set()
    await tasks.drain()
    assert told == [True]
    tasks.run(waits())
    await tasks.drain()


async def test_while_too_much_waits_to_be_stored_nothing_is_taken_that_can_come_again(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    await story.asks()
    await story.settle()
    monkeypatch.setattr(database, "LONGEST_QUEUE", 0)
    answer = await story.submits(access="Production, administrator")
    assert "try again in a minute" in answer["errors"]["access"]
    await story.presses("bob", "approve")
    await story.until(lambda: "Please try again" in story.told("bob"))
    monkeypatch.undo()
    await story.presses("bob", "approve")
    await story.until(lambda: "Granted" in story.card()["text"])
