"""Killed at any moment of indexing, and files that are damaged in any place: nothing is lost, and nothing crashes."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from knowledge.vectors import Place, Shelf
from tests.knowledge.conftest import Open

PAGES, KILLS = 60, 5
_INDEXING = """
import asyncio, sys
from pathlib import Path
from knowledge import Knowledge, Wanted

def tell(step, done, total):
    print(step.split()[-1], done, total, flush=True)

async def main():
    knowledge = await Knowledge.open(Path(sys.argv[1]), Path(sys.argv[2]), embedder=Wanted("local"))
    await knowledge.index(tell, rebuild=True)
    await knowledge.close()

asyncio.run(main())
"""
Told = tuple[str, int, int]


def told_by(output: IO[str], lines: int) -> list[Told]:
    """So many lines, or all there are."""
    told = []
    for line in output:
        step, done, total = line.split()
        told.append((step, int(done), int(total)))
        if len(told) == lines:
            break
    return told


def killed_after(lines: int, data: Path, folder: Path) -> list[Told]:
    """What an indexing told of itself until it was killed, somewhere behind its so many lines."""
    command = [sys.executable, "-c", _INDEXING, str(data), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        told = told_by(child.stdout, lines)
        child.kill()
    return told


def left_to_embed(told: list[Told]) -> int | None:
    """How many passages an indexing had not embedded when it was last heard of."""
    return next((total - done for step, done, total in reversed(told) if step == "embed"), None)


async def test_whenever_indexing_is_killed_nothing_is_lost_and_nothing_embedded_twice(
    opened: Open, folder: Path, tmp_path: Path, models: Path
) -> None:
    for number in range(PAGES):
        (folder / f"{number}.md").write_text(f"# Page {number}\n\nThe room {number} is on floor {number // 7}.")
    data, chance, left = tmp_path / "data", random.Random(4), PAGES
    (data / "knowledge").mkdir(parents=True)
    (data / "knowledge" / "models").symlink_to(models)
    for _ in range(KILLS):
        told = killed_after(chance.randint(PAGES // 2, PAGES + 9), data, folder)
        started = next((total for step, _, total in told if step == "embed"), 0)
        assert started <= left, "what was embedded and kept is not embedded again"
        left = min(left, PAGES if (now := left_to_embed(told)) is None else now)
    async with opened(folder) as knowledge:
        summary = await knowledge.index()
        found = await knowledge.search(["Page", "room floor"], 2 * PAGES)
    assert (summary.documents, summary.passages) == (PAGES, PAGES)
    assert summary.embedded <= left
    assert len(list((data / "knowledge" / "vectors").glob("*/"))) == 1
    assert len(found) == PAGES or all(result.cosine is not None for result in found)


# --- damage ----------------------------------------------------------------------------------------------------------

ROWS, WIDTH = 10_500, 8


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build with many rows, so that its graph is in files."""
    root = tmp_path_factory.mktemp("vectors")
    shelf = Shelf(root)
    build = shelf.fresh("feed")
    index = shelf.open(build)
    vectors = np.random.default_rng(1).standard_normal((ROWS, WIDTH)).astype(np.float32)
    for start in range(0, ROWS, 2100):
        index.add([Place("public", str(n)) for n in range(start, start + 2100)], vectors[start : start + 2100])
    index.close()
    shelf.switch(build)
    return root


def noise(held: bytearray) -> None:
    for at in range(len(held) // 99, len(held), len(held) // 99):
        held[at : at + 64] = b"\xa5" * min(64, len(held) - at)


def cut(held: bytearray) -> None:
    del held[len(held) // 2 :]


def zeros(held: bytearray) -> None:
    third = len(held) // 3
    held[third : 2 * third] = bytes(third)


async def test_many_rows_are_found_healthy(many: Path) -> None:
    shelf = Shelf(many)
    build = shelf.current()
    assert build
    assert await shelf.is_healthy(build)


@pytest.mark.parametrize("damage", [noise, cut, zeros])
async def test_damage_among_many_vectors_is_found_in_another_process(
    many: Path, tmp_path: Path, damage: Callable[[bytearray], None]
) -> None:
    shelf = Shelf(Path(shutil.copytree(many, tmp_path / "copy")))
    (file,) = (path for path in (tmp_path / "copy").rglob("data_level0.bin"))
    held = bytearray(file.read_bytes())
    damage(held)
    file.write_bytes(held)
    build = shelf.current()
    assert build
    assert not await shelf.is_healthy(build)
