"""Anchors: the head of the audit trail, told to places that the owner of the database does not own.

Set after every decision, at every start and at least hourly. A trail whose end was cut off, or whose hashes were
computed anew, no longer fits what was told before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from bot.audit import Anchor
from bot.errors import Fault, SettingsError
from bot.ledger import Audit, Due, Job, Ledger
from bot.ports import Clock
from bot.verifying import ABANDONED, Verified

EVERY = timedelta(hours=1)
LATE = timedelta(minutes=5)
TRAIL = "trail"
ANCHOR = Due("anchor", subject=TRAIL)


class AnchorStore(Protocol):
    """A place outside the database that keeps anchors."""

    @property
    def name(self) -> str: ...

    @property
    def reads_apart(self) -> bool:
        """Whether a running bot may read here: never with the credential that writes."""
        ...

    async def put(self, anchor: Anchor, *, at: datetime) -> None:
        """Keep an anchor; the same one a second time is fine."""
        ...

    async def read(self, *, since: int = 0) -> Sequence[Anchor]:
        """Every anchor kept of event `since` and later ones, whatever database it names."""
        ...


@dataclass(frozen=True, slots=True)
class Anchoring:
    """Sets anchors, reads them, and does not begin on a trail that is behind them."""

    ledger: Ledger
    stores: Sequence[AnchorStore]
    clock: Clock

    async def anchor(self, job: Job) -> datetime | None:
        """Tell the head to every place; one that cannot be reached keeps no other one from being told."""
        if not self.stores:
            return None
        if (head := await self.ledger.head()) is not None:
            puts = (store.put(head, at=self.clock.now()) for store in self.stores)
            for problem in await asyncio.gather(*puts, return_exceptions=True):
                if problem is not None:
                    raise problem
        return self.clock.now() + EVERY

    async def begin(self) -> None:
        """From now on decisions are anchored; the first anchor tells that this run began."""
        if self.stores:
            self.ledger.after_decision = (ANCHOR,)
            await self.ledger.schedule(TRAIL, [ANCHOR])

    async def check_not_behind(self) -> Sequence[str]:
        """Refuse a database that is older than its anchors; the places that could not be asked are returned.

        After a restore the record of what was granted meanwhile is gone, so nobody would take it back, and an answer
        could count a second time. Only a person can say that this is meant.
        """
        head, abandoned = await self.ledger.head(), await self._abandoned()
        since = head.seq if head else 0
        silent = []
        for store in (store for store in self.stores if store.reads_apart):
            try:
                newer = [anchor for anchor in await store.read(since=since) if anchor.key not in abandoned]
            except Fault as fault:
                silent.append(f"{store.name}: {fault}")
                continue
            if lost := [anchor for anchor in newer if head is None or anchor.key != head.key]:
                raise SettingsError(_behind(head, lost[0], store.name))
        return silent

    async def check_told(self) -> str:
        """That every place was told of all that is older than an hour, in words; `SettingsError` if one was not."""
        read = [store for store in self.stores if store.reads_apart]
        due = await self.ledger.head_before(self.clock.now() - EVERY - LATE)
        if not read or due is None:
            return "nothing is to be anchored yet" if read else "no anchors that can be read are configured"
        for store in read:
            if not [anchor for anchor in await store.read(since=due.seq) if anchor.database == due.database]:
                raise SettingsError(_untold(due, store.name))
        return f"event {due.seq} and all before it are anchored"

    async def _abandoned(self) -> set[str]:
        events = await self.ledger.events(what=ABANDONED)
        return {str(key) for event in events for key in event.detail["anchors"]}

    async def verify(self) -> tuple[Verified, Sequence[str]]:
        """The whole trail against every anchor that can be read; and the places that could not be."""
        answers = await asyncio.gather(*(store.read() for store in self.stores), return_exceptions=True)
        anchors: list[Anchor] = []
        silent: list[str] = []
        for store, answer in zip(self.stores, answers, strict=True):
            if isinstance(answer, Fault):
                silent.append(f"{store.name}: {answer}")
            elif isinstance(answer, BaseException):
                raise answer
            else:
                anchors += answer
        return await self.ledger.verify(anchors), silent

    async def abandon(self, *, by: str, why: str) -> Sequence[Anchor]:
        """Declare that what these anchors tell of is lost, for instance with a restored backup."""
        verified, silent = await self.verify()
        if silent:
            raise Fault("anchors", f"cannot be read ({'; '.join(silent)}), so nothing is abandoned")
        if verified.strays:
            detail = {"anchors": sorted({anchor.key for anchor in verified.strays})}
            await self.ledger.note_event(Audit(by, ABANDONED, detail, {"why": why}))
        return verified.strays


def _untold(due: Anchor, where: str) -> str:
    return (
        f"{where} was not told of event {due.seq} ({due.at}), which is more than an hour old, so nobody would see it "
        "if the end of the audit trail were cut off: look whether `run` runs, and why its job `anchor` fails "
        "(`tinyapprover jobs`)"
    )


def _behind(head: Anchor | None, anchor: Anchor, where: str) -> str:
    ends = f"ends at event {head.seq}" if head else "is empty"
    return (
        f"the database is not the one that its anchors tell of: its audit trail {ends}, and {where} has event "
        f"{anchor.seq} ({anchor.hash[:12]}). If an older backup was restored, restore a newer one, or declare the rest "
        "lost with: tinyapprover audit abandon --why WORDS"
    )
