"""A policy directory that tests may spoil, and people to ask about."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

import policies
from bot.errors import SettingsError
from policies.load import Policies, load

SHIPPED = Path(policies.__file__).parent


@dataclass(frozen=True)
class Folder:
    """A copy of the shipped policies, with the verbs that spoil it."""

    path: Path

    def entry(self, name: str) -> Path:
        return self.path / "catalogue" / f"{name}.yml"

    def swap(self, name: str, old: str, new: str) -> None:
        """Replace a text that stands in a file; the name is relative to the directory."""
        file = self.path / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))

    def append(self, name: str, text: str) -> None:
        file = self.path / name
        file.write_text(file.read_text() + text)

    def error(self) -> str:
        """What loading says, with the directory cut from the front of each line."""
        with pytest.raises(SettingsError) as caught:
            load(self.path)
        return str(caught.value).replace(f"{self.path}/", "")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    for name in ("guardrails.cedar", "guardrails.cedarschema", "advice.md"):
        shutil.copy(SHIPPED / name, tmp_path / name)
    shutil.copytree(SHIPPED / "catalogue", tmp_path / "catalogue")
    return Folder(tmp_path)


@pytest.fixture(scope="session")
def shipped() -> Policies:
    return load(SHIPPED)
