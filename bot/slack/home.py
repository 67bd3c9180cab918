"""The App Home: ask, follow what is yours, give back early, and see what waits for you."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bot.core.lifecycle import State
from bot.core.request import Request
from bot.core.words import span
from bot.slack.blocks import Block, actions, button, context, header, href, said, section, when
from bot.slack.cards import STANDING, WITHDRAW, extend_button, give_back_button

OPEN_FORM = "open_request_form"


def home(
    mine: Sequence[Request],
    waiting: Sequence[tuple[Request, str | None]],
    overdue: Sequence[Request] = (),
    *,
    frozen: str = "",
) -> Block:
    """`mine` are a person's own requests; `waiting` are those they may decide, each with its card's address.

    `overdue` are those they decide over whose access should be gone and is not; `frozen` says who froze everything.
    """
    blocks = [
        header("Access"),
        section("Ask for what you need; somebody decides, and it ends by itself."),
        actions("ask", button("Request access", OPEN_FORM, "home", style="primary")),
    ]
    if frozen:
        blocks.insert(
            1, section(f"❄️ *Everything is frozen*, nothing is granted until it is thawed. {said(frozen, 500)}")
        )
    if overdue:
        blocks += [header("Overdue"), *map(_overdue, overdue[:20])]
    if waiting:
        blocks += [header("Waiting for you"), *(_waiting(request, url) for request, url in waiting[:20])]
    blocks += [header("Yours"), *_mine(mine)]
    return {"type": "home", "blocks": blocks[:100]}


def _waiting(request: Request, url: str | None) -> Block:
    words = f"*{request.id}* · {_title(request)} · {said(request.requester.name, 60)} · {span(request.minutes)}"
    return section(f"{words} · {href(url, 'open the card')}" if url else words)


def _overdue(request: Request) -> Block:
    words = "access that should be gone could not be removed yet; it is tried until it is"
    return section(f"*{request.id}* · {_title(request)} · {said(request.beneficiary.name, 60)}: {words}")


def _mine(mine: Sequence[Request]) -> Iterator[Block]:
    if not mine:
        yield context("Nothing yet.")
    for request in mine[:20]:
        yield section(
            f"*{request.id}* · {_title(request)} · {STANDING[request.state].replace('*', '')}{_ends(request)}"
        )
        if request.state is State.ACTIVE:
            longer = [extend_button(request)] if request.room else []
            yield actions(f"mine-{request.id}", give_back_button(request), *longer)
        elif request.state in (State.RECEIVED, State.PENDING):
            yield actions(f"mine-{request.id}", button("Withdraw", WITHDRAW, request.id))


def _ends(request: Request) -> str:
    ends = request.grant.ends_at if request.grant else None
    return f" · ends {when(ends)}" if ends and request.state is State.ACTIVE else ""


def _title(request: Request) -> str:
    return said(request.entitlement.title, 100)
