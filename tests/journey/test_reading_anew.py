"""What is written down while the program runs is found without a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.library_client import reach_library
from knowledge.reports import Consent
from tests.story import Story, opened


async def test_a_document_that_is_added_is_found_after_a_while(tmp_path: Path) -> None:
    folder = tmp_path / "handbook"
    folder.mkdir()
    told = {"TINYAPPROVER_DOCUMENTS": str(folder), "TINYAPPROVER_INDEX_MINUTES": 0.005, "TINYAPPROVER_EMBEDDER": "none"}
    async with opened(Story(tmp_path / "data", **told)) as story:
        assert story.running
        await story.running.warm.wait()
        knowledge = story.running.front.knowledge
        assert knowledge.describe()[0] == "no documents are indexed"
        (folder / "keys.md").write_text("# Keys\nKeys rotate in May.")
        await story.until(lambda: knowledge.describe()[0].startswith("1 documents"))
        assert await knowledge.search(["keys rotate"], 1)


async def test_a_folder_that_was_emptied_is_still_quoted_until_somebody_agrees(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "handbook"
    lakes = folder / "lakes"
    lakes.mkdir(parents=True)
    for number in range(25):
        (lakes / f"{number}.md").write_text(f"# Page {number}\n\nHerons of lake {number}.")
    told = {"TINYAPPROVER_DOCUMENTS": str(folder), "TINYAPPROVER_INDEX_MINUTES": 0.005, "TINYAPPROVER_EMBEDDER": "none"}
    async with opened(Story(tmp_path / "data", **told)) as story:
        assert story.running
        lakes.rename(tmp_path / "elsewhere")  # all at once, whatever is being read at this moment
        await story.until(lambda: "25 of 25 documents of documents are gone there" in caplog.text)
        assert "`tinyapprover index documents` asks" in caplog.text
        await story.stop()
        await story.start()
        async with reach_library(story.data_dir, None) as remote:
            assert remote is not None
            assert len((await remote.search("herons", 3)).results) == 3
            outcome = await remote.index(["documents"], lambda *_: None, consent=Consent(yes=True))
            assert outcome.documents == 0
            assert (await remote.search("herons", 3)).results == ()
