"""Which access is suggested for a need: the narrowest that fits, of what the person may ask for, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.request import Entitlement, Sensitivity
from bot.suggesting import NARROWEST, about, narrowest, suggest
from policies.load import load
from policies.rules import may_ask
from tests.builders import a_standing, an_entitlement

CATALOGUE = load(Path(__file__).parent.parent.parent / "policies").entitlements
EVERYTHING = a_standing("alice", "everyone", "engineering", "finance", "contractors")


async def by_words(_need: str, _texts: Sequence[str]) -> Sequence[float]:
    return ()


async def suggested(need: str, *groups: str) -> str:
    standing = a_standing("alice", *groups) if groups else EVERYTHING
    found = await suggest(need, standing, CATALOGUE, by_words)
    return found.entitlement.id if found else ""


NEEDS = [
    ("I must read yesterday's prod logs for the incident", "prod-readonly"),
    ("we must restart services in prod", "prod-admin"),
    ("I have to correct an invoice that has the wrong price", "billing-admin"),
    ("who can approve production access?", "prod-readonly"),
    ("who approves GitHub administrators?", "github-admins"),
    ("what is on the cafeteria menu?", ""),
    ("I need to read my colleague's mailbox while she is away", ""),
    ("why was my request denied?", ""),
    ("", ""),
]


@pytest.mark.parametrize(("need", "fits"), NEEDS)
async def test_the_narrowest_that_fits_is_suggested_and_nothing_else(need: str, fits: str) -> None:
    assert await suggested(need) == fits


async def test_nothing_is_suggested_to_whom_it_would_be_refused() -> None:
    assert await suggested("who decides about billing access?", "engineering") == ""
    assert await suggested("who decides about billing access?", "finance") == "billing-admin"
    assert await suggested("I must read the prod logs", "contractors") == ""


async def test_somebody_whose_account_is_closed_is_suggested_nothing() -> None:
    gone = a_standing("alice", "engineering", status="DEPROVISIONED")
    assert await suggest("I must read the prod logs", gone, CATALOGUE, by_words) is None


def test_what_is_said_of_it_names_the_words_that_it_fits() -> None:
    found = narrowest("who can approve production access?", list(CATALOGUE.values()), [0.0] * len(CATALOGUE))
    assert found is not None
    assert found.why == "it fits “production”; of several that do it gives the least"


def test_meaning_alone_is_enough_when_it_is_plain_and_says_so() -> None:
    one = an_entitlement()
    found = narrowest("peep at the machines", [one], [0.6])
    assert found is not None
    assert found.why == "it is nearest to what you wrote"
    assert narrowest("peep at the machines", [one], [0.4]) is None


NOUNS = ("production", "billing", "logs", "invoices", "payments", "github", "vpn", "root", "read", "change", "who")
GROUPS = ["everyone", "engineering", "finance", "contractors"]


@given(
    st.lists(st.sampled_from(NOUNS) | st.text(max_size=8), max_size=8).map(" ".join),
    st.lists(st.sampled_from(GROUPS), max_size=4),
    st.lists(st.floats(-1, 1), min_size=len(CATALOGUE), max_size=len(CATALOGUE)),
)
async def test_nobody_is_suggested_what_they_may_not_ask_for(need: str, groups: list[str], alike: list[float]) -> None:
    likely = dict(zip(map(about, CATALOGUE.values()), alike, strict=True))

    async def likeness(_need: str, texts: Sequence[str]) -> Sequence[float]:
        return [likely[text] for text in texts]

    standing = a_standing("alice", *groups)
    found = await suggest(need, standing, CATALOGUE, likeness)
    assert found is None or may_ask(found.entitlement, standing)


@given(st.lists(st.floats(-1, 1), min_size=len(CATALOGUE), max_size=len(CATALOGUE)))
def test_of_what_bears_a_name_the_least_is_suggested_however_alike_the_others_sound(alike: list[float]) -> None:
    found = narrowest("who can approve production access?", list(CATALOGUE.values()), alike)
    assert found is not None
    assert found.entitlement.id == "prod-readonly"


@given(st.permutations(list(Sensitivity)), st.lists(st.integers(15, 600), min_size=len(Sensitivity), unique=True))
def test_of_equals_the_least_sensitive_wins(order: list[Sensitivity], minutes: list[int]) -> None:
    askable: list[Entitlement] = [
        an_entitlement(f"e{n}", sensitivity=one, max_minutes=minutes[n]) for n, one in enumerate(order)
    ]
    found = narrowest("look at the logs of production", askable, [0.5] * len(askable))
    assert found is not None
    assert found.entitlement.sensitivity is NARROWEST[0]
