"""The other commands, as an admin types them."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest

from bot.ledger import Ledger
from tests.builders import NOW, a_person
from tests.cli.conftest import ROOT, Terminal


async def link_bob(terminal: Terminal) -> None:
    """What `people link` leaves behind."""
    terminal.data.mkdir(exist_ok=True)
    ledger = await Ledger.open(f"sqlite:///{terminal.data / 'tinyapprover.db'}", kind="production", now=lambda: NOW)
    await ledger.link(a_person("bob"), by="a test")
    await ledger.close()


# --- check ------------------------------------------------------------------------------------------------------------


async def test_check_ticks_everything_when_all_is_well(terminal: Terminal) -> None:
    await link_bob(terminal)
    answer = await terminal.run("check")
    assert (answer.code, answer.err) == (0, "")
    assert all(line.startswith("✓ ") for line in answer.out.splitlines())
    for name in ("settings", "database", "policies", "Slack scopes", "Slack app token", "Slack channel", "Okta"):
        assert f"✓ {name}: " in answer.out
    assert not {route for route in terminal.asked("okta") if not route.startswith("GET ")}


async def test_setup_makes_the_webhook_once_and_check_tells_how_it_does(terminal: Terminal) -> None:
    await link_bob(terminal)
    made = await terminal.run("setup", "pagerduty", "--url", "https://bot.example.com")
    assert (made.code, made.err) == (0, "")
    assert "✓ PagerDuty delivers to https://bot.example.com/webhooks/pagerduty" in made.out
    secret = made.out.partition("told this once: ")[2].split()[0]
    again = await terminal.run("setup", "pagerduty", "--url", "https://bot.example.com")
    assert secret not in again.out
    assert "PAGERDUTY_WEBHOOK_SECRETS: is not set" in again.err
    checked = await terminal.run("check", PAGERDUTY_WEBHOOK_SECRETS=secret)
    assert "✓ PagerDuty webhook: active; no event yet" in checked.out


async def test_check_says_that_a_webhook_is_missing(terminal: Terminal) -> None:
    await link_bob(terminal)
    answer = await terminal.run("check", PAGERDUTY_WEBHOOK_SECRETS="sandbox-webhook-secret")
    assert "✗ PagerDuty webhook: missing: run `tinyapprover setup pagerduty" in answer.out


@pytest.mark.parametrize("url", ["http://bot.example.com", "bot.example.com", ""])
async def test_setup_wants_an_address_that_pagerduty_can_reach_safely(terminal: Terminal, url: str) -> None:
    answer = await terminal.run("setup", "pagerduty", "--url", url)
    assert answer.code == 2
    assert "--url" in answer.err
    assert not terminal.asked("pagerduty")


BROKEN: list[dict[str, tuple[str, str]]] = [
    {
        "SLACK_APP_TOKEN": ("xapp-wrong", "✗ Slack app token: SLACK_APP_TOKEN: refused (invalid_auth)"),
        "SLACK_RESPONDER_CHANNEL": ("C0NOWHERE", "✗ Slack channel: "),
        "PAGERDUTY_SERVICE_ID": ("PNOTHERE", "✗ PagerDuty service: "),
        "OPENAI_API_KEY": ("wrong", "✗ model: "),
        "TINYAPPROVER_DOCUMENTS": ("/nowhere", "✗ documents: TINYAPPROVER_DOCUMENTS: /nowhere is not a folder"),
        "TINYAPPROVER_POLICIES": ("/nowhere", "✗ policies: TINYAPPROVER_POLICIES: /nowhere is not a directory"),
        "TINYAPPROVER_DATABASE_URL": ("nonsense", "✗ database: TINYAPPROVER_DATABASE_URL: "),
    },
    {
        "SLACK_BOT_TOKEN": ("xoxb-wrong", "✗ vendors: SLACK_BOT_TOKEN: "),
        "OKTA_API_TOKEN": ("wrong", "✗ vendors: OKTA_API_TOKEN: "),
        "OKTA_WRITE_TOKEN": ("wrong", "✗ vendors: OKTA_WRITE_TOKEN: "),
        "PAGERDUTY_API_KEY": ("wrong", "✗ vendors: PAGERDUTY_API_KEY: "),
    },
    {
        "TINYAPPROVER_HTTP_PORT": ("eighty", "✗ settings: TINYAPPROVER_HTTP_PORT: "),
        "OKTA_ORG_URL": ("", "✗ settings: OKTA_ORG_URL: is not set"),
    },
    {"OKTA_ORG_URL": ("https://okta.example.com", "✗ addresses and data directory: OKTA_ORG_URL: ")},
]


@pytest.mark.parametrize("broken", BROKEN, ids=["parts", "tokens", "settings", "addresses"])
async def test_check_names_everything_that_is_broken(terminal: Terminal, broken: dict[str, tuple[str, str]]) -> None:
    await link_bob(terminal)
    answer = await terminal.run("check", **{name: value for name, (value, _) in broken.items()})
    assert answer.code == 2
    assert answer.err == "tinyapprover: something needs attention; see the lines with ✗\n"
    for _, said in broken.values():
        assert said in answer.out, answer.out


async def test_check_says_where_settings_are_looked_for(terminal: Terminal) -> None:
    hint = f"✗ settings: there is no .env in {terminal.folder}: copy .env.example there"
    assert hint in (await terminal.run("check", OKTA_ORG_URL=None)).out
    (terminal.folder / ".env").touch()
    assert "there is no .env" not in (await terminal.run("check")).out


async def test_check_says_that_nobody_may_decide_yet_and_what_to_type(terminal: Terminal) -> None:
    answer = await terminal.run("check")
    assert answer.code == 2
    assert "✗ database: nobody may decide yet: link people with `tinyapprover people link" in answer.out


async def test_check_says_that_the_port_is_taken(terminal: Terminal) -> None:
    await link_bob(terminal)
    with socket.create_server(("127.0.0.1", terminal.port)):
        answer = await terminal.run("check")
    assert f"✗ port: TINYAPPROVER_HTTP_PORT: {terminal.port} cannot be used" in answer.out
    assert answer.code == 2


# --- policies ---------------------------------------------------------------------------------------------------------


def a_copy(folder: Path) -> Path:
    copy = folder / "policies"
    shutil.copytree(ROOT / "policies", copy, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
    return copy


async def test_policy_check_counts_what_holds(terminal: Terminal) -> None:
    answer = await terminal.run("policy", "check", str(a_copy(terminal.folder)))
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("✓ 8 entitlements, ")


async def test_policy_check_names_file_and_line_of_what_does_not(terminal: Terminal) -> None:
    copy = a_copy(terminal.folder)
    file = copy / "catalogue" / "vpn-contractors.yml"
    file.write_text(file.read_text() + "approvers: everybody\n")
    answer = await terminal.run("policy", "check", str(copy))
    assert answer.code == 2
    assert "vpn-contractors.yml:" in answer.out + answer.err


async def test_policy_check_knows_what_can_be_carried_out(terminal: Terminal) -> None:
    copy = a_copy(terminal.folder)
    file = copy / "catalogue" / "vpn-contractors.yml"
    file.write_text(file.read_text().replace("okta.group", "okta.gruop"))
    answer = await terminal.run("policy", "check", str(copy))
    assert answer.code == 2
    assert 'action.kind: "okta.gruop" is not one of okta.group' in answer.out


async def test_init_writes_a_starter_set_that_checks_and_overwrites_nothing(terminal: Terminal) -> None:
    place = str(terminal.folder / "ours")
    assert (await terminal.run("init", place)).code == 0
    assert (await terminal.run("policy", "check", place)).code == 0
    assert (await terminal.run("init", place)).code in (2, 3)


# --- people -----------------------------------------------------------------------------------------------------------


async def test_people_are_linked_listed_and_unlinked(terminal: Terminal) -> None:
    linked = await terminal.run("people", "link", "bob@example.com", "--slack", "U0BOB")
    assert linked.out == "Bob Baker may decide: directory 00ubob00000000002, Slack U0BOB, PagerDuty PBOB001\n"
    assert "bob@example.com" in (await terminal.run("people", "list")).out
    assert (await terminal.run("people", "unlink", "BOB@example.com")).code == 0
    assert "bob@example.com" not in (await terminal.run("people", "list")).out
    assert terminal.rows()["events"] == 2


@pytest.mark.parametrize(
    ("email", "slack", "said"),
    [
        ("dave@example.com", "U0DAVE", "Only full members"),
        ("bob@example.com", "U0ERIN", "Only full members"),
        ("nobody@example.com", "U0BOB", "is not the login of an active directory account"),
        ("bob@example.com", "U0CAROL", "has another e-mail address than bob@example.com"),
    ],
)
async def test_who_cannot_decide_is_not_linked(terminal: Terminal, email: str, slack: str, said: str) -> None:
    answer = await terminal.run("people", "link", email, "--slack", slack)
    assert (answer.code, answer.out) == (3, "")
    assert said in answer.err
    assert len(answer.err.splitlines()) == 1


async def test_a_slack_account_that_is_not_there_is_said_so(terminal: Terminal) -> None:
    answer = await terminal.run("people", "link", "bob@example.com", "--slack", "U0NOBODY")
    assert answer.code == 1
    assert answer.err == "tinyapprover: slack: user_not_found\n"


async def test_unlinking_a_stranger_is_refused(terminal: Terminal) -> None:
    answer = await terminal.run("people", "unlink", "nobody@example.com")
    assert (answer.code, answer.err) == (3, "tinyapprover: nobody@example.com is not linked.\n")
