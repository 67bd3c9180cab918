"""What Okta knows of the person who would get the access: account, role, groups, sign-in factors, recent places.

Least permission: the reader token's `okta.users.read`, `okta.groups.read`, `okta.logs.read`. It only reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from bot.core.request import Evidence, Fact, Flag, Request, Standing
from bot.errors import Fault
from bot.ports import Clock
from connectors.okta import LOG_DAYS, LOG_LIMIT, OktaReader, SignIn

T = TypeVar("T")
PHISHING_RESISTANT = frozenset({"webauthn", "u2f", "signed_nonce"})
GROUPS_SHOWN = 8
STANDING_AGE = 60.0
SIGN_INS_AGE = 300.0


class OktaFacts:
    """Implements `bot.ports.Source`. All reads side by side; a part that cannot be read becomes a fact that says so."""

    name = "okta"

    def __init__(self, reader: OktaReader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock

    async def gather(self, request: Request) -> Evidence:
        person = request.beneficiary.id
        standing, factors, sign_ins = await asyncio.gather(
            self._reader.standing(person, max_age=STANDING_AGE),
            _or_fault(self._reader.factors(person)),
            _or_fault(self._reader.sign_ins(person, max_age=SIGN_INS_AGE)),
        )
        facts = (
            *_account(standing),
            _groups(standing, request),
            _silent("Sign-in factors") if isinstance(factors, Fault) else _factors(factors),
            _silent("Last sign-in") if isinstance(sign_ins, Fault) else _last_sign_in(sign_ins),
        )
        return Evidence(facts=facts, gathered_at=self._clock.now())


async def _or_fault(reading: Coroutine[Any, Any, T]) -> T | Fault:
    try:
        return await reading
    except Fault as fault:
        return fault


def _account(standing: Standing) -> tuple[Fact, ...]:
    return (
        _fact("Account", standing.status, Flag.GOOD if standing.active else Flag.WARN),
        _fact("Title", standing.title or "not recorded"),
        _fact("Department", standing.department or "not recorded"),
        _fact("Manager", standing.manager or "not recorded"),
    )


def _groups(standing: Standing, request: Request) -> Fact:
    """How many groups, those first that let the person ask; warned when the access is held already."""
    wanted = request.entitlement.params.get("group")
    if wanted in standing.groups:
        return _fact("Groups", f"already in {wanted}, and in {len(standing.groups) - 1} others", Flag.WARN)
    relevant = request.entitlement.requestable_by
    ordered = sorted(standing.groups, key=lambda name: (name not in relevant, name))
    more = len(ordered) - GROUPS_SHOWN
    names = ", ".join(ordered[:GROUPS_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return _fact("Groups", f"{len(ordered)}: {names}" if ordered else "none")


def _factors(factors: Sequence[str]) -> Fact:
    label = "Sign-in factors"
    if not factors:
        return _fact(label, "none enrolled: a password is enough to be this person", Flag.WARN)
    names = ", ".join(sorted(set(factors)))
    if PHISHING_RESISTANT.isdisjoint(factors):
        return _fact(label, f"{names}; none resists phishing", Flag.WARN)
    return _fact(label, names, Flag.GOOD)


def _last_sign_in(sign_ins: Sequence[SignIn]) -> Fact:
    """The newest sign-in's place against those before it. A place is a guess from an address: VPNs move it."""
    label = "Last sign-in"
    if not sign_ins:
        return _fact(label, f"none in the last {LOG_DAYS} days", Flag.WARN)
    newest, *earlier = sorted(sign_ins, key=lambda sign_in: sign_in.at, reverse=True)
    where = f"{newest.city}, {newest.country} on {newest.at:%Y-%m-%d %H:%M} UTC"
    span = f"{LOG_DAYS} days" if len(sign_ins) < LOG_LIMIT else f"{LOG_LIMIT} sign-ins"
    if any((old.country, old.city) == (newest.country, newest.city) for old in earlier):
        return _fact(label, f"{where}; seen from there before", Flag.GOOD)
    return _fact(label, f"{where}; first seen from this place in {span}", Flag.WARN)


def _fact(label: str, value: str, flag: Flag = Flag.PLAIN) -> Fact:
    return Fact("okta", label, value, flag)


def _silent(label: str) -> Fact:
    return _fact(label, "could not be read", Flag.SILENT)
