"""What is written down while the program runs is found without a restart."""

from __future__ import annotations

from pathlib import Path

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
