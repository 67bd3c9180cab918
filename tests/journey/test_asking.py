"""Asking: every way in, what is refused at its field, and that the requester can follow it to the end."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from tests.story import CHANNEL, Story

READONLY = "prod-readonly"
ALICE = "alice@example.com"
SECRETS = {
    "an access key": "Use AKIAIOSFODNN7EXAMPLE to look at it",
    "a password": "My password is hunter2secret, please look",
    "a card number": "The customer's card 4111 1111 1111 1111 was refused",
}


async def fills(story: Story, view: str, who: str = "alice", **values: str) -> dict[str, Any]:
    """Submit a form that is open already."""
    filled = {"Access": "Production, read only", "Justification": "Look at the error logs", **values}
    return await story.act(who, "slack.submit", view_id=view, values=filled)


async def offered(story: Story, who: str, typed: str = "") -> list[str]:
    """What somebody's typeahead offers."""
    opened = await story.act(who, "slack.shortcut", callback_id="request_access", await_view=True)
    found = await story.act(who, "slack.suggest", view_id=opened["view"]["id"], action_id="access", value=typed)
    return [option["value"] for option in found["options"]]


def front(story: Story, who: str) -> dict[str, Any]:
    """The modal in front of somebody."""
    return dict(story.state["slack"]["views"][who][-1])


async def nothing_was_asked(story: Story) -> None:
    """No card, no page, no message, nothing stored."""
    await story.settle()
    assert (story.messages(), story.incidents(), story.dms("alice")) == ([], [], [])
    assert "request.received" not in await story.trail()


# --- ways in ---------------------------------------------------------------------------------------------------------


async def test_the_slash_command_opens_the_form_wherever_it_is_typed(story: Story) -> None:
    opened = await story.act("alice", "slack.command", channel="general", command="/access", await_view=True)
    assert (await fills(story, opened["view"]["id"])).get("closed")
    await story.until(lambda: story.card(button="approve"))


async def test_a_message_becomes_the_justification(story: Story) -> None:
    said = await story.act("bob", "slack.say", channel="general", text="Checkout fails for <Acme> & others")
    opened = await story.act(
        "alice",
        "slack.message_shortcut",
        channel="general",
        ts=said["ts"],
        callback_id="request_access_from_message",
        await_view=True,
    )
    submitted = await story.act(
        "alice", "slack.submit", view_id=opened["view"]["id"], values={"Access": "Production, read only"}
    )
    assert submitted.get("closed"), submitted
    card = await story.until(lambda: story.card(button="approve"))
    assert "Checkout fails for <Acme> & others" in str(card["blocks"])


async def test_the_app_home_opens_the_form_and_lists_what_was_asked(story: Story) -> None:
    await story.act("alice", "slack.home")
    await story.until(lambda: story.home("alice"))
    opened = await story.act("alice", "slack.click", view_id="home", action_id="open_request_form", await_view=True)
    assert (await fills(story, opened["view"]["id"])).get("closed")
    card = await story.until(lambda: story.card(button="approve"))
    await story.act("alice", "slack.home")
    await story.until(lambda: story.id_of(card) in str(story.home("alice")))


async def test_the_typeahead_offers_only_what_the_person_may_ask_for(story: Story) -> None:
    assert set(await offered(story, "mallory")) == {"analytics-viewer", "vpn-contractors"}
    assert set(await offered(story, "alice")) == {
        "analytics-viewer",
        "github-admins",
        "prod-admin",
        "prod-readonly",
        "prod-root",
        "vpn-contractors",
    }
    assert await offered(story, "alice", "production read") == ["prod-readonly"]


async def test_what_is_not_offered_cannot_be_asked_for_either(story: Story) -> None:
    """Only a changed client could send it."""
    opened = await story.act("mallory", "slack.shortcut", callback_id="request_access", await_view=True)
    view = opened["view"]["id"]
    await story.act("mallory", "slack.fill", view_id=view, action_id="access", value="VPN for contractors")
    await story.until(lambda: "sensitivity medium" in str(front(story, "mallory")["blocks"]))
    await story.act("mallory", "slack.fill", view_id=view, label="Justification", value="Let me in")
    forged = front(story, "mallory")
    forged["state"]["values"]["access"]["access"]["selected_option"]["value"] = "prod-readonly"
    answer = await story.act("mallory", "slack.submit", view_id=view, values={}, raw={"view": forged})
    assert "engineering" in answer["errors"]["access"]
    await nothing_was_asked(story)
    assert "catalogue/prod-readonly#who_may_ask" in await story.refusals()


async def test_the_form_offers_no_longer_than_the_entitlement_allows(story: Story) -> None:
    opened = await story.act("alice", "slack.shortcut", callback_id="request_access", await_view=True)
    view = opened["view"]["id"]
    await story.act("alice", "slack.fill", view_id=view, action_id="access", value="Production, root (break-glass)")
    await story.until(
        lambda: (
            "Duration" in str(front(story, "alice")["blocks"]) and "prod-root" in str(front(story, "alice")["blocks"])
        )
    )
    status, refused = await story.try_to("alice", "slack.fill", view_id=view, label="Duration", value="2 hours")
    assert status == 400
    assert "1 hour" in refused["error"]


async def test_whoever_would_be_refused_learns_it_when_they_choose_and_not_after_writing_why(story: Story) -> None:
    await story.act("carol", "okta.add_member", who="alice", group="contractors")
    opened = await story.act("alice", "slack.shortcut", callback_id="request_access", await_view=True)
    view = opened["view"]["id"]
    await story.act("alice", "slack.fill", view_id=view, action_id="access", value="Production, administrator")
    await story.until(lambda: "ask an employee of the owning team" in str(front(story, "alice")["blocks"]))
    await story.act("alice", "slack.fill", view_id=view, action_id="access", value="Production, read only")
    await story.until(lambda: "owning team" not in str(front(story, "alice")["blocks"]))
    assert (await fills(story, view)).get("closed")


# --- what is refused, where the person is ----------------------------------------------------------------------------


async def test_a_ticket_is_required_where_the_catalogue_says_so(story: Story) -> None:
    opened = await story.act("alice", "slack.shortcut", callback_id="request_access", await_view=True)
    view, root = opened["view"]["id"], {"Access": "Production, root (break-glass)"}
    assert "ticket" in (await fills(story, view, **root))["errors"]
    assert "ticket" in (await fills(story, view, **root, Ticket="javascript:alert(1)"))["errors"]
    assert "ticket" in (await fills(story, view, **root, Ticket="ftp://tickets.example.com/INC-3"))["errors"]
    await nothing_was_asked(story)
    assert (await fills(story, view, **root, Ticket="https://tickets.example.com/INC-3")).get("closed")
    await story.until(lambda: story.card(button="approve"))


async def test_a_changed_client_cannot_leave_out_the_ticket(story: Story) -> None:
    opened = await story.act("alice", "slack.shortcut", callback_id="request_access", await_view=True)
    view = opened["view"]["id"]
    await fills(story, view, Access="Production, root (break-glass)")
    forged = front(story, "alice")
    answer = await story.act(
        "alice", "slack.submit", view_id=view, values={"Ticket": "https://x.example.com"}, raw={"view": forged}
    )
    assert "ticket" in answer["errors"]
    await nothing_was_asked(story)


@pytest.mark.parametrize("words", ["", "   ", "\u200b", "x" * 2001])
async def test_a_justification_is_needed_and_kept_short(story: Story, words: str) -> None:
    answer = await story.submits(why=words)
    assert "justification" in answer["errors"]
    await nothing_was_asked(story)


async def test_a_changed_client_cannot_send_a_longer_justification(story: Story) -> None:
    opened = await story.act("alice", "slack.shortcut", callback_id="request_access", await_view=True)
    view = opened["view"]["id"]
    await fills(story, view, Justification="x" * 2001)
    answer = await story.act(
        "alice", "slack.submit", view_id=view, values={"Justification": "short"}, raw={"view": front(story, "alice")}
    )
    assert "2000" in answer["errors"]["justification"]
    await nothing_was_asked(story)


async def test_half_a_character_in_a_name_is_marked_where_the_name_is_shown(story: Story) -> None:
    await story.act("bob", "okta.rename", who="alice", name="Ali\ud83dce Archer")
    await story.asks()
    assert "Ali\ufffdce Archer" in story.card()["text"]
    incident = await story.until(lambda: story.incidents()[0])
    assert "Ali\ufffdce Archer" in incident["title"]


@pytest.mark.parametrize("words", SECRETS.values(), ids=SECRETS)
async def test_a_secret_is_refused_at_its_field_and_stored_nowhere(
    story: Story, caplog: pytest.LogCaptureFixture, words: str
) -> None:
    caplog.set_level(logging.INFO)
    answer = await story.submits(why=words)
    assert "looks like" in answer["errors"]["justification"]
    await nothing_was_asked(story)
    assert await story.refusals() == ["intake#secret"]
    await story.stop()
    said = [word.strip(",") for word in words.split() if any(letter.isdigit() for letter in word)]
    needle = said[0] if len(said[0]) > 8 else " ".join(said[:2])  # four digits stand in some digest by chance
    stored = b"".join(path.read_bytes() for path in story.data_dir.rglob("*") if path.is_file())
    assert needle.encode() not in stored
    assert needle not in caplog.text


async def test_a_guest_is_told_kindly_who_can_ask_instead(story: Story) -> None:
    opened = await story.act("erin", "slack.shortcut", callback_id="request_access", await_view=True)
    assert opened["view"]["title"]["text"] == "Request access"
    await story.until(lambda: "Only full members" in str(front(story, "erin")["blocks"]))
    assert not front(story, "erin")["submit"]
    await nothing_was_asked(story)


async def test_a_deactivated_account_is_told_so(story: Story) -> None:
    await story.act("dave", "slack.shortcut", callback_id="request_access", await_view=True, stale=True)
    await story.until(lambda: "cannot" in str(front(story, "dave")["blocks"]))
    await nothing_was_asked(story)


async def test_somebody_without_a_directory_account_that_works_is_sent_to_it(story: Story) -> None:
    await story.act("alice", "okta.deactivate", who="alice")
    await story.act("alice", "slack.shortcut", callback_id="request_access", await_view=True)
    await story.until(lambda: "Ask IT" in str(front(story, "alice")["blocks"]))
    await nothing_was_asked(story)


# --- for somebody else, twice, and to the end ------------------------------------------------------------------------


async def test_access_can_be_asked_for_somebody_else(story: Story) -> None:
    await story.asks("alice", For="bob")
    card = story.card()
    assert "alice@example.com" in str(card["blocks"])
    assert "bob@example.com" in str(card["blocks"])
    await story.presses("carol", "approve")
    await story.until(lambda: story.members(READONLY) == ["bob@example.com"])
    await story.until(lambda: "granted and read back" in story.told("alice"))


async def test_whoever_may_not_hold_it_cannot_be_given_it_by_others(story: Story) -> None:
    answer = await story.submits("alice", For="mallory")
    assert "engineering" in answer["errors"]["for"]
    answer = await story.submits("alice", For="erin")
    assert "full, active account" in answer["errors"]["for"]
    await nothing_was_asked(story)


async def test_the_same_submission_twice_is_one_request(story: Story) -> None:
    opened = await story.act("alice", "slack.shortcut", callback_id="request_access", await_view=True)
    view = opened["view"]["id"]
    await story.act("alice", "slack.fill", view_id=view, action_id="access", value="Production, read only")
    await story.act("alice", "slack.fill", view_id=view, label="Justification", value="Look at the error logs")
    answers = await asyncio.gather(*(story.try_to("alice", "slack.submit", view_id=view, values={}) for _ in range(3)))
    assert any(answer.get("closed") for _, answer in answers)
    await story.until(lambda: story.card(button="approve") and story.incidents() and story.dms("alice"))
    await story.settle()
    assert [len(story.messages(CHANNEL)), len(story.incidents()), len(story.dms("alice"))] == [1, 1, 1]


async def test_the_requesters_message_follows_to_the_end(story: Story) -> None:
    await story.asks()
    message = await story.until(lambda: story.dms("alice")[0])
    assert "withdraw" in story.buttons(message)
    await story.presses("bob", "approve")
    await story.until(lambda: "give_back" in story.buttons(story.dms("alice")[0]))
    await story.advance(3601)
    await story.until(lambda: "Ended" in story.dms("alice")[0]["text"])
    assert story.buttons(story.dms("alice")[0]) == set()
    assert story.dms("alice")[0]["ts"] == message["ts"]
