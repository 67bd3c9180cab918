"""Checking an audit trail: every link, every text beside it, and every anchor that was set outside the database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bot.audit import GENESIS, TEXTS, Anchor, AuditEvent, AuditText, follows, salted_digest

ERASED, ABANDONED = "text.erased", "trail.abandoned"
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found: nothing may stand in `findings`. `strays` are the anchors that fit nothing.

    `abandoned` is what somebody declared as lost.
    """

    events: int
    head: Anchor | None
    findings: tuple[str, ...]
    texts: int = 0
    erased: int = 0
    anchors: int = 0
    anchored_to: int = 0
    abandoned: tuple[str, ...] = ()
    strays: tuple[Anchor, ...] = ()

    @property
    def whole(self) -> bool:
        return not self.findings


@dataclass(slots=True)
class Verifier:
    """Takes the trail page by page, so that a long one needs no memory; the anchors are known before."""

    database: str
    anchors: Sequence[Anchor] = ()
    _anchored: frozenset[int] = frozenset()
    _prev: str = GENESIS
    _seq: int = 0
    _broken: int | None = None
    _at: str = ""
    _texts_seen: int = 0
    _hashes: dict[int, str] = field(default_factory=dict)
    _missing: set[tuple[int, str]] = field(default_factory=set)
    _erased: set[tuple[int, str]] = field(default_factory=set)
    _abandoned: list[AuditEvent] = field(default_factory=list)
    _findings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._anchored = frozenset(anchor.seq for anchor in self.anchors)

    def take(self, events: Iterable[AuditEvent], texts: Iterable[AuditText]) -> None:
        """The next page, with the texts that stand beside its events."""
        beside: dict[int, dict[str, AuditText]] = {}
        for text in texts:
            beside.setdefault(text.seq, {})[text.name] = text
        for event in events:
            self._take_event(event)
            self._take_texts(event, beside.pop(event.seq, {}))
        self._findings += [f"texts stand beside event {seq}, which is not there" for seq in sorted(beside)]

    def _take_event(self, event: AuditEvent) -> None:
        if self._broken is None and not follows(event, self._seq + 1, self._prev):
            self._broken = event.seq
        self._prev, self._at, self._seq = event.hash, event.at, self._seq + 1
        if event.seq in self._anchored:
            self._hashes[event.seq] = event.hash
        if event.what == ERASED:
            self._erased |= _erased_by(event)
        if event.what == ABANDONED:
            self._abandoned.append(event)

    def _take_texts(self, event: AuditEvent, texts: dict[str, AuditText]) -> None:
        digests = _mapping(event.detail.get(TEXTS))
        self._texts_seen += len(texts)
        for name, text in texts.items():
            if not _fits(text, digests.get(name)):
                self._findings.append(f"the {name} beside event {event.seq} is not what was written")
        self._missing |= {(event.seq, name) for name in digests if name not in texts}

    def verified(self) -> Verified:
        """What all of it comes to, after the last page."""
        head = Anchor(self.database, self._seq, self._prev, self._at, self._seq) if self._seq else None
        return Verified(
            events=self._seq,
            head=head,
            findings=(*self._chain(), *self._texts(), *self._anchor_findings()),
            texts=self._texts_seen,
            erased=len(self._missing & self._erased),
            anchors=len(self.anchors),
            anchored_to=max(self._anchored, default=0),
            abandoned=tuple(_declared(event) for event in self._abandoned),
            strays=self._strays(),
        )

    def _chain(self) -> Iterator[str]:
        if self._broken is not None:
            yield f"the chain breaks at event {self._broken}: it, or one before it, was changed, removed or inserted"

    def _texts(self) -> Iterator[str]:
        yield from self._findings
        for seq, name in sorted(self._missing - self._erased)[:SHOWN]:
            yield f"the {name} beside event {seq} was removed, and no event says that it was erased"

    def _anchor_findings(self) -> Iterator[str]:
        wrong = self._strays()
        for anchor in wrong[:SHOWN]:
            yield self._trouble(anchor)
        if len(wrong) > SHOWN:
            yield f"{len(wrong) - SHOWN} more anchors do not fit"

    def _strays(self) -> tuple[Anchor, ...]:
        return tuple(anchor for anchor in self.anchors if not self._explained(anchor))

    def _explained(self, anchor: Anchor) -> bool:
        fits = anchor.database == self.database and self._hashes.get(anchor.seq) == anchor.hash
        return fits or any(_covers(event, anchor) for event in self._abandoned)

    def _trouble(self, anchor: Anchor) -> str:
        when = f" of {anchor.at}" if anchor.at else ""
        if anchor.database != self.database:
            return f"an anchor{when} is of another database ({anchor.database[:8]}): this one was put in its place"
        if anchor.seq > self._seq:
            return f"an anchor{when} tells of event {anchor.seq}, and the trail ends at {self._seq}: its end is cut off"
        return f"event {anchor.seq} is not the one that an anchor{when} tells of: the chain was computed anew"


def _fits(text: AuditText, digest: object) -> bool:
    try:
        return salted_digest(text.salt, text.person, text.text) == digest
    except (ValueError, TypeError):
        return False


def _erased_by(event: AuditEvent) -> set[tuple[int, str]]:
    """The texts that an event says were erased; it may have been spoiled itself."""
    texts = _mapping(event.detail.get("erased")).items()
    return {(int(seq), str(name)) for seq, names in texts if seq.isdecimal() for name in _listed(names)}


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def _covers(event: AuditEvent, anchor: Anchor) -> bool:
    """Whether a declaration of loss names the anchor."""
    return anchor.key in _listed(event.detail.get("anchors"))


def _declared(event: AuditEvent) -> str:
    count = len(_listed(event.detail.get("anchors")))
    return f"event {event.seq} ({event.at}): {event.actor} abandoned what {count} anchors tell of"
