"""A reading that would forget a large part of a source stops, until somebody has said that it may."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from knowledge import Knowledge, Summary
from knowledge.reports import Consent, Loss
from tests.knowledge.conftest import Open


def pages(folder: Path, *numbers: int) -> None:
    """The folder holds these pages and no other."""
    for old in folder.glob("*.md"):
        old.unlink()
    for number in numbers:
        (folder / f"{number}.md").write_text(f"# Page {number}\n\nText of page {number}.")


def loss_of(summary: Summary) -> Loss | None:
    return summary.reports[0].loss


async def stopped(knowledge: Knowledge, folder: Path, *left: int) -> Summary:
    """25 pages were read, of which only these are left."""
    pages(folder, *range(25))
    await knowledge.index()
    pages(folder, *left)
    return await knowledge.index()


async def test_a_large_loss_is_kept_and_said_with_what_to_type(opened: Open, folder: Path) -> None:
    async with opened(folder, kind="none") as knowledge:
        summary = await stopped(knowledge, folder, 20, 21, 22, 23, 24)
    assert summary.documents == 25
    assert loss_of(summary) == Loss("documents", 20, 25, ("Page 0", "Page 1", "Page 10", "Page 11", "Page 12"))
    assert "20 of 25 documents of documents" in summary.trouble[0]
    assert "`tinyapprover index documents`" in summary.trouble[0]


async def test_what_is_new_is_taken_while_a_loss_waits(opened: Open, folder: Path) -> None:
    async with opened(folder, kind="none") as knowledge:
        summary = await stopped(knowledge, folder, 24, 30, 31)
        assert (summary.documents, summary.reports[0].documents.new) == (27, 2)
        assert (await knowledge.search(["page 31"]))[0].title == "Page 31"


async def test_a_loss_waits_also_when_it_has_become_a_small_part(opened: Open, folder: Path) -> None:
    async with opened(folder, kind="none") as knowledge:
        await stopped(knowledge, folder, *range(10, 25))
        pages(folder, *range(10, 100))
        summary = await knowledge.index()
    assert summary.documents == 100
    assert loss_of(summary) == Loss("documents", 10, 25, ("Page 0", "Page 1", "Page 2", "Page 3", "Page 4"))


async def test_a_loss_waits_over_a_restart_and_a_reading_that_fails(opened: Open, folder: Path, tmp_path: Path) -> None:
    async with opened(folder, kind="none") as knowledge:
        await stopped(knowledge, folder, *range(10, 25))
        shutil.move(folder, tmp_path / "away")
        summary = await knowledge.index()
        assert "not a folder" in summary.trouble[0]
    shutil.move(tmp_path / "away", folder)
    async with opened(folder, kind="none") as knowledge:
        (standing,) = await knowledge.standings()
        assert standing.report
        assert standing.report.loss
        assert standing.report.loss.gone == 10
        assert (await knowledge.index()).documents == 25


async def test_a_stop_is_kept_before_anything_is_embedded(opened: Open, folder: Path) -> None:
    async with opened(folder, kind="none") as knowledge:
        pages(folder, *range(25))
        await knowledge.index()
    pages(folder, 24)

    def break_off(step: str, _done: int, _total: int) -> None:
        if step.endswith("embed"):
            raise InterruptedError

    async with opened(folder, kind="local") as knowledge:
        with pytest.raises(InterruptedError):
            await knowledge.index(break_off)
        (standing,) = await knowledge.standings()
    assert standing.report
    assert standing.report.loss


async def test_once_agreed_they_are_forgotten_and_the_next_reading_is_as_ever(opened: Open, folder: Path) -> None:
    async with opened(folder, kind="none") as knowledge:
        await stopped(knowledge, folder, 1, 2)
        summary = await knowledge.index(consent=Consent(gone={"documents": 23}))
        assert (summary.documents, loss_of(summary), summary.trouble) == (2, None, ())
        assert summary.reports[0].documents.removed == 23
        pages(folder, 1)
        assert (await knowledge.index()).documents == 1


async def test_more_than_was_agreed_to_is_asked_again(opened: Open, folder: Path) -> None:
    async with opened(folder, kind="none") as knowledge:
        await stopped(knowledge, folder, 1, 2)
        pages(folder, 1)
        summary = await knowledge.index(consent=Consent(gone={"documents": 23}))
    assert summary.documents == 25
    assert loss_of(summary) is not None


async def test_when_all_are_there_again_nothing_waits(opened: Open, folder: Path) -> None:
    async with opened(folder, kind="none") as knowledge:
        await stopped(knowledge, folder)
        pages(folder, *range(25))
        summary = await knowledge.index()
        assert (summary.documents, loss_of(summary)) == (25, None)
        pages(folder, *range(1, 25))
        assert (await knowledge.index()).documents == 24


@pytest.mark.parametrize(("known", "left", "kept"), [(20, 0, 0), (21, 14, 21), (30, 21, 21), (30, 20, 30)])
async def test_few_documents_or_a_small_part_may_go(
    opened: Open, folder: Path, known: int, left: int, kept: int
) -> None:
    async with opened(folder, kind="none") as knowledge:
        pages(folder, *range(known))
        await knowledge.index()
        pages(folder, *range(left))
        assert (await knowledge.index()).documents == kept
