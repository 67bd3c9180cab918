from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from knowledge import Knowledge, Wanted

HANDBOOK = Path(__file__).parents[2] / "connectors" / "sandbox" / "documents"

Open = Callable[..., AbstractAsyncContextManager[Knowledge]]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The local model's graph, built once for all tests."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def opened(tmp_path: Path, models: Path) -> Open:
    """Opens the knowledge of a folder in this test's own data directory, and closes it again."""

    @asynccontextmanager
    async def open_one(
        documents: Path | None = HANDBOOK, *, kind: str = "local", wanted: Wanted | None = None, **more: Any
    ) -> AsyncIterator[Knowledge]:
        data = tmp_path / "data"
        home = data / "knowledge"
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "models").exists():
            (home / "models").symlink_to(models)
        knowledge = await Knowledge.open(data, documents, embedder=wanted or Wanted(kind), **more)
        try:
            yield knowledge
        finally:
            await knowledge.close()

    return open_one


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Path:
    """A data directory in which the demo's handbook is indexed."""
    data = tmp_path_factory.mktemp("library")
    (data / "knowledge").mkdir()
    (data / "knowledge" / "models").symlink_to(models)

    async def index() -> None:
        knowledge = await Knowledge.open(data, HANDBOOK, embedder=Wanted("local"))
        await knowledge.index()
        await knowledge.close()

    asyncio.run(index())
    return data


@pytest.fixture
def indexed(tmp_path: Path, library: Path) -> Path:
    """This test's data directory, with the demo's handbook indexed already."""
    return Path(shutil.copytree(library, tmp_path / "data", symlinks=True))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of documents for this test alone."""
    path = tmp_path / "documents"
    path.mkdir()
    return path
