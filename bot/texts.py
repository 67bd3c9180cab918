"""Texts that are generated from the code, so that they cannot say anything else: written by `make fix`, checked by
`make check`. In README.md they stand between `<!-- generated: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from bot.config import Settings, roles_of, setting_names
from bot.core.lifecycle import diagram
from bot.source_variables import installed
from knowledge.sources import registry
from knowledge.sources.registry import Setting as SourceSetting

ROOT = Path(__file__).parent.parent
_BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.S)


def main() -> int:
    """Write what has changed; with `--check` only name it, and fail."""
    only_check = "--check" in sys.argv[1:]
    stale = [name for name, text in texts().items() if (ROOT / name).read_text("utf-8") != text]
    for name in stale:
        if not only_check:
            (ROOT / name).write_text(texts()[name], "utf-8")
        sys.stderr.write(f"{name} {'is not what the code says: run make fix' if only_check else 'written'}\n")
    return 1 if stale and only_check else 0


def texts() -> dict[str, str]:
    """Every file that holds generated text, as it should be."""
    pages = ("README.md", "docs/settings.md")
    filled = {page: _BLOCK.sub(_fill, (ROOT / page).read_text("utf-8")) for page in pages}
    return {**filled, ".env.example": env_example()}


def _fill(block: re.Match[str]) -> str:
    return f"{block[1]}{_GENERATED[block[2]]()}\n{block[3]}"


def state_diagram() -> str:
    """The table of moves, as a diagram."""
    return f"```mermaid\n{diagram()}\n```"


def settings_table() -> str:
    """Every setting, with its default and its meaning."""
    rows = ["| variable | default | known to | meaning |", "|---|---|---|---|"]
    for field, name in setting_names().items():
        info = Settings.model_fields[field]
        known_to = " and ".join(roles_of(field))
        rows.append(f"| `{name}` | {_shown_default(info)} | {known_to} | {info.description} |")
    return "\n".join(rows)


def source_table() -> str:
    """Every setting of the sources of this package, which only the front knows."""
    rows = ["| variable | source | default | meaning |", "|---|---|---|---|"]
    for source, setting in _source_settings():
        default = "needed" if setting.needed else f"`{setting.default}`" if setting.default else ""
        rows.append(f"| `{setting.name}` | {source} | {default} | {setting.help} |")
    return "\n".join(rows)


def _source_settings() -> list[tuple[str, SourceSetting]]:
    ours = sorted(entry.name for entry in installed() if entry.value.startswith("knowledge.sources."))
    return [(name, setting) for name in ours for setting in registry.load(name).settings]


def command_help() -> str:
    """Every command and what it does."""
    from typer.main import get_command

    from bot.__main__ import app

    group = get_command(app)
    lines = ["| command | what it does |", "|---|---|"]
    for name, command in sorted(_commands(group)):
        lines.append(f"| `tinyapprover {name}` | {command} |")
    return "\n".join(lines)


def _commands(group: object, prefix: str = "") -> list[tuple[str, str]]:
    found = []
    for name, command in getattr(group, "commands", {}).items():
        found += _commands(command, f"{prefix}{name} ")
        if getattr(command, "invoke_without_command", True):  # a group that does nothing by itself has no row
            found.append((f"{prefix}{name}", (command.help or "").strip().splitlines()[0]))
    return found


def env_example() -> str:
    """A commented `.env`: what is needed stands open, what has a default is commented out."""
    lines = ["# Settings of TinyApprover. Copy to .env and fill in. Generated: `make fix`.", ""]
    for field, name in setting_names().items():
        info = Settings.model_fields[field]
        lines += [f"# {info.description}", _assignment(name, info), ""]
    for source, setting in _source_settings():
        lines += [f"# Of the source {source}: {setting.help}", f"# {setting.name}={setting.default}", ""]
    return "\n".join(lines)


def _assignment(name: str, info: FieldInfo) -> str:
    if info.default is PydanticUndefined:
        return f"{name}="
    return f"# {name}={_plain_default(info)}"


def _plain_default(info: FieldInfo) -> str:
    value = info.default
    if value is None or isinstance(value, SecretStr):
        return ""
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _shown_default(info: FieldInfo) -> str:
    if info.default is PydanticUndefined:
        return "needed"
    return f"`{plain}`" if (plain := _plain_default(info)) else ""


_GENERATED: dict[str, Callable[[], str]] = {
    "states": state_diagram,
    "settings": settings_table,
    "sources": source_table,
    "commands": command_help,
}

if __name__ == "__main__":
    sys.exit(main())
