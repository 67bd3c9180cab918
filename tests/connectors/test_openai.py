"""The adviser against a scripted model server, in all the ways that models and servers misbehave."""

from __future__ import annotations

import json

import pytest

from bot.core.request import Fact, Flag, Leaning, Passage
from bot.errors import Fault
from bot.ports import Brief
from connectors.openai import OpenAIModel
from connectors.sandbox.openai import MODEL
from tests.connectors.conftest import Wire

POLICY = Passage("policy-7", "Access policy", "Production", "Read access is for engineers.", "https://example.com")


def brief(*facts: Fact, sensitivity: str = "medium") -> Brief:
    facts = facts or (Fact("okta", "Account", "ACTIVE", Flag.GOOD),)
    return Brief("You advise.", {"sensitivity": sensitivity}, facts, (POLICY,))


async def mode(wire: Wire, name: str) -> None:
    await wire.act("alice", "openai.mode", mode=name)


async def test_a_recommendation_cites_what_it_was_given(adviser: OpenAIModel) -> None:
    advice = await adviser.advise(brief())
    assert advice.leaning is Leaning.APPROVE
    assert {cite for reason in advice.reasons for cite in reason.cites} == {"fact-1", "policy-7"}
    assert advice.model == MODEL
    assert len(advice.prompt_digest) == 64


async def test_a_warning_or_high_sensitivity_is_left_to_people(adviser: OpenAIModel) -> None:
    warned = Fact("okta", "Last sign-in", "first seen from this place", Flag.WARN)
    assert (await adviser.advise(brief(warned))).leaning is Leaning.NEEDS_REVIEW
    assert (await adviser.advise(brief(sensitivity="high"))).leaning is Leaning.NEEDS_REVIEW


async def test_an_inactive_account_is_advised_against(adviser: OpenAIModel) -> None:
    inactive = Fact("okta", "Account", "DEPROVISIONED", Flag.WARN)
    assert (await adviser.advise(brief(inactive))).leaning is Leaning.DENY


async def test_a_model_that_was_talked_over_gets_no_further_than_needs_review(adviser: OpenAIModel, wire: Wire) -> None:
    await mode(wire, "hostile")
    advice = await adviser.advise(brief())
    assert advice.leaning is Leaning.NEEDS_REVIEW
    assert not any(reason.cites for reason in advice.reasons)
    assert all("\u202e" not in reason.text for reason in advice.reasons)


@pytest.mark.parametrize("name", ["broken_json", "fenced", "duplicate_keys"])
async def test_an_answer_out_of_form_is_asked_for_once_more_and_then_given_up(
    adviser: OpenAIModel, wire: Wire, name: str
) -> None:
    await mode(wire, name)
    with pytest.raises(Fault, match="unusable"):
        await adviser.advise(brief())
    assert wire.state("openai")["asked"] == 2


@pytest.mark.parametrize(
    ("name", "formats"),
    [
        ("refuses_json_schema", ["json_schema", "json_object"]),
        ("refuses_formats", ["json_schema", "json_object", None]),
    ],
)
async def test_a_server_that_takes_no_schema_is_asked_differently_and_remembered(
    adviser: OpenAIModel, wire: Wire, name: str, formats: list[str | None]
) -> None:
    await mode(wire, name)
    assert (await adviser.advise(brief())).leaning is Leaning.APPROVE
    assert (await adviser.advise(brief())).leaning is Leaning.APPROVE
    bodies = [call.body for call in wire.world.calls if call.vendor == "openai"]
    assert [(body.get("response_format") or {}).get("type") for body in bodies] == [*formats, formats[-1]]


async def test_the_nonce_is_new_for_every_call(adviser: OpenAIModel, wire: Wire) -> None:
    await adviser.advise(brief())
    await adviser.advise(brief())
    first, second = (json.loads(call.body["messages"][1]["content"]) for call in wire.world.calls)
    assert set(first).isdisjoint(second)


async def test_a_slow_model_is_given_up_at_the_deadline(wire: Wire) -> None:
    await mode(wire, "slow")
    hurried = OpenAIModel(f"{wire.url}/openai/v1", "sandbox-model-key", MODEL, deadline=0.3)
    await hurried.connect()
    with pytest.raises(Fault, match=r"no .*answer"):
        await hurried.advise(brief())
    await hurried.close()


async def test_a_server_that_is_absent_is_a_permanent_fault(adviser: OpenAIModel, wire: Wire) -> None:
    await mode(wire, "absent")
    with pytest.raises(Fault) as caught:
        await adviser.advise(brief())
    assert (caught.value.status, caught.value.permanent) == (404, True)


@pytest.mark.parametrize("kind", ["cut", "error", "rate_limit", "rate_limit_bare", "html", "empty", "lost_answer"])
async def test_a_broken_wire_is_a_fault_and_nothing_else(adviser: OpenAIModel, wire: Wire, kind: str) -> None:
    wire.play("openai", kind, seconds=7)
    with pytest.raises(Fault) as caught:
        await adviser.advise(brief())
    assert not caught.value.permanent
    assert caught.value.retry_after == (7.0 if kind == "rate_limit" else None)
    assert len(wire.calls("openai")) == 1


async def test_a_wrong_key_is_a_permanent_fault(wire: Wire) -> None:
    stranger = OpenAIModel(f"{wire.url}/openai/v1", "wrong", MODEL)
    with pytest.raises(Fault) as caught:
        await stranger.ping()
    await stranger.close()
    assert (caught.value.status, caught.value.permanent) == (401, True)


async def test_a_ping_says_whether_the_model_is_there(adviser: OpenAIModel) -> None:
    assert "lists" in await adviser.ping()
