"""While the bot runs it holds the index: commands go through it, and say the same as without it."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.cli.conftest import PATIENCE, Answer, Terminal


@asynccontextmanager
async def running(terminal: Terminal) -> AsyncIterator[Process]:
    """The program, once it says so."""
    process = await terminal.start("run")
    try:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            assert b"TinyApprover runs" in await process.stdout.readline()
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE):
                await process.communicate()
        await terminal.end(process)


async def both(terminal: Terminal) -> list[Answer]:
    """What the commands say."""
    lines = '{"q": "who may use the VPN", "k": 3}\n{"q": 7}\n{"q": "xyzzy"}\n'
    answers = [await terminal.run("search", "who may use the VPN", "-k", "2"), await terminal.run("index")]
    terminal.given = lines.encode()
    answers.append(await terminal.run("search", "--jsonl"))
    terminal.given = b""
    return answers


def without_times(answer: Answer) -> Answer:
    return Answer(answer.code, re.sub(r"\d+\.\d s", "0.0 s", answer.out), answer.err)


async def test_commands_say_the_same_through_the_bot_and_without_it(terminal: Terminal) -> None:
    await terminal.run("index")
    alone = await both(terminal)
    async with running(terminal):
        assert (terminal.data / "knowledge.sock").stat().st_mode & 0o777 == 0o600
        through = await both(terminal)
    assert [without_times(one) for one in through] == [without_times(one) for one in alone]
    assert [answer.code for answer in alone] == [0, 0, 0]
    assert json.loads(alone[2].out.splitlines()[0])["results"][0]["file"] == "vpn.md"
    assert not (terminal.data / "knowledge.sock").exists()


async def test_a_killed_bot_s_socket_is_in_nobody_s_way(terminal: Terminal) -> None:
    process = await terminal.start("run", "--role", "front")
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        await process.stdout.readline()
    process.kill()
    await process.wait()
    assert (terminal.data / "knowledge.sock").exists()
    assert (await terminal.run("search", "VPN")).code == 0
    async with running(terminal):
        assert (await terminal.run("search", "VPN")).code == 0


async def test_check_knows_the_bot_that_uses_its_port(terminal: Terminal) -> None:
    async with running(terminal):
        assert (
            f"✓ port: 127.0.0.1:{terminal.port} is used by this bot, which is running"
            in (await terminal.run("check")).out
        )
        terminal.settings["TINYAPPROVER_DATA_DIR"] = str(terminal.folder / "elsewhere")
        assert f"✗ port: TINYAPPROVER_HTTP_PORT: {terminal.port} cannot be used" in (await terminal.run("check")).out
