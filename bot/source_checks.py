"""What `tinyapprover check` says of sources: what is kept of each and how old that is, and what waits for somebody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from bot.core.words import TODAY, age, one_line
from bot.finding import Finding
from knowledge.embed import Wanted
from knowledge.reports import Report, Standing

SHOWN, LONGEST = 3, 2000
WAYS = {
    "openai": "by words and meaning: openai, which is sent the text of documents and questions",
    "local": "by words and meaning: local, on this machine",
    "none": "by words alone (BM25): no embedder is configured or installed",
}


def way(wanted: Wanted) -> str:
    """How searches are answered; `SettingsError` when that cannot be."""
    return WAYS[wanted.resolve()]


def source_findings(chosen: Iterable[str], standings: Iterable[Standing], now: datetime) -> Iterator[Finding]:
    """For each chosen kind of source, all that is kept of it and its parts, and the last reading of each."""
    kept = list(standings)
    for kind in chosen:
        theirs = [one for one in kept if one.source.partition(":")[0] == kind]
        if not theirs:
            words = f"nothing was read yet; the bot does when it starts, `tinyapprover index {kind}` at once"
            yield Finding(f"{kind}, kept", good=True, words=words)
        for one in theirs:
            yield from _findings(one, now)


def _findings(standing: Standing, now: datetime) -> Iterator[Finding]:
    name, report = f"{standing.source}, kept", standing.report
    held = f"{standing.documents} documents, {standing.passages} passages"
    if report is None:
        yield Finding(name, good=True, words=f"{held}; its first reading has not ended")
        return
    words = one_line("; ".join([held, *_last_reading(report, now)]), LONGEST)
    yield Finding(name, good=not report.trouble, words=words)
    if report.loss is not None:
        yield Finding(f"{standing.source}, stopped", good=False, words=report.loss.words)


def _last_reading(report: Report, now: datetime) -> Iterator[str]:
    ago = age(report.read_at, now)
    yield f"read {report.read_at:%Y-%m-%d %H:%M} UTC, {ago if ago == TODAY else f'{ago} ago'}"
    if report.trouble:
        yield f"which failed: {report.trouble}"
    yield f"embedder {report.embedder}"
    if report.left_out:
        some = ", ".join(f"{one.what} ({one.why})" for one in report.skipped[:SHOWN])
        more = f" and {report.left_out - SHOWN} more" if report.left_out > SHOWN else ""
        yield f"left out {some}{more}"
