"""The help: complete, instant, and the same commands that the README speaks of."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from bot.__main__ import app
from tests.cli.conftest import ROOT

HEAVY = {"slack_bolt", "slack_sdk", "sqlalchemy", "okta", "chromadb", "openai", "aiohttp", "boto3", "pdpyras"}
PAGES = ["README.md", "CHANGELOG.md", ".env.example", *(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))]


def commands(group: Any, *path: str) -> Iterator[tuple[str, ...]]:
    """Every command's words."""
    for name, command in group.commands.items():
        yield (*path, name)
        if hasattr(command, "commands"):
            yield from commands(command, *path, name)


COMMANDS = list(commands(get_command(app)))


@pytest.mark.parametrize("words", [(), *COMMANDS], ids=" ".join)
def test_every_command_explains_itself(words: tuple[str, ...]) -> None:
    answer = CliRunner().invoke(app, [*words, "--help"])
    assert answer.exit_code == 0
    assert f"Usage: {' '.join(['tinyapprover', *words])}" in answer.output
    assert answer.output.count(".") >= 1


@pytest.mark.parametrize(
    ("helps", "heavy"),
    [([()], {*HEAVY, "pydantic"}), (COMMANDS, HEAVY)],  # typer itself takes pydantic to describe a command's words
    ids=["of the program", "of every command"],
)
def test_the_help_loads_nothing_heavy(helps: list[tuple[str, ...]], heavy: set[str]) -> None:
    script = (
        "import sys\nfrom typer.testing import CliRunner\nfrom bot.__main__ import app\n"
        f"for words in {helps!r}:\n"
        "    assert CliRunner().invoke(app, [*words, '--help']).exit_code == 0\n"
        "print(' '.join({name.partition('.')[0] for name in sys.modules}))"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert heavy & set(loaded.stdout.split()) == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_the_pages_speak_of_exists(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    for found in re.finditer(r"(?:`|\$ |^|bin/)tinyapprover ([a-z]+)(?: ([a-z]+))?", text, re.M):
        words = tuple(word for word in found.groups() if word)
        assert words in COMMANDS or (words[:1] in COMMANDS and not is_group(words[0])), found[0]


def is_group(name: str) -> bool:
    return any(len(words) > 1 and words[0] == name for words in COMMANDS)


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_that_the_pages_speak_of_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    spoken = set(re.findall(r"(?:`|^\$? ?)make ([a-z]+)", (ROOT / page).read_text("utf-8"), re.M))
    assert spoken <= targets
