"""The answers to policy questions, in each way that one can turn out."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from bot.core.question import Answer, PolicyQuestion, Sentence, Suggestion, Where
from bot.core.request import Passage
from bot.ports import Message
from bot.slack.answer_message import draw, handed_on, looking, one_more
from tests.builders import NOW, an_entitlement, some_chat

HERE = Path(__file__).parent / "answers"
WRITTEN = "Written by a-model from the passages above."
NOTHING = "Our documents do not answer this, as far as I can tell."
NOTHING_OPEN = "What everybody may read does not answer this, as far as I can tell."
ASKED = PolicyQuestion(
    "C0ASK/1.0", Where.MENTION, "T0EXAMPLE", "U0ALICE", "C0ASK", "1.0", "Who can approve production access?", NOW
)
POLICY = Passage(
    "p1",
    "Production access",
    "The three levels",
    "Members of iam-approvers decide. Access is granted for hours.",
    "https://handbook.example.com/production-access#the-three-levels",
    NOW - timedelta(days=30),
)
OLDER = replace(
    POLICY,
    id="p2",
    title="On call",
    heading="",
    text="The person on call decides about production.",
    url="https://handbook.example.com/on-call",
    updated_at=NOW - timedelta(days=400),
)
CLOSED = replace(OLDER, id="p3", title="Exceptions", text="During an audit nobody outside Security gets it.")
LONG = replace(
    POLICY, text="\n".join(["Every level has its own page.", *["What else there is."] * 60, POLICY.text, "Ask early."])
)
DECIDE = Sentence("Whoever is in iam-approvers can approve it.", (1,), "Members of iam-approvers decide.")
AN_HOUR = Sentence("An hour is usually enough.", (1,), "an hour of reading is usually enough")
ON_CALL = Sentence("The person on call decides.", (2,), "The person on call decides about production.")


def answers() -> dict[str, Answer]:
    """By the name of its file."""
    whole = Answer(WRITTEN, [DECIDE, replace(ON_CALL, cites=(2, 1))], [POLICY, OLDER])
    suggestion = Suggestion(an_entitlement(), "it fits “production”; of several that do it gives the least")
    refusal = Answer(NOTHING, nearest=[POLICY, OLDER])
    return {
        "written": whole,
        "suggested": replace(whole, suggestion=suggestion),
        "conflict": replace(whole, sentences=[DECIDE, ON_CALL], conflict=True),
        "only-chat": Answer(WRITTEN, [AN_HOUR], [some_chat()]),
        "chat-beside-policy": Answer(WRITTEN, [DECIDE, replace(AN_HOUR, cites=(2,))], [POLICY, some_chat()]),
        "for-the-channel-alone": replace(whole, closed=[CLOSED]),
        "nothing-but-for-the-channel-alone": Answer(NOTHING_OPEN, closed=[CLOSED], may_hand_on=True),
        "a-long-passage": Answer("No model is configured, so these are the best passages.", passages=[LONG]),
        "no-model": Answer("No model is configured, so these are the best passages.", passages=[POLICY, some_chat()]),
        "refused-with-a-contact": replace(refusal, contact="C0HELPDESK"),
        "refused-to-be-passed-on": replace(refusal, may_hand_on=True),
        "nothing-near": Answer(NOTHING, may_hand_on=True),
        "may-not-ask": Answer("Only full members of Example Corp can ask here."),
    }


def drawn() -> dict[str, str]:
    """Each file's content."""
    by_command = replace(ASKED, where=Where.COMMAND, thread="")
    messages = {name: draw(ASKED, answer) for name, answer in answers().items()}
    messages |= {
        "by-command": draw(by_command, answers()["written"]),
        "looking": looking(ASKED),
        "growing": Message(" ", one_more(answers()["written"])),
        "passed-on": handed_on(ASKED, "https://example-corp.slack.com/archives/C0ASK/p10"),
        "passed-on-from-a-direct-message": handed_on(by_command, ""),
    }
    return {name: _text(message) for name, message in messages.items()}


def _text(message: Message) -> str:
    return json.dumps({"text": message.text, "blocks": message.blocks}, indent=1, ensure_ascii=False) + "\n"
