"""A question that the documents do not answer goes to the responders, when its asker wants that."""

from __future__ import annotations

from tests.journey.test_answers import ASK, ask, only_answer, replies, words
from tests.story import CHANNEL, Json, Story

MENU = "@TinyApprover what is on the cafeteria menu?"


async def unanswered(story: Story, who: str = "alice", text: str = MENU) -> tuple[Json, Json]:
    asked = await ask(story, who, text=text)
    return asked, await only_answer(story, asked)


async def hands_on(story: Story, who: str, answer: Json, channel: str = ASK) -> None:
    await story.act(who, "slack.click", channel=channel, ts=answer["ts"], action_id="hand_question_on")


def passed_on(story: Story) -> list[Json]:
    return [one for one in story.messages(CHANNEL) if "do not answer" in one["text"]]


async def test_the_responders_get_the_question_once_with_where_to_answer(story: Story) -> None:
    asked, answer = await unanswered(story)
    await hands_on(story, "alice", answer)
    await story.until(lambda: "Passed on to the people who decide" in story.told("alice"))
    await hands_on(story, "alice", answer)
    await story.until(lambda: "passed on already" in story.told("alice"))
    (told,) = await story.until(lambda: passed_on(story))
    await story.settle()
    assert len(passed_on(story)) == 1
    assert "<@U0ALICE>" in told["text"]
    assert answer["ts"].replace(".", "") in words(told)
    assert "cafeteria menu" in words(told)
    assert "answer in this thread" in story.told("alice")
    assert {one["thread_ts"] for one in story.state["slack"]["ephemerals"]["alice"]} == {asked["ts"]}
    assert len(replies(story, asked)) == 1


async def test_a_private_question_tells_the_responders_whom_to_write_to(story: Story) -> None:
    asked = await story.act("alice", "slack.say", text="what is on the cafeteria menu?")
    answer = await only_answer(story, asked)
    await hands_on(story, "alice", answer, asked["channel"])
    (told,) = await story.until(lambda: passed_on(story))
    assert "write to <@U0ALICE>" in words(told)
    assert "archives" not in words(told)


async def test_only_the_asker_can_pass_it_on(story: Story) -> None:
    _, answer = await unanswered(story)
    await hands_on(story, "mallory", answer)
    await story.until(lambda: "Only whoever asked" in story.told("mallory"))
    await story.settle()
    assert passed_on(story) == []
    assert "question#asker" in await story.refusals()


async def test_nobody_floods_the_responders_with_questions(story: Story) -> None:
    for number in range(4):
        _, answer = await unanswered(story, "mallory", f"@TinyApprover what is on cafeteria menu {number}?")
        await hands_on(story, "mallory", answer)
    await story.until(lambda: "within the hour" in story.told("mallory"))
    await story.settle()
    assert len(passed_on(story)) == 3
    await story.advance(3601)
    await hands_on(story, "mallory", answer)
    await story.until(lambda: len(passed_on(story)) == 4)


async def test_a_post_that_is_lost_on_the_way_is_made_once(story: Story) -> None:
    _, answer = await unanswered(story)
    await story.fault("slack", "POST /api/chat.postMessage", "lost_answer")
    await hands_on(story, "alice", answer)
    await story.until(lambda: passed_on(story))
    await story.advance(61)
    await story.settle()
    assert len(passed_on(story)) == 1
