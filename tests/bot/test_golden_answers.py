"""Every answer as it is shown, so that a change of wording is a difference in review."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.question import Answer, Sentence, Suggestion
from bot.core.request import Passage
from bot.slack.answer_message import draw, handed_on, one_more
from connectors.sandbox.slack_blocks import characters, message_problems
from tests.bot.hostile import TRICKS
from tests.bot.slack_limits import BUDGET, mrkdwn
from tests.builders import NOW, an_entitlement
from tests.golden.answering import ASKED, HERE, drawn

DRAWN = drawn()
TEXT = st.sampled_from([one[:200] for one in TRICKS]) | st.text(max_size=80)
LONG = st.builds(lambda text, times: (text + " ") * times, TEXT, st.integers(1, 5))


@pytest.mark.parametrize("name", DRAWN)
def test_the_answer_is_the_one_that_was_reviewed(name: str) -> None:
    assert DRAWN[name] == (HERE / f"{name}.json").read_text("utf-8"), (
        "python -m tests.golden, and look at the difference"
    )


def test_no_answer_is_kept_that_is_not_drawn_any_more() -> None:
    assert {file.stem for file in HERE.glob("*.json")} == set(DRAWN)


@pytest.mark.parametrize("name", DRAWN)
def test_every_answer_is_taken_by_slack(name: str) -> None:
    assert message_problems(json.loads(DRAWN[name])["blocks"]) == []


def test_no_refusal_is_a_dead_end() -> None:
    for name in ("refused-with-a-contact", "refused-to-be-passed-on", "nothing-near"):
        assert "<#C0HELPDESK>" in DRAWN[name] or "Ask the responders" in DRAWN[name]


def test_chat_alone_is_never_called_a_policy() -> None:
    assert "No policy was found" in DRAWN["only-chat"]
    assert "No policy was found" not in DRAWN["no-model"]


def test_a_sentence_that_rests_on_chat_says_so_where_it_stands() -> None:
    shown = json.loads(DRAWN["chat-beside-policy"])
    assert json.dumps(shown["blocks"]).count("said in chat, not a policy") == 1
    assert shown["text"].endswith("An hour is usually enough. (said in chat, not a policy)")
    assert "said in chat, not a policy" not in DRAWN["written"]


def test_the_lines_of_a_passage_are_told_apart() -> None:
    assert "decide. Access is granted for hours. · Ask early." in DRAWN["a-long-passage"]


def test_what_is_older_than_a_year_says_so() -> None:
    for name in ("written", "refused-with-a-contact", "for-the-channel-alone"):
        assert "updated 26 Jan 2025 · ⚠ old" in DRAWN[name], name
        assert DRAWN[name].count("⚠ old") < DRAWN[name].count("updated ")


def test_a_long_passage_is_shown_from_where_it_speaks_of_what_was_asked() -> None:
    assert "… Members of iam-approvers decide." in DRAWN["a-long-passage"]


@given(
    sentences=st.lists(st.tuples(LONG, LONG), max_size=8),
    passage=st.tuples(
        LONG, LONG, LONG, st.sampled_from(["", "https://example.com/a|b>", "javascript:x", "https://e.x/"])
    ),
    chat=st.booleans(),
    note=LONG,
    contact=LONG,
    conflict=st.booleans(),
)
def test_whatever_is_said_slack_takes_it_and_nothing_of_it_is_markup(
    sentences: list[tuple[str, str]],
    passage: tuple[str, str, str, str],
    chat: bool,
    note: str,
    contact: str,
    conflict: bool,
) -> None:
    title, heading, text, url = passage
    source = Passage("p1", title, heading, text, url, NOW, chat=chat, authors=(title,))
    said = [Sentence(text or "x", (1, 2, 3, 4, 5, 6), quote) for text, quote in sentences]
    suggestion = Suggestion(an_entitlement(title=title or "x"), note)
    answer = Answer(note, said, [source] * 8, [source], suggestion, contact, conflict=conflict, closed=[source] * 2)
    for message in (
        draw(ASKED, answer),
        draw(ASKED, Answer(note, nearest=[source] * 3, contact=contact)),
        draw(ASKED, Answer(note, passages=[source] * 3, closed=[source] * 2)),
        draw(ASKED, Answer(note, closed=[source] * 2, may_hand_on=True)),
        handed_on(ASKED, ""),
    ):
        assert message_problems(message.blocks) == []
        assert characters(message.blocks) <= BUDGET
        assert not any(words.count("<") > 2 or "<!" in words for words in mrkdwn(message.blocks))
    if said:
        assert message_problems(one_more(answer)) == []
