"""The variables of document sources, told by their names alone: `TINYAPPROVER_<SOURCE>_...` of an installed source.

Only the front knows them, since they may hold credentials. Nothing of a source is imported for this.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path

GROUP = "tinyapprover.sources"


def installed() -> EntryPoints:
    """What is installed under the group, ours and the company's own."""
    return entry_points(group=GROUP)


def prefix(source: str) -> str:
    """What the names of a source's own variables begin with."""
    return f"TINYAPPROVER_{source.upper().replace('-', '_')}_"


def of_sources(variables: Mapping[str, object]) -> dict[str, str]:
    """Those of the variables that belong to some installed source and hold something."""
    prefixes = tuple(prefix(name) for name in installed().names)
    named = {name.upper(): str(value) for name, value in variables.items() if value not in (None, "")}
    return {name: value for name, value in named.items() if name.startswith(prefixes)}


def environment(env_file: Path | str | None = ".env") -> dict[str, str]:
    """Every variable of the environment, and of `env_file` what the environment does not set."""
    from dotenv import dotenv_values

    filed = dotenv_values(env_file) if env_file else {}
    both = {**filed, **{name: value for name, value in os.environ.items() if value}}
    return {name.upper(): value for name, value in both.items() if value}
