"""Python's garbage collector at work when it holds nobody up for long.

A full collection looks through everything that was ever made, which takes 0.1 s, and comes in the middle of the work
that made it due: mostly of a burst. Young objects are collected as ever, and nearly all of ours go without a collector.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

EVERY_SECONDS, GLANCE_SECONDS = 300.0, 0.5
GLANCES = 600
YOUNG, MIDDLE, SELDOM = 10_000, 10, 100  # objects, young collections, middle ones: a burst sees at most one of them


def settle() -> None:
    """What the start has made stays, and is not looked through again; full collections come seldom from now on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, SELDOM)


async def collect_now_and_then(is_idle: Callable[[], bool]) -> None:
    """What refers to itself in circles goes after some minutes, when nothing is being done, or after as many again."""
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        for _ in range(GLANCES):
            if is_idle():
                break
            await asyncio.sleep(GLANCE_SECONDS)
        gc.collect()
