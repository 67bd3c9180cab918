"""What advice cites, by the names under which people find it on the card and on the page."""

from __future__ import annotations

from collections.abc import Iterator

from bot.core.request import Evidence, Reason

GONE = "something that is not shown any more"


def cited(reason: Reason, evidence: Evidence | None) -> str:
    """Labels of facts, titles of passages and ids of earlier requests, each once."""
    names = dict(_named(evidence or Evidence()))
    return "; ".join(dict.fromkeys(names.get(cite, GONE) for cite in reason.cites))


def _named(evidence: Evidence) -> Iterator[tuple[str, str]]:
    for n, fact in enumerate(evidence.facts, 1):
        yield f"fact-{n}", fact.label
    for n, earlier in enumerate(evidence.precedents, 1):
        yield f"precedent-{n}", earlier.request_id
    for passage in evidence.passages:
        yield passage.id, f"{passage.title} › {passage.heading}" if passage.heading else passage.title
