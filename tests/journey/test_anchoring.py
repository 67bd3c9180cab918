"""The head of the trail is told outside the database, and a database that is older than that is noticed."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from bot.anchor_setup import anchoring
from bot.anchors import Anchoring
from bot.app import SANDBOX, start
from bot.audit import Anchor, read_anchor
from bot.config import ROLES, Settings, withheld
from bot.demo import sandbox_settings
from bot.errors import SettingsError
from bot.ledger import Ledger
from connectors.slack import Slack, new_client
from tests.story import Story, opened

CHANNEL = "C0GENERAL"


class AnchoredStory(Story):
    """A story whose trail is anchored in the sandbox's bucket and in a channel."""

    async def start(self) -> None:
        seed = self.sandbox.world.seed["s3"]
        self.settings |= {
            "TINYAPPROVER_ANCHOR_BUCKET": seed["bucket"],
            "TINYAPPROVER_ANCHOR_URL": f"{self.base}/s3",
            "TINYAPPROVER_ANCHOR_ACCESS_KEY_ID": seed["writer"]["id"],
            "TINYAPPROVER_ANCHOR_SECRET_ACCESS_KEY": seed["writer"]["secret"],
            "TINYAPPROVER_ANCHOR_READ_ACCESS_KEY_ID": seed["reader"]["id"],
            "TINYAPPROVER_ANCHOR_READ_SECRET_ACCESS_KEY": seed["reader"]["secret"],
            "TINYAPPROVER_ANCHOR_CHANNEL": CHANNEL,
        }
        await super().start()

    def anchored(self) -> list[int]:
        """The events that the bucket vouches for."""
        names = [one["key"].removeprefix("tinyapprover/") for one in self.state["s3"]["versions"]]
        return [anchor.seq for name in names if (anchor := read_anchor(name.removesuffix(".json")))]

    def noticed(self) -> list[str]:
        """What people see of it."""
        return [one["text"] for one in self.messages(CHANNEL) if one["text"].startswith("Audit trail: event ")]

    @property
    def settings_now(self) -> Settings:
        assert self.running is not None
        return self.running.settings

    @property
    def anchors(self) -> Anchoring:
        assert self.running is not None
        chat = self.running.journey.chat
        assert isinstance(chat, Slack)
        return anchoring(self.settings_now, self.running.ledger, self.running.journey.clock, chat)

    def copy(self, name: str) -> Path:
        """A backup of the database as it is on disk; the program does not run."""
        kept = self.data_dir.parent / name
        self._copy(self.data_dir, kept)
        return kept

    def restore(self, kept: Path) -> None:
        for file in self.data_dir.glob("*.db*"):
            file.unlink()
        self._copy(kept, self.data_dir)

    @staticmethod
    def _copy(place: Path, to: Path) -> None:
        to.mkdir(exist_ok=True)
        for file in place.glob("*.db*"):
            if file.is_file():
                shutil.copy(file, to)


@pytest.fixture
async def story(tmp_path: Path) -> AsyncIterator[AnchoredStory]:
    async with opened(AnchoredStory(tmp_path / "data")) as story:
        yield story


async def approved(story: Story) -> None:
    await story.asks()
    await story.presses("bob", "approve")
    await story.until(lambda: "Granted" in story.card()["text"])


async def test_every_decision_is_anchored_at_once_where_nobody_here_can_undo_it(story: AnchoredStory) -> None:
    await approved(story)
    assert story.running is not None
    (decision,) = await story.running.ledger.events(what="decision.approve")
    await story.until(lambda: max(story.anchored(), default=0) >= decision.seq)
    await story.until(lambda: len(story.noticed()) == len(story.anchored()))
    verified, silent = await story.anchors.verify()
    assert (verified.findings, silent) == ((), [])
    assert verified.anchors == 2 * len(story.anchored())


async def test_the_head_is_anchored_every_hour_and_told_once(story: AnchoredStory) -> None:
    await approved(story)
    await story.settle()
    before = story.calls("s3", "PUT")
    for _ in range(3):
        await story.advance(3601)
        await story.settle()
    assert story.calls("s3", "PUT") >= before + 3
    assert len(story.anchored()) == len(set(story.anchored())) == len(story.noticed())


async def test_a_bucket_that_is_down_is_told_later_and_keeps_nobody_from_being_told(story: AnchoredStory) -> None:
    await story.settle()
    await story.fault("s3", "PUT *", "error", times=None)
    told = len(story.noticed())
    await approved(story)
    await story.until(lambda: len(story.noticed()) > told)
    assert len(story.anchored()) < len(story.noticed())
    await story.settle()
    last = (await story.running.ledger.events())[-1].seq if story.running else 0
    await story.mend()
    await story.advance(120)
    await story.until(lambda: max(story.anchored()) >= last)


async def test_a_place_that_was_not_told_for_more_than_an_hour_is_found_by_check(story: AnchoredStory) -> None:
    await story.settle()
    assert await story.anchors.check_told() == "nothing is to be anchored yet"
    await story.advance(3601 + 300)
    await story.settle()
    await story.fault("s3", "PUT *", "error", times=None)
    await story.asks()
    await story.settle()
    assert "are anchored" in await story.anchors.check_told()
    await story.advance(3601 + 300)
    with pytest.raises(SettingsError, match=r"was not told of event \d+ .* more than an hour old"):
        await story.anchors.check_told()
    await story.settle()
    last = (await story.running.ledger.events())[-1].seq if story.running else 0
    await story.mend()
    await story.advance(120)
    await story.until(lambda: max(story.anchored()) >= last)
    assert "are anchored" in await story.anchors.check_told()


async def test_a_database_restored_from_an_older_backup_is_refused_until_somebody_abandons_the_rest(
    story: AnchoredStory,
) -> None:
    await story.settle()
    await story.stop()
    backup = story.copy("backup")
    await story.start()
    await approved(story)
    await story.settle()
    await story.stop()
    story.restore(backup)
    with pytest.raises(SettingsError, match="is not the one that its anchors tell of: its audit trail ends at event"):
        await story.start()
    assert await abandoned(story)
    await story.start()
    verified, _ = await story.anchors.verify()
    assert verified.findings == ()
    assert "abandoned" in verified.abandoned[0]


@pytest.mark.parametrize("role", ROLES)
async def test_alone_neither_role_begins_on_a_database_that_is_older(story: AnchoredStory, role: str) -> None:
    await story.settle()
    await story.stop()
    backup = story.copy("backup")
    await story.start()
    await approved(story)
    await story.settle()
    await story.stop()
    story.restore(backup)
    known = {**story.settings, **withheld([role])}
    settings = sandbox_settings(story.base, story.sandbox.world, story.data_dir, **known)
    with pytest.raises(SettingsError, match="is not the one that its anchors tell of"):
        await start(settings, kind=SANDBOX, roles=[role])


async def abandoned(story: AnchoredStory) -> Sequence[Anchor]:
    """What an admin does while the program cannot start."""
    settings = sandbox_settings(story.base, story.sandbox.world, story.data_dir, **story.settings)
    client = new_client(settings.slack_api_url, settings.slack_bot_token.get_secret_value())
    slack = Slack(client, story.sandbox.world)
    ledger = await Ledger.open(settings.ledger_url, kind=SANDBOX, now=story.sandbox.world.now)
    try:
        return await anchoring(settings, ledger, story.sandbox.world, slack).abandon(
            by="admin carol", why="a disk died"
        )
    finally:
        await ledger.close()
        await slack.close()


async def test_anchors_that_cannot_be_read_do_not_keep_it_from_starting(
    story: AnchoredStory, caplog: pytest.LogCaptureFixture
) -> None:
    await story.stop()
    await story.fault("s3", "GET *", "error", times=None)
    await story.start()
    assert "without having compared the audit trail with its anchors: s3://example-anchors" in caplog.text
    verified, silent = await story.anchors.verify()
    assert verified.whole
    assert len(silent) == 1
