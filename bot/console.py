"""The terminal: where commands print, and a bar for what takes long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

out = Console(highlight=False)
_aside = Console(highlight=False, stderr=True)


def say_aside(line: str) -> None:
    """Beside what a command prints, which may be read by a program."""
    _aside.print(line, markup=False, soft_wrap=True, style="yellow")


class bar:  # noqa: N801 - a context manager used like a function
    """A progress bar a step, as the work names its steps."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(*columns, console=out, transient=True, disable=not out.is_terminal)
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> tuple[Progress, Callable[[str, int, int], None]]:
        self._progress.start()
        return self._progress, self._advance

    def _advance(self, step: str, done: int, total: int) -> None:
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(step, total=total or None)
        self._progress.update(self._tasks[step], completed=done, total=total or None)

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
