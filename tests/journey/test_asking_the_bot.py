"""Direct messages, `/ask`, threads, opinions, suggested access, and what a place may see."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.answering import Answering
from bot.core.question import PolicyQuestion, Where
from knowledge.sources import EVERYBODY, RESPONDERS
from tests.journey.test_answers import ASK, answered, ask, only_answer, replies, words
from tests.story import Json, Story

NEED = "@TinyApprover I must read yesterday's prod logs for the incident"
DM = "D0ALICE"


async def says(story: Story, text: str, **more: Any) -> Json:
    """Alice writes to the bot directly."""
    return await story.act("alice", "slack.say", text=text, **more)


def asked_of_the_model(story: Story) -> list[Json]:
    """What the model was told, question by question."""
    bodies = [call.body for call in story.sandbox.world.calls if call.vendor == "openai" and call.body]
    told = [json.loads(body["messages"][1]["content"]) for body in bodies]
    return [{name.rpartition("_")[0]: value for name, value in one.items()} for one in told]


async def until_the_model_was_asked(story: Story, times: int) -> None:
    await story.until(lambda: len(asked_of_the_model(story)) == times)


async def pressed(story: Story, who: str, answer: Json, action: str, **more: Any) -> Json:
    return await story.act(who, "slack.click", channel=ASK, ts=answer["ts"], action_id=action, **more)


# --- where -----------------------------------------------------------------------------------------------------------


async def test_a_direct_message_is_answered_in_its_thread(story: Story) -> None:
    answer = await only_answer(story, await says(story, "Who can approve production access?"))
    assert "https://handbook.example.com/" in words(answer)


async def test_a_follow_up_in_a_direct_thread_is_understood_by_the_question_before(story: Story) -> None:
    first = await says(story, "How long may production access last?")
    await only_answer(story, first)
    await says(story, "And for contractors?", thread_ts=first["ts"])
    await story.until(lambda: len(replies(story, first)) == 2)
    await story.until(lambda: len(asked_of_the_model(story)) == 2)
    assert asked_of_the_model(story)[1]["earlier"] == ["How long may production access last?"]


async def test_a_thread_keeps_its_context_over_a_restart(story: Story) -> None:
    first = await says(story, "How long may production access last?")
    await only_answer(story, first)
    await story.stop()
    await story.start()
    await says(story, "And for contractors?", thread_ts=first["ts"])
    await until_the_model_was_asked(story, 2)
    assert asked_of_the_model(story)[1]["earlier"] == ["How long may production access last?"]


async def test_a_mention_in_the_answers_thread_knows_at_most_three_questions_before(story: Story) -> None:
    first = await ask(story)
    await answered(story, first)
    for number in range(1, 6):
        await ask(story, text=f"@TinyApprover and production question {number}?", thread_ts=first["ts"])
        await until_the_model_was_asked(story, number + 1)
        await story.settle()
    earlier = asked_of_the_model(story)[-1]["earlier"]
    assert earlier == [f"and production question {number}?" for number in (2, 3, 4)]


async def test_the_command_is_answered_by_direct_message_with_the_question_above(story: Story) -> None:
    await story.act("alice", "slack.command", command="/ask", text="who can approve production access?", channel=ASK)
    assert any("direct message" in one for one in story.whispers("alice"))
    answer = await story.until(lambda: [one for one in story.dms("alice") if "[1]" in words(one)])
    await story.settle()
    assert "You asked:" in words(answer[0])
    assert len(story.dms("alice")) == 1
    assert replies(story, {"channel": ASK, "ts": ""}) == []


async def test_a_follow_up_below_the_answer_to_a_command_is_understood(story: Story) -> None:
    await story.act("alice", "slack.command", command="/ask", text="who can approve production access?", channel=ASK)
    answer = (await story.until(lambda: [one for one in story.dms("alice") if "[1]" in words(one)]))[0]
    await says(story, "and break-glass?", thread_ts=answer["ts"])
    await story.until(lambda: len(asked_of_the_model(story)) == 2)
    assert asked_of_the_model(story)[1]["earlier"] == ["who can approve production access?"]


async def test_a_command_whose_post_is_lost_on_the_way_is_answered_once(story: Story) -> None:
    await story.fault("slack", "POST /api/chat.postMessage", "lost_answer")
    await story.act("alice", "slack.command", command="/ask", text="who can approve production access?", channel=ASK)
    await story.until(lambda: "[1]" in words(story.dms("alice")[0]))
    await story.advance(61)
    await story.settle()
    assert len(story.dms("alice")) == 1


async def test_the_command_alone_explains_itself(story: Story) -> None:
    await story.act("alice", "slack.command", command="/ask", text="", channel=ASK)
    assert "/ask who can approve" in story.whispers("alice")[0]


async def test_a_guest_is_told_that_only_members_can_ask(story: Story) -> None:
    answer = await only_answer(story, await ask(story, "erin"))
    assert "full members" in answer["text"]
    assert "handbook.example.com" not in words(answer)


# --- what a place may see --------------------------------------------------------------------------------------------


def a_question(channel: str, where: Where = Where.MENTION) -> PolicyQuestion:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return PolicyQuestion(f"{channel}/1", where, "T0EXAMPLE", "U0BOB", channel, "1", "who?", now)


def answering(story: Story) -> Answering:
    assert story.running is not None
    return story.running.front.answering


@pytest.mark.parametrize(
    ("question", "audience"),
    [
        (a_question(ASK), EVERYBODY),
        (a_question("C0ACCESS"), EVERYBODY | {"C0ACCESS", RESPONDERS}),
        (a_question(DM, Where.DIRECT), EVERYBODY),
    ],
)
async def test_the_audience_is_the_place_and_not_the_person(
    story: Story, question: PolicyQuestion, audience: frozenset[str]
) -> None:
    assert await answering(story)._audience(question) == audience


async def test_a_channel_that_cannot_be_told_about_gets_no_answer(story: Story) -> None:
    await story.fault("slack", "GET /api/conversations.info", "error", times=None)
    asked = await ask(story)
    await story.until(lambda: replies(story, asked))
    await story.advance(60)
    assert "could not be looked up" in (await answered(story, asked))["text"]


# --- opinions --------------------------------------------------------------------------------------------------------


async def test_an_opinion_is_recorded_once_a_person_and_can_be_changed(story: Story) -> None:
    asked = await ask(story)
    answer = await only_answer(story, asked)
    for who, action in (("alice", "answer_helpful"), ("alice", "answer_helpful"), ("alice", "answer_not_right")):
        await pressed(story, who, answer, action)
    await pressed(story, "bob", answer, "answer_helpful")
    assert story.running is not None
    ratings = await story.running.ledger.ratings(f"{ASK}/{asked['ts']}")
    assert ratings == {"U0ALICE": False, "U0BOB": True}
    assert {f'tinyapprover_answers_rated{{helpful="{said}"}} 1' for said in ("true", "false")} <= set(
        (await story.metrics()).splitlines()
    )
    assert (await story.trail()).count("answer.rated") == 3
    await story.until(lambda: "Thank you" in "".join(story.whispers("bob")))


async def test_the_same_opinion_again_is_told_that_it_is_on_record_below_the_answer(story: Story) -> None:
    asked = await ask(story)
    answer = await only_answer(story, asked)
    await pressed(story, "alice", answer, "answer_helpful")
    await story.until(lambda: "Thank you" in story.told("alice"))
    await pressed(story, "alice", answer, "answer_helpful")
    await story.until(lambda: "on record already" in story.told("alice"))
    whispers = story.state["slack"]["ephemerals"]["alice"]
    assert {one["thread_ts"] for one in whispers} == {asked["ts"]}
    assert len({one["text"] for one in whispers}) == 2


async def test_an_opinion_on_an_answer_that_there_never_was_is_not_recorded(story: Story) -> None:
    answer = await only_answer(story, await ask(story))
    raw = {"actions": [{"action_id": "answer_helpful", "block_id": "answer_rating", "type": "button", "value": "C9/1"}]}
    await pressed(story, "mallory", answer, "answer_helpful", raw=raw)
    await story.until(lambda: "too old" in "".join(story.whispers("mallory")))
    assert "answer.rated" not in await story.trail()


# --- access that fits ------------------------------------------------------------------------------------------------


async def test_a_need_in_plain_words_gets_the_narrowest_access_and_its_form(story: Story) -> None:
    answer = await only_answer(story, await ask(story, text=NEED))
    assert "Production, read only" in words(answer)
    opened = await pressed(story, "alice", answer, "request_this", await_view=True)
    form = json.dumps(opened["view"])
    assert '"value": "prod-readonly"' in form
    assert "prod logs for the incident" in form
    values = {"Justification": "Yesterday's logs"}
    assert (await story.act("alice", "slack.submit", view_id=opened["view"]["id"], values=values)).get("closed")


async def test_a_question_is_no_reason(story: Story) -> None:
    answer = await only_answer(story, await ask(story))
    opened = await pressed(story, "alice", answer, "request_this", await_view=True)
    form = json.dumps(opened["view"])
    assert '"value": "prod-readonly"' in form
    assert "who can approve" not in form


async def test_somebody_elses_words_are_not_their_reason(story: Story) -> None:
    answer = await only_answer(story, await ask(story, text=NEED))
    opened = await pressed(story, "bob", answer, "request_this", await_view=True)
    assert "prod logs for the incident" not in json.dumps(opened["view"])


async def test_nothing_is_suggested_that_the_person_may_not_ask_for(story: Story) -> None:
    answer = await only_answer(story, await ask(story, "alice", text="@TinyApprover I must change invoices and prices"))
    assert "You can ask for" not in words(answer)
    assert "request_this" not in words(answer)


async def test_a_button_for_what_one_may_not_ask_for_opens_the_form_without_it(story: Story) -> None:
    answer = await only_answer(story, await ask(story, text=NEED))
    action = {"action_id": "request_this", "block_id": "answer_access", "type": "button", "value": "billing-admin|x"}
    await pressed(story, "alice", answer, "request_this", raw={"actions": [action]})
    view = await story.until(lambda: "You may not ask for" in json.dumps(story.state["slack"]["views"]["alice"]))
    assert view


async def test_a_directory_that_is_down_costs_the_suggestion_and_not_the_answer(story: Story) -> None:
    await story.fault("okta", "*", "cut", times=None)
    answer = await only_answer(story, await ask(story, text=NEED))
    assert "[1]" in words(answer)
    assert "request_this" not in words(answer)


# --- forgetting ------------------------------------------------------------------------------------------------------


async def test_erasing_somebody_erases_their_questions_and_opinions(story: Story) -> None:
    asked = await ask(story)
    answer = await only_answer(story, asked)
    await pressed(story, "alice", answer, "answer_helpful")
    assert story.running is not None
    ledger, question = story.running.ledger, f"{ASK}/{asked['ts']}"
    alice = str(story.sandbox.world.people["alice"].okta)
    await ledger.erase(alice, by="test", why="they asked us to")
    assert await ledger.policy_question(question) is None
    assert await ledger.ratings(question) == {}


async def test_questions_are_forgotten_after_thirty_days(story: Story) -> None:
    asked = await ask(story)
    await only_answer(story, asked)
    await story.advance(31 * 24 * 3600)
    await only_answer(story, await ask(story))
    assert story.running is not None
    assert await story.running.ledger.policy_question(f"{ASK}/{asked['ts']}") is None
