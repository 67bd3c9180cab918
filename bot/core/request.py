"""The nouns of an access request, as frozen values. Times are aware UTC datetimes; durations are whole minutes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

from bot.core.lifecycle import STOPPABLE, State

MAX_JUSTIFICATION = 2000
DOCUMENTS_SHOWN, CHAT_SHOWN, CLOSED_SHOWN = 3, 2, 2  # passages of each kind where people decide


class Sensitivity(StrEnum):
    """How much harm a wrong grant can do. Decides which channel may decide and who is woken."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Wake(StrEnum):
    """How a request pages: not at all (Slack only), as low urgency, or at once."""

    NEVER = "never"
    LOW = "low"
    HIGH = "high"


class Place(StrEnum):
    """Where a decision was given."""

    SLACK = "slack"
    PAGERDUTY = "pagerduty"


class Answer(StrEnum):
    """What a person decided."""

    APPROVE = "approve"
    DENY = "deny"


class Flag(StrEnum):
    """How a fact reads to a careful reviewer."""

    PLAIN = "plain"
    GOOD = "good"
    WARN = "warn"
    SILENT = "silent"


class Leaning(StrEnum):
    """What the adviser leans to. It never decides."""

    APPROVE = "approve"
    DENY = "deny"
    NEEDS_REVIEW = "needs_review"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whose accounts are linked once, by immutable ids.

    `id` is the directory's (Okta's) user id: self-approval and "two different people" compare it. `decides` is
    true only for links made by an admin, or proven from both sides; an automatic link may ask, never decide.
    """

    id: str
    email: str
    name: str
    slack_team: str | None = None
    slack_user: str | None = None
    pagerduty_user: str | None = None
    decides: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """What the directory says of a person at `read_at`. `groups` are group names."""

    person_id: str
    email: str
    name: str
    status: str
    groups: frozenset[str]
    read_at: datetime
    title: str = ""
    department: str = ""
    manager: str = ""

    @property
    def active(self) -> bool:
        """Whether the directory calls the account ACTIVE; everything else counts as no."""
        return self.status == "ACTIVE"


@dataclass(frozen=True, slots=True)
class Approvers:
    """Who decides: members of `group` (a directory group's name).

    `escalation_policy` (a PagerDuty id) narrows that to people on call there now, at `levels` (1 is first; empty
    means any). Being on call never widens it.
    """

    group: str
    escalation_policy: str | None = None
    levels: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Fallback:
    """Who decides as well once nobody has answered for so many minutes: members of `group`, on call or not."""

    group: str
    minutes: int


@dataclass(frozen=True, slots=True)
class Entitlement:
    """One thing that may be asked for, as its catalogue file says."""

    id: str
    title: str
    description: str
    why: str
    action: str
    params: Mapping[str, str]
    sensitivity: Sensitivity
    requestable_by: frozenset[str]
    approvers: Approvers
    approvals: int
    default_minutes: int
    max_minutes: int
    wake: Wake
    conflicts: frozenset[str] = frozenset()
    ticket_required: bool = False
    channel: str | None = None
    source: str = ""
    remind_minutes: int | None = None
    escalate_minutes: int | None = None
    fallback: Fallback | None = None
    total_minutes: int | None = None

    @property
    def longest_in_total(self) -> int:
        """Minutes that it may last with all its extensions: no more than at once, unless the catalogue says so."""
        return self.max_minutes if self.total_minutes is None else self.total_minutes


@dataclass(frozen=True, slots=True)
class Extension:
    """Makes the grant of another request (`of`) last longer: from its end on, beyond what was granted so far."""

    of: str
    ends_at: datetime
    minutes_before: int


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody asked for, checked for form and eligibility, not yet stored.

    `key` identifies the submission at its source (a view id, a delivery id): the same key stores nothing twice.
    `department` is the requester's: earlier requests are compared by it.
    """

    key: str
    entitlement: str
    requester: Person
    beneficiary: Person
    minutes: int
    justification: str
    ticket: str = ""
    can_wait: bool = False
    origin: str = "slack"
    extends: Extension | None = None
    department: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What will change, in ids for the machine (`changes`) and in `lines` for people.

    `already` is true when the beneficiary holds the access before we do anything: then nothing is removed at the end.
    """

    action: str
    request_id: str
    entitlement: str
    beneficiary: str
    minutes: int
    changes: Mapping[str, str]
    lines: tuple[str, ...]
    already: bool = False

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over everything in the plan; a decision binds to it."""
        return _digest(self)

    @property
    def target(self) -> str:
        """Names the access itself (action, ids and person), so that overlapping grants of it can be found."""
        return json.dumps([self.action, self.beneficiary, sorted(self.changes.items())], separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Ruling:
    """What policy says of a request: allowed to be decided at all, by whom, by how many, and which rule said so.

    `fallback_group` decides as well, since nobody had answered for as long as the catalogue says.
    """

    allowed: bool
    rule: str
    reason: str
    approvals: int = 1
    approver_group: str = ""
    conflicts: tuple[str, ...] = ()
    fallback_group: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of evidence: `label` and `value` are plain text; `source` names the system it was read from."""

    source: str
    label: str
    value: str
    flag: Flag = Flag.PLAIN


@dataclass(frozen=True, slots=True)
class Passage:
    """A quoted piece of a company document or of chat. `id` is what advice cites; `updated_at` dates the document.

    `chat` is somebody's words, `authors` are their names; so is what was `decided` in an earlier request. `theirs` when
    requester or beneficiary wrote in it. `row` names the passage of the index that it was quoted from, so that it can
    be looked at once more when it is shown.
    """

    id: str
    title: str
    heading: str
    text: str
    url: str
    updated_at: datetime | None = None
    chat: bool = False
    authors: tuple[str, ...] = ()
    theirs: bool = False
    row: str = ""
    decided: bool = False


@dataclass(frozen=True, slots=True)
class Quotes:
    """Passages, best first. `unsure`: some were left out, because nobody could say in time who may see them."""

    passages: tuple[Passage, ...] = ()
    unsure: bool = False


@dataclass(frozen=True, slots=True)
class Precedent:
    """An earlier request that was decided, and how. `title` is what it asked for, if that was something else."""

    request_id: str
    requester: str
    minutes: int
    outcome: str
    reason: str
    at: datetime
    title: str = ""
    decided_by: str = ""
    url: str = ""

    @property
    def verdict(self) -> str:
        """Who decided what, and what has become of it since."""
        if not self.decided_by:
            return self.outcome
        if self.outcome == State.DENIED:
            return f"denied by {self.decided_by}"
        since = "" if self.outcome == State.APPROVED else f", {self.outcome}"
        return f"approved by {self.decided_by}{since}"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything gathered for one request, each source answering or saying that it is silent.

    `passages` are for everybody; `closed` are for the people of the channel where it is decided, and stand on its card
    alone. `left_out` says what of both is not shown, and is never stored. `unsaid`: chat was looked through in vain.
    """

    facts: tuple[Fact, ...] = ()
    passages: tuple[Passage, ...] = ()
    closed: tuple[Passage, ...] = ()
    precedents: tuple[Precedent, ...] = ()
    silent: tuple[str, ...] = ()
    gathered_at: datetime | None = None
    left_out: str = ""
    unsaid: bool = False

    @property
    def documents(self) -> tuple[Passage, ...]:
        """What documents say, best first."""
        return tuple(one for one in self.passages if not one.chat)

    @property
    def chat(self) -> tuple[Passage, ...]:
        """What was said about it, best first."""
        return tuple(one for one in self.passages if one.chat)

    @property
    def digest(self) -> str:
        """Names in the audit trail what was shown."""
        return _digest_once(self)


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason of the advice, with the ids of the evidence it cites (checked against what was gathered)."""

    text: str
    cites: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Advice:
    """The model's recommendation, or why there is none (`note`). It is shown on request and never acts."""

    leaning: Leaning
    reasons: tuple[Reason, ...] = ()
    model: str = ""
    note: str = ""
    prompt_digest: str = ""

    @property
    def digest(self) -> str:
        """Names in the audit trail what was shown."""
        return _digest_once(self)


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's answer, as recorded. `minutes` is set when they approved for less; `digest` is the plan they saw."""

    request_id: str
    person_id: str
    name: str
    answer: Answer
    place: Place
    digest: str
    at: datetime
    minutes: int | None = None
    reason: str = ""
    receipt: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A responder's question to the requester, and the answer once it is there."""

    id: int
    asked_by: str
    text: str
    asked_at: datetime
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """The access as given: `ends_at` is absent for actions without an end, `held_before` means we remove nothing."""

    request_id: str
    target: str
    held_before: bool
    minutes: int
    started_at: datetime
    verified_at: datetime | None = None
    ends_at: datetime | None = None
    revoked_at: datetime | None = None

    def lasts(self, now: datetime) -> bool:
        """Whether it is not due to be taken back."""
        return self.ends_at is None or now < self.ends_at


@dataclass(frozen=True, slots=True)
class Request:
    """A stored request with all that is recorded about it: cards, pages and answers are drawn from this alone.

    `frozen` says why nothing is granted at present, while it is approved and waits for that.
    """

    id: str
    state: State
    entitlement: Entitlement
    requester: Person
    beneficiary: Person
    minutes: int
    justification: str
    ticket: str
    can_wait: bool
    origin: str
    created_at: datetime
    deadline: datetime
    planned_at: datetime | None = None
    plan: Plan | None = None
    ruling: Ruling | None = None
    evidence: Evidence | None = None
    advice: Advice | None = None
    decisions: tuple[Decision, ...] = ()
    questions: tuple[Question, ...] = ()
    grant: Grant | None = None
    incident_id: str | None = None
    incident_url: str | None = None
    outcome: str = ""
    closed_at: datetime | None = None
    revoke_overdue: bool = False
    frozen: str = ""
    round: int = 1
    extends: Extension | None = None
    trouble: Mapping[str, str] = field(default_factory=dict)

    @property
    def minutes_in_total(self) -> int:
        """As granted (or asked for), with what it extends."""
        own = self.grant.minutes if self.grant else self.minutes
        return own + (self.extends.minutes_before if self.extends else 0)

    @property
    def room(self) -> int:
        """For how many more minutes its grant may be extended."""
        return max(0, self.entitlement.longest_in_total - self.minutes_in_total)

    @property
    def deciding_groups(self) -> tuple[str, ...]:
        """Whose members may decide it now."""
        fallback = self.ruling.fallback_group if self.ruling else ""
        return (self.entitlement.approvers.group, fallback) if fallback else (self.entitlement.approvers.group,)

    @property
    def decidable(self) -> bool:
        """Plan and policy result are recorded and policy lets people decide: *Approve* may be drawn."""
        return self.state is State.PENDING and self.plan is not None and self.ruling is not None and self.ruling.allowed

    @property
    def halted(self) -> bool:
        """A live grant that somebody stopped: it is being taken back, and `outcome` says who stopped it."""
        return self.state is State.ACTIVE and self.outcome != ""

    @property
    def stoppable(self) -> bool:
        """It may still be carried out, or is live and nobody has stopped it."""
        return self.state in STOPPABLE and not self.halted

    @property
    def decidable_digest(self) -> str:
        """Of the plan that an approval counts for now; empty while it cannot be approved."""
        return self.plan.digest if self.plan is not None and self.decidable else ""


@lru_cache(maxsize=256)
def _digest_once(value: Evidence | Advice) -> str:
    """Read for every message about a request; it never changes."""
    return _digest(value)


def _digest(value: Plan | Evidence | Advice) -> str:
    text = json.dumps(asdict(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
