"""Evidence: every source asked at once; whoever does not answer in time is said to be silent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from bot.core.request import Evidence, Request
from bot.errors import Fault
from bot.ports import Source

log = logging.getLogger(__name__)


async def gather(sources: Sequence[Source], request: Request, *, seconds: float) -> Evidence:
    """What all sources say, each within its own deadline; a silent one becomes a line that says so."""
    return _merged(await asyncio.gather(*(_ask(source, request, seconds) for source in sources)))


async def _ask(source: Source, request: Request, seconds: float) -> Evidence:
    try:
        async with asyncio.timeout(seconds):
            return await source.gather(request)
    except (Fault, TimeoutError) as problem:
        log.warning("silent: %s", problem, extra={"request": request.id, "step": "gather", "vendor": source.name})
    except Exception:  # a source that breaks is a silent source
        log.exception("broken source", extra={"request": request.id, "step": "gather", "vendor": source.name})
    return Evidence(silent=(source.name,))


def _merged(answers: Sequence[Evidence]) -> Evidence:
    return Evidence(
        facts=tuple(fact for answer in answers for fact in answer.facts),
        passages=tuple(passage for answer in answers for passage in answer.passages),
        closed=tuple(passage for answer in answers for passage in answer.closed),
        precedents=tuple(precedent for answer in answers for precedent in answer.precedents),
        silent=tuple(name for answer in answers for name in answer.silent),
        unsaid=any(answer.unsaid for answer in answers),
    )
