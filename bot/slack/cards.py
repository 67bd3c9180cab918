"""The two messages that follow a request to its end: the card for responders, and the requester's own.

A card is a view: the whole of it is drawn from the stored request on every change.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from bot import page
from bot.core.lifecycle import FINAL, OPEN, State
from bot.core.request import Request
from bot.core.verdict import tally
from bot.core.words import date, one_line, span
from bot.ports import Message
from bot.slack import findings
from bot.slack.blocks import (
    Block,
    actions,
    bullets,
    button,
    characters,
    confirm,
    context,
    fields,
    header,
    href,
    line,
    option,
    quote,
    rich,
    said,
    section,
    text,
    when,
)

APPROVE, APPROVE_LESS, DENY, ASK = "approve", "approve_less", "deny", "ask"
NOT_ME, DETAILS, SHOW_ADVICE, RETRY, TAKE = "not_me", "details", "show_advice", "retry", "take"
WITHDRAW, GIVE_BACK, REPLY, EXTEND = "withdraw", "give_back", "reply", "extend"
STOP = "stop"
SHORTER = (15, 30, 60, 120, 240, 480, 1440)
BUDGET = 12_000  # Slack refuses a message of more than about 13,200 characters, though each block be within its limit
ROOMS = (300, 160, 80, 40)

STANDING = {
    State.RECEIVED: "⏳ Gathering: *Approve* appears when the plan is known",
    State.PENDING: "🟡 Waiting for a decision",
    State.APPROVED: "🔵 Approved, not granted yet",
    State.ACTIVE: "🟢 Granted and read back",
    State.DONE: "🟢 Done and read back",
    State.ENDED: "⚪ Ended",
    State.DENIED: "🔴 Denied",
    State.EXPIRED: "⚪ Expired",
    State.WITHDRAWN: "⚪ Withdrawn",
    State.FAILED: "🔴 Could not be granted",
    State.REFUSED: "⚪ Refused by policy",
}
OVERDUE = "🔴 Overdue: the access should be gone and could not be removed yet"
HALTED = "🟠 Stopped: the access is being taken back"
FROZEN = "❄️ Approved, and it waits: everything is frozen, nothing is granted until it is thawed"
LEFT_BEHIND = "🔴 Could not be granted, and what was written could not be removed yet"
TELLS_WHY = FINAL | {State.FAILED}

# --- the responder's card --------------------------------------------------------------------------------------------


def card(request: Request, *, page_url: str | None = None) -> Message:
    """The context card in the responder channel; what was looked up makes room when it is all too much for Slack."""
    for room in ROOMS:
        blocks = [*_card(request, page_url, room)]
        if characters(blocks) <= BUDGET:
            break
    return Message(text=sentence(request), blocks=blocks)


def _card(request: Request, page_url: str | None, room: int) -> Iterator[Block]:
    yield from _what(request)
    yield from _status(request)
    if request.plan is not None:
        yield _plan(request)
    if request.state in OPEN:
        yield from findings.on_card(request, room)
        yield from _questions(request, room)
    yield from _footer(request, page_url)
    yield from _buttons(request)


def sentence(request: Request) -> str:
    """The card as one sentence, for notifications and screen readers."""
    return said(f"{request.id}: {page.asks(request)}. {_bare(_standing(request))}.", 2000)


def _standing(request: Request) -> str:
    if request.revoke_overdue:
        return OVERDUE if request.state is State.ACTIVE else LEFT_BEHIND
    if request.halted:
        return HALTED
    return FROZEN if request.frozen else STANDING[request.state]


def _bare(words: str) -> str:
    return words.partition(" ")[2].replace("*", "")


def _what(request: Request) -> Iterator[Block]:
    yield header(f"{request.id} · {request.entitlement.title}")
    pairs = [("Asked by", _who(request.requester.name, request.requester.email))]
    if not _own(request):
        pairs.append(("For", _who(request.beneficiary.name, request.beneficiary.email)))
    pairs += [("How long", span(_minutes(request))), ("Sensitivity", request.entitlement.sensitivity.value)]
    if request.extends:
        pairs.append(("Extends", page.extends(request)))
    if request.ticket:
        pairs.append(("Ticket", request.ticket))
    if request.can_wait:
        pairs.append(("Urgency", "can wait until morning"))
    yield fields(pairs)
    yield rich(quote(request.justification))


def _status(request: Request) -> Iterator[Block]:
    standing = _standing(request)
    words = standing if "*" in standing else f"*{standing}*"
    if request.revoke_overdue:
        words += ". It is tried until it is gone."
    yield section(f"{words}{_status_detail(request)}")
    if request.frozen:
        yield rich(quote(request.frozen, limit=500))
    if request.outcome and (request.halted or request.state in TELLS_WHY):
        yield rich(quote(request.outcome, limit=500))


def _status_detail(request: Request) -> str:
    grant, names = request.grant, said(page.deciders(request))
    match request.state:
        case State.PENDING:
            return f" · {count(request)}"
        case State.ACTIVE if grant and grant.ends_at:
            return f" · approved by {names} · ends {when(grant.ends_at)}"
        case State.APPROVED | State.DONE | State.DENIED:
            return f" · by {names}"
        case _:
            return ""


def count(request: Request) -> str:
    """How many approvals there are, of how many, and by whom."""
    needed = request.ruling.approvals if request.ruling else 1
    counted = tally(request.decisions, needed=needed, minutes=request.minutes)
    who = f" ({said(page.deciders(request))})" if counted.approvals else ""
    return f"{counted.approvals} of {counted.needed} approvals{who}"


def _plan(request: Request) -> Block:
    lines = request.plan.lines if request.plan else ()
    ends = request.grant.ends_at if request.grant else None
    rows = [[text(_as_granted(request, words))] for words in lines]
    if ends is None and request.plan is not None and request.state in OPEN:
        rows.append([text(f"if approved now, removes on {date(_if_now(request))}")])
    return rich(line(text(_plan_title(request), bold=True)), bullets(rows))


def _minutes(request: Request) -> int:
    """As granted, which may be less than was asked for."""
    return request.grant.minutes if request.grant else request.minutes


def _as_granted(request: Request, words: str) -> str:
    """A line of the plan; the one that tells when it is removed keeps to the time that was granted."""
    granted = span(_minutes(request))
    return words.replace(span(request.minutes), granted) if words.startswith("removes ") else words


def _plan_title(request: Request) -> str:
    if request.state in (State.ACTIVE, State.ENDED, State.DONE):
        return "What was done"
    if request.state in FINAL and request.grant is not None and not request.grant.held_before:
        return f"What was begun and {'was' if request.grant.revoked_at else 'is being'} taken back"
    return "What was asked for; nothing of it was done" if request.state in FINAL else "What will be done"


def _if_now(request: Request) -> datetime:
    begins = request.extends.ends_at if request.extends else request.planned_at or request.created_at
    return begins + timedelta(minutes=request.minutes)


def _questions(request: Request, room: int) -> Iterator[Block]:
    for question in request.questions[-3:]:
        answer = question.answer or "(no answer yet)"
        yield rich(
            line(text(f"{one_line(question.asked_by, 80)} asked: ", bold=True), text(question.text, limit=room)),
            line(text("Answer: ", bold=True), text(answer, limit=3 * room)),
        )


def _footer(request: Request, page_url: str | None) -> Iterator[Block]:
    entitlement = request.entitlement
    rule = request.ruling.rule if request.ruling else f"catalogue/{entitlement.id}"
    parts = [f"Decided by members of {_deciding(request)} · rule {said(rule)}"]
    if request.state in OPEN:
        parts.append(f"expires {when(request.deadline)}")
    if page_url:
        parts.append(href(page_url, "page"))
    yield context(" · ".join(parts))
    if request.state in OPEN and request.advice and request.advice.note:
        yield context(f"ℹ {said(request.advice.note, 300)}")
    if (trouble := request.trouble.get("plan")) and request.state is State.RECEIVED:
        yield context(f"⚠ Nobody can approve yet, the plan is not known: {said(trouble, 150)}. It is tried again.")
    if (trouble := request.trouble.get("page")) and not request.incident_id and request.state in OPEN:
        yield context(f"⚠ Nobody has been paged yet: {said(trouble, 150)}. It is tried again.")


def _buttons(request: Request) -> Iterator[Block]:
    if request.state is State.FAILED and (request.grant is None or request.grant.revoked_at):
        yield actions(
            "retry",
            button("Try again", RETRY, request.id),
            stop_button(request),
            button("Details", DETAILS, request.id),
        )
    elif request.stoppable:
        yield actions("live", stop_button(request), button("Details", DETAILS, request.id))
    if request.state in OPEN:
        yield actions("decide", *_decide_buttons(request))
        yield actions("more", *_more_buttons(request))


def stop_button(request: Request) -> Block:
    """*Stop*, with its question: for whoever may decide it, alone."""
    what = "is taken back now" if request.state is State.ACTIVE else "is not granted"
    ask = confirm(
        f"Stop {request.id}?", f"{request.entitlement.title} {what}. Everybody is told that it was you.", "Stop"
    )
    return button("Stop", STOP, request.id, style="danger", confirm=ask)


def _decide_buttons(request: Request) -> Iterator[Block]:
    if request.decidable and request.plan is not None:
        value = f"{request.id}:{request.plan.digest}"
        ask = confirm(f"Approve {request.id}?", f"This {'; '.join(request.plan.lines)}.", "Approve")
        yield button("Approve", APPROVE, value, style="primary", confirm=ask)
        shorter = [option(f"Approve for {span(n)}", f"{value}:{n}") for n in SHORTER if n < request.minutes]
        if shorter:
            yield {
                "type": "static_select",
                "action_id": APPROVE_LESS,
                "placeholder": {"type": "plain_text", "text": "Approve for less", "emoji": False},
                "options": shorter,
            }
    yield button("Deny", DENY, request.id, style="danger")


def _more_buttons(request: Request) -> Iterator[Block]:
    yield button("Ask", ASK, request.id)
    if request.advice is not None:
        yield button("Show advice", SHOW_ADVICE, request.id)
    if request.incident_id:
        yield button("Not me", NOT_ME, request.id)
    yield button("Details", DETAILS, request.id)


# --- the requester's own messages ------------------------------------------------------------------------------------


def requester_card(request: Request) -> Message:
    """The direct message that follows the request to its end."""
    blocks = [header(f"{request.id} · {request.entitlement.title}"), *_status(request)]
    whom = [] if _own(request) else [("For", _who(request.beneficiary.name, request.beneficiary.email))]
    more = [("Extends", page.extends(request))] if request.extends else []
    blocks.append(fields([("How long", span(_minutes(request))), *more, *whom]))
    blocks.append(rich(quote(request.justification)))
    if request.state in OPEN:
        blocks.append(context(f"{_who_decides(request)} · expires {when(request.deadline)}"))
        ask = confirm(f"Withdraw {request.id}?", "Nobody will be asked any more.", "Withdraw")
        blocks.append(actions("own", button("Withdraw", WITHDRAW, request.id, confirm=ask)))
    if request.state is State.ACTIVE:
        blocks.append(actions("own", give_back_button(request)))
    return Message(text=sentence(request), blocks=blocks)


def give_back_button(request: Request) -> Block:
    """*Give back*, with its question."""
    ask = confirm(f"Give back {request.id}?", f"{request.entitlement.title} is removed now.", "Give back")
    return button("Give back", GIVE_BACK, request.id, confirm=ask)


def extend_button(request: Request) -> Block:
    """*Extend* opens a form."""
    return button("Extend", EXTEND, request.id)


def _who_decides(request: Request) -> str:
    return f"Members of {_deciding(request)} decide"


def _deciding(request: Request) -> str:
    first, *fallback = (said(group) for group in request.deciding_groups)
    return f"{first} and, as nobody had answered, of {fallback[0]}" if fallback else first


def _own(request: Request) -> bool:
    return request.requester.id == request.beneficiary.id


def _who(name: str, email: str) -> str:
    return f"{name} ({email})"
