"""An answer that grows while the model writes it: only what stands is shown, and the whole answer replaces it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.journey.test_answers import answered, ask, only_answer, replies, words
from tests.story import Json, Story, opened


def growing(story: Story, asked: Json) -> list[Json]:
    return [one for one in replies(story, asked) if one["streaming"]]


def sentences(message: Json) -> int:
    return sum(block["type"] == "rich_text" for block in message["blocks"])


async def some_of_it(story: Story, asked: Json) -> Json:
    """The message as soon as it holds a sentence, while it is still written."""
    found = await story.until(lambda: [one for one in growing(story, asked) if sentences(one)], what="no sentence came")
    return dict(found[0])


async def test_sentences_are_shown_before_the_model_has_ended(story: Story) -> None:
    await story.act("alice", "openai.mode", mode="slow")
    asked = await ask(story)
    early = await some_of_it(story, asked)
    assert "of our documents" in early["blocks"][0]["title"]
    assert "https://handbook.example.com/" in words(early)
    whole = await only_answer(story, asked)
    assert whole["ts"] == early["ts"]
    assert "task_card" not in words(whole)
    assert "Helpful" in words(whole)
    first = early["blocks"][1]["elements"][0]
    assert whole["blocks"][0]["elements"][0] == first


async def test_one_call_is_the_first_sign_and_nothing_comes_before_it(story: Story) -> None:
    await story.settle()
    before = len(story.sandbox.world.calls)
    await answered(story, await ask(story))
    routes = [one.route for one in story.sandbox.world.calls[before:] if one.vendor in ("slack", "openai", "okta")]
    assert routes[0] == "POST /api/chat.startStream"


async def test_what_the_passages_do_not_say_is_never_shown_on_the_way(story: Story) -> None:
    await story.act("alice", "openai.mode", mode="hostile")
    asked = await ask(story)
    await only_answer(story, asked)
    appended = str([one.body for one in story.sandbox.world.calls if one.route == "POST /api/chat.appendStream"])
    assert "Reading" in appended
    assert "root from now on" not in appended
    assert "withdrawn" not in appended
    assert "evil.example" not in appended


async def test_a_stream_that_is_refused_is_an_ordinary_message(story: Story) -> None:
    await story.fault("slack", "POST /api/chat.startStream", "rate_limit", times=1, seconds=60)
    asked = await ask(story)
    answer = await only_answer(story, asked)
    assert "[1]" in words(answer)
    assert story.calls("slack", "POST /api/chat.appendStream") == 0
    await only_answer(story, await ask(story))
    assert story.calls("slack", "POST /api/chat.startStream") == 1


async def test_a_start_that_is_lost_on_the_way_is_found_again(story: Story) -> None:
    await story.fault("slack", "POST /api/chat.startStream", "lost_answer")
    asked = await ask(story)
    await only_answer(story, asked)
    await story.advance(61)
    await only_answer(story, asked)


async def test_a_start_that_comes_late_leaves_no_twin(story: Story) -> None:
    await story.fault("slack", "POST /api/chat.startStream", "late", seconds=3.0)
    asked = await ask(story)
    await answered(story, asked)
    await story.until(lambda: len(replies(story, asked)) == 2)
    await story.settle()
    await story.advance(61)
    await only_answer(story, asked)


async def test_what_cannot_be_appended_is_left_out_and_the_answer_is_whole(story: Story) -> None:
    await story.fault("slack", "POST /api/chat.appendStream", "error", times=None)
    asked = await ask(story)
    assert "[1]" in words(await only_answer(story, asked))
    assert story.calls("slack", "POST /api/chat.appendStream") == 1


async def test_a_stop_that_is_lost_on_the_way_ends_all_the_same(story: Story) -> None:
    await story.fault("slack", "POST /api/chat.stopStream", "lost_answer")
    assert "[1]" in words(await only_answer(story, await ask(story)))


async def test_a_restart_in_the_middle_of_a_stream_ends_it(story: Story) -> None:
    await story.act("alice", "openai.mode", mode="slow")
    asked = await ask(story)
    await some_of_it(story, asked)
    await story.stop()
    await story.act("alice", "openai.mode", mode="right")
    await story.start()
    answer = await only_answer(story, asked)
    assert not answer["streaming"]
    assert "[1]" in words(answer)


async def test_a_model_that_breaks_off_leaves_the_passages_and_none_of_its_sentences(story: Story) -> None:
    await story.act("alice", "openai.mode", mode="breaks_off")
    answer = await only_answer(story, await ask(story))
    assert "gave no usable answer" in words(answer)
    assert "rich_text_quote" in words(answer)


async def test_a_server_that_streams_nothing_is_asked_without(story: Story) -> None:
    await story.act("alice", "openai.mode", mode="refuses_streams")
    for times in (2, 3):
        assert "[1]" in words(await only_answer(story, await ask(story)))
        assert story.calls("openai", "POST /v1/chat/completions") == times


@pytest.fixture
async def documented(tmp_path: Path) -> AsyncIterator[Story]:
    """The program with one document of its own."""
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "approval.md").write_text("# Approval\n\nProduction access is approved by two people.\n")
    settings = {"TINYAPPROVER_DOCUMENTS": str(tmp_path / "documents"), "TINYAPPROVER_DOCUMENTS_URL": ""}
    async with opened(Story(tmp_path / "data", **settings)) as story:
        yield story


@pytest.mark.parametrize("stays", [True, False])
async def test_what_is_gone_when_a_sentence_is_ready_is_not_shown(
    documented: Story, tmp_path: Path, stays: bool
) -> None:
    story = documented
    await story.fault("openai", "POST /v1/chat/completions", "held", times=None)
    asked = await ask(story)
    await story.until(lambda: story.calls("openai", "POST /v1/chat"))
    assert story.running is not None
    if not stays:
        (tmp_path / "documents" / "approval.md").unlink()
        await story.running.front.knowledge.index()
    await story.mend()
    answer = await only_answer(story, asked)
    appended = str([one.body for one in story.sandbox.world.calls if one.route == "POST /api/chat.appendStream"])
    assert ("two people" in appended) is stays
    assert ("two people" in words(answer)) is stays


# --- what a reader should know ---------------------------------------------------------------------------------------


POLICY = "---\nupdated: {0}\n---\n# Production access, {0}\n\nProduction access for engineers lasts {1} hours.\n"
HOURS = "@TinyApprover how many hours of production access for engineers?"


async def test_sources_that_do_not_agree_are_shown_with_their_dates(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    for date, hours in (("2026-03-01", 8), ("2024-02-01", 24)):
        (tmp_path / "documents" / f"{date}.md").write_text(POLICY.format(date, hours))
    settings = {"TINYAPPROVER_DOCUMENTS": str(tmp_path / "documents"), "TINYAPPROVER_DOCUMENTS_URL": ""}
    async with opened(Story(tmp_path / "data", **settings)) as story:
        answer = words(await only_answer(story, await ask(story, text=HOURS)))
    assert "do not agree" in answer
    assert "(1 Mar 2026)" in answer
    assert "(1 Feb 2024)" in answer


async def test_what_only_chat_says_is_no_policy(tmp_path: Path) -> None:
    settings = {
        "TINYAPPROVER_SOURCES": "slack-history",
        "TINYAPPROVER_SLACK_HISTORY_CHANNELS": "general",
        "TINYAPPROVER_DOCUMENTS": None,
    }
    story = Story(tmp_path / "data", **settings)
    async with opened(story):
        text = "Production access for the quarterly stocktaking is approved by the warehouse lead."
        await story.act("carol", "slack.say", channel="general", text=text)
        assert story.running is not None
        await story.running.front.knowledge.follow()
        answer = words(await only_answer(story, await ask(story, text="@TinyApprover who approved the stocktaking?")))
    assert "No policy was found" in answer
    assert "in chat, not a policy" in answer
    assert "Carol Chen" in answer
