"""Fixtures that all tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.postgres import Server, a_server
from tests.story import Story, opened

settings.register_profile("untimed", deadline=None)  # a busy machine is no mistake
settings.load_profile("untimed")


@pytest.fixture
async def story(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Story]:
    """The sandbox and the program, ready for alice; on SQLite unless a test or the command asks for `postgresql`."""
    on_postgresql = getattr(request, "param", request.config.getoption("--stories-on")) == "postgresql"
    url = request.getfixturevalue("postgres").empty_database() if on_postgresql else ""
    async with opened(Story(tmp_path / "data", TINYAPPROVER_DATABASE_URL=url)) as story:
        yield story


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server, started for the first test that needs one."""
    with a_server() as server:
        yield server


on_both = pytest.mark.parametrize("story", ["sqlite", "postgresql"], indirect=True)
on_sqlite = pytest.mark.parametrize("story", ["sqlite"], indirect=True)  # they reach into its file


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips", action="store_true", help="A skipped test is a failure: nothing may be missing here."
    )
    parser.addoption(
        "--stories-on", choices=["sqlite", "postgresql"], default="sqlite", help="Of stories that do not choose one."
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--no-skips") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
