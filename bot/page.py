"""What an incident says, in plain text: the first 500 characters are enough to decide on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from bot.core.citing import cited
from bot.core.excerpt import cut, in_a_row
from bot.core.lifecycle import OPEN, State
from bot.core.request import (
    CHAT_SHOWN,
    DOCUMENTS_SHOWN,
    Answer,
    Evidence,
    Flag,
    Passage,
    Place,
    Precedent,
    Request,
    Sensitivity,
    Wake,
)
from bot.core.words import date, one_line, span
from bot.ports import Page

TITLE_LIMIT = 200
BODY_LIMIT = 18_000
HEAD_LIMIT = 500
PASSAGE_LIMIT = 400
WHERE = {Place.SLACK: "in Slack", Place.PAGERDUTY: "on the page"}


def about(request: Request, *, card: str | None, key: str = "") -> Page:
    """The whole page about a request; `key` for another one than its first."""
    urgent = request.entitlement.wake is Wake.HIGH and not request.can_wait
    return Page(
        key=key or request.id,
        title=title(request),
        body=body(request, card=card),
        urgency="high" if urgent else "low",
        escalation_policy=request.entitlement.approvers.escalation_policy,
        link=card or "",
    )


def title(request: Request) -> str:
    """Who asks for what, for how long: what a phone shows when it rings."""
    return one_line(f"{request.id}: {asks(request)}", TITLE_LIMIT)


def asks(request: Request) -> str:
    """Who asks for what, for whom, for how long: short enough for a title whatever the names are."""
    whom = "" if _own(request) else f" for {one_line(request.beneficiary.name, 30)}"
    more = " more" if request.extends else ""
    what = f"{one_line(request.entitlement.title, 60)}{whom} for {span(request.minutes)}{more}"
    return f"{one_line(request.requester.name, 30)} asks for {what}"


def extends(request: Request) -> str:
    """What it extends, and how long that becomes; empty for what extends nothing."""
    return f"{request.extends.of}, {span(request.minutes_in_total)} in total" if request.extends else ""


def body(request: Request, *, card: str | None) -> str:
    """Everything that is known, most important first; the way to the card stays, however much there is."""
    head, rest, tail = ("\n".join(lines) for lines in (_head(request), _rest(request), _tail(card)))
    return "\n\n".join([head, rest[: BODY_LIMIT - len(head) - len(tail) - 4], tail])


def _head(request: Request) -> Iterator[str]:
    """Who, what, risk, why, the exact comment, what if nothing is done, and why you: within 500 characters."""
    entitlement = request.entitlement
    first = f"{asks(request)}. Risk {entitlement.sensitivity.value}."
    rest = [
        *how_to_answer(request),
        f"If nobody answers it expires at {date(request.deadline)}; nothing is granted.",
        f"You are asked because {one_line(entitlement.approvers.group, 60)} decides this and you are on call.",
    ]
    room = HEAD_LIMIT - sum(len(line) + 1 for line in ["Why: ", first, *rest])
    yield from [first, f"Why: {one_line(request.justification, room)}", *rest]


def how_to_answer(request: Request) -> Iterator[str]:
    """The exact line to write, by what kind of request it is."""
    if request.entitlement.sensitivity is Sensitivity.CRITICAL:
        yield "Critical: decided on the card in Slack only; a comment here decides nothing."
    elif request.entitlement.sensitivity is Sensitivity.HIGH:
        yield f"Comment: approve {request.id} and your code (sent to you in Slack)   or: deny {request.id} reason"
    else:
        yield f"Comment: approve {request.id}   or: deny {request.id} reason"


def _rest(request: Request) -> Iterator[str]:
    yield f"Asked by: {_who(request.requester.name, request.requester.email)}"
    yield f"For: {_who(request.beneficiary.name, request.beneficiary.email)}"
    yield f"What: {one_line(request.entitlement.title, 200)} ({request.entitlement.id})"
    yield f"How long: {span(request.minutes)}"
    if request.extends:
        yield f"Extends: {extends(request)}"
    if request.ticket:
        yield f"Ticket: {one_line(request.ticket, 500)}"
    yield f"Justification: {one_line(request.justification, 2000)}"
    yield ""
    yield from _plan_lines(request)
    yield from _asked_back(request)
    if (evidence := cut(request, PASSAGE_LIMIT)) is not None:
        yield from _evidence_lines(evidence)


def _asked_back(request: Request) -> Iterator[str]:
    """What was asked on the card before this page went out; later questions follow as notes."""
    for question in request.questions:
        yield f"{one_line(question.asked_by, 80)} asked: {one_line(question.text, 1000)}"
        yield f"Answer: {one_line(question.answer, 1000) or '(no answer yet)'}"


def _tail(card: str | None) -> Iterator[str]:
    yield f"Card: {card}" if card else "The Slack card could not be posted yet; it will be linked when it is there."
    yield "Acknowledging or resolving this incident decides nothing."


def _plan_lines(request: Request) -> Iterator[str]:
    if request.plan is None or request.ruling is None:
        yield "Plan: not known yet, so an approval cannot count yet. It follows as a note."
        return
    yield "Plan:"
    yield from (f"- {one_line(line, 300)}" for line in request.plan.lines)
    ruling = request.ruling
    yield one_line(f"Rule: {ruling.rule}; approvals needed: {ruling.approvals}, from {ruling.approver_group}", 600)


def _evidence_lines(evidence: Evidence) -> Iterator[str]:
    yield ""
    yield "What is known:"
    for fact in evidence.facts:
        mark = "! " if fact.flag is Flag.WARN else ""
        yield f"- {mark}{one_line(fact.label, 80)}: {one_line(fact.value, 300)}"
    for name in evidence.silent:
        yield f"- ! {one_line(name, 80)} did not answer in time, so what it knows is missing here"
    for passage in (*evidence.documents[:DOCUMENTS_SHOWN], *evidence.chat[:CHAT_SHOWN]):
        place = " > ".join(one_line(part, 100) for part in (passage.title, passage.heading) if part)
        yield f"- {_mark(passage)}{place}: {one_line(in_a_row(passage.text), PASSAGE_LIMIT)}"
        yield f"  {one_line(passage.url, 500)}"
    if evidence.left_out:
        yield f"- {evidence.left_out}"
    if count := len(evidence.closed):
        yield f"- On the card: {count} more passage{'s' if count > 1 else ''} that only the responders' channel may see"
    for earlier in evidence.precedents:
        yield f"- {one_line(_earlier(earlier), 260)}"


def _mark(passage: Passage) -> str:
    """How far to trust it."""
    if passage.theirs:
        return "! Written by whoever asks or is to get it, no policy: "
    if passage.chat:
        return f"Said in Slack by {one_line(', '.join(passage.authors), 120) or 'somebody'}, no policy: "
    dated = f" ({passage.updated_at:%-d %b %Y})" if passage.updated_at else ""
    return f"Document{dated}: "


def _earlier(one: Precedent) -> str:
    what = f" for {one.title}" if one.title else ""
    return f"{one.request_id}{what} ({date(one.at)}): {one.verdict}. {one.reason}"


def plan_note(request: Request) -> str:
    """The plan, when it became known or changed after the page. No two rounds say the same."""
    plan = request.plan
    news = "is known now" if request.round == 1 else f"has changed (round {request.round}; earlier answers are void)"
    lines = [f"{request.id}: the plan {news}; answers count from this note on."]
    lines += [f"- {one_line(line, 300)}" for line in (plan.lines if plan else ())]
    return "\n".join([*lines, *how_to_answer(request)])


def card_note(request: Request, card: str) -> str:
    """Where the card is, for a page that could not say."""
    return f"{request.id}: the Slack card is there now: {card}"


def advice_note(request: Request) -> str:
    """The model's suggestion, labelled as what it is."""
    advice = request.advice
    if advice is None or advice.note:
        return f"{request.id}: {one_line(advice.note, 500) if advice else 'no recommendation'}"
    leaning = advice.leaning.value.replace("_", " ")
    lines = [f"{request.id}: AI suggestion, may be wrong: {leaning} ({one_line(advice.model, 100)})"]
    seen = [(one_line(reason.text, 300), one_line(cited(reason, request.evidence), 200)) for reason in advice.reasons]
    lines += [f"- {words} [{where}]" if where else f"- {words}" for words, where in seen]
    return "\n".join(lines)


def answer_waits(text: str, *, receipt: str) -> str:
    """For whoever commented something that cannot be checked yet."""
    return f"{text} (note {receipt})"


def reply(request: Request, text: str, *, receipt: str, card: str | None) -> str:
    """An answer to a comment that decided nothing: why, and what to write while it can still be decided."""
    lines = [f"{request.id}: a comment decided nothing (note {receipt}): {text}"]
    if request.state in OPEN:
        lines += [*how_to_answer(request), *([f"Card: {card}"] if card else [])]
    if request.stoppable:
        lines.append(how_to_stop(request))
    return "\n".join(lines)


def outcome_note(request: Request) -> str:
    """Where the request stands, in one note, and how to stop it where that is possible."""
    how = f"\n{how_to_stop(request)}" if request.stoppable else ""
    return f"{request.id}: {outcome(request)}{how}"


def closing_note(request: Request) -> str:
    """The last note on the page: how it ended, or that nobody tried again what had failed."""
    if request.state is State.FAILED:
        return f"{request.id}: nobody tried it again in time, so nothing was granted. Whoever still needs it asks anew."
    return outcome_note(request)


def how_to_stop(request: Request) -> str:
    """The exact line to write."""
    return f"To stop it, comment: stop {request.id}"


def outcome(request: Request) -> str:
    """How it ended or stands, in a sentence; says granted only when the access was read back."""
    grant = request.grant
    match request.state:
        case State.ACTIVE if request.halted:
            return f"{one_line(request.outcome, 300)} The access is being taken back."
        case State.ACTIVE if grant and grant.ends_at:
            return f"approved by {deciders(request)}; granted and read back; ends {date(grant.ends_at)}."
        case State.DONE:
            return f"approved by {deciders(request)}; done and read back."
        case State.ENDED:
            return f"ended. {one_line(request.outcome, 300)}"
        case State.DENIED:
            reason = one_line(request.outcome, 300)
            return f"denied by {deciders(request)}." + (f" Reason: {reason}" if reason else "")
        case State.APPROVED:
            waits = f"Everything is frozen, so it waits. {one_line(request.frozen, 300)}" if request.frozen else ""
            return f"approved by {deciders(request)}; not granted yet. {waits}".strip()
        case _:
            return f"{request.state.value}. {one_line(request.outcome, 300)}".strip()


def deciders(request: Request) -> str:
    """The people whose answers made the outcome."""
    wanted = Answer.DENY if request.state is State.DENIED else Answer.APPROVE
    names = [f"{one.name} {WHERE[one.place]}" for one in request.decisions if one.answer is wanted]
    return one_line(" and ".join(names), 200) or "nobody"


def overdue(request: Request, times: int = 0) -> Page:
    """The page for access that could not be taken back: it wakes somebody. `times` is how often it was sent before."""
    lines = request.plan.lines if request.plan else ()
    heading = f"{request.id}: access of {request.beneficiary.name} is overdue and could not be removed"
    text = [
        "It should be gone and could not be taken away; it is tried again until it is.",
        "Remove it by hand if it must be gone now:",
        *(f"- {one_line(line, 300)}" for line in lines),
    ]
    heading = one_line(heading, TITLE_LIMIT)
    key = f"{request.id}/overdue/{times + 1}" if times else f"{request.id}/overdue"
    return Page(key=key, title=heading, body="\n".join(text), urgency="high")


def listing(policy: str, at: datetime, *, most: int) -> Page:
    """One page an hour for all requests beyond the ceiling. It is quiet, and decides nothing."""
    text = [
        f"More than {most} requests were paged within an hour, so those that follow are listed here as comments.",
        "Each of them is decided by itself, on its own card in Slack. A comment here decides nothing.",
    ]
    key = f"listing/{policy or 'service'}/{at:%Y-%m-%dT%H}"
    heading = "More access requests wait than are paged one by one"
    return Page(key=key, title=heading, body="\n".join(text), urgency="low", escalation_policy=policy or None)


def listed(request: Request, waiting: int, *, card: str | None) -> str:
    """One request on the page for all."""
    count = "1 request waits" if waiting == 1 else f"{waiting} requests wait"
    where = f" Card: {card}" if card else ""
    return f"{count} here, decided one by one. {title(request)}.{where}"


def _own(request: Request) -> bool:
    return request.requester.id == request.beneficiary.id


def _who(name: str, email: str) -> str:
    return one_line(f"{name} <{email}>", 200)
