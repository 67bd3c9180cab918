"""Reads a YAML file and remembers the line of every key, so that errors can point at it.

Stricter than YAML itself: one document, keys are text and stand once, no aliases, no tags beyond the plain types.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bot.errors import SettingsError

LONGEST_FILE = 256 * 1024

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Marked:
    """A file's data with the line (1 is first) of each place in it, a place being its keys from the top."""

    path: Path
    data: Any
    lines: dict[Place, int] = field(default_factory=dict)

    def line(self, place: Iterable[str | int]) -> int:
        """The line of a place, or of the nearest thing around it that stands in the file."""
        keys = tuple(place)
        while keys and keys not in self.lines:
            keys = keys[:-1]
        return self.lines.get(keys, 1)

    def error(self, place: Iterable[str | int], message: str) -> SettingsError:
        """An error that names file, line and key: `prod.yml:7: sensitivity: "hihg" is not one of low, high`."""
        keys = tuple(place)
        key = ".".join(str(part + 1) if isinstance(part, int) else part for part in keys)
        return SettingsError(f"{self.path}:{self.line(keys)}: {key + ': ' if key else ''}{message}")


def read_text(path: Path) -> str:
    """A file's text; a `SettingsError` if it is missing or not UTF-8."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: is not UTF-8 text (byte {error.start})") from error


def read_bytes(path: Path) -> bytes:
    """A file's content; a `SettingsError` if it cannot be read or is longer than any policy."""
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST_FILE + 1)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > LONGEST_FILE:
        raise SettingsError(
            f"{path}: is longer than {LONGEST_FILE // 1024} KB; split it, or take out what no rule needs"
        )
    return content


def read_marked(path: Path) -> Marked:
    """The file's data and lines."""
    loader: yaml.SafeLoader | None = None
    try:
        loader = _Loader(read_text(path))
        node = loader.get_single_node()
        marked = Marked(path, None)
        data = None if node is None else _build(loader, node, (), marked)
    except RecursionError:
        raise SettingsError(f"{path}: is nested too deeply to be read") from None
    except (yaml.YAMLError, ValueError) as error:
        raise SettingsError(_yaml_message(path, error)) from error
    finally:
        if loader is not None:
            loader.dispose()
    return Marked(path, data, marked.lines)


class _Loader(yaml.SafeLoader):
    """The safe loader without aliases: what a key means should stand where the key is."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases are not allowed; write it out", problem_mark=event.start_mark)
        return super().compose_node(parent, index)


def _yaml_message(path: Path, error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"{path}:{mark.line + 1 if mark else 1}: {problem}"


def _build(loader: yaml.SafeLoader, node: yaml.Node, place: Place, marked: Marked) -> Any:
    """The data below a node; the lines go into `marked`."""
    marked.lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return _build_mapping(loader, node, place, marked)
    if isinstance(node, yaml.SequenceNode):
        return [_build(loader, item, (*place, index), marked) for index, item in enumerate(node.value)]
    return loader.construct_object(node, deep=True)


def _build_mapping(loader: yaml.SafeLoader, node: yaml.MappingNode, place: Place, marked: Marked) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key, line = loader.construct_object(key_node, deep=True), key_node.start_mark.line + 1
        if not isinstance(key, str):
            raise SettingsError(f"{marked.path}:{line}: the key {key} is not plain text; put it in quotes")
        inner = (*place, key)
        if key in data:
            raise SettingsError(f"{marked.path}:{line}: {key}: stands twice, first on line {marked.lines[inner]}")
        marked.lines[inner] = line
        data[key] = _build(loader, value_node, inner, marked)
    return data
