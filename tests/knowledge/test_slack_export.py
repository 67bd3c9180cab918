"""A Slack export in the index: what it holds, and only to whom Slack says today that it is open."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import ZipInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import SettingsError
from bot.sources import choose, open_sources
from connectors.sandbox.server import Sandbox
from connectors.sandbox.slack import Slack
from connectors.sandbox.world import Fault as Trouble
from connectors.sandbox.world import new_world
from connectors.slack_history import SlackHistory
from knowledge import Knowledge, Summary, Wanted
from knowledge.forgotten import read_forgotten
from knowledge.sources import EVERYBODY
from knowledge.sources.registry import Ports
from knowledge.sources.slack_archive import MOST_BYTES, Archive
from knowledge.sources.slack_export import Live, SlackExport, as_it_stands
from tests.knowledge.exports import ACCESS, CHANNELS, DAY, GENERAL, GROUPS, NOON, add, an_export, said

ROOT = f"{NOON}.000100"
IN_ACCESS = EVERYBODY | {ACCESS}


class Office:
    """A workspace, an export of how it was, and the index that is made of it."""

    def __init__(self, url: str, sandbox: Sandbox, home: Path) -> None:
        self.url, self.sandbox, self.home = url, sandbox, home
        self.file = home / "export.zip"

    @property
    def slack(self) -> Slack:
        slack = self.sandbox.stand_ins["slack"]
        assert isinstance(slack, Slack)
        return slack

    def export(self, days: dict[str, Any], **lists: Any) -> Path:
        return an_export(self.file, days, **lists)

    def source(self, *channels: str, live: Live | None = None) -> SlackExport:
        client = AsyncWebClient(token="xoxb-sandbox-bot", base_url=f"{self.url}/slack/api/", retry_handlers=[])
        reader = SlackHistory(client, timeout=0.5, pause=self._at_once)
        wanted = channels or ("general", "access-approvals")
        home = self.home / "knowledge"
        forgotten = partial(read_forgotten, home)
        return SlackExport(self.file, wanted, reader, self.sandbox.world.now, live=live, forgotten=forgotten)

    async def _at_once(self, _seconds: float) -> None:
        """Nobody waits in a test."""

    @asynccontextmanager
    async def indexed(self, *channels: str, **more: Any) -> AsyncIterator[tuple[Knowledge, Summary]]:
        source = self.source(*channels, **more)
        knowledge = await Knowledge.open(self.home, None, embedder=Wanted("none"), sources=[source])
        try:
            yield knowledge, await knowledge.follow()
        finally:
            await knowledge.close()


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    world = new_world()
    sandbox = Sandbox([Slack(world, events=())], world)
    office = Office(await sandbox.start(), sandbox, tmp_path)
    yield office
    await sandbox.stop()


async def found(knowledge: Knowledge, words: str, audience: frozenset[str] = EVERYBODY) -> list[str]:
    return [result.text for result in await knowledge.search([words], audience=audience)]


# --- what it holds ---------------------------------------------------------------------------------------------------


async def test_a_thread_of_several_days_is_one_document_with_names_and_its_link(office: Office) -> None:
    office.export(
        {
            f"general/{DAY}": [said("U0ALICE", "Who may read the payments ledger?", thread_ts=ROOT)],
            "general/2025-03-05": [said("U0BOB", "Ask <@U0ALICE> in <#C0GENERAL>", 172_800, thread_ts=ROOT)],
        }
    )
    async with office.indexed() as (knowledge, _):
        (one,) = await knowledge.search(["payments ledger"])
    assert one.text == (
        "**Alice** (2025-03-03 12:00): Who may read the payments ledger?\n\n"
        "**Bob** (2025-03-05 12:00): Ask @Alice in #general"
    )
    assert one.url.endswith(f"/archives/{GENERAL}/p{NOON}000100")
    assert [author.id for author in one.authors] == ["U0ALICE", "U0BOB"]
    assert one.updated_at == datetime(2025, 3, 5, 12, tzinfo=UTC)


async def test_bots_joins_and_what_was_deleted_are_left_out(office: Office) -> None:
    words = [
        said("U0ALICE", "ledger: I may", 1),
        said("U0ALICE", "ledger: a bot", 2, bot_id="B1"),
        said("U0ALICE", "ledger: joined", 3, subtype="channel_join"),
        said("USLACKBOT", "This message was deleted. ledger", 4, subtype="tombstone", hidden=True),
    ]
    office.export({f"general/{DAY}": words})
    async with office.indexed() as (knowledge, _):
        assert [text.partition(": ")[2] for text in await found(knowledge, "ledger")] == ["ledger: I may"]


def test_an_export_with_a_log_of_changes_is_read_as_it_stood_at_the_end() -> None:
    edited = said("U0BOB", "corrected", 1, edited={"user": "U0BOB", "ts": f"{NOON + 9}.000000"})
    told = [
        {
            "type": "message",
            "subtype": "message_changed",
            "hidden": True,
            "ts": f"{NOON + 9}.000000",
            "message": edited,
        },
        said("U0BOB", "wrong", 1),
        said("U0ALICE", "taken back", 2),
        {
            "type": "message",
            "subtype": "message_deleted",
            "ts": f"{NOON + 8}.000000",
            "deleted_ts": f"{NOON + 2}.000100",
        },
    ]
    for order in (told, told[::-1]):
        assert [message.text for message in as_it_stands(order)] == ["corrected"]


async def test_an_unchanged_export_is_not_read_again_and_a_newer_one_is(office: Office) -> None:
    office.export({f"general/{DAY}": [said("U0ALICE", "old words")]})
    async with office.indexed() as (knowledge, first):
        again = await knowledge.follow()
        assert (first.change.new, again.change.new, again.change.unchanged) == (1, 0, 0)
        office.export({f"general/{DAY}": [said("U0ALICE", "newer words")]})
        os.utime(office.file, (1, 1))
        await knowledge.follow()
        assert [text.partition(": ")[2] for text in await found(knowledge, "words")] == ["newer words"]


async def test_a_channel_that_is_chosen_again_is_read_again(office: Office) -> None:
    office.export(BOTH)
    for channels, expected in ((["general"], 1), (["access-approvals"], 1), (["general"], 1), ([], 2)):
        async with office.indexed(*channels) as (_, summary):
            assert summary.documents == expected


async def test_of_a_channel_that_is_read_live_only_what_is_older_is_taken(office: Office) -> None:
    now = office.sandbox.world.now()
    recent, old = (int((now - timedelta(days=days)).timestamp()) - NOON for days in (30, 60))
    words = [said("U0ALICE", "ledger recent", recent), said("U0BOB", "ledger old", old)]
    office.export({f"general/{DAY}": words})
    async with office.indexed(live=Live(frozenset(["general"]), days=45)) as (knowledge, _):
        assert [text.partition(": ")[2] for text in await found(knowledge, "ledger")] == ["ledger old"]


async def test_whoever_is_erased_is_left_out_and_what_others_said_comes_back(office: Office) -> None:
    words = [said("U0ALICE", "ledger question"), said("U0BOB", "ledger answer for <@U0ALICE>", 1, thread_ts=ROOT)]
    office.export({f"general/{DAY}": words})
    async with office.indexed() as (knowledge, _):
        await knowledge.read_again(await knowledge.forget_people(["U0ALICE"]))
        assert not await found(knowledge, "ledger question")
        await knowledge.follow()
        (text,) = await found(knowledge, "ledger")
        assert text.endswith("**Bob** (2025-03-03 12:00): ledger answer for @somebody")


# --- who may see it --------------------------------------------------------------------------------------------------


BOTH = {f"general/{DAY}": [said("U0ALICE", "ledger open")], f"access-approvals/{DAY}": [said("U0BOB", "ledger closed")]}


async def test_what_was_private_is_for_its_channel_alone(office: Office) -> None:
    office.export(BOTH)
    async with office.indexed() as (knowledge, _):
        assert len(await found(knowledge, "ledger")) == 1
        assert len(await found(knowledge, "ledger", IN_ACCESS)) == 2


async def test_what_was_private_stays_so_when_the_channel_is_opened_to_all(office: Office) -> None:
    office.export(BOTH)
    office.slack.workspace.channels[ACCESS].private = False
    async with office.indexed() as (knowledge, _):
        assert len(await found(knowledge, "ledger")) == 1
    async with office.indexed() as (knowledge, _):
        assert len(await found(knowledge, "closed")) == 0
        assert len(await found(knowledge, "closed", IN_ACCESS)) == 1


async def test_what_both_lists_name_is_private(office: Office) -> None:
    office.export(BOTH, groups=[*GROUPS, *CHANNELS])
    async with office.indexed() as (knowledge, _):
        assert not await found(knowledge, "ledger")


async def test_a_channel_that_became_private_is_silent_at_the_next_search(office: Office) -> None:
    office.export(BOTH)
    async with office.indexed() as (knowledge, _):
        office.slack.workspace.channels[GENERAL].private = True
        office.sandbox.world.advance(timedelta(seconds=61))
        assert not await found(knowledge, "ledger")
        assert await found(knowledge, "open", EVERYBODY | {GENERAL})


async def test_an_open_channel_needs_no_bot_in_it_and_a_private_one_does(office: Office) -> None:
    office.export(BOTH)
    for channel in (GENERAL, ACCESS):
        office.slack.workspace.channels[channel].members.discard(office.slack.workspace.bot_user)
    async with office.indexed() as (knowledge, _):
        assert len(await found(knowledge, "ledger", IN_ACCESS)) == 1


@pytest.mark.parametrize("trait", ["archived", "shared"])
async def test_what_slack_says_is_archived_or_shared_is_forgotten(office: Office, trait: str) -> None:
    office.export(BOTH)
    async with office.indexed("general") as (knowledge, _):
        setattr(office.slack.workspace.channels[GENERAL], trait, True)
        office.sandbox.world.advance(timedelta(seconds=61))
        assert not await found(knowledge, "ledger")
        assert (await knowledge.follow()).documents == 0


@pytest.mark.parametrize("trait", ["is_archived", "is_ext_shared", "is_mpim"])
async def test_what_the_export_says_is_archived_or_shared_is_not_read(office: Office, trait: str) -> None:
    office.export(BOTH, channels=[{**CHANNELS[0], trait: True}])
    async with office.indexed("general") as (_, summary):
        assert summary.documents == 0
        assert [one.what for one in summary.skipped] == ["#general"]


async def test_a_channel_that_slack_does_not_know_is_not_read(office: Office) -> None:
    office.export({f"other/{DAY}": [said("U0ALICE", "x")]}, channels=[{"id": "C0OTHER", "name": "other"}])
    async with office.indexed("other") as (_, summary):
        assert summary.documents == 0


async def test_while_slack_says_nothing_nothing_is_shown(office: Office) -> None:
    office.export(BOTH)
    async with office.indexed() as (knowledge, _):
        office.sandbox.world.advance(timedelta(seconds=61))
        office.sandbox.world.faults.append(Trouble("slack", kind="error", route="*", times=50))
        assert not await found(knowledge, "ledger", IN_ACCESS)


async def test_direct_messages_are_never_read(office: Office) -> None:
    dms = [{"id": "D0ALICE", "members": ["U0ALICE", "U0BOB"]}]
    office.export({f"D0ALICE/{DAY}": [said("U0ALICE", "secret")]}, dms=dms)
    async with office.indexed("D0ALICE") as (_, summary):
        assert summary.documents == 0
        assert [one.why for one in summary.skipped] == ["the export holds no channel of this name, or two"]


# --- what Slack would not make ---------------------------------------------------------------------------------------


def link(name: str) -> ZipInfo:
    info = ZipInfo(name)
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return info


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"[{]", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (json.dumps([said("U0BOB", "caf\xe9")], ensure_ascii=False).encode("latin-1"), "is not UTF-8"),
        (b'{"messages": []}', "is no list"),
        (b" " * (MOST_BYTES + 1), "unpacked"),
        (b"[" + b" " * 3_000_000 + b"]", "unpacked"),
    ],
)
async def test_a_day_that_cannot_be_read_is_named_and_the_others_are_read(
    office: Office, content: bytes, why: str
) -> None:
    office.export({f"general/{DAY}": content, "general/2025-03-04": [said("U0BOB", "ledger", 86_400)]})
    async with office.indexed("general") as (_, summary):
        assert summary.documents == 1
        (skipped,) = summary.skipped
        assert skipped.what == f"general/{DAY}.json"
        assert why in skipped.why


@pytest.mark.filterwarnings("ignore:Duplicate name")
async def test_a_day_that_is_in_it_twice_is_not_read(office: Office) -> None:
    office.export({f"general/{DAY}": [said("U0BOB", "one")]})
    add(office.file, [(f"general/{DAY}.json", json.dumps([said("U0BOB", "two")]))])
    async with office.indexed("general") as (_, summary):
        assert summary.documents == 0
        assert "twice" in summary.skipped[0].why


@pytest.mark.parametrize(
    "entry", ["../general/2025-03-03.json", "/etc/passwd", "a/../b.json", "..\\x", link("general/x")]
)
async def test_names_that_lead_elsewhere_are_not_read(office: Office, entry: ZipInfo | str) -> None:
    add(office.export({f"general/{DAY}": [said("U0BOB", "ledger")]}), [(entry, "[]")])
    async with office.indexed("general") as (_, summary):
        assert summary.documents == 1
        assert "no name that Slack gives" in summary.skipped[0].why


async def test_a_link_in_the_place_of_a_day_is_not_read(office: Office) -> None:
    add(office.export({}), [(link(f"general/{DAY}.json"), json.dumps([said("U0BOB", "x")]))])
    async with office.indexed("general") as (_, summary):
        assert summary.documents == 0
        assert "is no plain file" in summary.skipped[-1].why


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06" + b"\x00" * 18])
async def test_a_file_that_is_no_export_is_told_and_nothing_is_forgotten(office: Office, content: bytes) -> None:
    office.export(BOTH)
    async with office.indexed() as (knowledge, first):
        office.file.write_bytes(content)
        again = await knowledge.follow()
        assert again.documents == first.documents == 2
        (trouble,) = again.trouble
        assert "export.zip" in trouble


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10_000), by=st.integers(1, 255), cut=st.integers(0, 10_000))
def test_whatever_is_spoiled_is_refused_with_a_sentence(tmp_path: Path, at: int, by: int, cut: int) -> None:
    data = bytearray(an_export(tmp_path / "whole.zip", {f"general/{DAY}": [said("U0BOB", "x")]}).read_bytes())
    data[at % len(data)] ^= by
    spoiled = tmp_path / "spoiled.zip"
    spoiled.write_bytes(data[: len(data) - cut % 50])
    try:
        archive = Archive(spoiled)
        for channel in archive.channels:
            list(archive.messages(channel))
        archive.close()
    except ValueError as problem:
        assert len(str(problem)) > 10  # noqa: PT017


_ANYTHING: st.SearchStrategy[object] = (
    st.none() | st.integers(0, 9) | st.text(max_size=5) | st.just({"ts": "1.000001"}) | st.just([])
)
_LIKELY = {
    "ts": st.sampled_from(["1.000001", "2.000001"]) | _ANYTHING,
    "user": st.just("U0BOB") | _ANYTHING,
    "text": st.just("words") | _ANYTHING,
    "subtype": st.sampled_from(["", "message_changed", "message_deleted", "tombstone"]) | _ANYTHING,
    "message": st.just(said("U0BOB", "changed")) | _ANYTHING,
    "edited": _ANYTHING,
    "deleted_ts": _ANYTHING,
}


@given(st.lists(st.fixed_dictionaries({}, optional=_LIKELY), max_size=4))
def test_whatever_a_day_holds_messages_are_well_formed(told: list[dict[str, Any]]) -> None:
    stands = list(as_it_stands(told))
    assert all(message.ts and message.user and message.text for message in stands)
    assert len({message.ts for message in stands}) == len(stands)


# --- settings --------------------------------------------------------------------------------------------------------


def test_the_source_opens_by_its_name_and_leaves_to_the_live_one_what_that_reads(tmp_path: Path) -> None:
    file = an_export(tmp_path / "export.zip", {})
    variables = {
        "TINYAPPROVER_SOURCES": "slack-export,slack-history",
        "TINYAPPROVER_SLACK_EXPORT_FILE": str(file),
        "TINYAPPROVER_SLACK_EXPORT_CHANNELS": "#general",
        "TINYAPPROVER_SLACK_HISTORY_CHANNELS": "#general",
        "SLACK_BOT_TOKEN": "xoxb-not-real",
    }
    ports = Ports(lambda: datetime(2026, 1, 1, tzinfo=UTC), tmp_path)
    export, _ = open_sources(variables, ports)
    assert isinstance(export, SlackExport)
    assert export._live == Live(frozenset(["general"]), 365)
    for name in ("SLACK_BOT_TOKEN", "TINYAPPROVER_SLACK_EXPORT_FILE"):
        with pytest.raises(SettingsError, match=name):
            open_sources({**variables, name: ""}, ports)


async def test_check_names_each_channel_and_what_is_wrong_with_it(office: Office, tmp_path: Path) -> None:
    office.export(BOTH)
    variables = {
        "TINYAPPROVER_SOURCES": "slack-export",
        "TINYAPPROVER_SLACK_EXPORT_FILE": str(office.file),
        "TINYAPPROVER_SLACK_EXPORT_CHANNELS": "general, access-approvals",
        "SLACK_BOT_TOKEN": "xoxb-sandbox-bot",
        "SLACK_API_URL": f"{office.url}/slack/api/",
    }
    ports = Ports(office.sandbox.world.now, tmp_path)
    (chosen,) = choose(variables)
    assert await chosen.ping(ports) == "#general (public), #access-approvals (private)"
    (wrong,) = choose({**variables, "TINYAPPROVER_SLACK_EXPORT_CHANNELS": "general, nowhere"})
    with pytest.raises(SettingsError, match="nowhere: the export holds no channel of this name"):
        await wrong.ping(ports)
