"""The places that are told the head of the audit trail, as the settings name them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import SecretStr

from bot.anchors import Anchoring, AnchorStore
from bot.config import Settings
from bot.errors import SettingsError
from bot.ledger import Ledger
from bot.ports import Clock
from connectors.object_lock import Keys, ObjectLock

if TYPE_CHECKING:
    from bot.slack.noticeboard import Noticeboard


def anchoring(settings: Settings, ledger: Ledger, clock: Clock, board: Noticeboard | None) -> Anchoring:
    """Ready to set and to read anchors; without any place, it does nothing."""
    return Anchoring(ledger, _stores(settings, board), clock)


def _stores(settings: Settings, board: Noticeboard | None) -> Sequence[AnchorStore]:
    stores: list[AnchorStore] = []
    if settings.anchor_bucket:
        stores.append(_bucket(settings))
    if settings.anchor_channel and board is not None:
        from bot.slack.noticeboard import ChannelAnchors  # only who speaks to Slack loads it

        stores.append(ChannelAnchors(board, settings.anchor_channel))
    return stores


def _bucket(settings: Settings) -> ObjectLock:
    return ObjectLock(
        settings.anchor_bucket,
        settings.anchor_prefix,
        settings.anchor_url,
        writer=_keys("TINYAPPROVER_ANCHOR_", settings.anchor_key_id, settings.anchor_key),
        reader=_keys("TINYAPPROVER_ANCHOR_READ_", settings.anchor_reader_id, settings.anchor_reader_key),
        days=settings.anchor_days,
    )


def _keys(prefix: str, key_id: str, secret: SecretStr | None) -> Keys | None:
    if bool(key_id) != (secret is not None):
        raise SettingsError(f"{prefix}ACCESS_KEY_ID and {prefix}SECRET_ACCESS_KEY: set both, or neither")
    return Keys(key_id, secret.get_secret_value()) if secret else None
