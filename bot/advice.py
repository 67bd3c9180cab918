"""Asking the model: what it may know, and what stands in for its answer when there is none."""

from __future__ import annotations

import logging
from dataclasses import replace

from bot.core.request import Advice, Evidence, Leaning, Passage, Request
from bot.errors import Fault
from bot.nameless import without
from bot.ports import Adviser, Brief

NAMES = frozenset({"Manager"})
"""Facts that name somebody. They keep their place, because advice cites facts by number."""
UNSUPPORTED = (
    "The model leaned to approve, but cited only chat, earlier requests or what the people concerned wrote themselves; "
    "none of that supports an approval."
)

log = logging.getLogger(__name__)


async def ask(adviser: Adviser | None, request: Request, evidence: Evidence, prompt: str) -> Advice:
    """The model's advice; without a usable answer, advice that says so."""
    if adviser is None:
        return Advice(Leaning.NEEDS_REVIEW, note="No model is configured, so there is no recommendation.")
    try:
        return supported(await adviser.advise(brief(request, evidence, prompt)), evidence)
    except Fault as fault:
        log.warning("no advice: %s", fault, extra={"request": request.id, "step": "advise", "vendor": fault.vendor})
        return Advice(Leaning.NEEDS_REVIEW, note="The model gave no usable answer, so there is no recommendation.")


def supported(advice: Advice, evidence: Evidence) -> Advice:
    """An approval has to cite a fact, or a document that the people concerned did not write; else people look first."""
    weak = {one.id for one in evidence.passages if one.chat or one.theirs}
    weak |= {f"precedent-{n}" for n, _ in enumerate(evidence.precedents, 1)}
    if advice.leaning is not Leaning.APPROVE or any(set(reason.cites) - weak for reason in advice.reasons):
        return advice
    return replace(advice, leaning=Leaning.NEEDS_REVIEW, note=f"{advice.note} {UNSUPPORTED}".strip())


def brief(request: Request, evidence: Evidence, prompt: str) -> Brief:
    """What the model may know: the request in pseudonyms, the evidence, nobody's name or address."""
    precedents = [
        {"id": one.request_id, "outcome": one.outcome, "minutes": str(one.minutes)} for one in evidence.precedents
    ]
    return Brief(
        system=prompt,
        request=_fields(request),
        facts=tuple(replace(one, value="(withheld)") if one.label in NAMES else one for one in evidence.facts),
        passages=tuple(map(_nameless, evidence.passages)),
        precedents=precedents,
    )


def _fields(request: Request) -> dict[str, str]:
    own = request.requester.id == request.beneficiary.id
    return {
        "entitlement": request.entitlement.id,
        "title": request.entitlement.title,
        "sensitivity": request.entitlement.sensitivity.value,
        "minutes": str(request.minutes),
        "longest_minutes": str(request.entitlement.max_minutes),
        "for": "requester-1" if own else "beneficiary-1",
        "ticket": request.ticket or "none",
        "justification": request.justification,
    }


def _nameless(passage: Passage) -> Passage:
    """A passage with its authors' names taken out of title and text."""
    for number, name in enumerate(passage.authors, 1):
        other = f"colleague-{number}"
        title, heading, text = (
            without([name], words, other) for words in (passage.title, passage.heading, passage.text)
        )
        passage = replace(passage, title=title, heading=heading, text=text)
    return replace(passage, authors=())
