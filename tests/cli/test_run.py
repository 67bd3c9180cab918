"""`tinyapprover run` starts whole or not at all: one clear message names the setting, and nothing was begun."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from bot.ledger import Ledger
from tests.builders import NOW
from tests.cli.conftest import ROOT, Answer, Terminal

LOOKS = {
    "POST /api/auth.test",
    "POST /api/apps.connections.open",
    "GET /groups",
    "GET /users",
    "GET /v1/models",
}
Change = dict[str, str | None]


def assert_one_clear_message(answer: Answer, name: str) -> None:
    lines = answer.err.splitlines()
    assert answer.code == 2
    assert len(lines) == 1, answer.err
    assert lines[0].startswith("tinyapprover: ")
    assert name in lines[0]
    assert answer.out == ""


def assert_nothing_began(terminal: Terminal) -> None:
    assert not terminal.listens()
    assert sum(terminal.rows().values()) == 0
    assert terminal.asked() <= LOOKS


@pytest.mark.parametrize(
    "change",
    [
        {"SLACK_BOT_TOKEN": None},
        {"SLACK_BOT_TOKEN": "xoxb-wrong"},
        {"SLACK_APP_TOKEN": "xapp-wrong"},
        {"PAGERDUTY_SERVICE_ID": None},
        {"TINYAPPROVER_POLICIES": None},
        {"TINYAPPROVER_POLICIES": "/nowhere"},
        {"TINYAPPROVER_HTTP_PORT": "70000"},
        {"TINYAPPROVER_CLOCK_URL": "http://127.0.0.1:1/_sandbox/clock"},
        {"OKTA_ORG_URL": "http://example.okta.com"},
        {"SLACK_API_URL": "http://127.0.0.1:1/slack/api/"},
        {"TINYAPPROVER_DATABASE_URL": "nonsense"},
    ],
    ids=lambda change: "-".join(f"{name}={value}" for name, value in change.items())[:60],
)
async def test_a_setting_that_is_missing_or_wrong_stops_the_start(terminal: Terminal, change: Change) -> None:
    port = terminal.settings["TINYAPPROVER_HTTP_PORT"]
    answer = await terminal.run("run", **change)
    assert_one_clear_message(answer, next(iter(change)))
    terminal.settings["TINYAPPROVER_HTTP_PORT"] = port
    assert_nothing_began(terminal)


async def test_without_any_setting_every_one_that_is_needed_is_named(terminal: Terminal) -> None:
    port = terminal.settings["TINYAPPROVER_HTTP_PORT"]
    answer = await terminal.run("run", **dict.fromkeys(terminal.settings))
    assert answer.code == 2
    named = [line.split(": ")[1] for line in answer.err.splitlines()]
    assert named[:3] == ["SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_RESPONDER_CHANNEL"]
    assert len(named) == 7
    terminal.settings |= {"TINYAPPROVER_HTTP_PORT": port, "TINYAPPROVER_DATA_DIR": str(terminal.folder / "data")}
    assert_nothing_began(terminal)


async def test_several_wrong_tokens_are_all_named_at_once(terminal: Terminal) -> None:
    wrong = ("SLACK_BOT_TOKEN", "OKTA_API_TOKEN", "OKTA_WRITE_TOKEN", "PAGERDUTY_API_KEY")
    answer = await terminal.run("run", **dict.fromkeys(wrong, "xoxb-wrong"))
    assert answer.code == 2
    assert sorted(line.split(": ")[1:2] for line in answer.err.splitlines()) == [[name] for name in sorted(wrong)]
    assert "xoxb-wrong" not in answer.err
    assert_nothing_began(terminal)


async def test_a_port_that_is_taken_stops_the_start(terminal: Terminal) -> None:
    with socket.create_server(("127.0.0.1", terminal.port)):
        answer = await terminal.run("run")
    assert_one_clear_message(answer, "TINYAPPROVER_HTTP_PORT")
    assert_nothing_began(terminal)


async def test_a_data_directory_that_cannot_be_written_stops_the_start(terminal: Terminal) -> None:
    file = terminal.folder / "a-file"
    file.write_text("not a directory")
    answer = await terminal.run("run", TINYAPPROVER_DATA_DIR=str(file))
    assert_one_clear_message(answer, "TINYAPPROVER_DATA_DIR")
    assert_nothing_began(terminal)


async def test_a_sandbox_database_is_refused_by_a_production_run(terminal: Terminal) -> None:
    terminal.data.mkdir()
    url = f"sqlite:///{terminal.data / 'tinyapprover.db'}"
    await (await Ledger.open(url, kind="sandbox", now=lambda: NOW)).close()
    answer = await terminal.run("run")
    assert_one_clear_message(answer, "TINYAPPROVER_DATA_DIR")
    assert "belongs to a sandbox run" in answer.err
    assert_nothing_began(terminal)


def unknown_key(folder: Path) -> str:
    file = folder / "catalogue" / "vpn-contractors.yml"
    file.write_text(file.read_text() + "approvers: everybody\n")
    return "vpn-contractors.yml"


def no_yaml(folder: Path) -> str:
    (folder / "catalogue" / "vpn-contractors.yml").write_text("title: [")
    return "vpn-contractors.yml"


def no_guardrails(folder: Path) -> str:
    (folder / "guardrails.cedar").write_text("permit everything;")
    return "guardrails.cedar"


@pytest.mark.parametrize("spoil", [unknown_key, no_yaml, no_guardrails])
async def test_a_broken_catalogue_stops_the_start_with_file_and_line(
    terminal: Terminal, spoil: Callable[[Path], str]
) -> None:
    policies = terminal.folder / "policies"
    shutil.copytree(ROOT / "policies", policies, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
    name = spoil(policies)
    answer = await terminal.run("run", TINYAPPROVER_POLICIES=str(policies))
    assert answer.code == 2
    assert all(line.startswith("tinyapprover: ") for line in answer.err.splitlines())
    assert f"{name}:" in answer.err
    assert_nothing_began(terminal)


async def test_it_runs_until_it_is_asked_to_stop(terminal: Terminal) -> None:
    process = await terminal.start("run")
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            said = (await process.stdout.readline()).decode()
        assert said == f"TinyApprover runs; health at http://127.0.0.1:{terminal.port}/healthz\n"
        async with aiohttp.ClientSession() as web, web.get(f"http://127.0.0.1:{terminal.port}/healthz") as answer:
            assert await answer.json() == {"alive": True}
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            _, err = await process.communicate()
        assert process.returncode == 0
        assert "Traceback" not in err.decode()
        assert not terminal.listens()
    finally:
        await terminal.end(process)
