"""One thing that `tinyapprover check` looked at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """What is well, or what to do."""

    name: str
    good: bool
    words: str
