"""More requests than anybody can be paged for: listed on one quiet page, each still decided on its own card."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.story import Story, opened

POLICIES = Path(__file__).parents[2] / "policies"
ALICE = "alice@example.com"
READONLY, ADMIN = "Production, read only", "Production, administrator"
GITHUB = "GitHub, organisation administrator"
MINUTE, HOUR = 60, 3600


@pytest.fixture
async def narrow(tmp_path: Path) -> AsyncIterator[Story]:
    """A story in which two pages an hour are as many as there may be."""
    async with opened(Story(tmp_path / "data", TINYAPPROVER_PAGES_AN_HOUR=2)) as story:
        yield story


async def four_requests(story: Story) -> list[str]:
    """Two that page, and two that are too many."""
    asked = []
    for who, access in (("alice", READONLY), ("alice", ADMIN), ("alice", GITHUB), ("bob", READONLY)):
        assert (await story.submits(who, access)).get("closed")
        await story.settle()
        asked.append(story.id_of(story.card(button="approve")))
    return asked


def titles(story: Story) -> list[str]:
    return [one["title"] for one in story.incidents()]


async def test_what_is_too_many_is_listed_on_one_quiet_page(narrow: Story) -> None:
    await four_requests(narrow)
    listing = await narrow.until(lambda: next(one for one in narrow.incidents() if "More access" in one["title"]))
    assert len(titles(narrow)) == 3
    assert listing["urgency"] == "low"
    notes = [note["content"] for note in listing["notes"]]
    assert [note.partition(" here")[0] for note in notes] == ["1 request waits", "2 requests wait"]
    assert all("/archives/C0ACCESS/p" in note for note in notes)
    for _ in range(5):  # into the next hour of the clock
        await narrow.advance(11 * MINUTE)
        await narrow.settle()
    assert len(titles(narrow)) == 3
    assert len(narrow.incidents()[-1]["notes"]) == 2


async def test_each_of_them_is_decided_by_itself_and_then_the_list_is_closed(narrow: Story) -> None:
    _, _, third, fourth = await four_requests(narrow)
    for request, who in ((third, "bob"), (fourth, "carol")):
        await narrow.presses(who, "approve", card=narrow.card(request=request))
        await narrow.until_card(request, "Granted")
    assert narrow.members("github-admins") == [ALICE]
    await narrow.advance(5 * MINUTE + 1)
    await narrow.until(lambda: narrow.incidents()[-1]["status"] == "resolved")


async def test_a_comment_on_the_list_decides_nothing(narrow: Story) -> None:
    _, _, third, _ = await four_requests(narrow)
    await narrow.comments("bob", f"approve {third}")
    await narrow.settle()
    assert "Waiting" in narrow.card(request=third)["text"]


async def test_what_was_held_back_is_paged_by_itself_when_there_is_room_again(narrow: Story) -> None:
    _, _, third, _ = await four_requests(narrow)
    await narrow.advance(HOUR + 1)
    await narrow.until(lambda: any(title.startswith(f"{third}:") for title in titles(narrow)))


# --- whoever is on call for several things ---------------------------------------------------------------------------


def on_call(policies: Path, entitlement: str, policy: str) -> None:
    """From now on those on call for a policy decide about it."""
    file = policies / "catalogue" / f"{entitlement}.yml"
    decides = f"who_decides: {{group: iam-approvers, on_call: {{escalation_policy: {policy}}}}}"
    file.write_text(file.read_text().replace("who_decides: {group: iam-approvers}", decides))


@pytest.fixture
async def shared(tmp_path: Path) -> AsyncIterator[Story]:
    """One page an hour; bob is on call for two policies, carol for another."""
    policies = tmp_path / "policies"
    shutil.copytree(POLICIES, policies, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    on_call(policies, "github-admins", "PPOL002")
    on_call(policies, "prod-admin", "PPOL003")
    settings = {"TINYAPPROVER_POLICIES": policies, "TINYAPPROVER_PAGES_AN_HOUR": 1}
    async with opened(Story(tmp_path / "data", **settings)) as story:
        yield story


async def test_the_ceiling_is_for_a_responder_however_many_policies_wake_them(shared: Story) -> None:
    for access in (READONLY, GITHUB, ADMIN):
        assert (await shared.submits(access=access)).get("closed")
        await shared.settle()
    woken = [(one["person"], one["urgency"]) for one in shared.state["pagerduty"]["paged"]]
    assert woken == [("bob", "high"), ("bob", "low"), ("carol", "high")]
    assert "More access requests wait" in titles(shared)[1]


async def test_who_may_be_the_same_person_counts_as_the_same(shared: Story) -> None:
    await shared.fault("pagerduty", "GET /oncalls*", "error", times=None)
    for access in (READONLY, ADMIN):
        assert (await shared.submits(access=access)).get("closed")
        await shared.settle()
    assert [one["urgency"] for one in shared.incidents()] == ["high", "low"]
