"""A policy question that somebody asks in chat, and its answer, as frozen values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bot.core.request import Entitlement, Passage


class Where(StrEnum):
    """How a question came: a mention in an ask channel, a direct message, or the command."""

    MENTION = "mention"
    DIRECT = "direct"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class PolicyQuestion:
    """What somebody asked. `thread` is the one that the answer goes into; empty when it begins one.

    `answer_ts` is our message, once it stands; `answered_at` says that it holds the answer. `person` is who asked, in
    the directory, where that is known by then.
    """

    id: str
    where: Where
    team: str
    user: str
    channel: str
    thread: str
    text: str
    asked_at: datetime
    answer_ts: str = ""
    answered_at: datetime | None = None
    person: str = ""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of an answer: the passages it rests on, by number from 1, and the words it rests on there."""

    text: str
    cites: tuple[int, ...]
    quote: str


@dataclass(frozen=True, slots=True)
class Said:
    """What a model says to a question, believed by nobody yet; `conflict`: that the passages contradict each other."""

    sentences: Sequence[Sentence]
    conflict: bool = False


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The narrowest thing that fits a need, and why it was chosen."""

    entitlement: Entitlement
    why: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What is shown. Without sentences and passages it is a refusal; `nearest` are then the nearest documents.

    With passages and no sentences they are shown as they are. `note` says how the answer came about, or why there is
    none; `contact` is whom to ask instead, or `may_hand_on` that the asker can have it passed on to the responders.
    `conflict` says that its passages contradict each other. `closed` are passages for the people of that channel alone,
    which no model was told.
    """

    note: str
    sentences: Sequence[Sentence] = ()
    passages: Sequence[Passage] = ()
    nearest: Sequence[Passage] = ()
    suggestion: Suggestion | None = None
    contact: str = ""
    may_hand_on: bool = False
    conflict: bool = False
    closed: Sequence[Passage] = ()

    @property
    def supported(self) -> bool:
        """Whether the documents say something about it."""
        return bool(self.passages or self.closed)

    def is_hearsay(self, sentence: Sentence) -> bool:
        """Whether one of its sentences rests on nothing but what people wrote in chat."""
        return all(self.passages[number - 1].chat for number in sentence.cites)

    @property
    def only_chat(self) -> bool:
        """Whether nothing supports it but what people wrote in chat."""
        return self.supported and all(one.chat for one in (*self.passages, *self.closed))
