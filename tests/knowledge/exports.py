"""Slack exports as small as they can be, for tests to fill and to spoil."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

GENERAL, ACCESS = "C0GENERAL", "C0ACCESS"
CHANNELS = [{"id": GENERAL, "name": "general", "is_archived": False}]
GROUPS = [{"id": ACCESS, "name": "access-approvals", "is_archived": False}]
USERS = [
    {"id": "U0ALICE", "name": "alice", "profile": {"real_name": "Alice"}},
    {"id": "U0BOB", "name": "bob", "profile": {"real_name": "Bob"}},
]
DAY = "2025-03-03"
NOON = 1_741_003_200  # that day at 12:00 UTC

Days = Mapping[str, Any]


def said(user: str, text: str, at: int = 0, **more: Any) -> dict[str, Any]:
    return {"type": "message", "user": user, "text": text, "ts": f"{NOON + at}.000100", **more}


def an_export(path: Path, days: Days, **lists: Any) -> Path:
    """A ZIP with these days (`general/2025-03-03` to its messages, or to bytes) and lists, the usual ones else."""
    inside = {"channels": CHANNELS, "groups": GROUPS, "users": USERS, **lists}
    with ZipFile(path, "w", ZIP_DEFLATED) as file:
        for name, content in {**inside, **days}.items():
            file.writestr(f"{name}.json", content if isinstance(content, bytes) else json.dumps(content))
    return path


def add(path: Path, entries: Iterable[tuple[ZipInfo | str, str | bytes]]) -> Path:
    """Further entries, such as Slack would not make."""
    with ZipFile(path, "a", ZIP_DEFLATED) as file:
        for name, content in entries:
            file.writestr(name, content)
    return path
