"""Python's garbage collector at work when it holds nobody up for long.

A full collection looks through everything that was ever made, which takes 0.1 s, and comes in the middle of the work
that made it due: mostly of a burst. Young objects are collected as ever, and nearly all of ours go without a collector.
"""

from __future__ import annotations

import asyncio
import gc

EVERY_SECONDS = 300.0
YOUNG, MIDDLE = gc.get_threshold()[:2]
SELDOM = 1000  # collections of the middle generation between two full ones that nobody asked for: millions of objects


def settle() -> None:
    """What the start has made stays, and is not looked through again; full collections come seldom from now on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, SELDOM)


async def collect_now_and_then() -> None:
    """What refers to itself in circles goes after some minutes."""
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        gc.collect()
