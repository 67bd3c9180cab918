"""A model's answer heard while it is written: server-sent events put together, and what stands whole in them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from bot.core.strict_json import MAX_ANSWER
from bot.errors import Fault

VENDOR = "openai"
T = TypeVar("T")
Listen = Callable[[str], Awaitable[None]]


class Listening(Generic[T]):
    """Called with all that is written so far, tells each thing that stands whole in it, once."""

    def __init__(self, finished: Callable[[str], Sequence[T]], tell: Callable[[T], Awaitable[None]]) -> None:
        self._finished = finished
        self._tell = tell
        self._told = 0

    async def __call__(self, text: str) -> None:
        for one in self._finished(text)[self._told :]:
            self._told += 1
            await self._tell(one)


async def read_stream(stream: Any, listen: Listen) -> str:
    """The whole text of a streamed chat completion; `listen` hears it whenever an object may have ended."""
    text, finish = "", None
    async with stream:
        async for chunk in stream:
            choice = next(iter(getattr(chunk, "choices", None) or ()), None)
            piece = getattr(getattr(choice, "delta", None), "content", None) or ""
            text += piece
            finish = getattr(choice, "finish_reason", None) or finish
            if "}" in piece:
                await listen(text)
            if len(text) > MAX_ANSWER:
                break
    return complete(text if finish else None, finish)


def complete(content: Any, finish: Any) -> str:
    """An answer that ended by itself. A cut or refused one no repair can help, as none."""
    if finish in ("length", "content_filter") or not isinstance(content, str):
        raise Fault(VENDOR, f"no complete answer (finish reason {str(finish)[:40]})")
    return content
