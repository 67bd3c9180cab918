"""What a model wrote, read strictly: one JSON object or nothing, and words without links or unseen characters."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Sequence
from typing import Any

MAX_ANSWER = 20_000
LINK = re.compile(r"(?:[a-z][a-z0-9+.-]*://|www\.|mailto:|(?:[\w-]+\.)+[a-z]{2,}/)\S*", re.IGNORECASE)


class Unusable(ValueError):
    """The answer does not follow the form; the text says why, and is fit to be sent back to the model."""


def strict_json(text: str) -> Any:
    """The whole text as JSON: no fences, no repeated keys, no NaN."""
    if len(text) > MAX_ANSWER:
        raise Unusable(f"the answer is longer than {MAX_ANSWER} characters")
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
    except RecursionError:
        raise Unusable("the answer is nested too deeply") from None
    except Unusable:
        raise
    except ValueError:
        raise Unusable("the answer is not one JSON object") from None


def _without_duplicates(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Python keeps the last of two equal keys; an answer that says both deny and approve says nothing."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Unusable("a key stands twice in one object")
    return found


def _refuse_constant(name: str) -> Any:
    raise Unusable(f"{name} is not JSON")


def plain(text: str) -> str:
    """One line without control, bidirectional, zero-width, tag, private or surrogate characters."""
    words = " ".join(text.split())
    if words.isprintable():
        return words
    spaced = "".join(" " if char in "\n\r\t\u2028\u2029" else char for char in text)
    return " ".join("".join(char for char in spaced if unicodedata.category(char)[0] != "C").split())


def linked(text: str, links: Collection[str] = ()) -> str:
    """The text with only these links in it."""
    return LINK.sub(lambda found: found[0] if found[0].rstrip(".,;:!?)]>\"'") in links else "(link removed)", text)
