"""Words for the model, without the names and addresses of people."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from bot.core.request import Passage

_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


def without(names: Iterable[str], text: str, instead: str) -> str:
    """A text with other words in the place of these names."""
    for name in filter(None, names):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", instead, text, flags=re.IGNORECASE)
    return text


def a_question(text: str, names: Iterable[str]) -> str:
    return _ADDRESS.sub("(address)", without(names, text, "somebody"))


def what_was_said(passage: Passage, names: Iterable[str]) -> Passage:
    """Chat with nothing in the place of names, so that what is left can be quoted; a document stays as it is."""
    if not passage.chat:
        return passage
    names = [*passage.authors, *names]
    title, text = (_ADDRESS.sub("", without(names, words, "")) for words in (passage.title, passage.text))
    return replace(passage, title=title, text=text, authors=())
