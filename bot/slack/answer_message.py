"""An answer as a message: each sentence with its numbers, the passages below, what may be asked for, and two buttons.

Nothing that a document, a model or a person wrote is parsed as markup here, and only our own records make links.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime

from bot.core.excerpt import excerpt, in_a_row, words_asked
from bot.core.question import Answer, PolicyQuestion, Sentence, Suggestion, Where
from bot.core.request import Passage
from bot.core.words import is_old, one_line, span
from bot.ports import Message
from bot.slack.blocks import (
    Block,
    actions,
    bullets,
    button,
    context,
    escape,
    href,
    line,
    link,
    quote,
    rich,
    said,
    section,
    text,
)

HELPFUL, NOT_RIGHT, REQUEST_THIS = "answer_helpful", "answer_not_right", "request_this"
HAND_ON = "hand_question_on"
LOOKING = "Looking in our documents…"
PASSAGE, QUOTED = 700, 240
_CHANNEL = re.compile(r"[CG][A-Z0-9]{6,}")


def looking(question: PolicyQuestion) -> Message:
    """The first sign."""
    return Message(LOOKING, [*_asked(question), context(LOOKING)])


def draw(question: PolicyQuestion, answer: Answer) -> Message:
    """The whole answer."""
    found = [*_body(answer, question), *_closed(answer, question)]
    blocks = [*_asked(question), *found, *_suggested(answer.suggestion, question), *_last(question, answer)]
    return Message(_spoken(answer), blocks)


def one_more(answer: Answer) -> list[Block]:
    """The last sentence so far, for an answer that is still being written."""
    return [rich(line(*_sentence(answer.sentences[-1], answer)))]


def handed_on(question: PolicyQuestion, link: str) -> Message:
    """For responders: what somebody asked that the documents do not answer, and where they wait."""
    words = f"<@{question.user}> asks what our documents do not answer."
    where = href(link, "Answer in its thread") if link else f"They asked privately: write to <@{question.user}>."
    return Message(words, [section(words), rich(quote(question.text, limit=500)), section(where)])


def _asked(question: PolicyQuestion) -> Iterator[Block]:
    """What was asked by command stands in no message of its own."""
    if question.where is Where.COMMAND:
        yield rich(line(text("You asked:", bold=True)), quote(question.text, limit=500))


def _body(answer: Answer, question: PolicyQuestion) -> Iterator[Block]:
    if answer.sentences:
        yield from _warned(answer)
        yield rich(*(line(*_sentence(one, answer)) for one in answer.sentences))
        yield rich(*(bullets([_source(n, one, answer, question)]) for n, one in enumerate(answer.passages, 1)))
    elif answer.passages:
        yield from _warned(answer)
        shown = (_passage(one, question, f"[{n}] ") for n, one in enumerate(answer.passages, 1))
        yield rich(*(block for blocks in shown for block in blocks))
    else:
        yield from _refusal(answer, question)
        return
    yield context(said(answer.note, 300))


def _warned(answer: Answer) -> Iterator[Block]:
    """What a reader should know before they rely on it."""
    if _differs(answer):
        yield section("*Our documents do not agree on this.* Each sentence is shown with the date of its source.")
    if answer.only_chat:
        told = _told((*answer.passages, *answer.closed))
        yield section(f"*No policy was found.* This is what people wrote {told}, and it decides nothing.")


def _differs(answer: Answer) -> bool:
    """Several sources that are said to contradict each other; one alone cannot."""
    return answer.conflict and len(answer.passages) > 1


def _sentence(sentence: Sentence, answer: Answer) -> Iterator[Block]:
    yield text(f"{one_line(sentence.text, 400)} ", limit=401)
    for number in sentence.cites:
        yield link(answer.passages[number - 1].url, f"[{number}]")
        if _differs(answer):
            yield text(_dated(answer.passages[number - 1]))
    if doubt := _doubt(sentence, answer):
        yield text(f" · {doubt}")


def _doubt(sentence: Sentence, answer: Answer) -> str:
    """What has to be said beside a sentence that no document bears."""
    told = _told(answer.passages[number - 1] for number in sentence.cites)
    return f"said {told}, not a policy" if answer.is_hearsay(sentence) else ""


def _source(number: int, passage: Passage, answer: Answer, question: PolicyQuestion) -> list[Block]:
    """Where it stands, and the very words that a sentence rests on, unless they are the sentence's own."""
    cited = [one for one in answer.sentences if number in one.cites]
    words = next((one.quote for one in cited if one.quote not in one.text), "")
    quoted = [text(f": “{one_line(words, QUOTED)}”", limit=QUOTED + 4)] if words else []
    return [text(f"[{number}] "), *_place(passage, question), *quoted]


def _passage(passage: Passage, question: PolicyQuestion, mark: str) -> list[Block]:
    """With its words from where they speak of what was asked."""
    place = bullets([[*([text(mark)] if mark else []), *_place(passage, question)]])
    words = excerpt(passage.text, words_asked(question.text), PASSAGE)
    return [place, quote(in_a_row(words), limit=PASSAGE)]


def _closed(answer: Answer, question: PolicyQuestion) -> Iterator[Block]:
    if answer.closed:
        title = line(text("For this channel alone", bold=True), text(" · the model does not see it"))
        yield rich(title, *(block for one in answer.closed for block in _passage(one, question, "")))


def _dated(passage: Passage) -> str:
    return f" ({_day(passage.updated_at)})" if passage.updated_at else " (no date)"


def _place(passage: Passage, question: PolicyQuestion) -> list[Block]:
    name = f"{passage.title} › {passage.heading}" if passage.heading else passage.title
    whose = f" · {_by(passage)} {_told([passage])}, not a policy" if passage.chat else ""
    return [link(passage.url, name), text(f"{whose}{_updated(passage.updated_at, question.asked_at)}" or " ")]


def _updated(at: datetime | None, now: datetime) -> str:
    return f" · updated {_day(at)}{' · ⚠ old' if is_old(at, now) else ''}" if at else ""


def _day(at: datetime) -> str:
    return f"{at:%-d %b %Y}"


def _told(passages: Iterable[Passage]) -> str:
    """Where people said it."""
    return "in an earlier request" if all(one.decided for one in passages) else "in chat"


def _by(passage: Passage) -> str:
    return one_line(", ".join(passage.authors[:3]), 100) or "somebody"


def _refusal(answer: Answer, question: PolicyQuestion) -> Iterator[Block]:
    yield section(said(answer.note, 500))
    if answer.nearest:
        places = [_place(one, question) for one in answer.nearest]
        yield rich(line(text("Nearest in our documents", bold=True)), bullets(places))
    if answer.contact:
        yield section(f"Ask {_contact(answer.contact)}.")


def _contact(contact: str) -> str:
    return f"in <#{contact}>" if _CHANNEL.fullmatch(contact) else said(contact, 200)


def _suggested(suggestion: Suggestion | None, question: PolicyQuestion) -> Iterator[Block]:
    if suggestion is None:
        return
    one = suggestion.entitlement
    limits = f"sensitivity {one.sensitivity.value}, at most {span(one.max_minutes)}"
    yield section(f"You can ask for *{said(one.title, 100)}*: {said(suggestion.why, 300)}. {limits.capitalize()}.")
    yield actions("answer_access", button("Request access", REQUEST_THIS, f"{one.id}|{question.id}", style="primary"))


def _last(question: PolicyQuestion, answer: Answer) -> Iterator[Block]:
    """What to do about an answer, or about there being none."""
    if answer.supported:
        yield actions(
            "answer_rating", button("Helpful", HELPFUL, question.id), button("Not right", NOT_RIGHT, question.id)
        )
    if answer.may_hand_on:
        yield actions("answer_hand_on", button("Ask the responders", HAND_ON, question.id))


def _aloud(sentence: Sentence, answer: Answer) -> str:
    doubt = _doubt(sentence, answer)
    return f"{one_line(sentence.text, 400)} ({doubt})" if doubt else sentence.text


def _spoken(answer: Answer) -> str:
    """For notifications and screen readers, which see no blocks."""
    if answer.sentences:
        return escape(one_line(" ".join(_aloud(one, answer) for one in answer.sentences), 1000))
    if answer.passages:
        return escape(one_line(f"{answer.note} {answer.passages[0].title}: {answer.passages[0].text}", 600))
    return escape(one_line(answer.note, 600))
