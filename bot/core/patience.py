"""How long silence is borne: when people are reminded, passed over, and warned. Values in, times out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.core.request import Entitlement, Wake

REMIND, SILENCE, FALLBACK = "remind", "silence", "fallback"
WARN_AT_MOST = 0.25  # of the time that was granted


@dataclass(frozen=True, slots=True)
class Patience:
    """The defaults; an entitlement may name its own. `repage` is how often overdue access pages somebody again."""

    remind: timedelta = timedelta(minutes=15)
    escalate: timedelta = timedelta(minutes=30)
    warn: timedelta = timedelta(minutes=15)
    repage: timedelta = timedelta(days=1)

    def remind_after(self, entitlement: Entitlement) -> timedelta:
        """Of silence, until the channel is reminded."""
        own = entitlement.remind_minutes
        return self.remind if own is None else timedelta(minutes=own)

    def escalate_after(self, entitlement: Entitlement) -> timedelta:
        """Of silence, until the next level is paged; for what pages nobody at first, until the first is."""
        own = entitlement.escalate_minutes
        return self.escalate if own is None else timedelta(minutes=own)

    def on_silence(
        self, entitlement: Entitlement, *, asked: datetime, paged: datetime, working: Callable[[datetime], datetime]
    ) -> Mapping[str, datetime]:
        """What is due if nobody answers. People are asked in Slack at `asked`, and beyond it at `paged`."""
        reminded = asked + self.remind_after(entitlement)
        times = {
            REMIND: working(reminded) if entitlement.wake is Wake.NEVER else reminded,
            SILENCE: paged + self.escalate_after(entitlement),
        }
        if entitlement.fallback is not None:
            times[FALLBACK] = paged + timedelta(minutes=entitlement.fallback.minutes)
        return times

    def warns_at(self, ends_at: datetime, minutes: int) -> datetime:
        """When the holder hears that it ends soon: never earlier than in the last quarter."""
        return ends_at - min(self.warn, timedelta(minutes=minutes) * WARN_AT_MOST)
