"""What an answer may quote where, and how far it trusts it: open and closed documents, and chat."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.journey.test_answers import ASK, ask, only_answer, words
from tests.story import CHANNEL, Json, Story, opened

SECRET = "the zircon list names who may read production without asking"
ALONE = "For this channel alone"
OPEN = "Reading production needs a ticket and an approver"
OPINION = "Reading production needs nobody"
QUESTION = "@TinyApprover who may read production?"


@pytest.fixture
async def story(tmp_path: Path) -> AsyncIterator[Story]:
    """Documents for everybody and for responders, a public channel that is read, and questions in two channels."""
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "open.md").write_text(f"# Production\n{OPEN}.\n", "utf-8")
    closed = f"---\nvisibility: responders\n---\n# Exceptions\nProduction: {SECRET}.\n"
    (folder / "closed.md").write_text(closed, "utf-8")
    settings = {
        "TINYAPPROVER_DOCUMENTS": folder,
        "TINYAPPROVER_SOURCES": "documents,slack-history",
        "TINYAPPROVER_SLACK_HISTORY_CHANNELS": "general",
        "SLACK_ASK_CHANNELS": f"{ASK},{CHANNEL}",
    }
    async with opened(Story(tmp_path / "data", **settings)) as story:
        yield story


async def asked_in(story: Story, channel: str, text: str = QUESTION) -> Json:
    return await only_answer(story, await ask(story, "bob", text=text, channel=channel))


def told_to_the_model(story: Story) -> str:
    return json.dumps([call.body for call in story.sandbox.world.calls if call.vendor == "openai"])


async def said_in_general(story: Story, text: str) -> None:
    await story.act("carol", "slack.say", channel="general", text=text)
    assert story.running is not None
    await story.running.front.knowledge.follow()


# --- closed documents ------------------------------------------------------------------------------------------------


async def test_what_responders_alone_may_see_is_shown_in_their_channel_and_told_to_no_model(story: Story) -> None:
    answer = words(await asked_in(story, CHANNEL))
    assert OPEN in answer
    assert SECRET in answer.partition(ALONE)[2]
    assert OPEN in told_to_the_model(story)
    assert SECRET not in told_to_the_model(story)


async def test_a_responder_who_asks_elsewhere_is_shown_what_everybody_may_see(story: Story) -> None:
    await asked_in(story, ASK)
    await only_answer(story, await story.act("bob", "slack.say", text=QUESTION))
    await story.act("bob", "slack.command", command="/ask", text="who may read production?", channel=CHANNEL)
    await story.until(lambda: [one for one in story.dms("bob") if "You asked:" in words(one) and OPEN in words(one)])
    await story.settle()
    assert SECRET not in str(story.state)
    assert SECRET not in told_to_the_model(story)


async def test_a_channel_that_turns_public_before_the_answer_stands_is_not_shown_it(story: Story) -> None:
    await story.fault("openai", "POST /v1/chat/completions", "held", times=None)
    asked = await ask(story, "bob", text=QUESTION, channel=CHANNEL)
    await story.until(lambda: story.calls("openai", "POST /v1/chat"))
    await story.act("bob", "slack.convert", channel=CHANNEL, private=False)
    await story.mend()
    answer = words(await only_answer(story, asked))
    assert OPEN in answer
    assert ALONE not in answer
    assert SECRET not in answer


async def test_what_only_a_closed_document_tells_is_no_answer_for_everybody(story: Story) -> None:
    text = "@TinyApprover what is the zircon list?"
    there, elsewhere = words(await asked_in(story, CHANNEL, text)), words(await asked_in(story, ASK, text))
    assert "What everybody may read does not answer this" in there
    assert SECRET in there
    assert "Our documents do not answer this" in elsewhere
    assert "zircon" not in elsewhere
    assert "Exceptions" not in elsewhere


# --- chat ------------------------------------------------------------------------------------------------------------


async def test_what_documents_say_comes_first_and_what_was_said_is_marked(story: Story) -> None:
    await said_in_general(story, f"{OPINION}.")
    answer = words(await asked_in(story, ASK))
    assert -1 < answer.index(OPEN) < answer.index(OPINION)
    assert answer.index(OPINION) < answer.index("said in chat, not a policy")
    assert "No policy was found" not in answer


async def test_however_much_is_said_the_documents_answer(story: Story) -> None:
    for number in range(12):
        await story.act(
            "carol", "slack.say", channel="general", text=f"May I read production? Who reads production, {number}?"
        )
    await said_in_general(story, f"{OPINION}.")
    assert OPEN in words(await asked_in(story, ASK))


async def test_without_a_model_the_documents_come_first_too(story: Story) -> None:
    await said_in_general(story, f"{OPINION}.")
    await story.act("alice", "openai.mode", mode="absent")
    answer = words(await asked_in(story, ASK))
    assert -1 < answer.index(OPEN) < answer.index("in chat, not a policy") < answer.rindex(OPINION)


async def test_nobody_who_wrote_in_chat_is_named_to_the_model(story: Story) -> None:
    await said_in_general(story, f"{OPINION}, says Bob Baker (bob@example.com).")
    answer = words(await asked_in(story, ASK))
    told = told_to_the_model(story)
    assert OPINION in told
    assert "Carol Chen" in answer
    assert not any(name in told for name in ("Carol Chen", "Bob Baker", "bob@example.com"))


async def test_chat_that_is_near_is_marked_where_nothing_answers(story: Story) -> None:
    await said_in_general(story, "The cafeteria serves soup.")
    await story.act("alice", "openai.mode", mode="hostile")
    answer = words(await asked_in(story, ASK, "@TinyApprover production soup?"))
    assert "do not answer this" in answer
    assert answer.index("Production") < answer.index("Carol Chen in chat, not a policy")
