"""The demo: the shipped program against the sandbox, both on this machine, in one command."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from bot.app import SANDBOX, Running, start
from bot.config import Settings, read_settings
from bot.errors import SettingsError
from bot.people import link_responder
from connectors.sandbox import new_sandbox
from connectors.sandbox.scene import past_of, set_world
from connectors.sandbox.server import Sandbox
from connectors.sandbox.world import World
from knowledge import Knowledge, Wanted

RESPONDERS = ("bob", "carol")
DOCUMENTS = Path(__file__).parent.parent / "connectors" / "sandbox" / "documents"

CHAT_TOO = {
    "TINYAPPROVER_SOURCES": "documents,slack-history",
    "TINYAPPROVER_SLACK_HISTORY_CHANNELS": "general,access-requests",
}


def sandbox_settings(base_url: str, world: World, data_dir: Path, **override: Any) -> Settings:
    """Settings that point every vendor at the sandbox. Nothing is read from the environment's vendors."""
    values: dict[str, Any] = {
        "SLACK_BOT_TOKEN": world.token("slack_bot"),
        "SLACK_APP_TOKEN": world.token("slack_app"),
        "SLACK_API_URL": f"{base_url}/slack/api/",
        "SLACK_RESPONDER_CHANNEL": "C0ACCESS",
        "SLACK_ASK_CHANNELS": "C0ASKACCESS",
        "PAGERDUTY_API_KEY": world.token("pagerduty"),
        "PAGERDUTY_API_URL": f"{base_url}/pagerduty",
        "PAGERDUTY_FROM_EMAIL": world.seed["bot"]["email"],
        "PAGERDUTY_SERVICE_ID": world.seed["pagerduty"]["service"]["id"],
        "OKTA_ORG_URL": f"{base_url}/okta",
        "OKTA_API_TOKEN": world.token("okta_reader"),
        "OKTA_WRITE_TOKEN": world.token("okta_writer"),
        "OPENAI_API_KEY": world.token("openai"),
        "OPENAI_BASE_URL": f"{base_url}/openai/v1",
        "TINYAPPROVER_MODEL": "scripted-adviser-not-a-real-model",
        "TINYAPPROVER_EMBEDDER": "local",
        "TINYAPPROVER_EMAIL_DOMAINS": "example.com",
        "TINYAPPROVER_DATA_DIR": data_dir,
        "TINYAPPROVER_DOCUMENTS": DOCUMENTS,
        "TINYAPPROVER_DOCUMENTS_URL": "https://handbook.example.com",
        "TINYAPPROVER_CLOCK_URL": f"{base_url}/_sandbox/clock",
        "TINYAPPROVER_HTTP_PORT": 0,
    }
    return read_settings(_env_file=None, **{**values, **override})


async def link_responders(running: Running, world: World) -> None:
    """What an admin does once: bob and carol may decide."""
    journey = running.journey
    for key in RESPONDERS:
        person = world.people[key]
        await link_responder(
            person.email,
            slack_user=person.slack,
            ledger=journey.ledger,
            chat=journey.chat,
            directory=journey.directory,
            home_team=journey.home_team,
            pager=journey.pager,
            by="demo",
        )


async def _empty(data_dir: Path) -> None:
    """What an earlier demo left. The documents' vectors are kept, so that they need not be computed again."""
    await asyncio.to_thread(_remove_database, data_dir)
    knowledge = await Knowledge.open(data_dir, DOCUMENTS, embedder=Wanted("none"))
    await knowledge.forget_others()
    await knowledge.close()


def _remove_database(data_dir: Path) -> None:
    for leftover in data_dir.glob("tinyapprover.db*"):
        leftover.unlink()


async def start_demo(port: int, data_dir: Path, stack: AsyncExitStack, **more: Any) -> tuple[Sandbox, Running]:
    """Sandbox and program, running. The demo's database starts empty, because the sandbox does."""
    await _empty(data_dir)
    sandbox = new_sandbox(set_world())
    past = past_of(sandbox)
    past.begin()
    try:
        base_url = await sandbox.start(port=port)
    except OSError as problem:
        raise SettingsError(f"port {port} cannot be used ({problem.strerror}); choose another with --port") from None
    stack.push_async_callback(sandbox.stop)
    settings = sandbox_settings(base_url, sandbox.world, data_dir, **CHAT_TOO, **more)
    running = await start(settings, kind=SANDBOX)
    stack.push_async_callback(running.stop)
    await link_responders(running, sandbox.world)
    await past.live_through()
    return sandbox, running


async def run_demo(port: int, data_dir: Path, *, say: Any) -> None:
    """Until interrupted. `say` is told the page's address once it is ready to be used."""
    async with AsyncExitStack() as stack:
        sandbox, running = await start_demo(port, data_dir, stack)
        say(sandbox.world.base_url)
        await running.warm.wait()
        await asyncio.Event().wait()
