"""The commit that a policy directory was checked out at, as git itself names it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from policies.revision import commit_of


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=Carol Chen", "-c", "user.email=carol@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, check=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit, and policies in a folder of it."""
    (tmp_path / "repo" / "policies").mkdir(parents=True)
    (tmp_path / "repo" / "policies" / "advice.md").write_text("Be kind.")
    git(tmp_path / "repo", "init", "-q")
    git(tmp_path / "repo", "add", ".")
    git(tmp_path / "repo", "commit", "-q", "-m", "Say how we think")
    return tmp_path / "repo"


@pytest.mark.parametrize(
    "words",
    [
        ["branch", "spare"],
        ["checkout", "-q", "--detach"],
        ["checkout", "-q", "-b", "access/next"],
        ["pack-refs", "--all"],
    ],
)
def test_it_is_the_commit_that_git_names(checkout: Path, words: list[str]) -> None:
    git(checkout, *words)
    assert commit_of(checkout / "policies") == git(checkout, "rev-parse", "HEAD")


@pytest.mark.parametrize("packed", [False, True])
def test_a_linked_working_tree_has_its_own(checkout: Path, *, packed: bool) -> None:
    git(checkout, "worktree", "add", "-q", "-b", "next", "../linked")
    git(checkout.parent / "linked", "commit", "-q", "--allow-empty", "-m", "Another")
    if packed:
        git(checkout, "pack-refs", "--all")
    assert commit_of(checkout.parent / "linked" / "policies") == git(checkout, "rev-parse", "next")
    assert commit_of(checkout) != commit_of(checkout.parent / "linked")


def test_outside_of_a_checkout_and_of_one_that_cannot_be_read_there_is_none(tmp_path: Path) -> None:
    assert commit_of(tmp_path) == ""
    (tmp_path / ".git").write_text("gitdir: nowhere")
    assert commit_of(tmp_path) == ""
    (tmp_path / ".git").write_bytes(b"\xff")
    assert commit_of(tmp_path) == ""
