"""Log lines with the request, the step, the vendor and the time it took; never a reason, never a secret."""

from __future__ import annotations

import logging

from bot.core.words import one_line, run

FIELDS = ("request", "step", "vendor", "ms")
LONGEST = 2000


class Line(logging.Formatter):
    """`12:00:00 info request=TA-1 step=card ms=152 done`. No text from outside can begin a line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        named = [f"{name}={value}" for name in FIELDS if (value := getattr(record, name, "")) not in ("", None)]
        parts = [self.formatTime(record, "%H:%M:%S"), record.levelname.lower(), *named, record.getMessage()]
        rows = self.formatException(record.exc_info).splitlines() if record.exc_info else []
        return "\n".join([one_line(" ".join(parts), LONGEST), *(f"  {run(row, LONGEST)}" for row in rows)])


def set_up(level: str) -> None:
    """Our own lines at `level`; vendors' packages only when something is wrong, because some print credentials."""
    handler = logging.StreamHandler()
    handler.setFormatter(Line())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in ("bot", "connectors", "knowledge", "policies"):
        logging.getLogger(name).setLevel(level.upper())
    for name in ("slack", "slack_bolt", "slack_sdk", "okta", "pdpyras", "openai", "chromadb"):
        logging.getLogger(name).setLevel(logging.ERROR)
