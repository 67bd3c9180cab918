"""The Okta connector against the sandbox, and against every way its wire can fail."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from bot.core.request import Flag
from bot.errors import Fault, Refused, SettingsError
from bot.peers import Peers, foresee
from bot.ports import Headcount
from connectors.okta import OktaGroupActor, OktaReader
from connectors.okta_api import OktaApi
from connectors.okta_facts import OktaFacts
from tests.builders import a_person, a_request
from tests.connectors.conftest import Wire

ALICE, MALLORY, DAVE = a_person("alice"), a_person("mallory"), a_person("dave")
WIRE_FAULTS = ["slow", "cut", "error", "maintenance", "rate_limit", "rate_limit_bare", "html", "empty"]


async def test_a_standing_tells_status_role_and_groups(okta: OktaReader, wire: Wire) -> None:
    standing = await okta.standing(ALICE.id)
    assert standing.active
    assert (standing.name, standing.email) == ("Alice Archer", "alice@example.com")
    assert (standing.title, standing.department) == ("Software engineer", "Payments")
    assert standing.groups == {"everyone", "engineering"}
    assert standing.read_at <= wire.world.now()


async def test_somebody_deactivated_is_not_active(okta: OktaReader) -> None:
    assert (await okta.standing(DAVE.id)).status == "DEPROVISIONED"


async def test_a_standing_is_read_again_once_it_is_too_old(okta: OktaReader, wire: Wire) -> None:
    await okta.standing(ALICE.id, max_age=60)
    await wire.act("bob", "okta.deactivate", who="alice")
    assert (await okta.standing(ALICE.id, max_age=60)).active
    await wire.later(seconds=61)
    assert not (await okta.standing(ALICE.id, max_age=60)).active


async def test_without_an_age_a_standing_is_always_fresh(okta: OktaReader, wire: Wire) -> None:
    await okta.standing(ALICE.id)
    await wire.act("bob", "okta.deactivate", who="alice")
    assert not (await okta.standing(ALICE.id)).active


async def test_many_who_ask_at_once_share_one_reading(okta: OktaReader, wire: Wire) -> None:
    await asyncio.gather(*(okta.standing(ALICE.id, max_age=60) for _ in range(20)))
    assert sum(route.endswith(ALICE.id) for route in wire.calls("okta")) == 1


async def test_one_who_stops_waiting_does_not_spoil_it_for_the_others(okta: OktaReader) -> None:
    first = asyncio.create_task(okta.standing(ALICE.id, max_age=60))
    second = asyncio.create_task(okta.standing(ALICE.id, max_age=60))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).active


async def test_a_login_is_matched_whole_and_ignoring_case(okta: OktaReader) -> None:
    alice = await okta.by_login("ALICE@example.com")
    assert alice is not None
    assert alice.person_id == ALICE.id
    assert await okta.by_login("nobody@example.com") is None
    assert await okta.by_login("alice") is None
    assert await okta.by_login("../groups?@example.com") is None


async def test_members_are_read_over_all_pages(okta: OktaReader, wire: Wire) -> None:
    everybody = await okta.members("everyone")
    assert len(everybody) == len(wire.members("everyone")) == 5
    assert len([route for route in wire.calls("okta") if route.endswith("/users")]) == 3


async def test_a_page_that_fails_fails_the_whole_list(okta: OktaReader, wire: Wire) -> None:
    await okta.members("everyone")
    wire.play("okta", "error", "GET *groups/*/users", times=1)
    with pytest.raises(Fault):
        await okta.members("everyone")


async def test_a_group_that_is_not_there_has_no_members_but_a_fault(okta: OktaReader) -> None:
    with pytest.raises(Fault, match="0 groups") as caught:
        await okta.members("no such group")
    assert caught.value.permanent


async def test_an_applications_group_counts_for_nothing(okta: OktaReader, wire: Wire) -> None:
    with pytest.raises(Fault, match="0 groups"):
        await okta.members("payroll-app-users")


@pytest.mark.parametrize("group", ['" or profile.name sw "', "prod-readonly ", "PROD-READONLY", "\\"])
async def test_a_group_is_found_by_its_exact_name_only(okta: OktaReader, group: str) -> None:
    assert list(await okta.groups_named(group)) == []


# --- membership


async def test_a_plan_says_what_will_change_in_words_and_in_ids(group_actor: OktaGroupActor) -> None:
    plan = await group_actor.plan(a_request())
    assert plan.lines == ("adds alice@example.com to Okta group prod-readonly", "removes 1 hour after the grant")
    assert plan.changes["user"] == ALICE.id
    assert not plan.already


async def test_a_plan_reads_everything_in_one_round_trip(group_actor: OktaGroupActor, wire: Wire) -> None:
    wire.play("okta", "slow", "*", times=None, seconds=0.15)
    async with asyncio.timeout(0.29):
        await group_actor.plan(a_request())


async def test_a_grant_is_made_seen_and_taken_back(group_actor: OktaGroupActor, wire: Wire) -> None:
    plan = await group_actor.plan(a_request())
    await group_actor.apply(plan)
    assert await group_actor.verify(plan)
    assert wire.members("prod-readonly") == ["alice@example.com"]
    await group_actor.revoke(plan)
    assert not await group_actor.verify(plan)
    assert wire.members("prod-readonly") == []


async def test_applying_and_revoking_twice_is_fine(group_actor: OktaGroupActor, wire: Wire) -> None:
    plan = await group_actor.plan(a_request())
    await group_actor.apply(plan)
    await group_actor.apply(plan)
    await group_actor.revoke(plan)
    await group_actor.revoke(plan)
    assert [change["event"] for change in wire.state("okta")["log"]] == [
        "group.user_membership.add",
        "group.user_membership.remove",
    ]


async def test_what_was_held_before_is_not_taken_away(group_actor: OktaGroupActor, wire: Wire) -> None:
    await wire.act("bob", "okta.add_member", who="alice", group="prod-readonly")
    plan = await group_actor.plan(a_request())
    assert plan.already
    assert "already" in plan.lines[0]
    await group_actor.revoke(plan)
    assert wire.members("prod-readonly") == ["alice@example.com"]


@pytest.mark.parametrize(
    ("group", "says"),
    [
        ("iam-approvers", "cannot be asked for"),
        ("IAM-Approvers", "cannot be asked for"),
        ("payroll-app-users", "cannot be edited by hand"),
        ("no such group", "0 groups named"),
    ],
)
async def test_groups_that_must_not_be_touched_are_refused(group_actor: OktaGroupActor, group: str, says: str) -> None:
    with pytest.raises(Refused, match=says):
        await group_actor.plan(a_request(group=group))


async def test_nobody_inactive_gets_a_plan(group_actor: OktaGroupActor) -> None:
    with pytest.raises(Refused, match="DEPROVISIONED"):
        await group_actor.plan(a_request(person=DAVE))


async def test_a_grant_whose_answer_is_lost_is_unknown_and_then_read_back(
    group_actor: OktaGroupActor, wire: Wire
) -> None:
    plan = await group_actor.plan(a_request())
    wire.play("okta", "lost_answer", "PUT */groups/*", times=None)
    with pytest.raises(Fault) as caught:
        await group_actor.apply(plan)
    assert caught.value.unknown
    assert await group_actor.verify(plan)


@pytest.mark.parametrize("kind", WIRE_FAULTS)
async def test_a_failed_grant_says_whether_it_may_have_happened(
    group_actor: OktaGroupActor, wire: Wire, kind: str
) -> None:
    plan = await group_actor.plan(a_request())
    wire.play("okta", kind, "PUT */groups/*", times=None, seconds=2)
    with pytest.raises(Fault) as caught:
        await group_actor.apply(plan)
    assert caught.value.unknown == (kind not in ("rate_limit", "rate_limit_bare"))
    assert not caught.value.permanent
    assert caught.value.retry_after == (2.0 if kind in ("rate_limit", "maintenance") else None)


@pytest.mark.parametrize("kind", WIRE_FAULTS)
async def test_a_failed_read_is_a_fault_that_is_never_unknown(okta: OktaReader, wire: Wire, kind: str) -> None:
    wire.play("okta", kind, "GET *", times=None, seconds=2)
    with pytest.raises(Fault) as caught:
        await okta.standing(ALICE.id)
    assert (caught.value.unknown, caught.value.permanent) == (False, False)


async def test_the_reader_token_can_never_write(okta: OktaReader, wire: Wire) -> None:
    reading_only = OktaApi(f"{wire.url}/okta", "sandbox-okta-reader")
    actor = OktaGroupActor(okta, reading_only)
    plan = await actor.plan(a_request())
    with pytest.raises(Fault) as caught:
        await actor.apply(plan)
    await reading_only.close()
    assert (caught.value.status, caught.value.permanent, caught.value.unknown) == (403, True, False)


async def test_a_process_without_a_writer_plans_and_does_not_write(okta: OktaReader) -> None:
    actor = OktaGroupActor(okta, None)
    plan = await actor.plan(a_request())
    with pytest.raises(Fault, match="no writer token"):
        await actor.apply(plan)


async def test_a_wrong_token_is_a_permanent_fault_in_oktas_words(wire: Wire) -> None:
    reader = OktaReader(OktaApi(f"{wire.url}/okta", "wrong"), wire.world)
    with pytest.raises(Fault, match="E0000011") as caught:
        await reader.ping()
    await reader.close()
    assert (caught.value.status, caught.value.permanent) == (401, True)


async def test_nothing_but_an_id_becomes_part_of_an_address(okta: OktaReader, wire: Wire) -> None:
    with pytest.raises(Fault, match="not an Okta id"):
        await okta.standing("../groups")
    assert not [route for route in wire.calls("okta") if "groups" in route]


async def test_plain_http_is_for_loopback_only() -> None:
    with pytest.raises(SettingsError, match="https only"):
        OktaApi("http://example.okta.com", "token")


# --- evidence


async def test_evidence_tells_account_role_groups_factors_and_place(okta_facts: OktaFacts) -> None:
    facts = {fact.label: fact for fact in (await okta_facts.gather(a_request())).facts}
    assert facts["Account"].value == "ACTIVE"
    assert facts["Manager"].value == "bob@example.com"
    assert facts["Groups"].value == "2: engineering, everyone"
    assert facts["Sign-in factors"].flag is Flag.WARN
    assert "none resists phishing" in facts["Sign-in factors"].value
    assert (facts["Last sign-in"].flag, "Berlin, Germany" in facts["Last sign-in"].value) == (Flag.GOOD, True)


async def test_a_new_place_and_no_factors_are_warned_of(okta_facts: OktaFacts) -> None:
    facts = {fact.label: fact for fact in (await okta_facts.gather(a_request(person=MALLORY))).facts}
    assert facts["Sign-in factors"].flag is Flag.WARN
    assert facts["Last sign-in"].flag is Flag.WARN
    assert "first seen from this place in 90 days" in facts["Last sign-in"].value


async def test_access_that_is_held_already_is_warned_of(okta_facts: OktaFacts, wire: Wire) -> None:
    await wire.act("bob", "okta.add_member", who="alice", group="prod-readonly")
    facts = {fact.label: fact for fact in (await okta_facts.gather(a_request())).facts}
    assert facts["Groups"].value == "already in prod-readonly, and in 2 others"


async def test_a_part_that_cannot_be_read_says_so_and_the_rest_stays(okta_facts: OktaFacts, wire: Wire) -> None:
    wire.play("okta", "error", "GET */logs", times=None)
    facts = {fact.label: fact for fact in (await okta_facts.gather(a_request())).facts}
    assert facts["Last sign-in"].flag is Flag.SILENT
    assert facts["Account"].flag is Flag.GOOD


async def test_without_the_account_itself_there_is_no_evidence(okta_facts: OktaFacts, wire: Wire) -> None:
    wire.play("okta", "cut", "GET *", times=None)
    with pytest.raises(Fault):
        await okta_facts.gather(a_request())


async def test_evidence_is_gathered_in_one_round_trip(okta_facts: OktaFacts, wire: Wire) -> None:
    wire.play("okta", "slow", "*", times=None, seconds=0.15)
    async with asyncio.timeout(0.29):
        await okta_facts.gather(a_request())


async def test_a_department_is_its_active_people_over_all_pages(okta: OktaReader, wire: Wire) -> None:
    found = await okta.department("Payments", seconds=5)
    assert found.complete
    assert ALICE.id in found.people
    assert DAVE.id not in found.people  # he left
    assert len(found.people) == 4
    assert await okta.department("Nowhere", seconds=5) == Headcount(frozenset())


async def test_a_department_too_large_to_count_in_time_is_counted_as_far_as_that(okta: OktaReader, wire: Wire) -> None:
    wire.play("okta", "slow", "GET /users", times=None, seconds=0.2)
    found = await okta.department("Payments", seconds=0.3)
    assert (len(found.people), found.complete) == (2, False)


async def test_a_department_of_which_no_page_came_in_time_is_a_fault(okta: OktaReader, wire: Wire) -> None:
    wire.play("okta", "slow", "GET /users", times=None, seconds=0.4)
    with pytest.raises(Fault, match="no page"):
        await okta.department("Payments", seconds=0.05)


async def test_a_departments_name_is_no_part_of_the_search(okta: OktaReader) -> None:
    assert (await okta.department('Payments" or status eq "ACTIVE', seconds=5)).people == frozenset()


async def test_colleagues_who_hold_the_access_are_counted_once_an_hour(okta: OktaReader, wire: Wire) -> None:
    request = a_request(group="analytics-viewer")
    (fact,) = (await Peers(okta).gather(request)).facts
    assert fact.value == "2 of 3 other people in Payments hold this"
    before = len(wire.calls("okta"))
    await Peers(okta).gather(request)
    assert len(wire.calls("okta")) == before


async def test_what_is_foreseen_in_the_form_is_not_read_again(okta: OktaReader, wire: Wire) -> None:
    request = a_request(group="analytics-viewer")
    await foresee(okta, request.entitlement, "Payments")
    await okta.standing(ALICE.id)
    before = len(wire.calls("okta"))
    assert (await Peers(okta).gather(request)).facts
    assert len(wire.calls("okta")) == before


async def test_other_actions_and_people_of_no_department_have_no_peers(okta: OktaReader, wire: Wire) -> None:
    other = replace(a_request().entitlement, action="aws.policy")
    assert (await Peers(okta).gather(a_request(entitlement=other))).facts == ()
    assert wire.calls("okta") == []
