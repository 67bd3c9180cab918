"""What a database says when it cannot go on, and what to do about it."""

from __future__ import annotations

CURES = (
    ("disk is full", "free some space; nothing is lost, and work goes on by itself then"),
    ("disk I/O error", "look at the disk under the database; nothing is lost, and work goes on by itself then"),
    ("readonly database", "make the database and its directory writable again"),
    ("is locked", "another program holds it: end that one, for example a sqlite3 shell or a backup"),
    ("malformed", "stop, restore the last backup, and run `tinyapprover audit verify`"),
)
POSTGRESQL = "see that PostgreSQL runs and can be reached; work goes on by itself then"


def in_words(problem: BaseException) -> str:
    """The first line of it, which tells no values, and the cure if one is known."""
    said = str(getattr(problem, "orig", None) or problem).partition("\n")[0]
    known = next((cure for words, cure in CURES if words in said), "")
    lost = getattr(problem, "connection_invalidated", False) or "connect" in said
    cure = known or (POSTGRESQL if lost else "")
    return f"{said}: {cure}" if cure else said
