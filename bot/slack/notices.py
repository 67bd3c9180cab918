"""Short messages: news for the requester and the channel, what waits for too long or ends soon, codes."""

from __future__ import annotations

from datetime import datetime

from bot import page
from bot.core.lifecycle import OPEN, State
from bot.core.request import Request
from bot.ports import Message
from bot.slack.blocks import Block, actions, button, href, said, section, when
from bot.slack.cards import REPLY, TAKE, count, extend_button, give_back_button, sentence

SAYS = {
    "remind": "still waits for a decision",
    "silence": "nobody has answered, so the next level is paged",
    "fallback": "nobody has answered, so {fallback} may decide it as well",
}


def waits(request: Request, what: str, *, card: str | None) -> Message:
    """For the responder channel: how a request stands that nobody answers."""
    named = request.entitlement.fallback
    says = SAYS[what].format(fallback=said(named.group, 100) if named else "nobody")
    return _message(request, f"{says}; without an answer it expires {when(request.deadline)}.", card=card)


def decide_as_fallback(request: Request, *, card: str | None) -> Message:
    """For a member of the fallback group."""
    group = said(request.entitlement.approvers.group, 100)
    says = f"nobody in {group} has answered, so you may decide it now."
    return _message(request, f"{says} Without an answer it expires {when(request.deadline)}.", card=card)


def ends_soon(request: Request, ends_at: datetime) -> Message:
    """For whoever holds the access: it ends by itself, unless they ask for longer."""
    words = f"*{request.id}* · {said(request.entitlement.title, 100)} ends {when(ends_at)}."
    if not request.room:
        words += " It cannot be extended; ask for it anew if you need it after that."
    longer = [extend_button(request)] if request.room else []
    return Message(text=words, blocks=[section(words), actions("ending", *longer, give_back_button(request))])


def _message(request: Request, says: str, *, card: str | None) -> Message:
    link = f" {href(card, 'Open the card')}" if card else ""
    words = f"*{request.id}* · {said(page.asks(request), 300)}: {says}{link}"
    return Message(text=words, blocks=[section(words)])


def told(request: Request, what: str) -> Message | None:
    """A short notice in the requester's direct messages; None when there is nothing to say (any more)."""
    words = _notice(request, what)
    if words is None:
        return None
    whole = f"*{request.id}* · {said(request.entitlement.title, 100)}: {words}"
    return Message(text=whole, blocks=[section(whole), *_notice_buttons(request, what)])


def _notice(request: Request, what: str) -> str | None:
    match what.partition(":")[0]:
        case "outcome" | "ended" | "stopped" | "frozen" as how:
            return said(page.outcome(request), 2000) if _is_news(request, how) else None
        case "progress":
            return f"{count(request)} so far." if request.state is State.PENDING else None
        case "again":
            return "the plan changed before it could be carried out, so responders are asked again."
        case "closed":
            return (
                "the page was closed without a decision. Your request is still open, and somebody is asked again soon."
            )
        case "question":
            question = next((one for one in request.questions if str(one.id) == what.partition(":")[2]), None)
            return f"{said(question.asked_by, 100)} asks: {said(question.text, 1000)}" if question else None
        case _:
            return None


def _is_news(request: Request, how: str) -> bool:
    """That it ended is told in its own words, and that it is frozen only while it is."""
    if how == "frozen":
        return request.frozen != ""
    return how == "ended" or request.state is not State.ENDED


def _notice_buttons(request: Request, what: str) -> list[Block]:
    kind, _, number = what.partition(":")
    if kind != "question" or request.state not in OPEN:
        return []
    return [actions("answer", button("Answer", REPLY, f"{request.id}:{number}", style="primary"))]


def announced(request: Request, what: str) -> Message | None:
    """For everybody in the responder channel; None when there is nothing to say (any more)."""
    if what == "stopped":
        words = f"*{request.id}*: {said(page.outcome(request), 2000)}"
        return Message(text=words, blocks=[section(words)])
    return _page_closed(request) if request.state in OPEN else None


def frozen_notice(by: str, why: str) -> Message:
    """For the channels in which requests are decided."""
    words = (
        f"❄️ *Everything is frozen* by {said(by, 100)}: {said(why, 1000)}\n"
        "Requests can be made and decided; nothing is granted until it is thawed. Access still ends on time."
    )
    return Message(text=words, blocks=[section(words)])


def thawed_notice(by: str) -> Message:
    """The same channels, afterwards."""
    words = f"*Thawed* by {said(by, 100)}: what was approved meanwhile is granted now, after one more check."
    return Message(text=words, blocks=[section(words)])


def _page_closed(request: Request) -> Message:
    """Closing the page decided nothing."""
    words = (
        f"*{request.id}*: the page was closed without a decision, so nothing is decided. "
        "It is paged once more in ten minutes unless somebody takes it or decides it."
    )
    return Message(text=words, blocks=[section(words), actions("take", button("I take it", TAKE, request.id))])


def code_message(request: Request, code: str) -> Message:
    """Somebody's own one-time code for a comment on the page."""
    words = (
        f"{sentence(request)}\n"
        f"To approve from PagerDuty, comment exactly: `approve {request.id} {code}`\n"
        "The code is yours alone, works once, and only for the plan that the page shows."
    )
    return Message(text=words, blocks=[section(words)])


def too_late(request: Request) -> str:
    """For whoever answered after it was decided."""
    if request.state in OPEN:
        return f"{request.id} cannot be approved yet; look at the card again."
    return f"Too late for {request.id}: {page.outcome(request)}"
