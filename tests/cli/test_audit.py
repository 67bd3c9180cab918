"""The commands about the audit trail, as an admin or an auditor types them."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

from bot.core.request import Answer
from bot.forgetting import Forgetting
from bot.ledger import Ledger
from connectors.object_lock import Keys, ObjectLock
from knowledge import Knowledge, Wanted
from knowledge.sources import CHAT, Author, Document, Skipped
from tests.builders import NOW, a_decision, a_draft, a_person, an_entitlement
from tests.cli.conftest import Terminal

WHY = "Look at yesterday's error logs"


async def a_ledger(terminal: Terminal) -> Ledger:
    terminal.data.mkdir(exist_ok=True)
    return await Ledger.open(f"sqlite:///{terminal.data / 'tinyapprover.db'}", kind="production", now=lambda: NOW)


async def some_trail(terminal: Terminal) -> None:
    """A request that was denied with a reason, and somebody linked: three events, five texts."""
    ledger = await a_ledger(terminal)
    await ledger.receive(a_draft(), an_entitlement(), deadline=NOW + timedelta(hours=1), jobs=())
    denial = a_decision("bob", Answer.DENY, reason="Ask again tomorrow")
    await ledger.decide(denial, approved_jobs=(), closed_jobs=(), jobs=())
    await ledger.link(a_person("bob"), by="a test")
    await ledger.close()


def spoil(terminal: Terminal, *statements: str) -> None:
    """What somebody does who owns the database."""
    with closing(sqlite3.connect(terminal.data / "tinyapprover.db", isolation_level=None)) as disk:
        for guard in ("events_no_update", "events_no_delete", "texts_no_update"):
            disk.execute(f"DROP TRIGGER IF EXISTS {guard}")
        for statement in statements:
            disk.execute(statement)


def anchored(terminal: Terminal) -> ObjectLock:
    """The sandbox's bucket, named in the settings."""
    seed, url = terminal.sandbox.world.seed["s3"], f"{terminal.sandbox.world.base_url}/s3"
    terminal.settings |= {
        "TINYAPPROVER_ANCHOR_BUCKET": seed["bucket"],
        "TINYAPPROVER_ANCHOR_URL": url,
        "TINYAPPROVER_ANCHOR_READ_ACCESS_KEY_ID": seed["reader"]["id"],
        "TINYAPPROVER_ANCHOR_READ_SECRET_ACCESS_KEY": seed["reader"]["secret"],
    }
    return ObjectLock(seed["bucket"], "tinyapprover/", url, writer=Keys(**seed["writer"]))


async def anchor_now(terminal: Terminal) -> None:
    """What the running bot does after a decision."""
    bucket, ledger = anchored(terminal), await a_ledger(terminal)
    head = await ledger.head()
    assert head is not None
    await bucket.put(head, at=terminal.sandbox.world.now())
    await ledger.close()


# --- verify -----------------------------------------------------------------------------------------------------------


async def test_verify_says_what_was_checked_and_what_could_not_be(terminal: Terminal) -> None:
    await some_trail(terminal)
    answer = await terminal.run("audit", "verify")
    assert (answer.code, answer.err) == (0, "")
    chain, texts, anchors = answer.out.splitlines()
    assert chain.startswith("✓ 3 events, every link whole, the last is ")
    assert texts == "✓ 5 texts beside them are as they were written, 0 were erased"
    assert anchors.startswith("! no anchors are configured, so whoever owns the database could have computed the whole")


async def test_verify_names_the_first_event_that_was_changed(terminal: Terminal) -> None:
    await some_trail(terminal)
    spoil(terminal, "UPDATE events SET actor = 'somebody else' WHERE seq = 2")
    answer = await terminal.run("audit", "verify")
    assert answer.code == 1
    assert "the chain breaks at event 2" in answer.err
    assert "✓" not in answer.out


async def test_verify_fetches_the_anchors_itself(terminal: Terminal) -> None:
    await some_trail(terminal)
    await anchor_now(terminal)
    answer = await terminal.run("audit", "verify")
    assert (answer.code, answer.err) == (0, "")
    assert "✓ 1 anchors in s3://example-anchors/tinyapprover/ fit; the newest is of event 3" in answer.out


async def test_verify_finds_a_tail_that_was_cut_off(terminal: Terminal) -> None:
    await some_trail(terminal)
    await anchor_now(terminal)
    spoil(terminal, "DELETE FROM events WHERE seq = 3", "DELETE FROM texts WHERE seq = 3")
    answer = await terminal.run("audit", "verify")
    assert answer.code == 1
    assert "tells of event 3, and the trail ends at 2: its end is cut off" in answer.err


async def test_anchors_that_cannot_be_read_are_no_success(terminal: Terminal) -> None:
    await some_trail(terminal)
    anchored(terminal)
    answer = await terminal.run("audit", "verify", TINYAPPROVER_ANCHOR_READ_SECRET_ACCESS_KEY="wrong")
    assert answer.code == 1
    assert "✓ 3 events, every link whole" in answer.out
    assert "these anchors could not be read: s3://example-anchors/tinyapprover/: anchor bucket: 403" in answer.err


async def test_half_a_credential_is_named(terminal: Terminal) -> None:
    anchored(terminal)
    answer = await terminal.run("audit", "verify", TINYAPPROVER_ANCHOR_READ_SECRET_ACCESS_KEY=None)
    assert answer.code == 2
    assert (
        "TINYAPPROVER_ANCHOR_READ_ACCESS_KEY_ID and TINYAPPROVER_ANCHOR_READ_SECRET_ACCESS_KEY: set both" in answer.err
    )


async def test_a_loss_is_abandoned_once_and_told_ever_after(terminal: Terminal) -> None:
    await some_trail(terminal)
    await anchor_now(terminal)
    spoil(terminal, "DELETE FROM events WHERE seq = 3", "DELETE FROM texts WHERE seq = 3")
    abandoned = await terminal.run("audit", "abandon", "--why", "the disk died, Monday's backup was restored")
    assert (abandoned.code, abandoned.out) == (
        0,
        "Abandoned: what 1 anchors tell of, the newest of event 3.\n",
    )
    verified = await terminal.run("audit", "verify")
    assert verified.code == 0, verified.err
    assert "! event 3 (" in verified.out
    assert "abandoned what 1 anchors tell of" in verified.out
    again = await terminal.run("audit", "abandon", "--why", "once more")
    assert (again.code, again.err) == (
        3,
        "tinyapprover: Every anchor fits the trail: there is nothing to abandon.\n",
    )


# --- show and export --------------------------------------------------------------------------------------------------


async def test_show_tells_one_story_with_its_words(terminal: Terminal) -> None:
    await some_trail(terminal)
    answer = await terminal.run("audit", "show", "ta-1")
    asked, denied = answer.out.splitlines()
    assert "request.received  entitlement=prod-readonly, for=00ualice0000000001, minutes=60, origin=slack" in asked
    assert f"justification={WHY}" in asked
    assert "reason=Ask again tomorrow" in denied
    assert "person.linked" not in answer.out


async def test_show_of_nothing_is_refused(terminal: Terminal) -> None:
    answer = await terminal.run("audit", "show", "TA-9")
    assert (answer.code, answer.out) == (3, "")


async def test_exports_parse_back_and_hold_no_words_of_people(terminal: Terminal) -> None:
    await some_trail(terminal)
    table = (await terminal.run("audit", "export", "--format", "csv")).out
    assert [row["what"] for row in csv.DictReader(table.splitlines())] == [
        "request.received",
        "decision.deny",
        "person.linked",
    ]
    plain = (await terminal.run("audit", "export")).out
    assert [json.loads(line)["seq"] for line in plain.splitlines()] == [1, 2, 3]
    for words in (WHY, "Ask again tomorrow", "bob@example.com", "Bob Baker"):
        assert words not in table + plain


async def test_a_spoiled_trail_is_still_told_in_every_form(terminal: Terminal) -> None:
    await some_trail(terminal)
    spoil(
        terminal,
        "UPDATE events SET what = 'grant.verified', detail = '{\"added\":true,\"texts\":7}' WHERE seq = 1",
        "UPDATE events SET actor = CAST(x'1b5b326aff0a3d31' AS TEXT), what = 'grant.revoked' WHERE seq = 2",
        "UPDATE texts SET text = CAST(x'ff' AS TEXT) WHERE seq = 2",
    )
    for form in ("jsonl", "csv", "ocsf"):
        answer = await terminal.run("audit", "export", "--format", form)
        assert (answer.code, answer.err) == (0, "")
        assert form == "csv" or len([json.loads(line) for line in answer.out.splitlines()]) == 3
    shown = await terminal.run("audit", "show", "TA-1")
    assert (shown.code, len(shown.out.splitlines()), "\x1b" in shown.out) == (0, 2, False)
    file = terminal.folder / "march.db"
    answer = await terminal.run("evidence", str(file), "--from", "2026-03-01", "--to", "2026-03-31", "--with-text")
    assert "audit chain: the chain breaks at event 1" in answer.out
    assert file.exists()


async def test_a_format_that_is_not_known_is_named(terminal: Terminal) -> None:
    answer = await terminal.run("audit", "export", "--format", "xml")
    assert (answer.code, answer.err) == (2, "tinyapprover: --format is one of jsonl, csv, ocsf\n")


# --- erase ------------------------------------------------------------------------------------------------------------


async def test_erasing_shows_first_what_it_would_do_and_then_does_it(terminal: Terminal) -> None:
    await some_trail(terminal)
    words = ("audit", "erase", "alice@example.com", "--why", "she asked for it")
    looked = await terminal.run(*words)
    assert looked.code == 0, looked.err
    assert "Would be erased: TA-1: its words, evidence, advice and their name" in looked.out
    assert "Would be erased: beside the trail: 2 texts (justification, reason)" in looked.out
    assert "Nothing was changed. With --yes it is done, and cannot be undone." in looked.out
    assert WHY in (await terminal.run("audit", "show", "TA-1")).out
    assert (await terminal.run(*words, "--yes")).code == 0
    shown = (await terminal.run("audit", "show", "TA-1")).out
    assert "justification=(erased)" in shown
    assert WHY not in shown
    verified = await terminal.run("audit", "verify")
    assert verified.code == 0, verified.err
    assert "✓ 4 texts beside them are as they were written, 2 were erased" in verified.out


async def test_somebody_of_whom_nothing_is_kept_is_said_so(terminal: Terminal) -> None:
    await some_trail(terminal)
    answer = await terminal.run("audit", "erase", "mallory@example.com", "--why", "they asked")
    assert (answer.code, answer.err) == (3, "tinyapprover: Nothing of mallory@example.com is kept here.\n")


# --- evidence ---------------------------------------------------------------------------------------------------------


async def test_evidence_of_a_period_is_one_file(terminal: Terminal) -> None:
    await some_trail(terminal)
    file = terminal.folder / "march.db"
    words = ("evidence", str(file), "--from", "2026-03-01", "--to", "2026-03-02")
    answer = await terminal.run(*words)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == f"✓ {file} is written: every grant was approved before it was given\n"
    with closing(sqlite3.connect(file)) as disk:
        assert disk.execute("SELECT id, state FROM not_granted").fetchall() == [("TA-1", "denied")]
    again = await terminal.run(*words)
    assert (again.code, again.err) == (2, f"tinyapprover: {file} is there already; name a new file\n")


async def test_evidence_with_findings_says_so_and_is_written_all_the_same(terminal: Terminal) -> None:
    await some_trail(terminal)
    spoil(terminal, "UPDATE events SET actor = 'somebody else' WHERE seq = 3")
    file = terminal.folder / "march.db"
    answer = await terminal.run("evidence", str(file), "--from", "2026-03-01", "--to", "2026-03-31")
    assert answer.code == 1
    assert "audit chain: the chain breaks at event 3" in answer.out
    assert answer.err == f"tinyapprover: evidence: 1 findings; all of them stand in the table findings of {file}\n"
    with closing(sqlite3.connect(file)) as disk:
        assert disk.execute("SELECT count(*) FROM findings").fetchall() == [(1,)]


async def test_evidence_of_a_trail_whose_end_was_cut_off_says_so(terminal: Terminal) -> None:
    await some_trail(terminal)
    await anchor_now(terminal)
    file = terminal.folder / "march.db"
    assert (await terminal.run("evidence", str(file), "--from", "2026-03-01", "--to", "2026-03-31")).code == 0
    with closing(sqlite3.connect(file)) as disk:
        facts = dict(disk.execute("SELECT name, value FROM about").fetchall())
    assert (facts["anchors compared"], facts["newest event that is anchored"]) == ("1", "3")
    spoil(terminal, "DELETE FROM texts WHERE seq = 3", "DELETE FROM events WHERE seq = 3")
    answer = await terminal.run("evidence", str(file.with_name("cut.db")), "--from", "2026-03-01", "--to", "2026-03-31")
    assert (answer.code, "its end is cut off" in answer.out) == (1, True)


async def an_index(terminal: Terminal) -> Knowledge:
    """With a thread that alice wrote in, which is all that is known of her."""
    thread = Document(
        "chat/1", "Alice", "wyverns", "", "chat/1", None, kind=CHAT, authors=(Author("U0ALICE", "Alice Archer"),)
    )
    terminal.data.mkdir(exist_ok=True)
    knowledge = await Knowledge.open(terminal.data, None, embedder=Wanted("none"), sources=[Told([thread])])
    await knowledge.index()
    return knowledge


class Told:
    """A source of what it was given."""

    name = "chat"

    def __init__(self, documents: list[Document]) -> None:
        self._documents = documents

    def read(self) -> Iterator[Document | Skipped]:
        yield from self._documents


ERASE = ("audit", "erase", "U0ALICE", "--why", "she asked for it")


async def test_what_somebody_wrote_leaves_the_index_at_once_when_no_bot_has_it(terminal: Terminal) -> None:
    await (await an_index(terminal)).close()
    looked = await terminal.run(*ERASE)
    assert "Would be erased: the index: what U0ALICE wrote in Slack threads" in looked.out
    catalogue = terminal.data / "knowledge" / "catalogue.db"
    assert b"wyverns" in catalogue.read_bytes()
    done = await terminal.run(*ERASE, "--yes")
    assert (done.code, done.err) == (0, "")
    assert "What they wrote is out of the index: 1 threads" in done.out
    assert b"wyverns" not in b"".join(file.read_bytes() for file in catalogue.parent.glob("*") if file.is_file())


async def test_what_somebody_wrote_leaves_the_index_of_the_running_bot_at_its_next_look(terminal: Terminal) -> None:
    index, ledger = await an_index(terminal), await a_ledger(terminal)
    done = await terminal.run(*ERASE, "--yes")
    assert "The running bot takes what they wrote out of its index within minutes." in done.out
    assert await index.search(["wyverns"])
    assert await Forgetting(ledger, index).look() == ["chat/1"]
    assert await index.search(["wyverns"]) == []
    assert await Forgetting(ledger, index).look() == []
    await index.close()
    await ledger.close()
