"""Which of the passages found are used."""

from __future__ import annotations

from collections.abc import Sequence

from bot.core.request import Passage

LOOKED_THROUGH = 30
"""How many passages to ask for, so that chat, of which there is much, leaves documents among them."""


def documents_first(found: Sequence[Passage], *, documents: int, chat: int) -> tuple[Passage, ...]:
    """The best of both kinds, and no document crowded out by what people say, which anybody may write."""
    written, said = ([one for one in found if one.chat is is_chat] for is_chat in (False, True))
    return (*written[:documents], *said[:chat])
