"""The whole way: a folder in, passages out."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.errors import Fault, SettingsError
from knowledge import Knowledge, Wanted
from knowledge.sources import CHAT, EVERYBODY, Author, Document, Skipped
from tests.knowledge.conftest import HANDBOOK, Open

QUESTIONS = {
    "May an engineer look at live customer databases to debug slow queries?": "production-access.md",
    "customers are being harmed right now and only full control of everything will help": "break-glass.md",
    "Can the same person enter a supplier's bank details and send out the money?": "separation-of-duties.md",
    "external freelancer wants to connect to the internal network from home": "vpn.md",
    "turn off the required review on the main branch": "github-administration.md",
    "run my own SQL in the data warehouse for a churn report": "analytics-access.md",
    "what happens to somebody's permissions on their last working day": "offboarding.md",
    "is it fine to paste customers' personal details into a ticket": "data-classification.md",
    "how fast must I react when my pager goes off": "on-call-handbook.md",
    "somebody from another company in our shared Slack channel asks for permissions": "contractors-and-guests.md",
    "how bad must an outage be for management to be told": "incident-response.md",
    "what makes a justification good enough": "access-policy.md",
}


async def test_paraphrased_questions_find_the_right_document(opened: Open, indexed: Path) -> None:
    async with opened() as knowledge:
        await knowledge.warm()
        found = {q: [result.file for result in await knowledge.search([q], 3)] for q in QUESTIONS}
    missed = {question: files for question, files in found.items() if QUESTIONS[question] not in files}
    assert not missed
    ranks = [files.index(QUESTIONS[question]) + 1 for question, files in found.items()]
    assert sum(1 / rank for rank in ranks) / len(ranks) > 0.75


async def test_an_exact_name_is_found_by_words_alone(opened: Open) -> None:
    async with opened(kind="none") as knowledge:
        await knowledge.index()
        results = await knowledge.search(["payments-release"])
        assert results[0].file == "separation-of-duties.md"
        assert results[0].cosine is None
        assert "words alone" in " ".join(knowledge.describe())


async def test_passages_carry_what_a_card_shows(opened: Open, indexed: Path) -> None:
    async with opened() as knowledge:
        await knowledge.warm()
        passages = await knowledge.passages(["freeze: changes in production", "production databases"], limit=3)
    assert [passage.id for passage in passages] == [f"p{n}" for n in range(1, len(passages) + 1)]
    assert passages[0].title == "Production access"
    assert passages[0].url.startswith("https://handbook.example.com/production-access#")
    assert passages[0].updated_at == datetime(2026, 10, 2, tzinfo=UTC)


async def test_a_question_about_something_else_gets_no_passages(opened: Open, indexed: Path) -> None:
    async with opened() as knowledge:
        await knowledge.warm()
        assert await knowledge.passages(["recipe for apple pie with cinnamon"]) == []
        assert await knowledge.passages([]) == []
        assert await knowledge.passages(["", " \u200b "]) == []


async def test_at_most_two_passages_come_from_one_document(opened: Open, indexed: Path) -> None:
    async with opened() as knowledge:
        await knowledge.warm()
        files = [result.file for result in await knowledge.search(["production access prod-admin prod-root"], 10)]
    assert max(files.count(file) for file in files) == 2


async def test_an_unchanged_folder_embeds_nothing_the_second_time(opened: Open) -> None:
    async with opened() as knowledge:
        first = await knowledge.index()
    async with opened() as knowledge:
        second = await knowledge.index()
    assert first.embedded == first.change.new == first.passages > 20
    assert (second.embedded, second.change.new, second.change.unchanged) == (0, 0, first.passages)


async def test_a_change_embeds_only_what_changed(opened: Open, folder: Path) -> None:
    page = folder / "page.md"
    sections = [f"## Part {n}\n\n" + f"Sentence {n} about badge number {n}. " * 25 for n in range(4)]
    page.write_text("# Badges\n\n" + "\n\n".join(sections))
    async with opened(folder) as knowledge:
        before = await knowledge.index()
        page.write_text(page.read_text().replace("Sentence 2", "Another 2"))
        after = await knowledge.index()
    assert before.embedded == 4
    assert (after.embedded, after.change.new, after.change.unchanged, after.change.deleted) == (1, 1, 3, 1)


async def test_a_removed_document_is_found_no_more(opened: Open, folder: Path) -> None:
    (folder / "keys.md").write_text("# Keys\n\nHardware keys are kept in the blue cupboard.")
    (folder / "tea.md").write_text("# Tea\n\nThe kettle is on the third floor.")
    async with opened(folder) as knowledge:
        await knowledge.index()
        (folder / "keys.md").unlink()
        summary = await knowledge.index()
        assert summary.change.deleted == 1
        assert [r.file for r in await knowledge.search(["hardware keys cupboard"])] == ["tea.md"]


async def test_a_folder_that_vanishes_is_trouble_and_forgets_nothing(
    opened: Open, folder: Path, tmp_path: Path
) -> None:
    (folder / "a.md").write_text("# A\n\nText.")
    async with opened(folder, kind="none") as knowledge:
        await knowledge.index()
        shutil.move(folder, tmp_path / "moved")
        summary = await knowledge.index()
    assert summary.documents == 1
    assert "not a folder" in summary.trouble[0]


async def test_no_documents_means_no_passages_and_it_is_said(opened: Open, folder: Path) -> None:
    async with opened(None) as knowledge:
        await knowledge.index()
        assert await knowledge.passages(["production access"]) == []
        assert "no documents folder is configured" in knowledge.describe()[0]
    async with opened(folder) as knowledge:
        await knowledge.index()
        assert await knowledge.passages(["production access"]) == []
        assert knowledge.describe()[0] == "no documents are indexed"


async def test_searching_before_anything_is_warm_goes_by_words(opened: Open, indexed: Path) -> None:
    async with opened() as knowledge:
        by_words = await knowledge.search(["break-glass"])
        assert by_words[0].cosine is None
        await knowledge.warm()
        by_both = await knowledge.search(["break-glass"])
        assert by_both[0].cosine is not None


async def test_progress_is_told_as_it_happens(opened: Open, folder: Path) -> None:
    (folder / "a.md").write_text("# A\n\nText.")
    told: list[tuple[str, int, int]] = []
    async with opened(folder) as knowledge:
        await knowledge.index(lambda step, done, total: told.append((step, done, total)))
    assert told == [("documents: read", 1, 0), ("documents: embed", 1, 1), ("vectors", 1, 1)]


# --- visibility ------------------------------------------------------------------------------------------------------


class Private:
    """A source like a private channel's history."""

    name = "private"

    def read(self) -> Iterator[Document | Skipped]:
        text = "The acquisition of Example Robotics is called project Heron."
        yield Document("secret", "Heron", text, "", "", None, "restricted", CHAT, (Author("U1", "Alice Archer"),))


async def test_what_is_not_public_is_found_by_its_own_audience_alone(opened: Open, folder: Path) -> None:
    (folder / "a.md").write_text("# Birds\n\nHerons are large birds.")
    async with opened(folder, sources=[Private()]) as knowledge:
        summary = await knowledge.index()
        public = await knowledge.search(["project Heron acquisition"], 10)
        members = await knowledge.search(["project Heron acquisition"], 10, audience=EVERYBODY | {"restricted"})
        passages = await knowledge.passages(["project Heron acquisition"], audience=EVERYBODY | {"restricted"})
    assert (summary.documents, summary.embedded) == (2, 2)
    assert [result.title for result in public] == ["Birds"]
    assert (members[0].title, members[0].visibility, members[0].kind) == ("Heron", "restricted", CHAT)
    assert members[0].cosine is not None
    assert (passages[0].chat, passages[0].authors) == (True, ("Alice Archer",))


class Crowd:
    """A source with more pages about one thing than are looked at."""

    name = "crowd"

    def read(self) -> Iterator[Document | Skipped]:
        for number in range(60):
            yield Document(f"crowd/{number}", f"Badge {number}", f"Badge {number} opens door {number}.", "", "", None)


@pytest.mark.parametrize("kind", ["none", "local"])
async def test_what_is_kept_of_sources_that_are_not_chosen_is_not_in_the_way(
    opened: Open, folder: Path, kind: str
) -> None:
    (folder / "a.md").write_text("# Badges\n\nWhoever lost the badge that opens their door asks the reception for one.")
    async with opened(folder, kind=kind, sources=[Crowd()]) as knowledge:
        await knowledge.index()
    async with opened(folder, kind=kind) as knowledge:
        await knowledge.warm()
        (found,) = await knowledge.search(["badge opens door"])
    assert (found.title, found.cosine is None) == ("Badges", kind == "none")


async def test_a_document_that_stops_being_public_leaves_at_once(opened: Open, folder: Path, tmp_path: Path) -> None:
    (folder / "a.md").write_text("# Birds\n\nHerons are large birds.")
    async with opened(folder) as knowledge:
        await knowledge.index()
        with sqlite3.connect(tmp_path / "data" / "knowledge" / "catalogue.db") as other:
            other.execute("UPDATE documents SET visibility = 'restricted'")
        other.close()
        assert await knowledge.search(["Herons birds"]) == []


# --- damage and death ------------------------------------------------------------------------------------------------


def _vector_files(data: Path) -> list[Path]:
    return [path for path in (data / "knowledge" / "vectors").rglob("*") if path.is_file()]


@pytest.mark.parametrize("damaged", ["chroma.sqlite3", "data_level0.bin", "header.bin", "current.json"])
async def test_damaged_vectors_are_rebuilt_and_words_serve_meanwhile(opened: Open, indexed: Path, damaged: str) -> None:
    files = [path for path in _vector_files(indexed) if path.name == damaged]
    assert files
    for path in files:
        path.write_bytes(b"\xff" * 50)
    async with opened() as knowledge:
        await knowledge.warm()
        assert (await knowledge.search(["break-glass"]))[0].file == "break-glass.md"
        summary = await knowledge.index()
        assert summary.embedded == 0
        after = await knowledge.search(["opening the safe with the sealed credentials"])
        assert after[0].file == "break-glass.md"
        assert after[0].cosine is not None


async def test_a_damaged_catalogue_is_put_aside_and_read_anew(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "data" / "knowledge" / "catalogue.db"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a database at all" * 100)
    async with opened(kind="none") as knowledge:
        assert (await knowledge.index()).documents == 12
    assert path.with_name("catalogue.db.damaged").exists()


async def test_another_embedder_leaves_the_old_vectors_alone_until_its_own_are_built(
    opened: Open, indexed: Path
) -> None:
    pointer = indexed / "knowledge" / "vectors" / "current.json"
    pointer.write_text(pointer.read_text().replace('"fingerprint": "', '"fingerprint": "ff'))
    async with opened() as knowledge:
        await knowledge.warm()
        assert "words alone" in knowledge.describe()[1]
        await knowledge.index()
        assert "words and meaning" in knowledge.describe()[1]


async def test_a_rebuild_makes_new_vectors_and_the_old_ones_go_at_once(opened: Open, indexed: Path) -> None:
    vectors = indexed / "knowledge" / "vectors"
    (before,) = vectors.glob("*/")
    async with opened() as knowledge:
        await knowledge.warm()
        summary = await knowledge.index(rebuild=True)
        assert summary.embedded == 0
        (after,) = vectors.glob("*/")
        assert after != before
        assert (await knowledge.search(["break-glass"]))[0].cosine is not None


async def test_an_indexing_that_is_stopped_spoils_nothing(opened: Open, indexed: Path) -> None:
    def stop(step: str, done: int, total: int) -> None:
        if step == "vectors":
            raise KeyboardInterrupt

    async with opened() as knowledge:
        with pytest.raises(KeyboardInterrupt):
            await knowledge.index(stop, rebuild=True)
        await knowledge.index()
        everything = await knowledge.search(["access", "data", "contract", "page", "money", "code"], 50)
    assert {result.file for result in everything} >= {path.name for path in HANDBOOK.iterdir()}
    assert all(result.cosine is not None for result in everything)


async def test_closing_ends_an_indexing_run(opened: Open) -> None:
    async with opened(kind="none") as knowledge:
        running = asyncio.create_task(knowledge.index())
        await asyncio.sleep(0)
    with pytest.raises(Fault, match="closed"):
        await running


_KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from knowledge import Knowledge, Wanted

def stop(step, done, total):
    if step.split(": ")[-1] == sys.argv[3] and done >= int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    knowledge = await Knowledge.open(Path(sys.argv[1]), Path(sys.argv[2]), embedder=Wanted("local"))
    await knowledge.index(stop)

asyncio.run(main())
"""


@pytest.mark.parametrize(("step", "done"), [("read", 6), ("embed", 16), ("vectors", 1)])
async def test_a_kill_in_the_middle_loses_nothing(
    opened: Open, tmp_path: Path, models: Path, step: str, done: int
) -> None:
    data = tmp_path / "data"
    (data / "knowledge").mkdir(parents=True)
    (data / "knowledge" / "models").symlink_to(models)
    command = [sys.executable, "-c", _KILLED, str(data), str(HANDBOOK), step, str(done)]
    killed = subprocess.run(command, check=False, timeout=60, env=os.environ)  # noqa: ASYNC221 - the test waits
    assert killed.returncode == -signal.SIGKILL
    async with opened() as knowledge:
        summary = await knowledge.index()
        results = await knowledge.search(["opening the safe with the sealed credentials"])
    assert summary.documents == 12
    assert summary.embedded + (done if step == "embed" else 0) == (0 if step == "vectors" else summary.passages)
    assert results[0].file == "break-glass.md"
    assert results[0].cosine is not None


async def test_a_failing_source_does_not_stop_the_others(opened: Open) -> None:
    class Broken:
        name = "broken"

        def read(self) -> Iterator[Document | Skipped]:
            raise Fault("wiki", "it is down")

    async with opened(kind="none", sources=[Broken()]) as knowledge:
        summary = await knowledge.index()
    assert summary.documents == 12
    assert summary.trouble == ("wiki: it is down",)


async def test_a_source_with_a_mistake_in_it_does_not_stop_the_others(opened: Open) -> None:
    class Mistaken:
        name = "mistaken"

        def read(self) -> Iterator[Document | Skipped]:
            yield Document("one", {"a page": "of a kind"}["title"], "A page.", "", "", None)

    async with opened(kind="none", sources=[Mistaken()]) as knowledge:
        summary = await knowledge.index()
    assert summary.documents == 12
    assert summary.trouble == ("mistaken: it broke off with KeyError: 'title'",)


async def test_a_source_that_breaks_off_is_told_of_with_what_was_read_until_then(opened: Open) -> None:
    class Breaking:
        name = "breaking"

        def read(self) -> Iterator[Document | Skipped]:
            yield Document("one", "One", "The first page.", "", "", None)
            yield Skipped("two", "not UTF-8")
            raise Fault("wiki", "it is down")

    async with opened(None, kind="none", sources=[Breaking()]) as knowledge:
        (report,) = (await knowledge.index()).reports
    assert (report.documents.new, report.left_out, report.trouble) == (1, 1, "wiki: it is down")


# --- not in the way --------------------------------------------------------------------------------------------------


def test_importing_it_loads_nothing_heavy() -> None:
    heavy = "{'chromadb', 'onnxruntime', 'onnx', 'numpy', 'openai', 'sqlite_utils', 'tokenizers', 'markdown_it'}"
    code = f"import sys, knowledge; sys.exit(', '.join({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.stderr.strip() == ""


async def test_the_event_loop_runs_on_while_documents_are_indexed(opened: Open) -> None:
    async with opened() as knowledge:
        indexing = asyncio.create_task(knowledge.index())
        beats = 0
        while not indexing.done():
            await asyncio.sleep(0.01)
            beats += 1
        assert (await indexing).documents == 12
    assert beats > 50


async def test_a_search_is_answered_while_documents_are_indexed(opened: Open, indexed: Path) -> None:
    async with opened() as knowledge:
        await knowledge.warm()
        steps: list[str] = []
        again = asyncio.create_task(knowledge.index(lambda step, done, total: steps.append(step), rebuild=True))
        results = await knowledge.search(["break-glass"])
        assert not again.done()
        await again
    assert results[0].file == "break-glass.md"


# --- ownership -------------------------------------------------------------------------------------------------------


async def test_a_second_opener_is_told_who_has_the_directory(opened: Open, tmp_path: Path) -> None:
    async with opened(kind="none"):
        with pytest.raises(SettingsError, match=f"in use by another process \\(pid {os.getpid()}\\); wait"):
            await Knowledge.open(tmp_path / "data", None, embedder=Wanted("none"))
    async with opened(kind="none"):
        pass


async def test_after_closing_it_says_so(opened: Open) -> None:
    async with opened(kind="none") as knowledge:
        pass
    with pytest.raises(Fault, match="closed"):
        await knowledge.passages(["anything"])
    assert knowledge.describe()[-1] == "closed"


async def test_settings_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="not a folder"):
        await Knowledge.open(tmp_path, tmp_path / "missing", embedder=Wanted("none"))
    with pytest.raises(SettingsError, match="allowed are auto, openai, local, none"):
        await Knowledge.open(tmp_path, None, embedder=Wanted("remote"))
    with pytest.raises(SettingsError, match="OPENAI_API_KEY"):
        await Knowledge.open(tmp_path, None, embedder=Wanted("openai"))
