"""Words for people: durations, dates, and outside text made safe to stand on one line."""

from __future__ import annotations

import re
from datetime import datetime

_SPACE = re.compile(r"\s+")
_HALF = re.compile("[\ud800-\udfff]")
# Unicode's Default_Ignorable_Code_Point, and characters whose glyph is empty: braille blank and null note head.
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\u2800\U0001d159]"
)
_JOINERS = "\u200c\u200d"
YEAR = 365
TODAY = "today"


def one_line(text: str, limit: int) -> str:
    """Outside text on one line: no controls, bidi or zero-width tricks, at most `limit` characters."""
    return run(text, limit).strip()


def run(text: str, limit: int) -> str:
    """The same for a piece of a line, which keeps the blanks at its ends."""
    spaced = _SPACE.sub(" ", text)
    visible = spaced if spaced.isprintable() else _SPACE.sub(" ", "".join(filter(_is_visible, spaced)))
    return visible if len(visible) <= limit else f"{visible[: limit - 1].rstrip()}…"


def _is_visible(char: str) -> bool:
    """Not a control, format, surrogate, private or unassigned character."""
    return char.isprintable() or char in _JOINERS


def is_blank(text: str) -> bool:
    """Whether nobody would see anything of it, whatever characters it holds."""
    return not one_line(_UNSEEN.sub("", text), len(text) + 1)


def whole(text: str) -> str:
    """Outside text with a mark for each half of a character: JSON can carry one, and no database or vendor takes it."""
    return text if text.isascii() else _HALF.sub("\ufffd", text)


def span(minutes: int) -> str:
    """A duration as people say it: `1 hour`, `90 minutes`, `5 days`."""
    for size, name in ((1440, "day"), (60, "hour"), (1, "minute")):
        if minutes >= size and minutes % size == 0:
            count = minutes // size
            return f"{count} {name}" + ("" if count == 1 else "s")
    return f"{minutes} minutes"


def age(at: datetime, now: datetime) -> str:
    """How long ago something was, in the largest unit that fits: `today`, `3 days`, `2 months`, `1 year`."""
    days = (now - at).days
    for size, name in ((YEAR, "year"), (30, "month"), (7, "week"), (1, "day")):
        if days >= size:
            count = days // size
            return f"{count} {name}" + ("" if count == 1 else "s")
    return TODAY


def is_old(at: datetime, now: datetime) -> bool:
    """Whether it is older than twelve months."""
    return (now - at).days > YEAR


def date(at: datetime) -> str:
    """A moment in UTC: `22 Nov 18:40 UTC`."""
    return f"{at.day} {at:%b %H:%M} UTC"
