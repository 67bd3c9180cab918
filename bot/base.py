"""What both roles stand on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from bot.anchor_setup import anchoring
from bot.anchors import Anchoring
from bot.clock import SandboxClock, SystemClock
from bot.config import Settings
from bot.core.patience import Patience
from bot.ledger import Ledger
from bot.planning import Planning
from bot.rules import Limits, Rules
from bot.vendors import Vendors
from connectors.okta import OktaGroupActor


@dataclass(frozen=True, slots=True)
class Base:
    """Settings, policies, time, memory, the vendors' connectors, and what would change."""

    settings: Settings
    rules: Rules
    clock: SystemClock | SandboxClock
    ledger: Ledger
    vendors: Vendors
    actor: OktaGroupActor

    @property
    def planning(self) -> Planning:
        """What would change, and whether policy lets it."""
        return Planning(self.ledger, self.vendors.reader, {self.actor.kind: self.actor}, self.rules, self.clock)

    @property
    def limits(self) -> Limits:
        """Deadlines and places."""
        settings = self.settings
        patience = Patience(
            remind=timedelta(minutes=settings.remind_minutes),
            escalate=timedelta(minutes=settings.escalate_minutes),
            warn=timedelta(minutes=settings.warn_minutes),
            repage=timedelta(hours=settings.repage_hours),
        )
        return Limits(
            responder_channel=settings.slack_responder_channel,
            evidence_seconds=settings.evidence_seconds,
            request_lifetime=timedelta(hours=settings.request_hours),
            morning=settings.morning,
            evening=settings.evening,
            patience=patience,
        )

    @property
    def anchors(self) -> Anchoring:
        """The places that are told the head of the audit trail; the channel needs the front's voice."""
        board = self.vendors.voices.slack if self.vendors.voices else None
        return anchoring(self.settings, self.ledger, self.clock, board)
