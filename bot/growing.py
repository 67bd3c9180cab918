"""An answer's message while the answer is being found: what is being done, then each sentence that stands.

Where Slack takes no stream the message says that we are looking, and then the answer. The whole answer replaces what
grew in any case, so what Slack does not take on the way is left out.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bot.errors import Fault
from bot.ports import Sent, Streams

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Growing:
    """Our message; `streams` is None when it is an ordinary one, or is said no more."""

    sent: Sent
    key: str
    streams: Streams | None = None
    _grows: bool = True

    @property
    def grows(self) -> bool:
        """Whether it is worth saying anything before the end."""
        return self.streams is not None and self._grows

    async def say(self, task: str, blocks: Sequence[dict[str, Any]] = ()) -> None:
        """Show what is being done now, and more of the answer."""
        if self.streams is None or not self._grows:
            return
        try:
            await self.streams.append(self.sent, task, blocks, key=self.key)
        except Fault as fault:
            log.info("the rest is shown at once: %s", fault, extra={"step": "answer", "vendor": fault.vendor})
            self._grows = False

    async def close(self) -> None:
        """It grows no more, and can be changed like any other message."""
        if self.streams is not None:
            await self.streams.stop(self.sent)
