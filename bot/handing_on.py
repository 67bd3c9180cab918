"""A question that the documents do not answer, passed on to the people who decide, when its asker wants that."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.core.question import PolicyQuestion, Where
from bot.errors import Refused
from bot.journey import Journey
from bot.ledger import Audit, Due, Job
from bot.ports import Sent
from bot.slack import answer_message

HANDED_ON = "question.handed_on"
MOST, WITHIN = 3, timedelta(hours=1)
PASSED, BEFORE = "Passed on to the people who decide about access.", "This was passed on already."
IN_THREAD, IN_PERSON = "They answer in this thread.", "They write to you directly."


@dataclass(frozen=True, slots=True)
class HandingOn:
    """Over the same ports as the story."""

    journey: Journey

    async def take(self, question: PolicyQuestion | None, user: str) -> str:
        """Take somebody's wish to pass a question on, once; the answer tells them what happens."""
        if question is None:
            raise Refused("This question is too old to be passed on. Please ask it again.", rule="question#forgotten")
        if question.user != user:
            raise Refused("Only whoever asked can pass this on. Ask your own question first.", rule="question#asker")
        ledger, since, once = self.journey.ledger, self.journey.clock.now() - WITHIN, f"{user}/{question.id}"
        answers = IN_THREAD if question.where is Where.MENTION else IN_PERSON
        if await ledger.accepted(HANDED_ON, [once]):
            return f"{BEFORE} {answers}"
        if await ledger.accepted_since(HANDED_ON, f"{user}/", since) >= MOST:
            sentence = f"You passed {MOST} questions on within the hour. Please wait for their answers."
            raise Refused(sentence, rule="question#often")
        audit = Audit(user, HANDED_ON, {"question": question.id})
        await ledger.accept(HANDED_ON, once, audit=audit, jobs=[Due("hand_on", subject=question.id)])
        return f"{PASSED} {answers}"

    async def hand_on(self, job: Job) -> datetime | None:
        """Post a question (the job's subject) in the responder channel, once."""
        question = await self.journey.ledger.policy_question(job.subject)
        if question is None:
            return None
        chat, channel, key = self.journey.chat, self.journey.limits.responder_channel, f"{question.id}/hand_on"
        found = await chat.find(channel, key=key, since=question.asked_at) if job.attempts > 1 else None
        if found is None:
            there = chat.link(Sent(question.channel, question.answer_ts)) if question.where is Where.MENTION else ""
            await chat.post(channel, answer_message.handed_on(question, there), key=key)
        return None
