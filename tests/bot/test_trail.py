"""The trail on disk: it only grows, and whatever is done to its rows behind our back is found."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError

from bot.audit import Anchor, AuditEvent, AuditText, broken_link, canonical, event_hash, read_anchor
from bot.core.lifecycle import Event
from bot.core.request import Answer
from bot.ledger import Audit, Ledger
from bot.ledger.engine import is_postgresql, open_engine
from bot.verifying import ABANDONED, ERASED, Verified, Verifier
from tests.builders import NOW, a_decision, a_draft, a_person, a_plan, a_ruling, an_entitlement

T = TypeVar("T")
WHY = "Look at yesterday's error logs; naïve, \u201cquoted\u201d \\ and \U0001f511"
COLUMNS = ("seq", "at", "request_id", "actor", "what", "detail", "prev", "hash")
GUARDS = ("events_no_update", "events_no_delete", "events_no_replace", "texts_no_update", "texts_no_replace")


async def some_trail(ledger: Ledger) -> None:
    """Requests with texts, a decision with a reason, a link: eight events."""
    await ledger.link(a_person("bob"), by="a test")
    for key in ("view-1", "view-2"):
        draft = a_draft(key, justification=WHY, ticket="OPS-1")
        request = await ledger.receive(draft, an_entitlement(), deadline=NOW + timedelta(hours=8), jobs=())
        stored = await ledger.request(request)
        values = {"plan": a_plan(stored), "ruling": a_ruling(), "planned_at": NOW}
        await ledger.move(request, Event.PLANNED, audit=Audit("tinyapprover", "request.planned"), values=values)
        answer = a_decision("bob", Answer.DENY, request_id=request, reason="Not today")
        await ledger.decide(answer, approved_jobs=(), closed_jobs=(), jobs=())
    await ledger.note_event(Audit("tinyapprover", "nothing.at_all", {"numbers": [1, 2.5, None, True]}))


# --- append-only ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET actor = 'mallory'",
        "DELETE FROM events WHERE seq = 1",
        "UPDATE texts SET text = 'something else'",
    ],
)
async def test_the_database_refuses_to_change_what_was_written(ledger: Ledger, database: str, statement: str) -> None:
    await some_trail(ledger)
    refused(database, statement)
    assert (await ledger.verify()).whole


WITH_ANOTHER = {
    "sqlite": "INSERT OR REPLACE INTO {table} SELECT * FROM {table}",
    "postgresql": "TRUNCATE {table}",
}


@pytest.mark.parametrize("table", ["events", "texts"])
async def test_a_statement_that_would_replace_or_empty_a_table_is_refused_too(
    ledger: Ledger, database: str, table: str
) -> None:
    await some_trail(ledger)
    refused(database, WITH_ANOTHER["postgresql" if is_postgresql(database) else "sqlite"].format(table=table))


def refused(database: str, statement: str) -> None:
    engine = open_engine(database)
    with pytest.raises(DBAPIError, match="is append-only"), engine.begin() as c:
        c.exec_driver_sql(statement)
    engine.dispose()


async def test_words_stand_beside_the_chain_and_not_in_it(ledger: Ledger) -> None:
    await some_trail(ledger)
    events = await ledger.events()
    assert "error logs" not in str(events)
    assert "Not today" not in str(events)
    assert "bob@example.com" not in str(events)
    words = {(text.name, text.text) for text in await ledger.texts(1, 99)}
    assert words >= {("justification", WHY), ("ticket", "OPS-1"), ("reason", "Not today"), ("email", "bob@example.com")}


async def test_the_same_words_twice_have_digests_that_cannot_be_compared(ledger: Ledger) -> None:
    await some_trail(ledger)
    first, second = await ledger.events(what="request.received")
    assert first.detail["texts"]["justification"] != second.detail["texts"]["justification"]


# --- whatever is done to it -------------------------------------------------------------------------------------------


class Disk:
    """A trail's rows in the hands of somebody who owns the database."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def do(self, work: Callable[[sqlite3.Connection], object]) -> None:
        with closing(sqlite3.connect(self.file, isolation_level=None)) as disk:
            for guard in GUARDS:
                disk.execute(f"DROP TRIGGER IF EXISTS {guard}")
            work(disk)

    def rows(self) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.file)) as disk:
            return disk.execute(f"SELECT {', '.join(COLUMNS)} FROM events ORDER BY seq").fetchall()

    def replace(self, rows: Sequence[Sequence[Any]]) -> None:
        """Put other rows in the place of all."""

        def work(disk: sqlite3.Connection) -> None:
            disk.execute("DELETE FROM events")
            disk.executemany(f"INSERT INTO events VALUES ({', '.join('?' * len(COLUMNS))})", rows)

        self.do(work)

    def verify(self, anchors: Sequence[Anchor] = ()) -> Verified:
        return run(self._with(lambda ledger: ledger.verify(anchors)))

    def head(self) -> Anchor:
        found = run(self._with(lambda ledger: ledger.head()))
        assert found is not None
        return found

    async def _with(self, work: Callable[[Ledger], Coroutine[Any, Any, T]]) -> T:
        ledger = await Ledger.open(f"sqlite:///{self.file}", kind="production", now=lambda: NOW)
        try:
            return await work(ledger)
        finally:
            await ledger.close()


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a trail, to be spoiled in many ways."""
    file = tmp_path_factory.mktemp("trail") / "tinyapprover.db"
    disk = Disk(file)
    run(disk._with(some_trail))
    with closing(sqlite3.connect(file)) as closed:
        closed.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return file.read_bytes()


@pytest.fixture
def disk(written: bytes, tmp_path: Path) -> Disk:
    file = tmp_path / "tinyapprover.db"
    file.write_bytes(written)
    return Disk(file)


def test_a_letter_of_a_salt_in_another_case_is_found(disk: Disk) -> None:
    disk.do(lambda on_disk: on_disk.execute("UPDATE texts SET salt = upper(salt) WHERE seq = 2"))
    assert "beside event 2 is not what was written" in disk.verify().findings[0]


def again(disk: Disk, written: bytes) -> Disk:
    """As it was: Hypothesis tries many things on one fixture."""
    for leftover in disk.file.parent.glob("tinyapprover.db*"):
        leftover.unlink()
    disk.file.write_bytes(written)
    return disk


many = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_an_untouched_trail_is_whole(disk: Disk) -> None:
    found = disk.verify([disk.head()])
    assert (found.findings, found.events, found.anchors) == ((), 8, 1)


EVERYWHERE = [
    *(("events", column) for column in COLUMNS),
    *(("texts", column) for column in ("name", "person", "salt", "text")),
]


@many
@given(where=st.sampled_from(EVERYWHERE), row=st.integers(0, 99), at=st.integers(0, 999), bit=st.integers(0, 7))
def test_any_byte_flipped_in_any_row_is_found(
    disk: Disk, written: bytes, where: tuple[str, str], row: int, at: int, bit: int
) -> None:
    table, column = where
    spoiled = again(disk, written)

    def flip(on_disk: sqlite3.Connection) -> None:
        rows = on_disk.execute(f"SELECT rowid, CAST({column} AS BLOB) FROM {table} WHERE {column} != ''").fetchall()
        rowid, content = rows[row % len(rows)]
        place = at % len(content)
        after = content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]
        kind = "INTEGER" if column == "seq" else "TEXT"
        assume(kind == "TEXT" or after.isdigit())
        on_disk.execute(f"UPDATE {table} SET {column} = CAST(? AS {kind}) WHERE rowid = ?", (after, rowid))

    try:
        spoiled.do(flip)
    except sqlite3.IntegrityError:
        assume(False)  # the number of another row
    assert not spoiled.verify().whole


@pytest.mark.parametrize("what", [ERASED, ABANDONED, "request.received"])
@pytest.mark.parametrize("spoiled", [{"q2": ["ticket"]}, {"2": 7}, {"2": [["ticket"]]}, 7, [7], "ticket"])
def test_an_event_that_says_nonsense_is_named_and_does_not_end_the_check(what: str, spoiled: Any) -> None:
    detail = {"erased": spoiled, "anchors": spoiled, "texts": spoiled}
    event = AuditEvent(1, "2026-03-02T09:00:00Z", "", "somebody", what, detail, "0" * 64, "f" * 64)
    verifier = Verifier("db", [Anchor("db", 1, "a" * 64)])
    verifier.take([event], [AuditText(1, "ticket", "00ualice", "salt", "OPS-1")])
    assert any("the chain breaks at event 1" in finding for finding in verifier.verified().findings)


@many
@given(gone=st.integers(0, 6))
def test_a_row_removed_before_the_last_is_found(disk: Disk, written: bytes, gone: int) -> None:
    spoiled = again(disk, written)
    rows = spoiled.rows()
    spoiled.replace(rows[:gone] + rows[gone + 1 :])
    assert not spoiled.verify().whole


@many
@given(order=st.permutations(range(8)))
def test_rows_in_another_order_are_found(disk: Disk, written: bytes, order: list[int]) -> None:
    assume(order != list(range(8)))
    spoiled = again(disk, written)
    rows = spoiled.rows()
    spoiled.replace([(seq, *rows[place][1:]) for seq, place in enumerate(order, start=1)])
    assert not spoiled.verify().whole


@many
@given(place=st.integers(0, 6), numbered=st.booleans())
def test_a_row_inserted_anywhere_before_the_end_is_found(
    disk: Disk, written: bytes, place: int, numbered: bool
) -> None:
    spoiled = again(disk, written)
    rows = spoiled.rows()
    prev = rows[place - 1][7] if place else "0" * 64
    forged = a_row(place + 1, prev, what="decision.approve")
    later = [(row[0] + 1, *row[1:]) for row in rows[place:]] if numbered else []
    spoiled.replace([*rows[:place], forged, *(later or rows[place + 1 :])])
    assert not spoiled.verify().whole


def a_row(seq: int, prev: str, **fields: Any) -> tuple[Any, ...]:
    """A forged row whose hash fits."""
    body = {"seq": seq, "at": NOW.isoformat(), "request_id": "TA-1", "actor": "mallory", "what": "x", "detail": {}}
    body |= {"prev": prev, **fields}
    return (*(body[name] if name != "detail" else canonical(body[name]) for name in COLUMNS[:-1]), event_hash(body))


def computed_anew(rows: Sequence[Sequence[Any]], first: int, **fields: Any) -> list[Sequence[Any]]:
    """A row changed, and every hash after it made to fit: what the owner of a database can do."""
    kept = list(rows[: first - 1])
    for row in rows[first - 1 :]:
        body = dict(zip(COLUMNS, row, strict=True)) | (fields if row[0] == first else {})
        body["detail"] = json.loads(body["detail"])
        body["prev"] = kept[-1][7] if kept else "0" * 64
        del body["hash"]
        kept.append((*(canonical(body[n]) if n == "detail" else body[n] for n in COLUMNS[:-1]), event_hash(body)))
    return kept


@many
@given(left=st.integers(0, 7))
def test_a_cut_tail_is_found_through_an_anchor_and_only_so(disk: Disk, written: bytes, left: int) -> None:
    spoiled = again(disk, written)
    anchor = spoiled.head()
    spoiled.replace(spoiled.rows()[:left])
    spoiled.do(lambda on_disk: on_disk.execute("DELETE FROM texts WHERE seq > ?", (left,)))
    assert spoiled.verify().whole
    (finding,) = spoiled.verify([anchor]).findings
    assert finding == f"an anchor of {anchor.at} tells of event 8, and the trail ends at {left}: its end is cut off"


@many
@given(first=st.integers(1, 8), anchored=st.integers(1, 8))
def test_a_chain_computed_anew_is_found_through_any_anchor_behind_the_change(
    disk: Disk, written: bytes, first: int, anchored: int
) -> None:
    spoiled = again(disk, written)
    rows = spoiled.rows()
    anchor = Anchor(spoiled.head().database, anchored, rows[anchored - 1][7])
    spoiled.replace(computed_anew(rows, first, actor="somebody else"))
    assert spoiled.verify().whole
    assert spoiled.verify([anchor]).whole == (anchored < first)


def test_a_text_removed_without_an_event_is_found(disk: Disk) -> None:
    disk.do(lambda on_disk: on_disk.execute("DELETE FROM texts WHERE name = 'ticket'"))
    assert disk.verify().findings == (
        "the ticket beside event 2 was removed, and no event says that it was erased",
        "the ticket beside event 5 was removed, and no event says that it was erased",
    )


def test_an_anchor_of_another_database_is_found(disk: Disk) -> None:
    other = Anchor("0123456789abcdef", 3, "0" * 64)
    assert "of another database" in disk.verify([other]).findings[0]


def test_an_anchors_name_says_all_that_it_holds_and_sorts_like_the_events() -> None:
    anchors = [Anchor("ab12", seq, f"{seq:064x}") for seq in (2, 10, 999)]
    assert [read_anchor(anchor.key) for anchor in anchors] == anchors
    assert sorted(anchor.key for anchor in anchors) == [anchor.key for anchor in anchors]
    assert read_anchor("TA-1/card") is None


async def test_a_long_trail_is_read_page_by_page(ledger: Ledger) -> None:
    await asyncio.gather(*(ledger.note_event(Audit("x", "y", {"n": n}, {"word": str(n)})) for n in range(1203)))
    found = await ledger.verify()
    assert (found.events, found.findings) == (1203, ())
    assert broken_link(await ledger.events()) is None
