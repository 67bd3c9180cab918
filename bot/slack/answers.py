"""Questions to the bot in Slack: a mention, a direct message, `/ask`; and the buttons below an answer.

Before an acknowledgement there is one local commit. One question is one message of Slack's: channel and timestamp name
it, so that an event that comes again, or as an edit, asks nothing new.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from typing import Any

from bot.core.question import PolicyQuestion, Where
from bot.core.words import one_line
from bot.errors import Fault, Refused
from bot.handing_on import HandingOn
from bot.journey import Journey
from bot.ledger import Audit, Rated
from bot.screen import looks_secret
from bot.slack.answer_message import HAND_ON, HELPFUL
from bot.slack.beside import Beside
from bot.slack.blocks import unescape
from bot.slack.payload import Body, thread_of, user_of

COMMAND = "/ask"
LONGEST = 500
NOT_NOW = "Your question cannot be taken just now. Please ask again in a minute."
WHAT = "Write your question after the command, such as `/ask who can approve production access?`"
ON_ITS_WAY = "Looking. The answer comes as a direct message from me."
MOST_AN_HOUR = 30
OFTEN = f"You asked {MOST_AN_HOUR} questions within the hour, as many as one person may. Please ask again later."
EMPTY = "Ask me a question about access, such as “who can approve production access?”"
RATED = {
    Rated.ANEW: "Thank you. That is recorded; press the other button if you change your mind.",
    Rated.AS_BEFORE: "That is on record already; press the other button if you change your mind.",
    Rated.FORGOTTEN: "This answer is too old to be rated.",
}
SPOKEN = frozenset({"", "file_share", "me_message", "thread_broadcast"})  # subtypes that somebody's own words come as
_USER = re.compile(r"<@[A-Z0-9]+(?:\|[^>]*)?>")
_CHANNEL = re.compile(r"<#[A-Z0-9]+(?:\|([^>]*))?>")
_LINK = re.compile(r"<(?:[^>|]*\|)?([^>]*)>")
_EMOJI = re.compile(r":[\w+'-]+:")


class Answers:
    """Bolt's handlers around answers. `open_form` opens the request form for somebody, filled in."""

    def __init__(
        self,
        journey: Journey,
        beside: Beside,
        *,
        channels: Collection[str],
        bot_user: str,
        open_form: Callable[[Body, str, str], Awaitable[None]],
    ) -> None:
        self._journey = journey
        self._beside = beside
        self._channels = channels
        self._bot_user = bot_user
        self._open_form = open_form

    async def on_mention(self, event: Body, body: Body) -> None:
        """A mention is a question in an ask channel; elsewhere one person is told where to ask."""
        if not self._is_a_persons(event, body):
            return
        if event["channel"] in self._channels:
            await self._take(event, Where.MENTION)
        elif await self._journey.ledger.accept("slack.mention", f"{event['channel']}/{event['ts']}"):
            words, thread = where_to_ask(self._channels), str(event.get("thread_ts") or "")
            whisper = self._journey.chat.whisper(str(event["channel"]), str(event["user"]), words, thread=thread)
            self._beside.tell(whisper)

    async def on_message(self, event: Body, body: Body) -> None:
        """Whatever somebody writes to the bot directly is a question."""
        if self._is_a_persons(event, body):
            await self._take(event, Where.DIRECT)

    def _is_a_persons(self, event: Body, body: Body) -> bool:
        """Not a bot's, not our own, not an edit or a notice, and of this workspace."""
        foreign = str(body.get("team_id") or "") != self._journey.home_team
        user, kind = event.get("user"), event.get("subtype") or ""
        return not (foreign or event.get("bot_id") or kind not in SPOKEN or not user or user == self._bot_user)

    async def _take(self, event: Body, where: Where) -> None:
        ts, channel = str(event["ts"]), str(event["channel"])
        question = PolicyQuestion(
            id=f"{channel}/{ts}",
            where=where,
            team=str(event.get("team") or ""),
            user=str(event["user"]),
            channel=channel,
            thread=str(event.get("thread_ts") or ts),
            text=asked(str(event.get("text") or "")),
            asked_at=self._journey.clock.now(),
        )
        await self._store(question)

    async def _store(self, question: PolicyQuestion) -> None:
        """One commit; words that look like a secret go no further, and nobody keeps the model to themselves."""
        if found := looks_secret(question.text):
            seen = f"This looks like {found}. Remove it, and replace it: it was seen."
            await self._journey.ledger.take_question(replace(question, text=""), lambda _: seen)
        else:
            empty = "" if has_words(question.text) else EMPTY
            await self._journey.ledger.take_question(question, lambda asked: OFTEN if asked >= MOST_AN_HOUR else empty)

    async def on_command(self, ack: Any, body: Body) -> None:
        """`/ask` is answered by a direct message, so that it survives whatever happens meanwhile."""
        text = asked(str(body.get("text") or ""))
        if not has_words(text):
            await ack(WHAT)
            return
        question = PolicyQuestion(
            id=f"{body['user_id']}/{body['trigger_id']}",
            where=Where.COMMAND,
            team=str(body.get("team_id") or ""),
            user=str(body["user_id"]),
            channel="",
            thread="",
            text=text,
            asked_at=self._journey.clock.now(),
        )
        try:
            await self._store(question)
        except Fault:
            await ack(NOT_NOW)
        else:
            await ack(ON_ITS_WAY)

    # --- the buttons ------------------------------------------------------------------------------------------------

    async def on_rating(self, ack: Any, body: Body) -> None:
        """*Helpful* or *Not right*: one opinion a person, which they may change."""
        action, user = body["actions"][0], user_of(body)
        helpful, question = action["action_id"] == HELPFUL, str(action.get("value") or "")
        audit = Audit(user, "answer.rated", {"question": question, "helpful": helpful})
        rated = await self._journey.ledger.rate(question, user, helpful=helpful, audit=audit)
        await ack()
        self._tell(body, RATED[rated])

    async def on_hand_on(self, ack: Any, body: Body) -> None:
        """*Ask the responders* passes the question on, once."""
        user, name = user_of(body), str(body["actions"][0].get("value") or "")
        try:
            words = await HandingOn(self._journey).take(await self._journey.ledger.policy_question(name), user)
        except Refused as refused:
            words = refused.sentence
            detail = {"rule": refused.rule, "press": HAND_ON, "question": name}
            await self._journey.ledger.note_event(Audit(user, "press.refused", detail))
        await ack()
        self._tell(body, words)

    def _tell(self, body: Body, words: str) -> None:
        """Tell whoever pressed, below the answer on which they did."""
        channel = str((body.get("channel") or {}).get("id") or "")
        self._beside.tell(self._journey.chat.whisper(channel, user_of(body), words, thread=thread_of(body)))

    async def on_request(self, ack: Any, body: Body) -> None:
        """*Request access* opens the form with what was suggested; a need in the asker's own words is their reason."""
        await ack()
        access, _, name = str(body["actions"][0].get("value") or "").partition("|")
        question = await self._journey.ledger.policy_question(name)
        own = question is not None and question.user == user_of(body) and not question.text.endswith("?")
        await self._open_form(body, access, question.text if own and question else "")


async def is_direct(event: Body) -> bool:
    """Whether a message was written to the bot alone."""
    return event.get("channel_type") == "im"


def where_to_ask(channels: Collection[str]) -> str:
    """For whoever mentions the bot elsewhere."""
    places = [f"<#{channel}>" for channel in channels]
    return f"Ask me in {' or '.join([*places, 'a direct message to me'])}, or with `{COMMAND}` anywhere."


def has_words(text: str) -> bool:
    """Whether there is anything to look up, which signs and emoji are not."""
    return any(map(str.isalnum, _EMOJI.sub("", text)))


def asked(text: str) -> str:
    """The words of a question as a person reads them: no mentions, no link targets, one line."""
    words = _USER.sub(" ", text)
    words = _CHANNEL.sub(lambda found: f"#{found[1]}" if found[1] else " ", words)
    return one_line(unescape(_LINK.sub(lambda found: found[1], words)), LONGEST)
