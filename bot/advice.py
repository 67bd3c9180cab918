"""Asking the model: what it may know, and what stands in for its answer when there is none."""

from __future__ import annotations

import logging
from dataclasses import replace

from bot.core.request import Advice, Evidence, Leaning, Request
from bot.errors import Fault
from bot.ports import Adviser, Brief

NAMES = frozenset({"Manager"})
"""Facts that name somebody. They keep their place, because advice cites facts by number."""

log = logging.getLogger(__name__)


async def ask(adviser: Adviser | None, request: Request, evidence: Evidence, prompt: str) -> Advice:
    """The model's advice; without a usable answer, advice that says so."""
    if adviser is None:
        return Advice(Leaning.NEEDS_REVIEW, note="No model is configured, so there is no recommendation.")
    try:
        return await adviser.advise(brief(request, evidence, prompt))
    except Fault as fault:
        log.warning("no advice: %s", fault, extra={"request": request.id, "step": "advise", "vendor": fault.vendor})
        return Advice(Leaning.NEEDS_REVIEW, note="The model gave no usable answer, so there is no recommendation.")


def brief(request: Request, evidence: Evidence, prompt: str) -> Brief:
    """What the model may know: the request in pseudonyms, the evidence, nobody's name or address."""
    precedents = [
        {"id": one.request_id, "outcome": one.outcome, "minutes": str(one.minutes)} for one in evidence.precedents
    ]
    return Brief(
        system=prompt,
        request=_fields(request),
        facts=tuple(replace(one, value="(withheld)") if one.label in NAMES else one for one in evidence.facts),
        passages=evidence.passages,
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
