"""Whose words are not read again: salted digests of their ids, in a small file of the index's directory.

They are not in the catalogue, which may be put aside when it is damaged: then everything is read anew, but not theirs.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

from bot.errors import Fault

_FILE = "forgotten.json"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """`in` tells whether somebody, by an id as a source knows them, is forgotten.

    `up_to` is the last erasure in the audit trail that was carried out here.
    """

    salt: str = ""
    digests: frozenset[str] = frozenset()
    up_to: int = 0

    def __contains__(self, id_: str) -> bool:
        return bool(self.digests) and _digest(self.salt, id_) in self.digests

    def __bool__(self) -> bool:
        return bool(self.digests)


def read_forgotten(home: Path) -> Forgotten:
    """Everybody who is forgotten. `Fault` when the file cannot be understood: then nothing of people may be read."""
    try:
        told = json.loads((home / _FILE).read_text("utf-8"))
        return Forgotten(str(told["salt"]), frozenset(told["digests"]), int(told["up_to"]))
    except FileNotFoundError:
        return Forgotten()
    except (OSError, ValueError, TypeError, KeyError) as problem:
        what = (
            f"{home / _FILE} cannot be read; take it from a backup, or delete it: then the audit trail tells it again"
        )
        raise Fault("knowledge", what, permanent=True) from problem


def forget(home: Path, ids: Collection[str], *, up_to: int = 0) -> Forgotten:
    """Add people to it, for good."""
    known = read_forgotten(home)
    salt = known.salt or secrets.token_hex(16)
    digests = known.digests | {_digest(salt, one) for one in ids}
    now = Forgotten(salt, digests, max(up_to, known.up_to))
    half = home / f"{_FILE}.half"
    half.write_text(json.dumps({**asdict(now), "digests": sorted(digests)}), "utf-8")
    half.replace(home / _FILE)
    return now


def _digest(salt: str, id_: str) -> str:
    return hmac.new(salt.encode(), id_.encode(), hashlib.sha256).hexdigest()
