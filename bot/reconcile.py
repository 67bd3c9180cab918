"""After Slack has reached us again: what stands there is compared with the record, and made true to it.

A message that somebody deleted is posted anew, one that an update overtaken on the way has changed is drawn again, and
of two that carry the same key (a post that arrived after we had given it up) the younger is deleted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bot.errors import Fault
from bot.journey import Journey
from bot.ledger import Due, Job, Kept
from bot.ports import Mark, Message, Sent
from bot.slack.blocks import section, when

SLACK = "slack"
MOST_CHANNELS, MOST_MESSAGES = 100, 2000
APART = timedelta(seconds=1.3)  # Slack lets a history be read some fifty times a minute
NOTICED_AWAY = 15.0  # more than pings, signs of life and an ordinary restart lie apart
LOOK_BACK = timedelta(hours=1)
GONE_ALREADY = frozenset(["message_not_found", "channel_not_found", "is_archived", "cant_delete_message"])


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Reads our messages back, channel by channel, beside the story."""

    journey: Journey

    async def want(self, away: float) -> None:
        """Slack has said hello, after it could not reach us for so many seconds."""
        jobs = [Due("reconcile")]
        if away >= NOTICED_AWAY:
            now = self.journey.clock.now()
            since = (now - timedelta(seconds=away)).isoformat(timespec="seconds")
            jobs.append(Due(f"away:{since}", payload={"since": since, "until": now.isoformat(timespec="seconds")}))
        await self.journey.ledger.schedule(SLACK, jobs)

    async def reconcile(self, job: Job) -> datetime | None:
        """Have every channel looked at in which something of an open request stands, one after another."""
        channels, now = await self.journey.ledger.channels_in_use(MOST_CHANNELS), self.journey.clock.now()
        looks = [Due("compare", at=now + n * APART, subject=channel) for n, channel in enumerate(channels)]
        await self.journey.ledger.schedule(SLACK, looks)
        return None

    async def compare(self, job: Job) -> datetime | None:
        """Compare one channel (the job's subject) with the record."""
        channel, journey = job.subject, self.journey
        recent = journey.clock.now() - LOOK_BACK
        kept = await journey.ledger.messages_in(channel, since=recent, most=MOST_MESSAGES)
        try:
            marks, read_since = await journey.chat.marks(channel, since=min([recent, *map(_posted_at, kept)]))
        except Fault as fault:
            if fault.permanent or fault.what in GONE_ALREADY:
                return None
            raise
        for one in _untrue([one for one in kept if _posted_at(one) >= read_since], marks):
            await journey.ledger.draw_again(one, gone=one.ts not in {mark.ts for mark in marks})
        for twin in _twins(kept, marks):
            await self._delete(Sent(channel, twin.ts))
        return None

    async def _delete(self, twin: Sent) -> None:
        try:
            await self.journey.chat.delete(twin)
        except Fault as fault:
            if fault.what not in GONE_ALREADY:
                raise

    async def away(self, job: Job) -> datetime | None:
        """Tell where cards wait that presses may have been lost: Slack does not send a press again."""
        message, chat = _away_message(job.payload), self.journey.chat
        for channel in await self.journey.ledger.channels_in_use(MOST_CHANNELS, kind="card"):
            key, since = f"{job.kind}/{channel}", self.journey.clock.now() - LOOK_BACK
            if job.attempts == 1 or await chat.find(channel, key=key, since=since) is None:
                await chat.post(channel, message, key=key)
                if job.attempts > 1:
                    await self.journey.showing.look_later(channel)
        return None


def _posted_at(kept: Kept) -> datetime:
    return datetime.fromtimestamp(float(kept.ts), UTC) - timedelta(milliseconds=1)  # a float is not that exact


def _untrue(kept: Sequence[Kept], marks: Sequence[Mark]) -> Iterator[Kept]:
    """What is gone or says something else."""
    said = {mark.ts: mark.fingerprint for mark in marks}
    return (one for one in kept if one.open and said.get(one.ts) != one.fingerprint)


def _twins(kept: Sequence[Kept], marks: Sequence[Mark]) -> Iterator[Mark]:
    """Of those with the same key all but the one on record, or the oldest when none is.

    Only such as were posted about the same time: a database that began anew gives the same keys again.
    """
    recorded = {one.ts for one in kept}
    same: defaultdict[str, list[Mark]] = defaultdict(list)
    for mark in marks:
        same[mark.key].append(mark)
    for those in same.values():
        first = min(those, key=lambda mark: (mark.ts not in recorded, float(mark.ts)))
        near = [mark for mark in those if abs(float(mark.ts) - float(first.ts)) < LOOK_BACK.total_seconds()]
        yield from (mark for mark in near if mark is not first)


def _away_message(payload: Mapping[str, str]) -> Message:
    since, until = (when(datetime.fromisoformat(payload[name])) for name in ("since", "until"))
    words = (
        f"Slack could not reach TinyApprover between about {since} and {until}. What was pressed in that time did not "
        "arrive: where a card still waits for you, press again."
    )
    return Message(text=words, blocks=[section(words)])
