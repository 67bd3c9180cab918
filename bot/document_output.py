"""What the commands about documents print for people."""

from __future__ import annotations

from collections.abc import Iterator

from bot.console import out
from bot.core.words import one_line
from bot.library import Answer, Outcome
from knowledge.reports import Loss, Report
from knowledge.search import Result
from knowledge.sources import CHAT, PUBLIC

SHOWN, INDENT, LONGEST = 5, 7, 2000


def show_outcome(outcome: Outcome) -> None:
    """A few lines for each source, then all of it."""
    for report in outcome.reports:
        _say(report_line(report))
        for line in left_out_lines(report):
            _say(line, indent=2, style="yellow")
    _say(f"{outcome.documents} documents, {outcome.passages} passages; embedder: {outcome.embedder}")
    for line in outcome.other_trouble:
        _say(line, style="yellow")


def report_line(report: Report) -> str:
    """What a reading found."""
    tally = report.documents
    found = f"new {tally.new}, changed {tally.changed}, unchanged {tally.unchanged}, removed {tally.removed}"
    return f"{report.source}: {found}; embedded {report.embedded} passages ({report.embedder}); {report.seconds:.1f} s"


def left_out_lines(report: Report) -> Iterator[str]:
    """The first of what was left out, and why."""
    for one in report.skipped[:SHOWN]:
        yield f"left out {one.what}: {one.why}"
    if report.left_out > SHOWN:
        yield f"and {report.left_out - SHOWN} more were left out"


def show_loss(loss: Loss) -> None:
    """What would be forgotten."""
    _say(f"{loss.gone} of {loss.known} documents of {loss.source} are gone there, such as:", style="yellow")
    for title in loss.examples:
        _say(title, indent=2)


def show_answer(answer: Answer) -> None:
    """The passages, each with where it is from and how old it is."""
    for result in answer.results:
        _say(f"{result.score:.3f} {' › '.join(filter(None, (result.title, result.heading)))}", style="bold")
        _say(result.url or result.file, indent=INDENT)
        if about := "; ".join(_about(result)):
            _say(about, indent=INDENT)
        _say(one_line(result.text, 300), indent=INDENT)
        _say("")
    if answer.results and not answer.answerable:
        _say("None of these is like enough to the question to support an answer.", style="yellow")
    elif not answer.results and answer.searched:
        _say(f"Nothing was found in {answer.searched} passages: try other words, or fewer.")
    elif not answer.results:
        _say("Nothing is indexed yet: run `tinyapprover index`, and `tinyapprover check` to see what is chosen.")


def _about(result: Result) -> Iterator[str]:
    if result.kind == CHAT:
        yield f"chat by {', '.join(author.name for author in result.authors) or 'somebody'}"
    if result.updated_at is not None:
        yield f"{'from' if result.kind == CHAT else 'updated'} {result.updated_at:%Y-%m-%d}"
    if result.visibility != PUBLIC:
        yield f"not public: for {result.visibility} alone"


def _say(line: str, *, indent: int = 0, style: str | None = None) -> None:
    """One line, whatever is in it: what others wrote must not move the cursor or begin a line of its own."""
    out.print(" " * indent + one_line(line, LONGEST), markup=False, soft_wrap=True, style=style)
