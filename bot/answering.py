"""Policy questions, answered where they were asked: look, search, ask the model, check every quote, show.

A question is a job: its message is posted at once, found again after a crash, and made to say the answer. Where Slack
takes a stream, each sentence is shown as soon as the model has written it and its quote was found. What is shown is
what everybody in that place may see, whoever asks, and it is looked up once more right before it is shown.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol

from bot import nameless
from bot.audience import members_see
from bot.claims import Busy, ClaimLost
from bot.core.passages import LOOKED_THROUGH, documents_first
from bot.core.question import Answer, PolicyQuestion, Said, Sentence, Suggestion, Where
from bot.core.request import CLOSED_SHOWN, Passage, Person, Quotes, Standing
from bot.errors import Fault, Refused
from bot.growing import Growing
from bot.journey import Journey
from bot.ledger import Audit, Job
from bot.people import identify
from bot.ports import Answerer, Asked, Heard, Sent, Streams
from bot.slack import answer_message
from bot.suggesting import Likeness, suggest
from knowledge.sources import DECIDED, DOCUMENT, EVERYBODY
from knowledge.support import supported

if TYPE_CHECKING:
    from knowledge.search import Result

log = logging.getLogger(__name__)

PASSAGES, CHAT, SHOWN_ALONE, NEAREST, EARLIER = 10, 2, 3, 3, 3
COMPOSE_SECONDS = 40.0
PATIENCE = timedelta(seconds=45)  # for a vendor that fails meanwhile; then the asker is told
LATE_POST = timedelta(seconds=60)
NOT_OURS = frozenset({"people#team", "people#full-member"})
GONE = frozenset(
    ["message_not_found", "channel_not_found", "thread_not_found", "not_in_channel", "is_archived", "user_disabled"]
)
SORRY = "This could not be looked up just now, so there is no answer. Please ask again in a few minutes."
NO_MODEL = "No model is configured, so these are the best passages of our documents themselves."
MODEL_FAILED = "The model gave no usable answer, so these are the best passages of our documents themselves."
NOTHING = "Our documents do not answer this, as far as I can tell."
NOTHING_OPEN = "What everybody may read does not answer this, as far as I can tell."


class Library(Protocol):
    """The company's own words, for a place's audience."""

    async def passages(
        self, queries: Sequence[str], *, limit: int = 3, audience: frozenset[str] = EVERYBODY
    ) -> Sequence[Passage]: ...

    async def still(self, passages: Sequence[Passage], *, audience: frozenset[str]) -> Quotes: ...

    async def search(
        self, queries: Sequence[str], k: int = 5, *, audience: frozenset[str] = EVERYBODY
    ) -> Sequence[Result]: ...


@dataclass(frozen=True, slots=True)
class Answering:
    """The steps of one answer. `contact` is whom to ask when there is none: a channel's id, words, or nobody."""

    journey: Journey
    library: Library
    answerer: Answerer | None
    likeness: Likeness
    domains: Sequence[str]
    contact: str
    streams: Streams

    async def answer(self, job: Job) -> datetime | None:
        """Answer one question (the job's subject), once, however often this runs."""
        question = await self.journey.ledger.policy_question(job.subject)
        if question is None:  # forgotten meanwhile
            return None
        try:
            if question.answered_at is not None:
                await self._remove_twins(question)
                return None
            await self._answer(job, question)
        except Fault as fault:
            if not (fault.permanent or fault.what in GONE):
                raise
            log.warning("cannot answer there: %s", fault, extra={"step": "answer", "vendor": fault.vendor})
            return None
        return self.journey.clock.now() + LATE_POST if job.attempts > 1 else None

    async def _answer(self, job: Job, question: PolicyQuestion) -> None:
        growing = await self._begin(job, question)
        sent = growing.sent
        there = replace(question, channel=sent.channel, answer_ts=sent.ts)
        answer, person = await self._compose(there, str(job.payload["refusal"]), growing)
        message = answer_message.draw(there, answer)
        await growing.close()
        await self.journey.chat.update(sent, message, key=_key(question))
        shown = {"question": question.id, "supported": answer.supported, "ts": sent.ts, "shows": message.fingerprint}
        audit = Audit(person or question.user, "answer.shown", {**shown, "sources": _sources(answer)})
        await self.journey.ledger.answer_given(question, person=person, audit=audit)

    # --- one message a question -------------------------------------------------------------------------------------

    async def _begin(self, job: Job, question: PolicyQuestion) -> Growing:
        """The message that will hold the answer: the first sign, within a second."""
        if question.answer_ts:
            return Growing(Sent(question.channel, question.answer_ts), _key(question))
        channel = question.channel or await self.journey.chat.dm_channel(question.user)
        sent = await self._find(replace(question, channel=channel)) if job.attempts > 1 else None
        growing = Growing(sent, _key(question)) if sent else await self._first_sign(question, channel)
        await self.journey.ledger.answer_stands(question.id, growing.sent)
        return growing

    async def _first_sign(self, question: PolicyQuestion, channel: str) -> Growing:
        key, reader = _key(question), (question.team or self.journey.home_team, question.user)
        sent = await self.streams.start(channel, question.thread, answer_message.LOOKING, key=key, reader=reader)
        if sent is not None:
            return Growing(sent, key, self.streams)
        looking = answer_message.looking(question)
        return Growing(await self.journey.chat.post(channel, looking, key=key, thread=question.thread), key)

    async def _find(self, question: PolicyQuestion) -> Sent | None:
        """What an earlier attempt may have posted before its answer was lost."""
        chat = self.journey.chat
        if not question.thread:
            return await chat.find(question.channel, key=_key(question), since=question.asked_at)
        return next(iter(await chat.find_replies(question.channel, question.thread, key=_key(question))), None)

    async def _remove_twins(self, question: PolicyQuestion) -> None:
        """A post that was given up may have arrived after it was looked for in vain: of two one goes."""
        chat = self.journey.chat
        if not question.thread:
            await self.journey.showing.look_later(question.channel)
            return
        for one in await chat.find_replies(question.channel, question.thread, key=_key(question)):
            if one.ts != question.answer_ts:
                await chat.delete(one)

    # --- what it says -----------------------------------------------------------------------------------------------

    async def _compose(self, question: PolicyQuestion, refusal: str, growing: Growing) -> tuple[Answer, str]:
        """The answer, and who asked as far as that is known. Whatever fails ends in words that say so."""
        if refusal:
            return Answer(refusal), ""
        try:
            async with asyncio.timeout(COMPOSE_SECONDS):
                return await self._composed(question, growing)
        except Refused as refused:
            return Answer(refused.sentence), ""
        except (ClaimLost, Busy):  # somebody else answers
            raise
        except Exception as problem:  # whatever broke, a mistake of ours too: nobody waits for ever
            if _may_pass(problem) and self._is_young(question):
                raise
            log.warning("no answer: %s", problem, extra={"step": "answer"})
            return self._no_answer(SORRY), ""

    def _is_young(self, question: PolicyQuestion) -> bool:
        return self.journey.clock.now() - question.asked_at < PATIENCE

    async def _composed(self, question: PolicyQuestion, growing: Growing) -> tuple[Answer, str]:
        who = asyncio.ensure_future(self._asker(question))
        earlier = await self.journey.ledger.asked_before(question, most=EARLIER)
        queries = [f"{earlier[-1]} {question.text}", question.text] if earlier else [question.text]
        seen = partial(self._seen_now, question)
        try:
            passages, closed = await asyncio.gather(self._open(queries), self._closed(question, queries))
            asker = await who  # whoever may not ask costs no model's time
        finally:
            who.cancel()
        (said, note), suggestion = await asyncio.gather(
            self._say(question, earlier, passages, _Telling(growing, passages, seen)),
            self._suggest(question, earlier, asker),
        )
        found = _cited(Answer(note, said.sentences, passages, conflict=said.conflict, closed=closed))
        answer = await self._as_seen_now(question, queries, found)
        return replace(answer, suggestion=suggestion), asker[0].id if asker else ""

    async def _asker(self, question: PolicyQuestion) -> tuple[Person, Standing] | None:
        """Who asks and what they hold; None when they have no account that could ask for access."""
        journey = self.journey
        try:
            person = await identify(
                question.user,
                ledger=journey.ledger,
                chat=journey.chat,
                directory=journey.directory,
                home_team=journey.home_team,
                domains=self.domains,
            )
            return person, await journey.directory.standing(person.id, max_age=60.0)
        except Refused as refused:
            if refused.rule in NOT_OURS:
                raise
            return None
        except Fault as fault:
            if fault.vendor == "slack":  # whether they are one of us cannot be told
                raise
            return None

    async def _audience(self, question: PolicyQuestion) -> frozenset[str]:
        """What everybody in the place of the answer may see; when in doubt, what everybody may."""
        channel = question.channel
        if question.where is not Where.MENTION or not await self.journey.chat.is_closed(channel):
            return EVERYBODY
        return members_see(channel, self.journey.limits.responder_channel)

    async def _open(self, queries: Sequence[str]) -> Sequence[Passage]:
        """What everybody may see, with little of what people say."""
        found = await self.library.passages(queries, limit=LOOKED_THROUGH)
        return documents_first(found, documents=PASSAGES, chat=CHAT)

    async def _closed(self, question: PolicyQuestion, queries: Sequence[str]) -> Sequence[Passage]:
        """What the people of its channel alone may see: shown there, and told to no model."""
        closed = await self._audience(question) - EVERYBODY
        return await self.library.passages(queries, limit=CLOSED_SHOWN, audience=closed) if closed else ()

    async def _say(
        self, question: PolicyQuestion, earlier: Sequence[str], passages: Sequence[Passage], telling: _Telling
    ) -> tuple[Said, str]:
        """What the model says that the passages support, and a word on how it came about."""
        if not passages:
            return Said(()), NOTHING
        if self.answerer is None:
            return Said(()), NO_MODEL
        names = [one.name for one in await self.journey.ledger.people()]
        asked, *before = (nameless.a_question(one, names) for one in (question.text, *earlier))
        told = [nameless.what_was_said(one, names) for one in passages]
        try:
            heard = await telling.begin()
            said = await self.answerer.answer(Asked(asked, before, told), heard)
        except Fault as fault:
            log.warning("no answer of the model: %s", fault, extra={"step": "answer", "vendor": fault.vendor})
            return Said(()), MODEL_FAILED
        said = replace(said, sentences=supported(said.sentences, passages))
        return said, f"Written by {self.answerer.model} from the passages above." if said.sentences else NOTHING

    async def _suggest(
        self, question: PolicyQuestion, earlier: Sequence[str], asker: tuple[Person, Standing] | None
    ) -> Suggestion | None:
        """Access that fits the need, of what this person may ask for."""
        if asker is None:
            return None
        need = " ".join([*earlier[-1:], question.text])
        try:
            return await suggest(need, asker[1], self.journey.rules.entitlements, self.likeness)
        except Fault as fault:
            log.warning("nothing is suggested: %s", fault, extra={"step": "answer", "vendor": fault.vendor})
            return None

    async def _as_seen_now(self, question: PolicyQuestion, queries: Sequence[str], answer: Answer) -> Answer:
        """Only what this place may see at this moment; a channel or document may have been closed meanwhile."""
        now = await self._seen_now(question, answer.passages)
        as_now = [now.get(number, one) for number, one in enumerate(answer.passages, 1)]
        closed = list((await self._seen_now(question, answer.closed)).values())
        answer = _only(replace(answer, passages=as_now, closed=closed), list(now))
        if answer.passages and answer.note != NOTHING:
            return answer
        if closed:
            return replace(self._no_answer(NOTHING_OPEN), closed=closed)
        audience = await self._audience(question)
        nearest = [_pointer(one) for one in await self.library.search(queries, 2 * NEAREST, audience=audience)]
        return replace(self._no_answer(NOTHING), nearest=_by_document(nearest)[:NEAREST])

    def _no_answer(self, note: str) -> Answer:
        """Nobody is left without a way on: whom the company names, or the responders at the press of a button."""
        return Answer(note, contact=self.contact, may_hand_on=not self.contact)

    async def _seen_now(self, question: PolicyQuestion, passages: Sequence[Passage]) -> Mapping[int, Passage]:
        """The passages that the place may see at this moment, by number, as they stand now."""
        if not passages:
            return {}
        audience = await self._audience(question)
        now = {one.row: one for one in (await self.library.still(passages, audience=audience)).passages}
        return {number: now[one.row] for number, one in enumerate(passages, 1) if one.row in now}


@dataclass(slots=True)
class _Telling:
    """Shows each sentence that stands as soon as the model has written it; `seen` looks once more before."""

    growing: Growing
    passages: Sequence[Passage]
    seen: Callable[[Sequence[Passage]], Awaitable[Mapping[int, Passage]]]
    _told: list[Sentence] = field(default_factory=list)

    async def begin(self) -> Heard | None:
        """Say that we read, and whom the model may tell; None where nothing is shown before the end."""
        await self.growing.say(self._task)
        return self.hear if self.growing.grows else None

    @property
    def _task(self) -> str:
        return f"Reading {len(self.passages)} passage{'s' * (len(self.passages) != 1)} of our documents…"

    async def hear(self, sentence: Sentence) -> None:
        standing = supported([sentence], self.passages)
        if not standing or not self.growing.grows:
            return
        try:
            now = await self.seen(self.passages)
        except Fault as fault:  # whether it may be seen cannot be told
            log.warning("a sentence waits for the whole answer: %s", fault, extra={"step": "answer"})
            return
        if now.keys() >= set(standing[0].cites):
            self._told += standing
            answer = _cited(Answer("", self._told, self.passages))
            await self.growing.say(self._task, answer_message.one_more(answer))


def _may_pass(problem: Exception) -> bool:
    """Whether it is worth another try, which is logged where it fails."""
    return not isinstance(problem, TimeoutError) and not (isinstance(problem, Fault) and problem.permanent)


def _key(question: PolicyQuestion) -> str:
    return f"{question.id}/answer"


def _cited(answer: Answer) -> Answer:
    """Only the passages that a sentence rests on, in the order of the sentences; without sentences the best few.

    What rests on nothing but chat is said last.
    """
    if not answer.sentences:
        return replace(answer, passages=answer.passages[:SHOWN_ALONE])
    sentences = sorted(answer.sentences, key=lambda one: answer.is_hearsay(one))
    numbers = list(dict.fromkeys(n for one in sentences for n in one.cites))
    return _only(replace(answer, sentences=sentences), numbers)


def _only(answer: Answer, numbers: Sequence[int]) -> Answer:
    """With these passages alone, numbered anew; a sentence that rests on none of them goes."""
    anew = {old: new for new, old in enumerate(numbers, 1)}
    kept = [replace(one, cites=tuple(anew[n] for n in one.cites if n in anew)) for one in answer.sentences]
    sentences = [one for one in kept if one.cites]
    passages = [answer.passages[n - 1] for n in numbers]
    return replace(answer, sentences=sentences, passages=passages if sentences or not answer.sentences else ())


def _pointer(result: Result) -> Passage:
    """Where something stands, without its words."""
    chat, decided = result.kind != DOCUMENT, result.kind == DECIDED
    authors = tuple(one.name for one in result.authors)
    place = (result.id, result.title, result.heading, "", result.url)
    return Passage(*place, result.updated_at, chat, authors, decided=decided)


def _by_document(passages: Iterable[Passage]) -> list[Passage]:
    """Each once, documents before what people said."""
    once: dict[str, Passage] = {}
    for one in passages:
        once.setdefault(one.title, one)
    return sorted(once.values(), key=lambda one: one.chat)


def _sources(answer: Answer) -> list[str]:
    return [one.url or one.title for one in (*answer.passages, *answer.closed, *answer.nearest)]
