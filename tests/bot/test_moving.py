"""From SQLite to PostgreSQL: nothing lost, nothing half, and work goes on there."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bot.audit import broken_link
from bot.errors import Fault, SettingsError
from bot.ledger import Audit, Due, Ledger
from bot.ledger.engine import open_engine
from bot.ledger.moving import move, upgrade_database
from tests.bot.conftest import HandClock, behind_our_back
from tests.bot.test_ledger import granted, received
from tests.builders import a_person


def quietly(step: str, done: int, total: int) -> None:
    assert done <= total


@pytest.fixture
async def lived_in(on_sqlite: str, clock: HandClock) -> str:
    """A SQLite database with a whole story in it."""
    ledger = await Ledger.open(on_sqlite, kind="production", now=clock.now)
    await ledger.link(a_person("bob"), by="admin")
    await granted(ledger)
    await ledger.accept("slack.press", "x\u2028y")
    await ledger.schedule("TA-1", [Due("revoke", at=clock.now() + timedelta(hours=1)), Due("card")])
    await ledger.claim(["front"], most=1, lease=900.0)
    for n in range(30):
        await ledger.note_event(Audit("somebody", "something", {"n": n, "half": 0.5, "word": "Grüße", "none": None}))
    await ledger.close()
    return on_sqlite


async def test_everything_is_there_and_goes_on_there(lived_in: str, postgres_url: str, clock: HandClock) -> None:
    before = await Ledger.open(lived_in, kind="production", now=clock.now)
    counts = move(lived_in, postgres_url, quietly)
    after = await Ledger.open(postgres_url, kind="production", now=clock.now)
    assert counts["events"] == 37
    assert await after.request("TA-1") == await before.request("TA-1")
    assert await after.events() == await before.events()
    assert await after.people() == await before.people()
    assert await after.accepted("slack.press", ["x\u2028y"])
    assert {job.kind for job in await after.claim(["front"], most=9, lease=1)} == {"card"}  # nobody holds it there
    assert await received(after, "view-2") == "TA-2"
    assert broken_link(await after.events()) is None
    await before.close()
    await after.close()


async def test_a_target_that_holds_something_is_refused(lived_in: str, postgres_url: str) -> None:
    move(lived_in, postgres_url, quietly)
    with pytest.raises(SettingsError, match="the target is not empty"):
        move(lived_in, postgres_url, quietly)


async def test_a_running_program_is_not_moved_away_from_under_itself(
    lived_in: str, postgres_url: str, clock: HandClock
) -> None:
    running = await Ledger.open(lived_in, kind="production", now=clock.now, roles=["executor"])
    with pytest.raises(SettingsError, match="is the executor of this database already: stop it first"):
        move(lived_in, postgres_url, quietly)
    await running.close()


async def test_a_trail_that_was_touched_is_not_moved_and_nothing_is_kept(lived_in: str, postgres_url: str) -> None:
    behind_our_back(lived_in, "UPDATE events SET actor = 'mallory' WHERE seq = 3")
    with pytest.raises(Fault, match="broken at event 3"):
        move(lived_in, postgres_url, quietly)
    engine = open_engine(postgres_url)
    with engine.begin() as c:
        assert not engine.dialect.has_table(c, "events")
    engine.dispose()


@pytest.mark.parametrize("source", ["sqlite:////nowhere/x.db", "postgresql://x/y", "x.db"])
def test_what_is_no_sqlite_database_is_refused(source: str) -> None:
    with pytest.raises(SettingsError, match="is not an address of a SQLite database"):
        move(source, "postgresql://nowhere/x", quietly)


def test_the_target_has_to_be_postgresql(file: Path, on_sqlite: str) -> None:
    file.touch()
    with pytest.raises(SettingsError, match="postgresql://"):
        move(on_sqlite, on_sqlite, quietly)


async def test_an_upgrade_says_from_where_to_where(database: str) -> None:
    assert upgrade_database(database)[0] == "nothing"
    before, after = upgrade_database(database)
    assert before == after


async def test_a_database_that_cannot_be_reached_is_one_clear_message(lived_in: str) -> None:
    with pytest.raises(Fault, match=r"^database: ") as caught:
        move(lived_in, "postgresql://tests@localhost:1/nowhere", quietly)
    assert len(str(caught.value).splitlines()) == 1
