"""Short messages about a request that waits for too long or ends soon."""

from __future__ import annotations

from datetime import datetime

from bot import page
from bot.core.request import Request
from bot.ports import Message
from bot.slack.blocks import actions, href, said, section, when
from bot.slack.cards import extend_button, give_back_button

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
