"""Okta's stand-in behaves and refuses as Okta documents."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from connectors.sandbox.okta_records import APP_GROUP, group_id
from tests.sandbox.vendor_wire import READER, WRITER, Wire, running

API = "/okta/api/v1"
ALICE = "00ualice0000000001"
PROD = group_id("prod-readonly")


@pytest_asyncio.fixture
async def wire() -> AsyncIterator[Wire]:
    async with running() as wire:
        yield wire


async def get(wire: Wire, path: str) -> Any:
    status, body, _ = await wire.call("GET", API + path, READER)
    assert status == 200, body
    return body


async def test_a_wrong_token_is_refused_with_oktas_own_error(wire: Wire) -> None:
    for headers in ({}, {"Authorization": "SSWS wrong"}, {"Authorization": "SSWSsandbox-okta-reader"}):
        status, body, _ = await wire.call("GET", f"{API}/users/{ALICE}", headers)
        assert (status, body["errorCode"]) == (401, "E0000011")


async def test_the_reader_may_only_read(wire: Wire) -> None:
    for method, path in (("PUT", f"/groups/{PROD}/users/{ALICE}"), ("DELETE", f"/users/{ALICE}/sessions")):
        status, body, _ = await wire.call(method, API + path, READER)
        assert (status, body["errorCode"]) == (403, "E0000006")


async def test_a_user_is_found_by_id_and_by_login(wire: Wire) -> None:
    assert await get(wire, f"/users/{ALICE}") == await get(wire, "/users/alice@example.com")
    found = await get(wire, '/users?search=profile.login eq "alice@example.com"')
    assert [user["id"] for user in found] == [ALICE]
    assert len(await get(wire, "/users?q=bob")) == 1


@pytest.mark.parametrize("path", ["/users/nobody", "/users/nobody/groups", "/groups/nothing", "/groups/nothing/users"])
async def test_what_is_not_there_is_not_found(wire: Wire, path: str) -> None:
    status, body, _ = await wire.call("GET", API + path, READER)
    assert (status, body["errorCode"]) == (404, "E0000007")


async def test_joining_answers_204_whether_or_not_anything_changed(wire: Wire) -> None:
    for _ in range(2):
        status, body, _ = await wire.call("PUT", f"{API}/groups/{PROD}/users/{ALICE}", WRITER)
        assert (status, body) == (204, None)
    assert [user["id"] for user in await get(wire, f"/groups/{PROD}/users")] == [ALICE]
    assert len((await wire.state("okta"))["log"]) == 1


async def test_leaving_answers_204_whether_or_not_anything_changed(wire: Wire) -> None:
    assert (await wire.call("DELETE", f"{API}/groups/{PROD}/users/{ALICE}", WRITER))[0] == 204
    assert (await wire.state("okta"))["log"] == []


async def test_an_applications_group_cannot_be_edited(wire: Wire) -> None:
    status, _, _ = await wire.call("PUT", f"{API}/groups/{group_id(APP_GROUP)}/users/{ALICE}", WRITER)
    assert status == 403


async def test_lists_come_in_pages_joined_by_links(wire: Wire) -> None:
    path: str | None = f"{API}/groups/{group_id('everyone')}/users?limit=2"
    seen: list[str] = []
    while path:
        _, body, headers = await wire.call("GET", path, READER)
        assert len(body) <= 2
        seen += [user["id"] for user in body]
        link = re.search(r'<([^>]+)>; rel="next"', headers["Link"])
        path = link[1].removeprefix(wire.world.base_url) if link else None
    assert len(seen) == len(set(seen)) == 5


async def test_groups_are_found_by_exact_name_and_by_the_start_of_it(wire: Wire) -> None:
    assert [group["id"] for group in await get(wire, '/groups?search=profile.name eq "prod-readonly"')] == [PROD]
    assert len(await get(wire, "/groups?q=prod-")) == 3
    assert (await wire.call("GET", f"{API}/groups?search=nonsense", READER))[0] == 400


async def test_group_ids_stay_the_same_from_one_sandbox_to_the_next() -> None:
    assert group_id("prod-readonly") == PROD
    assert re.fullmatch(r"00g[0-9a-f]{17}", PROD)


async def test_the_log_is_filtered_and_sorted(wire: Wire) -> None:
    wanted = f'filter=actor.id eq "{ALICE}" and eventType eq "user.session.start"'
    events = await get(wire, f"/logs?{wanted}&sortOrder=DESCENDING")
    assert len(events) == 3
    assert [event["published"] for event in events] == sorted((e["published"] for e in events), reverse=True)
    assert events[0]["client"]["geographicalContext"] == {"country": "Germany", "city": "Berlin"}
    assert len(await get(wire, f"/logs?{wanted}&since={events[1]['published']}")) == 2


async def test_suspending_twice_is_refused(wire: Wire) -> None:
    path = f"{API}/users/{ALICE}/lifecycle"
    assert (await wire.call("POST", f"{path}/suspend", WRITER))[0] == 200
    status, body, _ = await wire.call("POST", f"{path}/suspend", WRITER)
    assert (status, body["errorCode"]) == (400, "E0000001")
    assert (await wire.call("POST", f"{path}/unsuspend", WRITER))[0] == 200
    assert (await get(wire, f"/users/{ALICE}"))["status"] == "ACTIVE"


async def test_people_change_memberships_beside_us_and_the_log_names_them(wire: Wire) -> None:
    await wire.act("bob", "okta.add_member", group="prod-readonly", who="alice")
    await wire.act("carol", "okta.remove_member", group="prod-readonly", who="alice")
    assert [entry["by"] for entry in (await wire.state("okta"))["log"]] == ["Bob Baker", "Carol Chen"]


async def test_somebody_deactivated_stays_readable(wire: Wire) -> None:
    await wire.act("carol", "okta.deactivate", who="alice")
    assert (await get(wire, f"/users/{ALICE}"))["status"] == "DEPROVISIONED"


async def test_what_cannot_be_done_is_said(wire: Wire) -> None:
    assert (await wire.act("bob", "okta.deactivate", who="erin"))[0] == 400
    assert (await wire.act("bob", "okta.add_member", who="alice", group="nothing"))[0] == 400
