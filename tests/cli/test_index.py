"""`tinyapprover index` and `search`, as people and scripts use them: no vendor is needed for a folder of documents."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from bot.library import open_library
from tests.cli.conftest import Answer, Terminal


@pytest.fixture
def folder(terminal: Terminal) -> Path:
    """A folder of 25 pages, and no setting but where the data is."""
    path = pages_in(terminal.folder / "pages")
    data = str(terminal.data)
    terminal.settings = {"TINYAPPROVER_EMBEDDER": "none", "TINYAPPROVER_DATA_DIR": data}
    terminal.settings["TINYAPPROVER_DOCUMENTS"] = str(path)
    return path


def pages_in(path: Path) -> Path:
    """25 pages in a new folder."""
    path.mkdir()
    for number in range(25):
        (path / f"{number}.md").write_text(f"# Page {number}\n\nThe word of page {number} is heron{number}.")
    return path


def lose(folder: Path, count: int) -> None:
    for number in range(count):
        (folder / f"{number}.md").unlink()


async def test_index_and_search_need_no_vendors(terminal: Terminal) -> None:
    documents = terminal.settings["TINYAPPROVER_DOCUMENTS"]
    terminal.settings = {"TINYAPPROVER_EMBEDDER": "none"}
    places = ("--data-dir", str(terminal.folder / "data"), "--documents", documents)
    indexed = await terminal.run("index", *places)
    assert indexed.code == 0, indexed.err
    assert "documents: new 12, changed 0, unchanged 0, removed 0; " in indexed.out
    assert "12 documents, " in indexed.out
    found = await terminal.run("search", "who may use the VPN", "-k", "2", *places)
    assert found.code == 0, found.err
    assert "VPN and remote access" in found.out
    assert not terminal.asked()


async def test_a_script_asks_line_by_line_and_gets_an_answer_for_each(terminal: Terminal) -> None:
    places = ("--data-dir", str(terminal.folder / "data"), "--documents", terminal.settings["TINYAPPROVER_DOCUMENTS"])
    lines = [
        '{"q": "who may use the VPN", "k": 2}',
        "who may use the VPN",
        '{"q": 7}',
        '{"q": "VPN", "k": 1000}',
        '{"q": "xyzzy"}',
    ]
    terminal.given = "\n".join(lines).encode()
    said = await terminal.run("search", "--jsonl", *places, TINYAPPROVER_EMBEDDER="none")
    assert (said.code, said.err) == (0, "")
    found, *wrong, nothing = (json.loads(line) for line in said.out.splitlines())
    assert (len(found["results"]), found["answerable"]) == (2, True)
    assert found["results"][0]["file"] == "vpn.md"
    assert set(found["results"][0]) == {"file", "text", "score", "title", "heading", "url"}
    assert [list(one) for one in wrong] == [["error"]] * 3
    assert nothing == {"results": [], "answerable": False}


async def test_whatever_a_line_holds_the_next_one_is_answered(terminal: Terminal, folder: Path) -> None:
    lines = [b'\xef\xbb\xbf{"q": "heron7"}\r', b'{"q": "heron7\xff"}', b"[" * 100_000, b'{"k": ' + b"9" * 5000, b"\0"]
    terminal.given = b"\n".join([*lines, b'{"q": "heron7"}'])
    said = await terminal.run("search", "--jsonl")
    assert (said.code, said.err) == (0, "")
    first, *wrong, last = (json.loads(line) for line in said.out.splitlines())
    assert [list(one) for one in wrong] == [["error"]] * 4
    assert first == last
    assert last["results"][0]["file"] == "7.md"


async def test_a_data_directory_that_cannot_be_used_is_said_with_what_to_do(terminal: Terminal, folder: Path) -> None:
    (terminal.folder / "a file").write_text("")
    answer = await terminal.run("index", "--data-dir", str(terminal.folder / "a file"))
    assert answer.code == 2
    assert "a file/knowledge cannot be written" in answer.err
    assert "choose another TINYAPPROVER_DATA_DIR" in answer.err
    (terminal.data / "knowledge" / "catalogue.db").mkdir(parents=True)
    answer = await terminal.run("index")
    assert answer.code == 1
    assert "catalogue.db cannot be opened" in answer.err


async def test_two_indexing_commands_are_told_apart(terminal: Terminal, folder: Path) -> None:
    terminal.settings["TINYAPPROVER_SOURCES"] = "documents"
    async with open_library(terminal.data, terminal.settings):
        answer = await terminal.run("index")
    assert answer.code == 2
    assert f"in use by another process (pid {os.getpid()}); wait until it has ended" in answer.err


async def test_search_wants_either_a_question_or_lines(terminal: Terminal) -> None:
    for words in ((), ("vpn", "--jsonl")):
        answer = await terminal.run("search", *words)
        assert answer.code == 2
        assert "--jsonl" in answer.err


async def test_search_without_documents_names_the_setting(terminal: Terminal) -> None:
    answer = await terminal.run("search", "vpn", TINYAPPROVER_DOCUMENTS=None)
    assert answer.code == 2
    assert answer.err.startswith("tinyapprover: TINYAPPROVER_DOCUMENTS: is not set")


async def test_a_search_shows_dates_and_what_is_not_public(terminal: Terminal, folder: Path) -> None:
    (folder / "secret.md").write_text(
        "---\nvisibility: responders\nupdated: 2026-05-01\n---\n# Keys\n\nAsk the ospreys."
    )
    public = await terminal.run("search", "ospreys")
    assert "Nothing was found in 26 passages" in public.out
    restricted = await terminal.run("search", "ospreys", "--responders")
    assert "updated 2026-05-01; not public: for responders alone" in restricted.out


async def test_a_search_of_an_empty_index_says_what_to_do(terminal: Terminal, folder: Path) -> None:
    lose(folder, 25)
    answer = await terminal.run("search", "herons")
    assert answer.code == 0
    assert "Nothing is indexed yet: run `tinyapprover index`" in answer.out


async def test_a_source_that_is_not_chosen_is_named_beside_those_that_are(terminal: Terminal, folder: Path) -> None:
    assert (await terminal.run("index", "documents")).code == 0
    answer = await terminal.run("index", "confluence:ENG")
    assert answer.code == 2
    assert answer.err == "tinyapprover: 'confluence:ENG' is no source that is chosen; chosen are documents\n"


async def test_what_is_left_out_is_named_with_the_reason(terminal: Terminal, folder: Path) -> None:
    (folder / "broken.pdf").write_bytes(b"no pdf")
    answer = await terminal.run("index")
    assert answer.code == 0
    assert "left out broken.pdf: " in answer.out


async def test_what_others_wrote_cannot_move_the_cursor(terminal: Terminal, folder: Path) -> None:
    (folder / "a\x1b[2Jb\nc.pdf").write_bytes(b"no pdf")
    (folder / "0.md").write_text("# Page\x1b[2J\n\nHerons\x1b[31m fly.")
    for words in (("index",), ("search", "herons fly")):
        answer = await terminal.run(*words)
        assert answer.code == 0
        assert "\x1b" not in answer.out
        assert "\nc.pdf" not in answer.out


async def test_a_large_loss_stops_a_script_with_one_line_until_it_says_yes(terminal: Terminal, folder: Path) -> None:
    await terminal.run("index")
    lose(folder, 20)
    (folder / "new.md").write_text("# New\n\nA word of its own.")
    stopped = await terminal.run("index")
    assert stopped.code == 3
    assert stopped.err.startswith("tinyapprover: 20 of 25 documents of documents are gone there; they are kept until")
    assert len(stopped.err.splitlines()) == 1
    assert "26 documents" in stopped.out
    assert "are gone there" not in stopped.out
    assert (await terminal.run("index")).code == 3
    agreed = await terminal.run("index", "documents", "--yes")
    assert (agreed.code, agreed.err) == (0, "")
    assert "removed 20" in agreed.out
    assert (await terminal.run("index")).code == 0


@pytest.mark.parametrize(("keys", "code", "left"), [("y\n", 0, 5), ("n\n", 3, 25)], ids=["yes", "no"])
async def test_at_a_terminal_somebody_is_asked(
    terminal: Terminal, folder: Path, keys: str, code: int, left: int
) -> None:
    await terminal.run("index")
    lose(folder, 20)
    answer = await terminal.typed(keys, "index")
    assert answer.code == code
    assert "20 of 25 documents of documents are gone there, such as:" in answer.out
    assert "Page 10" in answer.out
    assert f"{left} documents, " in (await terminal.run("index")).out


# --- check ------------------------------------------------------------------------------------------------------------


def of_documents(answer: Answer) -> list[str]:
    """What `check` says of the documents."""
    return [line for line in answer.out.splitlines() if line[2:].startswith(("documents", "search"))]


async def test_check_tells_what_is_kept_of_each_source_and_how_it_is_searched(terminal: Terminal) -> None:
    _, kept, way = of_documents(await terminal.run("check"))
    assert kept.startswith("✓ documents, kept: nothing was read yet; ")
    assert way == "✓ search: by words alone (BM25): no embedder is configured or installed"
    await terminal.run("index")
    _, kept, way = of_documents(await terminal.run("check"))
    assert re.fullmatch(
        r"✓ documents, kept: 12 documents, \d+ passages; read [-\d]+ [:\d]+ UTC, today; embedder none", kept
    )


async def test_check_tells_of_a_stop_with_its_cure_and_of_what_was_left_out(terminal: Terminal, tmp_path: Path) -> None:
    folder = pages_in(tmp_path / "pages")
    (folder / "broken.pdf").write_bytes(b"no pdf")
    terminal.settings["TINYAPPROVER_DOCUMENTS"] = str(folder)
    await terminal.run("index")
    lose(folder, 20)
    await terminal.run("index")
    answer = await terminal.run("check")
    _, kept, stopped, _ = of_documents(answer)
    assert answer.code == 2
    assert kept.startswith("✓ documents, kept: 25 documents, 25 passages; ")
    assert "left out broken.pdf (" in kept
    assert stopped.startswith("✗ documents, stopped: 20 of 25 documents of documents are gone there; ")
    assert "`tinyapprover index documents` asks" in stopped


async def test_check_tells_of_a_reading_that_failed(terminal: Terminal, tmp_path: Path) -> None:
    folder = pages_in(tmp_path / "pages")
    refused = {
        "TINYAPPROVER_SOURCES": "documents,slack-history",
        "TINYAPPROVER_SLACK_HISTORY_CHANNELS": "general",
        "SLACK_BOT_TOKEN": "xoxb-not-ours",
    }
    await terminal.run("index", TINYAPPROVER_DOCUMENTS=str(folder), **refused)
    kept = [line for line in (await terminal.run("check")).out.splitlines() if "slack-history, kept" in line]
    assert len(kept) == 1
    assert kept[0].startswith("✗ slack-history, kept: 0 documents, 0 passages; read ")
    assert "which failed: slack: " in kept[0]
