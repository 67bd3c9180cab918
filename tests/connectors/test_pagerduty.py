"""The PagerDuty connector against the sandbox, and against every way its wire can fail."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import connectors
from bot.errors import Fault
from bot.ports import OnCall, Page
from connectors.pagerduty import PagerDuty
from tests.connectors.conftest import Wire

PAGE = Page(key="TA-1", title="alice asks for prod-readonly", body="Who, what, why.", urgency="high")


async def test_an_incident_carries_title_body_urgency_and_pages_the_first_level(
    wire: Wire, pagerduty: PagerDuty
) -> None:
    opened = await pagerduty.open_incident(PAGE)
    shown = wire.state("pagerduty")["incidents"][0]
    assert (shown["title"], shown["body"], shown["urgency"]) == (PAGE.title, PAGE.body, "high")
    assert opened.status == "triggered"
    assert opened.url.startswith("https://")
    assert [paged["person"] for paged in wire.state("pagerduty")["paged"]] == ["bob"]


async def test_what_stands_there_already_is_adopted_by_a_repeat_only(wire: Wire, pagerduty: PagerDuty) -> None:
    first = await pagerduty.open_incident(PAGE)
    with pytest.raises(Fault) as caught:
        await pagerduty.open_incident(PAGE)
    assert (caught.value.status, caught.value.permanent) == (400, False)
    assert await pagerduty.open_incident(PAGE, look_first=True) == first
    assert len(wire.state("pagerduty")["incidents"]) == 1


async def test_after_a_crash_a_resolved_incident_is_adopted_too(wire: Wire, pagerduty: PagerDuty) -> None:
    first = await pagerduty.open_incident(PAGE)
    await pagerduty.resolve(first.id)
    again = await pagerduty.open_incident(PAGE, look_first=True)
    assert (again.id, again.status) == (first.id, "resolved")


@pytest.mark.parametrize("kind", ["lost_answer", "html", "empty"])
async def test_an_incident_whose_answer_is_lost_is_unknown_until_a_repeat_looks(
    wire: Wire, pagerduty: PagerDuty, kind: str
) -> None:
    wire.play("pagerduty", kind, "POST /incidents")
    with pytest.raises(Fault) as caught:
        await pagerduty.open_incident(PAGE)
    assert caught.value.unknown
    assert (await pagerduty.open_incident(PAGE, look_first=True)).status == "triggered"
    assert len(wire.state("pagerduty")["incidents"]) == 1


async def test_long_texts_are_cut_to_what_pagerduty_takes(wire: Wire, pagerduty: PagerDuty) -> None:
    await pagerduty.open_incident(Page("TA-2", "t" * 400, "b" * 30_000, "low"))
    shown = wire.state("pagerduty")["incidents"][0]
    assert (len(shown["title"]), len(shown["body"])) == (255, 20_000)


async def test_a_note_is_written_once_however_often_it_is_asked_for(wire: Wire, pagerduty: PagerDuty) -> None:
    incident = await pagerduty.open_incident(PAGE)
    first = await pagerduty.add_note(incident.id, "advice: approve")
    assert await pagerduty.add_note(incident.id, "advice: approve") == first
    assert [note["content"] for note in wire.state("pagerduty")["incidents"][0]["notes"]] == ["advice: approve"]


async def test_a_note_whose_answer_is_lost_is_not_written_twice(wire: Wire, pagerduty: PagerDuty) -> None:
    incident = await pagerduty.open_incident(PAGE)
    wire.play("pagerduty", "lost_answer", "POST */notes")
    note = await pagerduty.add_note(incident.id, "hello")
    assert [one.id for one in await pagerduty.notes(incident.id)] == [note.id]


async def test_somebody_elses_equal_note_is_not_taken_for_ours(wire: Wire, pagerduty: PagerDuty) -> None:
    incident = await pagerduty.open_incident(PAGE)
    await wire.act("bob", "pagerduty.comment", incident=incident.id, content="hello")
    note = await pagerduty.add_note(incident.id, "hello")
    assert note.author == pagerduty.own_user == "PBOT001"
    assert len(await pagerduty.notes(incident.id)) == 2


async def test_notes_come_oldest_first_with_their_authors_and_show_an_edit(wire: Wire, pagerduty: PagerDuty) -> None:
    incident = await pagerduty.open_incident(PAGE)
    first = await wire.act("bob", "pagerduty.comment", incident=incident.id, content="approve")
    await wire.later(minutes=1)
    await wire.act("carol", "pagerduty.comment", incident=incident.id, content="deny")
    await wire.act("bob", "pagerduty.edit_note", incident=incident.id, note=first["id"], content="approve TA-1")
    notes = await pagerduty.notes(incident.id)
    assert [(note.author, note.content, note.edited) for note in notes] == [
        ("PBOB001", "approve TA-1", True),
        ("PCAROL1", "deny", False),
    ]


async def test_resolving_twice_is_fine(wire: Wire, pagerduty: PagerDuty) -> None:
    incident = await pagerduty.open_incident(PAGE)
    await pagerduty.resolve(incident.id)
    await pagerduty.resolve(incident.id)
    assert (await pagerduty.incident(incident.id)).status == "resolved"


async def test_escalating_pages_the_people_of_that_level(wire: Wire, pagerduty: PagerDuty) -> None:
    incident = await pagerduty.open_incident(PAGE)
    await pagerduty.escalate(incident.id, 2)
    assert wire.state("pagerduty")["incidents"][0]["assigned"] == ["carol"]


async def test_people_are_found_by_their_exact_address_only(pagerduty: PagerDuty) -> None:
    bob = await pagerduty.user_by_email("BOB@example.com")
    assert bob is not None
    assert bob.id == "PBOB001"
    assert await pagerduty.user_by_email("bob@example") is None
    assert (await pagerduty.user("PCAROL1")).email == "carol@example.com"


async def test_who_is_on_call_comes_with_levels(pagerduty: PagerDuty) -> None:
    assert list(await pagerduty.on_call("PPOL001")) == [OnCall("PBOB001", 1), OnCall("PCAROL1", 2)]


async def test_the_service_can_be_checked_and_calls_are_counted_down(pagerduty: PagerDuty) -> None:
    assert await pagerduty.check_service() == "Access requests"
    assert "TinyApprover" in await pagerduty.ping()
    assert pagerduty.calls_left is not None
    assert 0 < pagerduty.calls_left < 960


async def test_a_user_is_read_once_for_many_questions(wire: Wire, pagerduty: PagerDuty) -> None:
    await pagerduty.user("PALICE1")
    await pagerduty.user("PALICE1")
    assert len(wire.calls("pagerduty", "GET /users/PALICE1")) == 1


async def test_a_subscription_hands_out_its_secret_once(wire: Wire, pagerduty: PagerDuty) -> None:
    subscription, secret = await pagerduty.subscribe(f"{wire.url}/_nowhere")
    assert secret
    [listed] = await pagerduty.subscriptions()
    assert listed["id"] == subscription
    assert listed["delivery_method"]["secret"] is None


async def test_a_wrong_key_is_a_permanent_fault(wire: Wire) -> None:
    pager = PagerDuty(f"{wire.url}/pagerduty", "wrong", "tinyapprover@example.com", "PSVC001")
    with pytest.raises(Fault) as caught:
        await pager.connect()
    await pager.close()
    assert (caught.value.status, caught.value.permanent) == (401, True)


async def test_a_from_address_that_nobody_has_is_said_at_once(wire: Wire) -> None:
    pager = PagerDuty(f"{wire.url}/pagerduty", "sandbox-pagerduty-key", "nobody@example.com", "PSVC001")
    with pytest.raises(Fault, match=r"nobody@example\.com"):
        await pager.connect()
    await pager.close()


@pytest.mark.parametrize("text", ["../users/PBOB001", "..", "", "Q1?x=1", "Q1\n"])
async def test_nothing_but_an_id_becomes_part_of_an_address(wire: Wire, pagerduty: PagerDuty, text: str) -> None:
    before = len(wire.calls("pagerduty"))
    with pytest.raises(Fault, match="not a PagerDuty id"):
        await pagerduty.incident(text)
    assert len(wire.calls("pagerduty")) == before


async def test_an_unknown_incident_is_a_permanent_fault(pagerduty: PagerDuty) -> None:
    with pytest.raises(Fault) as caught:
        await pagerduty.incident("Q0NOTTHERE")
    assert (caught.value.status, caught.value.permanent, caught.value.unknown) == (404, True, False)


@pytest.mark.parametrize(
    ("kind", "unknown"),
    [
        ("slow", True),
        ("cut", True),
        ("error", True),
        ("maintenance", True),
        ("rate_limit", False),
        ("rate_limit_bare", False),
        ("html", True),
    ],
)
async def test_a_failed_write_says_whether_it_may_have_happened(
    wire: Wire, pagerduty: PagerDuty, kind: str, unknown: bool
) -> None:
    incident = await pagerduty.open_incident(PAGE)
    wire.play("pagerduty", kind, "PUT /incidents/*", seconds=2)
    with pytest.raises(Fault) as caught:
        await pagerduty.escalate(incident.id, 2)
    assert (caught.value.unknown, caught.value.permanent) == (unknown, False)
    assert caught.value.retry_after == (2.0 if kind in ("rate_limit", "maintenance") else None)
    assert len(wire.calls("pagerduty", "PUT")) == 1


@pytest.mark.parametrize("kind", ["slow", "cut", "error", "rate_limit", "rate_limit_bare", "html", "empty"])
async def test_a_failed_read_is_a_fault_that_is_never_unknown(wire: Wire, pagerduty: PagerDuty, kind: str) -> None:
    wire.play("pagerduty", kind, "GET /oncalls", seconds=2)
    with pytest.raises(Fault) as caught:
        await pagerduty.on_call("PPOL001")
    assert (caught.value.unknown, caught.value.permanent) == (False, False)
    assert len(wire.calls("pagerduty", "GET /oncalls")) == 1


async def test_a_server_that_is_not_there_leaves_nothing_unknown(unused_tcp_port: int) -> None:
    pager = PagerDuty(f"http://127.0.0.1:{unused_tcp_port}", "key", "tinyapprover@example.com", "PSVC001")
    with pytest.raises(Fault) as caught:
        await pager.escalate("Q1", 2)
    await pager.close()
    assert not caught.value.unknown


def test_one_file_alone_imports_pdpyras() -> None:
    """The package is at its end; whoever replaces it finds it in one place."""
    importers = set()
    for path in Path(connectors.__file__).parent.parent.glob("[bck]*/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            importers |= {path.name for name in names if name.split(".")[0] == "pdpyras"}
    assert importers == {"pagerduty_api.py"}
