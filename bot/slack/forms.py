"""The forms: each is built here and read here, and their ids stand beside both."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from bot.core.citing import cited
from bot.core.request import MAX_JUSTIFICATION, Advice, Entitlement, Evidence, Reason, Request
from bot.core.words import date, is_blank, one_line, span, whole
from bot.errors import Refused
from bot.slack import findings
from bot.slack.blocks import (
    Block,
    bullets,
    context,
    fields,
    input_block,
    line,
    modal,
    option,
    plain,
    quote,
    rich,
    said,
    section,
    text,
)

REQUEST, DENY_REASON, QUESTION, ANSWER = "request_access", "deny_reason", "question", "answer"
EXTENSION = "extension"
ACCESS, FOR, DURATION, JUSTIFICATION, TICKET, TIMING = "access", "for", "duration", "justification", "ticket", "timing"
REASON = "reason"
CAN_WAIT = "can_wait"
MAX_TEXT, MAX_TYPED = 1000, 100
DURATIONS = (15, 30, 60, 120, 240, 480, 720, 1440, 2880, 7200, 10080, 20160, 43200)
USUAL_LONGEST, USUAL = 480, 60


# --- asking ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Filled:
    """The request form as it was filled in: parsed, not yet judged."""

    access: str
    beneficiary: str
    minutes: int
    justification: str
    ticket: str
    can_wait: bool


def request_form(
    requester: str, *, entitlement: Entitlement | None = None, justification: str = "", notice: str = ""
) -> Block:
    """The one form. Choosing *Access* draws it again with that entitlement's limits."""
    blocks: list[Block] = [section(f"⚠ {said(notice, 2000)}")] if notice else []
    blocks.append(_access(entitlement))
    if entitlement is not None:
        blocks.append(context(_about(entitlement)))
    someone = {"type": "users_select", "action_id": FOR, "initial_user": requester}
    blocks.append(input_block(FOR, "For", someone, dispatch_action=True))
    blocks.append(_duration(entitlement))
    blocks += [_justification(justification), _ticket(entitlement), _timing()]
    return modal(REQUEST, "Request access", blocks, submit=plain("Request", 24))


def refusal_form(sentence: str, title: str = "Request access") -> Block:
    """The same modal for somebody whom it is not for, saying why and what to do."""
    return modal(REQUEST, title, [section(said(sentence, 2000))], close="Close")


def _access(entitlement: Entitlement | None) -> Block:
    element: Block = {
        "type": "external_select",
        "action_id": ACCESS,
        "min_query_length": 0,
        "placeholder": plain("Type to search what you may ask for", 150),
    }
    if entitlement is not None:
        element["initial_option"] = access_option(entitlement)
    return input_block(ACCESS, "Access", element, dispatch_action=True)


def access_option(entitlement: Entitlement) -> Block:
    return option(one_line(entitlement.title, 75), entitlement.id)


def access_options(entitlements: Sequence[Entitlement], typed: str) -> list[Block]:
    """What the typeahead offers: every word typed must be in the title, id or description."""
    words = typed[:MAX_TYPED].casefold().split()
    offered = [one for one in entitlements if all(word in _searchable(one) for word in words)]
    return [access_option(one) for one in offered[:100]]


def _searchable(entitlement: Entitlement) -> str:
    return f"{entitlement.title} {entitlement.id} {entitlement.description}".casefold()


def _about(entitlement: Entitlement) -> str:
    return (
        f"{said(entitlement.description, 500)}\n"
        f"Decided by {said(entitlement.approvers.group)} · at most {span(entitlement.max_minutes)} · "
        f"sensitivity {entitlement.sensitivity.value}"
    )


def _duration(entitlement: Entitlement | None) -> Block:
    longest = entitlement.max_minutes if entitlement else USUAL_LONGEST
    usual = entitlement.default_minutes if entitlement else USUAL
    minutes = sorted({usual, longest, *(n for n in DURATIONS if n <= longest)})
    element = {
        "type": "static_select",
        "action_id": f"{DURATION}-{entitlement.id if entitlement else 'any'}",
        "options": [option(span(n), str(n)) for n in minutes],
        "initial_option": option(span(usual), str(usual)),
    }
    return input_block(DURATION, "Duration", element)


def _justification(words: str) -> Block:
    element: Block = {
        "type": "plain_text_input",
        "action_id": JUSTIFICATION,
        "multiline": True,
        "max_length": MAX_JUSTIFICATION,
        "placeholder": plain("What do you need to do, and why now?", 150),
    }
    if words:
        element["initial_value"] = words[:MAX_JUSTIFICATION]
    return input_block(JUSTIFICATION, "Justification", element)


def _ticket(entitlement: Entitlement | None) -> Block:
    required = entitlement is not None and entitlement.ticket_required
    element = {"type": "url_text_input", "action_id": TICKET, "placeholder": plain("https://...", 150)}
    return input_block(TICKET, "Ticket", element, optional=not required)


def _timing() -> Block:
    element = {"type": "checkboxes", "action_id": TIMING, "options": [option("It can wait until morning", CAN_WAIT)]}
    return input_block(TIMING, "Can this wait until morning?", element, optional=True)


def read_request(view: Mapping[str, Any], requester: str) -> Filled:
    """Parse a submission; `Refused` names the field that is wrong."""
    values = view["state"]["values"]
    access = _selected(values, ACCESS)
    if not access:
        raise Refused("Choose what you need from the list.", field=ACCESS)
    justification = _why(values)
    return Filled(
        access=access,
        beneficiary=_element(values, FOR).get("selected_user") or requester,
        minutes=_minutes(_selected(values, DURATION)),
        justification=justification,
        ticket=_link(_typed(values, TICKET) or ""),
        can_wait=bool(_element(values, TIMING).get("selected_options")),
    )


def _why(values: Mapping[str, Any]) -> str:
    words = (_typed(values, JUSTIFICATION) or "").strip()
    if is_blank(words):
        raise Refused("Say what you need it for; whoever decides reads exactly this.", field=JUSTIFICATION)
    if len(words) > MAX_JUSTIFICATION:
        raise Refused(f"Please say it in {MAX_JUSTIFICATION} characters.", field=JUSTIFICATION)
    return words


def field_of(rule: str, *, may_ask: bool) -> str:
    """The field of the request form that a rule is about. If whoever asks `may_ask`, it is the other who may not."""
    place = rule.partition("#")[2]
    fields = {"time": DURATION, "ticket": TICKET, "critical-needs-a-ticket": TICKET, "beneficiary-active": FOR}
    return (fields | ({"who_may_ask": FOR} if may_ask else {})).get(place, ACCESS)


def justification_of(view: Mapping[str, Any]) -> str:
    """What stands in the justification while the form is being filled in."""
    return _typed(view["state"]["values"], JUSTIFICATION) or ""


def _element(values: Mapping[str, Any], block_id: str) -> Mapping[str, Any]:
    return next(iter((values.get(block_id) or {}).values()), {})


def _selected(values: Mapping[str, Any], block_id: str) -> str:
    return str((_element(values, block_id).get("selected_option") or {}).get("value") or "")


def _typed(values: Mapping[str, Any], block_id: str) -> str | None:
    typed = _element(values, block_id).get("value")
    return None if typed is None else whole(typed)


def _minutes(value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 6 or not 1 <= int(value) <= 525_600:
        raise Refused("Choose how long you need it.", field=DURATION)
    return int(value)


def _link(value: str) -> str:
    link = value.strip()
    if link and not _is_link(link):
        raise Refused("Paste the ticket's link, starting with https://.", field=TICKET)
    return link


def _is_link(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and len(text) <= 500


# --- answering -------------------------------------------------------------------------------------------------------


def deny_form(request_id: str, *, channel: str, ts: str) -> Block:
    """*Deny* asks for a reason."""
    return _one_text(
        DENY_REASON,
        f"Deny {request_id}",
        label="Reason",
        hint="The requester reads this.",
        submit="Deny",
        about={"request": request_id, "channel": channel, "ts": ts},
    )


def question_form(request_id: str) -> Block:
    """*Ask* the requester something."""
    return _one_text(
        QUESTION,
        f"Ask about {request_id}",
        label="Question",
        hint="The requester gets it as a direct message; the answer appears on the card and on the page.",
        submit="Ask",
        about={"request": request_id},
    )


def answer_form(request_id: str, question: int, words: str) -> Block:
    """The requester's answer to a question."""
    form = _one_text(
        ANSWER,
        f"Answer on {request_id}",
        label="Answer",
        hint="Whoever decides reads exactly this.",
        submit="Answer",
        about={"request": request_id, "question": question},
    )
    return {**form, "blocks": [rich(quote(words)), *form["blocks"]]}


def extend_form(request: Request) -> Block:
    """*Extend*: how much longer, within what is left, and why."""
    minutes = [n for n in DURATIONS if n <= request.room] or [request.room]
    usual = max((n for n in minutes if n <= request.entitlement.default_minutes), default=minutes[0])
    element = {
        "type": "static_select",
        "action_id": DURATION,
        "options": [option(span(n), str(n)) for n in minutes],
        "initial_option": option(span(usual), str(usual)),
    }
    blocks = [
        section(
            f"{said(request.entitlement.title, 100)}. It goes on without a gap if somebody approves before its end."
        ),
        input_block(DURATION, "How much longer", element),
        _justification(""),
    ]
    about = json.dumps({"request": request.id})
    return modal(EXTENSION, f"Extend {request.id}", blocks, submit=plain("Request", 24), private_metadata=about)


def read_extension(view: Mapping[str, Any]) -> tuple[int, str]:
    """How much longer, in minutes, and why."""
    values = view["state"]["values"]
    return _minutes(_selected(values, DURATION)), _why(values)


def _one_text(callback: str, title: str, *, label: str, hint: str, submit: str, about: Mapping[str, Any]) -> Block:
    element = {"type": "plain_text_input", "action_id": REASON, "multiline": True, "max_length": MAX_TEXT}
    blocks = [input_block(REASON, label, element, hint=plain(hint))]
    return modal(callback, title, blocks, submit=plain(submit, 24), private_metadata=json.dumps(about))


def read_text(view: Mapping[str, Any]) -> str:
    """What was typed into a form with one text."""
    words = (_typed(view["state"]["values"], REASON) or "").strip()
    if is_blank(words):
        raise Refused("Please write something here.", field=REASON)
    if len(words) > MAX_TEXT:
        raise Refused(f"Please say it in {MAX_TEXT} characters.", field=REASON)
    return words


def about(view: Mapping[str, Any]) -> dict[str, Any]:
    """What a form is about, as it was built; every id in it is looked up again."""
    found = json.loads(view.get("private_metadata") or "{}")
    return found if isinstance(found, dict) else {}


# --- looking ---------------------------------------------------------------------------------------------------------


def advice_view(request: Request) -> Block:
    """The recommendation, for whoever asked to see it."""
    return modal("advice", f"Advice on {request.id}", list(_advice(request.advice, request.evidence)), close="Close")


def _advice(advice: Advice | None, evidence: Evidence | None) -> Iterator[Block]:
    if advice is None:
        yield section("There is no recommendation yet.")
        return
    if advice.note:
        yield section(said(advice.note, 2000))
        return
    leaning = {"approve": "Leans to approve", "deny": "Leans to deny", "needs_review": "Needs a careful look"}
    yield section(f"*{leaning[advice.leaning.value]}*")
    if advice.reasons:
        yield rich(bullets([[*_reason(reason, evidence)] for reason in advice.reasons[:10]]))
    yield context(f"AI suggestion, may be wrong · {said(advice.model, 100)} · that you looked is recorded")


def _reason(reason: Reason, evidence: Evidence | None) -> Iterator[Block]:
    yield text(reason.text)
    if where := cited(reason, evidence):
        yield text(f" [{where}]", italic=True)


def details_view(request: Request) -> Block:
    """Everything recorded of a request."""
    blocks: list[Block] = [
        fields(
            [
                ("Request", request.id),
                ("State", request.state.value),
                ("Entitlement", request.entitlement.id),
                ("Asked", date(request.created_at)),
                ("Expires", date(request.deadline)),
                ("Came from", request.origin),
            ]
        ),
        rich(quote(request.justification)),
        rich(line(text("Why this entitlement exists: ", bold=True), text(request.entitlement.why, limit=500))),
    ]
    if request.ruling is not None:
        blocks.append(rich(line(text(f"Rule {request.ruling.rule}: ", bold=True), text(request.ruling.reason))))
    if request.plan is not None:
        changes = [[text(f"{name}: {value}")] for name, value in sorted(request.plan.changes.items())]
        blocks.append(rich(line(text("Plan", bold=True)), bullets([*changes, [text(f"digest {request.plan.digest}")]])))
    blocks += [rich(bullets(_answers(request)))] if request.decisions else []
    blocks += findings.rest(request)
    return modal("details", f"Details of {request.id}", blocks, close="Close")


def _answers(request: Request) -> list[list[Block]]:
    return [
        [text(f"{one.name}: {one.answer.value} in {one.place.value} at {date(one.at)}. {one.reason}")]
        for one in request.decisions
    ]
