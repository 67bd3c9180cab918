"""Which commit a policy directory was checked out at: who wrote and who reviewed it stands in that repository.

Read from git's own files, so that nothing of the directory is ever run. https://git-scm.com/docs/gitrepository-layout
"""

from __future__ import annotations

import re
from pathlib import Path

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def commit_of(directory: Path) -> str:
    """The commit's id (hex); empty outside of a checkout, and when it cannot be read."""
    for folder in (directory.resolve(), *directory.resolve().parents):
        if (folder / ".git").exists():
            return _head(_git_directory(folder / ".git"))
    return ""


def _git_directory(git: Path) -> Path:
    """Of a linked working tree, `.git` is a file that names it."""
    return git if git.is_dir() else git.parent / _read(git).removeprefix("gitdir:").strip()


def _head(git: Path) -> str:
    head = _read(git / "HEAD")
    if not head.startswith("ref:"):
        return _commit(head)
    branch, shared = head.removeprefix("ref:").strip(), git / (_read(git / "commondir") or ".")
    return _commit(_read(git / branch)) or _commit(_read(shared / branch)) or _packed(shared, branch)


def _packed(git: Path, branch: str) -> str:
    lines = (line.partition(" ") for line in _read(git / "packed-refs").splitlines())
    return next((_commit(commit) for commit, _, name in lines if name == branch), "")


def _commit(text: str) -> str:
    return text if _COMMIT.fullmatch(text) else ""


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8").strip()
    except (OSError, ValueError):
        return ""
