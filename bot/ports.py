"""What the story needs from the outside, as narrow protocols. `bot.app` hands in the connectors that satisfy them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol

from bot.core.question import Said, Sentence
from bot.core.request import Advice, Evidence, Fact, Passage, Plan, Quotes, Request, Standing

Blocks = list[dict[str, Any]]


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> datetime:
        """The present, aware, in UTC."""
        ...


# --- chat ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Message:
    """A chat message: a full sentence as `text` (notification, screen readers) and blocks. `text` is escaped mrkdwn."""

    text: str
    blocks: Blocks

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of what it says, carried along so that reading back tells whether it still says that."""
        return hashlib.sha256(json.dumps([self.text, self.blocks], sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Mark:
    """A message of ours as it was read back: its key, and the fingerprint of what it was last made to say."""

    ts: str
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Sent:
    """Where a message stands: channel id and timestamp id."""

    channel: str
    ts: str


@dataclass(frozen=True, slots=True)
class Member:
    """What the chat system says of a user, read fresh."""

    team: str
    user: str
    email: str
    email_confirmed: bool
    name: str
    full_member: bool
    bot: bool
    deleted: bool
    timezone: str = "UTC"


class Chat(Protocol):
    """The chat system: posts, finds again what it posted, updates, whispers, and tells who somebody is."""

    async def post(self, channel: str, message: Message, *, key: str, thread: str = "") -> Sent:
        """Post, carrying `key` in the message's metadata so that `find` can see it; into a thread, if one is named."""
        ...

    async def find(self, channel: str, *, key: str, since: datetime) -> Sent | None:
        """The first message of ours that carries `key`, posted after `since`, if it is there."""
        ...

    async def find_replies(self, channel: str, thread: str, *, key: str) -> Sequence[Sent]:
        """All messages of ours in a thread that carry `key`, oldest first."""
        ...

    async def is_closed(self, channel: str) -> bool:
        """Whether a channel is for its members alone, all of them of this company."""
        ...

    async def marks(self, channel: str, *, since: datetime) -> tuple[Sequence[Mark], datetime]:
        """Our messages in a channel, and how far back they were read: to `since`, or less far in a busy one."""
        ...

    async def update(self, sent: Sent, message: Message, *, key: str) -> None:
        """Make a message say something else; `key` is the one it was posted with."""
        ...

    async def delete(self, sent: Sent) -> None: ...

    async def whisper(self, channel: str, user: str, text: str, *, thread: str = "") -> None:
        """Show `text` to one person only: in the channel or a thread of it, if they are in it; else directly."""
        ...

    async def dm_channel(self, user: str) -> str:
        """The id of the direct-message channel with a person."""
        ...

    async def open_modal(self, trigger_id: str, view: dict[str, Any]) -> str:
        """Open a modal and return its view id. A trigger lives three seconds and works once."""
        ...

    async def update_modal(self, view_id: str, view: dict[str, Any]) -> bool:
        """Draw an open modal anew; `False` when whoever opened it has closed it meanwhile."""
        ...

    async def publish_home(self, user: str, view: dict[str, Any]) -> None: ...

    async def member(self, user: str) -> Member: ...

    async def is_in_channel(self, channel: str, user: str) -> bool: ...

    def link(self, sent: Sent) -> str:
        """The address of a message, built without a call."""
        ...


class Streams(Protocol):
    """Messages that grow while they are written. Once it is stopped, `Chat.update` changes such a message too."""

    async def start(self, channel: str, thread: str, task: str, *, key: str, reader: tuple[str, str]) -> Sent | None:
        """Begin a reply with a first line that says what is being done; `reader` is a team and a user of it.

        None when it does not go there: then an ordinary message does. `Chat.find_replies` sees `key` in it.
        """
        ...

    async def append(self, sent: Sent, task: str, blocks: Sequence[dict[str, Any]] = (), *, key: str) -> None:
        """Say what is being done now, and add blocks at the end."""
        ...

    async def stop(self, sent: Sent) -> None:
        """Nothing more is added; one that is closed already stays so."""
        ...


# --- page ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page:
    """What an incident is opened with. `key` is the dedupe key; `urgency` is high or low."""

    key: str
    title: str
    body: str
    urgency: str
    escalation_policy: str | None = None
    link: str = ""


@dataclass(frozen=True, slots=True)
class Incident:
    id: str
    url: str
    status: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Note:
    """A comment on an incident. `author` is a user id, or None when a service, a rule or nobody wrote it."""

    id: str
    content: str
    author: str | None
    created_at: datetime
    updated_at: datetime | None

    @property
    def edited(self) -> bool:
        """Whether its text was changed after it was written."""
        return self.updated_at is not None and self.updated_at != self.created_at


@dataclass(frozen=True, slots=True)
class PagerUser:
    id: str
    email: str
    name: str


@dataclass(frozen=True, slots=True)
class OnCall:
    user: str
    level: int


class Pager(Protocol):
    """The paging system."""

    async def open_incident(self, page: Page, *, look_first: bool = False) -> Incident:
        """Open an incident. A repeat looks first, and adopts what has the key, whatever that says."""
        ...

    async def find(self, key: str) -> Incident | None:
        """The incident that was opened with the key: an open one before a resolved one."""
        ...

    async def incident(self, incident_id: str) -> Incident: ...

    async def notes(self, incident_id: str) -> Sequence[Note]:
        """All comments, oldest first."""
        ...

    async def add_note(self, incident_id: str, content: str) -> Note:
        """Write a comment once: what already stands there with the same content, by us, is returned instead."""
        ...

    async def resolve(self, incident_id: str) -> None:
        """Resolve; an incident that is resolved already is fine."""
        ...

    async def escalate(self, incident_id: str, level: int, *, look_first: bool = False) -> None:
        """Page the people of an escalation level (1 is first). A repeat looks first whether they have it already."""
        ...

    async def user(self, user_id: str) -> PagerUser: ...

    async def user_by_email(self, email: str) -> PagerUser | None: ...

    async def on_call(self, escalation_policy: str) -> Sequence[OnCall]:
        """Who is on call for a policy now; without one, for that of the service on which pages are opened."""
        ...

    @property
    def own_user(self) -> str:
        """The id of the user our notes are written as; a note of theirs never decides. Known after `connect`."""
        ...


# --- directory, evidence, actions ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Headcount:
    """The ids of people; not `complete` when there are more than could be read in time."""

    people: frozenset[str]
    complete: bool = True


class Directory(Protocol):
    """Who people are and what they hold, read live. `max_age` (seconds) says how old a reading may be."""

    async def standing(self, person_id: str, *, max_age: float = 0) -> Standing: ...

    async def by_login(self, email: str) -> Standing | None:
        """The one account whose login equals `email` exactly (ignoring case); None if there is none."""
        ...

    async def members(self, group: str, *, max_age: float = 0) -> Sequence[str]:
        """The ids of everybody in a group, by the group's name."""
        ...

    async def department(self, name: str, *, seconds: float, max_age: float = 0) -> Headcount:
        """The active people of a department, as many as can be read within so many seconds."""
        ...


class Source(Protocol):
    """One place a careful reviewer would look."""

    @property
    def name(self) -> str: ...

    async def gather(self, request: Request) -> Evidence:
        """What it has to say; raises `Fault` when it cannot be read."""
        ...


class Memory(Protocol):
    """The company's own words, searched."""

    async def quotes(
        self, queries: Sequence[str], *, limit: int, audience: frozenset[str], people: frozenset[str]
    ) -> Quotes:
        """The best passages for any of the queries that an audience may see; what one of `people` wrote is theirs."""
        ...


class Actor(Protocol):
    """One kind of privileged action. `least_permission` says what its credentials need, for `check` and the docs."""

    kind: str
    least_permission: str

    async def plan(self, request: Request, *, max_age: float = 0, ours: bool = False) -> Plan:
        """What will change; `Refused` for what must not be touched. Reads only.

        `ours` says that the access, if it is there already, came from another request and ends with the later one.
        """
        ...

    async def apply(self, plan: Plan) -> str:
        """Carry the plan out; the vendor's own id of the call, for the audit trail ("" where it has none).

        Idempotent; a `Fault` with `unknown` may have done it.

        Where the vendor can end the access by itself, that is set too, `plan.minutes` and a margin from now: it ends
        even if nobody takes it back. Okta's group membership has no such field.
        """
        ...

    async def verify(self, plan: Plan) -> bool:
        """Read back: is the access there now?"""
        ...

    async def revoke(self, plan: Plan) -> str:
        """Take away what `apply` added; the vendor's own id of the call. Idempotent."""
        ...


# --- advice ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Brief:
    """What the model is given: the company's prompt, facts in fields, and outside text as quoted data."""

    system: str
    request: Mapping[str, str]
    facts: Sequence[Fact]
    passages: Sequence[Passage]
    precedents: Sequence[Mapping[str, str]] = field(default_factory=tuple)


class Adviser(Protocol):
    """Recommends; never decides. Raises `Fault` when no usable answer came."""

    async def advise(self, brief: Brief) -> Advice: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """A policy question for the model, without names, with what was asked before it in the thread."""

    question: str
    earlier: Sequence[str]
    passages: Sequence[Passage]


Heard = Callable[[Sentence], Awaitable[None]]
"""Told each sentence as soon as a model has written it to its end."""


class Answerer(Protocol):
    """Answers from passages alone. Nothing that it says is shown before its quotes were checked."""

    model: str

    async def answer(self, asked: Asked, heard: Heard | None = None) -> Said:
        """What the model says, no sentence if the passages do not tell; `Fault` when no usable answer came.

        Whoever wants to hear them one by one gets what is written meanwhile, which may differ from what counts in the
        end.
        """
        ...
