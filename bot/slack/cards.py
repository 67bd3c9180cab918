"""The messages people read: the card for responders, the requester's own message, and short notices.

A card is a view: the whole of it is drawn from the stored request on every change.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from bot import page
from bot.core.lifecycle import OPEN, State
from bot.core.request import Evidence, Fact, Flag, Passage, Precedent, Request
from bot.core.verdict import tally
from bot.core.words import date, one_line, span
from bot.ports import Message
from bot.slack.blocks import (
    Block,
    actions,
    bullets,
    button,
    confirm,
    context,
    escape,
    fields,
    header,
    line,
    link,
    option,
    quote,
    rich,
    section,
    text,
    when,
)

APPROVE, APPROVE_LESS, DENY, ASK = "approve", "approve_less", "deny", "ask"
NOT_ME, DETAILS, SHOW_ADVICE, RETRY = "not_me", "details", "show_advice", "retry"
WITHDRAW, GIVE_BACK, REPLY = "withdraw", "give_back", "reply"
SHORTER = (15, 30, 60, 120, 240, 480, 1440)
PASSAGE_LIMIT = 280

MARKS = {Flag.PLAIN: "", Flag.GOOD: "✓ ", Flag.WARN: "⚠ Check: ", Flag.SILENT: "⚠ "}
STANDING = {
    State.RECEIVED: "⏳ Gathering: *Approve* appears when the plan is known",
    State.PENDING: "🟡 Waiting for a decision",
    State.APPROVED: "🔵 Approved, not granted yet",
    State.ACTIVE: "🟢 Granted and read back",
    State.DONE: "🟢 Done and read back",
    State.ENDED: "⚪ Ended",
    State.DENIED: "🔴 Denied",
    State.EXPIRED: "⚪ Expired: nobody decided in time",
    State.WITHDRAWN: "⚪ Withdrawn by the requester",
    State.FAILED: "🔴 Could not be granted",
    State.REFUSED: "⚪ Refused by policy",
}

# --- the responder's card --------------------------------------------------------------------------------------------


def card(request: Request, *, page_url: str | None = None) -> Message:
    """The context card in the responder channel."""
    blocks = [*_what(request), *_status(request)]
    if request.plan is not None:
        blocks.append(_plan(request))
    if request.state in OPEN:
        blocks += [*_evidence(request), *_questions(request)]
    blocks += [*_footer(request, page_url), *_buttons(request)]
    return Message(text=sentence(request), blocks=blocks)


def sentence(request: Request) -> str:
    """The card as one sentence, for notifications and screen readers."""
    whom = "" if _own(request) else f" for {request.beneficiary.name}"
    asks = (
        f"{request.id}: {request.requester.name} asks for {request.entitlement.title}{whom} for {span(request.minutes)}"
    )
    return escape(one_line(f"{asks}. {_bare(STANDING[request.state])}.", 600))


def _bare(words: str) -> str:
    return words.partition(" ")[2].replace("*", "")


def _what(request: Request) -> Iterator[Block]:
    yield header(f"{request.id} · {request.entitlement.title}")
    pairs = [("Asked by", _who(request.requester.name, request.requester.email))]
    if not _own(request):
        pairs.append(("For", _who(request.beneficiary.name, request.beneficiary.email)))
    pairs += [("How long", span(request.minutes)), ("Sensitivity", request.entitlement.sensitivity.value)]
    if request.ticket:
        pairs.append(("Ticket", request.ticket))
    if request.can_wait:
        pairs.append(("Urgency", "can wait until morning"))
    yield fields(pairs)
    yield rich(quote(request.justification))


def _status(request: Request) -> Iterator[Block]:
    words = f"*{STANDING[request.state]}*" if "*" not in STANDING[request.state] else STANDING[request.state]
    if request.revoke_overdue:
        words = "🔴 *Overdue: the time is up and the access could not be removed yet.* It is tried until it is gone."
    yield section(f"{words}{_status_detail(request)}")


def _status_detail(request: Request) -> str:
    grant, names = request.grant, escape(page.deciders(request))
    reason = escape(one_line(request.outcome, 500))
    match request.state:
        case State.PENDING:
            return f" · {_count(request)}"
        case State.ACTIVE if grant and grant.ends_at:
            return f" · approved by {names} · ends {when(grant.ends_at)}"
        case State.APPROVED | State.DONE:
            return f" · by {names}"
        case State.DENIED:
            return f" · by {names}" + (f"\nReason: {reason}" if reason else "")
        case State.ENDED | State.FAILED | State.REFUSED | State.WITHDRAWN:
            return f"\n{reason}" if reason else ""
        case _:
            return ""


def _count(request: Request) -> str:
    needed = request.ruling.approvals if request.ruling else 1
    counted = tally(request.decisions, needed=needed, minutes=request.minutes)
    who = f" ({escape(page.deciders(request))})" if counted.approvals else ""
    return f"{counted.approvals} of {counted.needed} approvals{who}"


def _plan(request: Request) -> Block:
    lines = request.plan.lines if request.plan else ()
    done = request.state in (State.ACTIVE, State.ENDED, State.DONE)
    title = "What was done" if done else "What will be done"
    ends = request.grant.ends_at if request.grant else None
    rows = [[text(words)] for words in lines]
    if ends is None and request.plan is not None and request.state in OPEN:
        rows.append([text(f"if approved now, removes on {date(_if_now(request))}")])
    return rich(line(text(title, bold=True)), bullets(rows))


def _if_now(request: Request) -> datetime:
    return (request.planned_at or request.created_at) + timedelta(minutes=request.minutes)


def _evidence(request: Request) -> Iterator[Block]:
    evidence = request.evidence
    if evidence is None:
        yield context("Looking things up…")
        return
    if evidence.facts or evidence.silent:
        yield rich(line(text("What is known", bold=True)), bullets([*_facts(evidence)]))
    yield rich(line(text("What the documents say", bold=True)), *_passages(evidence))
    yield rich(line(text("Earlier requests for this", bold=True)), bullets([*_precedents(evidence)]))


def _facts(evidence: Evidence) -> Iterator[list[Block]]:
    yield from (_fact(fact) for fact in evidence.facts[:20])
    for name in evidence.silent:
        yield [text(f"⚠ {name} did not answer in time, so what it knows is missing here")]


def _fact(fact: Fact) -> list[Block]:
    return [text(f"{MARKS[fact.flag]}{one_line(fact.label, 80)}: ", bold=True), text(fact.value)]


def _passages(evidence: Evidence) -> list[Block]:
    if not evidence.passages:
        return [bullets([[text("Nothing was found.")]])]
    return [block for passage in evidence.passages[:3] for block in _passage(passage)]


def _passage(passage: Passage) -> list[Block]:
    age = f" · updated {passage.updated_at:%-d %b %Y}" if passage.updated_at else ""
    place = f"{passage.title} › {passage.heading}" if passage.heading else passage.title
    return [bullets([[link(passage.url, place), text(age or " ")]]), quote(passage.text, limit=PASSAGE_LIMIT)]


def _precedents(evidence: Evidence) -> Iterator[list[Block]]:
    if not evidence.precedents:
        yield [text("None: this is the first.")]
    yield from (_precedent(one) for one in evidence.precedents[:3])


def _precedent(one: Precedent) -> list[Block]:
    reason = f": {one.reason}" if one.reason else ""
    words = f"{one.request_id} · {one.requester} · {span(one.minutes)} · {one.outcome}{reason} · {date(one.at)}"
    return [text(words)]


def _questions(request: Request) -> Iterator[Block]:
    for question in request.questions[-3:]:
        answer = question.answer or "(no answer yet)"
        yield rich(
            line(text(f"{question.asked_by} asked: ", bold=True), text(question.text, limit=500)),
            line(text("Answer: ", bold=True), text(answer, limit=1000)),
        )


def _footer(request: Request, page_url: str | None) -> Iterator[Block]:
    entitlement = request.entitlement
    rule = request.ruling.rule if request.ruling else f"catalogue/{entitlement.id}"
    parts = [f"Decided by members of {escape(entitlement.approvers.group)} · rule {escape(rule)}"]
    if request.state in OPEN:
        parts.append(f"expires {when(request.deadline)}")
    if page_url:
        parts.append(f"<{page_url}|page>")
    yield context(" · ".join(parts))
    if (trouble := request.trouble.get("page")) and not request.incident_id:
        yield context(f"⚠ Nobody has been paged yet: {escape(one_line(trouble, 150))}. It is tried again.")


def _buttons(request: Request) -> Iterator[Block]:
    if request.state is State.FAILED:
        yield actions("retry", button("Try again", RETRY, request.id), button("Details", DETAILS, request.id))
    if request.state in OPEN:
        yield actions("decide", *_decide_buttons(request))
        yield actions("more", *_more_buttons(request))


def _decide_buttons(request: Request) -> Iterator[Block]:
    if request.decidable and request.plan is not None:
        value = f"{request.id}:{request.plan.digest}"
        ask = confirm(f"Approve {request.id}?", f"{request.plan.lines[0]}, for {span(request.minutes)}.", "Approve")
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
    blocks.append(fields([("How long", span(request.minutes)), *whom]))
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


def _who_decides(request: Request) -> str:
    return f"Members of {escape(request.entitlement.approvers.group)} decide"


def told(request: Request, what: str) -> Message | None:
    """A short notice in the requester's direct messages; None when there is nothing to say (any more)."""
    words = _notice(request, what)
    if words is None:
        return None
    whole = f"*{request.id}* · {escape(one_line(request.entitlement.title, 100))}: {words}"
    return Message(text=whole, blocks=[section(whole), *_notice_buttons(request, what)])


def _notice(request: Request, what: str) -> str | None:
    match what.partition(":")[0]:
        case "outcome" | "ended":
            return escape(page.outcome(request))
        case "progress":
            return f"{_count(request)} so far." if request.state is State.PENDING else None
        case "again":
            return "the plan changed before it could be carried out, so responders are asked again."
        case "closed":
            return (
                "the page was closed without a decision. Your request is still open, and somebody is asked again soon."
            )
        case "question":
            question = next((one for one in request.questions if str(one.id) == what.partition(":")[2]), None)
            return f"{escape(question.asked_by)} asks: {escape(one_line(question.text, 500))}" if question else None
        case _:
            return None


def _notice_buttons(request: Request, what: str) -> list[Block]:
    kind, _, number = what.partition(":")
    if kind != "question" or request.state not in OPEN:
        return []
    return [actions("answer", button("Answer", REPLY, f"{request.id}:{number}", style="primary"))]


def code_message(request: Request, code: str) -> Message:
    """Somebody's own one-time code for a comment on the page."""
    words = (
        f"*{request.id}* · {escape(one_line(sentence(request), 300))}\n"
        f"To approve from PagerDuty, comment exactly: `approve {request.id} {code}`\n"
        "The code is yours alone, works once, and only for the plan that the page shows."
    )
    return Message(text=words, blocks=[section(words)])


def too_late(request: Request) -> str:
    """For whoever answered after it was decided."""
    if request.state in OPEN:
        return f"{request.id} cannot be approved yet; look at the card again."
    return f"Too late: {request.id} is {request.state.value}. {page.outcome(request)}"


def _own(request: Request) -> bool:
    return request.requester.id == request.beneficiary.id


def _who(name: str, email: str) -> str:
    return f"{name} ({email})"
