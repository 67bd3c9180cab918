"""The whole story over real HTTP and WebSocket, told by what the vendors hold at the end."""

from __future__ import annotations

from tests.conftest import on_both
from tests.story import Story

pytestmark = on_both
READONLY = "prod-readonly"
ALICE = "alice@example.com"


async def test_alice_asks_bob_approves_okta_holds_it_and_it_ends(story: Story) -> None:
    request = await story.asks()
    await story.until(lambda: story.incidents() and story.dms("alice"))
    assert ALICE not in story.members(READONLY)

    await story.presses("bob", "approve")
    await story.until(lambda: "Granted and read back" in story.card()["text"])
    assert story.members(READONLY) == [ALICE]
    await story.until(lambda: story.incidents()[0]["status"] == "resolved")
    assert "granted and read back" in story.notes()
    await story.until(lambda: any("granted and read back" in message["text"] for message in story.dms("alice")))

    await story.advance(3601)
    await story.until(lambda: "Ended" in story.card()["text"])
    assert story.members(READONLY) == []
    assert story.changes() == [("add", ALICE, READONLY), ("remove", ALICE, READONLY)]
    await story.until(lambda: any("ended" in message["text"] for message in story.dms("alice")))
    trail = await story.trail(request)
    assert trail.index("grant.started") < trail.index("grant.verified") < trail.index("grant.revoked")


async def test_bob_approves_by_a_comment_that_polling_finds(story: Story) -> None:
    await story.asks()
    await story.until(story.incidents)
    await story.comments("bob", "approve")
    await story.until(lambda: story.members(READONLY) == [ALICE])


async def test_a_start_uses_no_number_of_a_request_up(story: Story) -> None:
    assert await story.asks() == "TA-1"
    await story.settle()
    await story.stop()
    await story.start()
    await story.submits(who="alice", access="Production, administrator")
    await story.until(lambda: story.card(request="TA-2"))
