"""Looking after jobs and the database, as an admin does it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bot.ledger import Due, Ledger
from tests.cli.conftest import Terminal
from tests.postgres import Server


async def stuck(terminal: Terminal) -> None:
    """A request whose page cannot be opened, and whose expiry waits for its time."""
    terminal.data.mkdir(exist_ok=True)
    url = f"sqlite:///{terminal.data / 'tinyapprover.db'}"
    now = datetime.now(UTC)
    ledger = await Ledger.open(url, kind="production", now=lambda: now)
    await ledger.schedule("TA-12", [Due("page"), Due("expire", at=now + timedelta(hours=7.9))])
    (page,) = await ledger.claim(["front"], most=9, lease=60)
    again_at = now + timedelta(minutes=5)
    await ledger.finish(page, again_at=again_at, trouble="pagerduty: 503 Service Unavailable", retry=True)
    await ledger.close()


async def test_jobs_says_what_waits_and_what_fails(terminal: Terminal) -> None:
    await stuck(terminal)
    answer = await terminal.run("jobs")
    assert answer.code == 0
    first, second, last = answer.out.splitlines()[1:]
    told = " ".join(first.split())
    assert told == "TA-12 page opens the incident in 5 minutes 1 pagerduty: 503 Service Unavailable"
    assert "TA-12" in second
    assert "ends a request that nobody decided in time" in second
    assert "in 8 hours" in second
    assert last.startswith("2 jobs wait, 1 of them in trouble")


async def test_retry_makes_due_what_failed_and_never_what_waits_for_its_time(terminal: Terminal) -> None:
    await stuck(terminal)
    answer = await terminal.run("jobs", "retry", "ta-12")
    assert (answer.code, answer.out) == (0, "Due now: page\n")
    assert "now" in (await terminal.run("jobs")).out
    for words in (["TA-12", "expire"], ["TA-13"]):
        answer = await terminal.run("jobs", "retry", *words)
        assert answer.code == 3
        assert "has failed" in answer.err
    assert "job.retried" in (await terminal.run("audit", "show", "TA-12")).out


async def test_explain_says_what_a_job_does(terminal: Terminal) -> None:
    answer = await terminal.run("jobs", "explain", "tell:outcome")
    assert "tells the requester news" in answer.out
    assert len((await terminal.run("jobs", "explain")).out.splitlines()) > 20
    assert (await terminal.run("jobs", "explain", "nonsense")).code == 3


async def test_a_database_is_moved_and_the_program_goes_on_there(terminal: Terminal, postgres: Server) -> None:
    await stuck(terminal)
    url = postgres.empty_database()
    answer = await terminal.run("db", "move", f"sqlite:///{terminal.data / 'tinyapprover.db'}", url)
    assert (answer.code, answer.err) == (0, "")
    assert "rows of" in answer.out
    there = await terminal.run("jobs", TINYAPPROVER_DATABASE_URL=url)
    assert "opens the incident" in there.out
    assert "is at 0001" in (await terminal.run("db", "upgrade")).out
