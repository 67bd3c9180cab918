"""Two requests for the same access: one hand at a time on it, and nobody's end cuts another's time short."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

import policies as shipped
from bot.ledger import Due
from tests.conftest import on_sqlite
from tests.story import Story, opened

READONLY, ALICE = "prod-readonly", "alice@example.com"
GRANTED, TAKEN = ("add", ALICE, READONLY), ("remove", ALICE, READONLY)


async def decidable(story: Story, **fields: str) -> str:
    """A request whose card can be approved, with nothing else under way."""
    request = await story.asks(**fields)
    await story.settle()
    return request


async def granted(story: Story, **fields: str) -> str:
    request = await decidable(story, **fields)
    await story.presses("bob", "approve")
    await story.until(lambda: "Granted" in story.card(request=request)["text"])
    return request


async def ended(story: Story, request: str) -> None:
    await story.until(lambda: "Ended" in story.card(request=request)["text"])


async def gives_back(story: Story, request: str) -> None:
    await story.act("alice", "slack.home")
    await story.until(lambda: f"mine-{request}" in str(story.home("alice")["blocks"]))
    await story.until(lambda: "'give_back'" in str(story.home("alice")["blocks"]))
    await story.act("alice", "slack.click", view_id="home", action_id="give_back", block_id=f"mine-{request}")


@pytest.fixture
async def two_rules(tmp_path: Path) -> AsyncIterator[Story]:
    """One group may be asked for by two entries of the catalogue."""
    place = tmp_path / "policies"
    shutil.copytree(Path(shipped.__file__).parent, place, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    rule = (place / "catalogue" / "prod-readonly.yml").read_text()
    other = rule.replace("title: Production, read only", "title: Log viewer").replace("longest: 8h", "longest: 4h")
    (place / "catalogue" / "log-viewer.yml").write_text(other)
    async with opened(Story(tmp_path / "data", TINYAPPROVER_POLICIES=place)) as story:
        yield story


async def written_late(story: Story, request: str) -> None:
    """As if a step of a request that was overtaken had written last: that is looked at."""
    assert story.running is not None
    await story.act("carol", "okta.add_member", who="alice", group=READONLY)
    await story.advance(6)
    await story.running.ledger.schedule(request, [Due("look")])


async def test_a_removal_under_way_does_not_take_what_is_being_granted(story: Story) -> None:
    """The removal hangs at Okta while another grant of the same access is approved: it waits, and then adds again."""
    first = await granted(story)
    second = await decidable(story, Duration="2 hours")
    await story.fault("okta", "DELETE /groups/*", "slow", seconds=1.5)
    await gives_back(story, first)
    await story.until(lambda: story.calls("okta", "DELETE /groups/") == 1)
    await story.presses("bob", "approve", card=story.card(request=second))
    await story.until(lambda: "Granted" in story.card(request=second)["text"])
    await ended(story, first)
    await story.settle()
    assert story.changes() == [GRANTED, TAKEN, GRANTED]
    assert story.members(READONLY) == [ALICE]
    await story.advance(7201)
    await ended(story, second)
    assert story.members(READONLY) == []


async def test_a_removal_waits_for_a_grant_of_the_same_access_and_leaves_it(story: Story) -> None:
    """The grant hangs at Okta while the other one's time is up: the access stays, and goes at the later end."""
    first = await granted(story)
    second = await decidable(story, Duration="2 hours")
    await story.fault("okta", "GET /users/*/groups*", "slow", seconds=1.5)
    await story.presses("bob", "approve", card=story.card(request=second))
    await gives_back(story, first)
    await ended(story, first)
    await story.until(lambda: "Granted" in story.card(request=second)["text"])
    await story.settle()
    assert story.members(READONLY) == [ALICE]
    await story.advance(7201)
    await ended(story, second)
    assert story.members(READONLY) == []


async def test_an_overlapping_grant_writes_nothing_and_takes_over_the_duty_to_remove(story: Story) -> None:
    first, second = await granted(story), await granted(story, Duration="2 hours")
    assert story.calls("okta", "PUT /groups/") == 1
    await story.advance(3601)
    await ended(story, first)
    assert story.calls("okta", "DELETE /groups/") == 0
    await story.advance(3601)
    await ended(story, second)
    assert story.changes() == [GRANTED, TAKEN]


@pytest.mark.parametrize(("first_lasts", "second_lasts"), [("1 hour", "2 hours"), ("2 hours", "1 hour")])
async def test_access_by_two_rules_of_two_requesters_lasts_until_the_later_end(
    two_rules: Story, first_lasts: str, second_lasts: str
) -> None:
    """Alice has it by one rule, and Bob asked for her by the other."""
    story = two_rules
    first = await decidable(story, Duration=first_lasts)
    second = await decidable(story, who="bob", access="Log viewer", For="alice", Duration=second_lasts)
    for request in (first, second):
        await story.presses("carol", "approve", card=story.card(request=request))
        await story.until_card(request, "Granted")
    await story.advance(3601)
    await ended(story, first if first_lasts == "1 hour" else second)
    await story.settle()
    assert story.members(READONLY) == [ALICE]
    await story.advance(3601)
    for request in (first, second):
        await ended(story, request)
    assert story.changes() == [GRANTED, TAKEN]


async def test_access_that_was_removed_by_hand_meanwhile_is_added_for_the_second_grant(story: Story) -> None:
    await granted(story)
    second = await decidable(story, Duration="2 hours")
    await story.act("carol", "okta.remove_member", who="alice", group=READONLY)
    await story.presses("bob", "approve", card=story.card(request=second))
    await story.until(lambda: "Granted" in story.card(request=second)["text"])
    assert story.members(READONLY) == [ALICE]


async def test_who_found_the_access_held_still_keeps_it_when_another_adds_it_anew(story: Story) -> None:
    """Held by hand, removed by hand, added by a second grant: its end leaves it to the first, which removes it."""
    await story.act("carol", "okta.add_member", who="alice", group=READONLY)
    first = await granted(story, Duration="2 hours")
    await story.act("carol", "okta.remove_member", who="alice", group=READONLY)
    await story.advance(6)
    second = await granted(story)
    await story.advance(3601)
    await ended(story, second)
    assert story.members(READONLY) == [ALICE]
    assert "grant.inherited" in await story.trail(first)
    await story.advance(3601)
    await ended(story, first)
    assert story.members(READONLY) == []
    await written_late(story, first)
    await story.until(lambda: story.members(READONLY) == [])
    await story.settle()
    assert "grant.put_right" in await story.trail(first)


async def test_a_grant_waits_for_what_an_overtaken_step_left_to_be_put_right(story: Story) -> None:
    first = await granted(story)
    await gives_back(story, first)
    await ended(story, first)
    second = await decidable(story, Duration="2 hours")
    await story.fault("okta", "DELETE /groups/*", "slow", seconds=1.5)
    await written_late(story, first)
    await story.until(lambda: story.calls("okta", "DELETE /groups/") == 2)
    await story.presses("bob", "approve", card=story.card(request=second))
    await story.until(lambda: "Granted" in story.card(request=second)["text"])
    await story.settle()
    assert story.members(READONLY) == [ALICE]


@on_sqlite
async def test_a_removal_of_somebody_who_should_have_let_go_long_ago_is_put_right(story: Story) -> None:
    """As if the process that removes had been frozen until another one took its job over: its write comes late."""
    first = await granted(story)
    second = await decidable(story, Duration="2 hours")
    await story.fault("okta", "DELETE /groups/*", "held")
    await gives_back(story, first)
    await story.until(lambda: story.calls("okta", "DELETE /groups/") == 1)
    with closing(sqlite3.connect(story.data_dir / "tinyapprover.db", timeout=10)) as database, database:
        database.execute("DELETE FROM targets")
    await story.presses("bob", "approve", card=story.card(request=second))
    await story.until(lambda: "Granted" in story.card(request=second)["text"])
    assert TAKEN not in story.changes()
    await story.mend()
    await story.until(lambda: TAKEN in story.changes())
    await story.until(lambda: story.members(READONLY) == [ALICE])
    await story.settle()
    assert "grant.restored" in await story.trail(second)
