"""The anchor bucket, through boto3 over HTTP: written once, locked, never read by whoever writes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.audit import Anchor
from bot.errors import Fault
from connectors.object_lock import Keys, ObjectLock
from connectors.sandbox import new_sandbox
from connectors.sandbox.server import Sandbox

WRITER = Keys("sandbox-anchor-writer", "sandbox-anchor-writer-secret")
READER = Keys("sandbox-anchor-reader", "sandbox-anchor-reader-secret")


def an_anchor(seq: int = 7, hash: str = "ab" * 32) -> Anchor:
    return Anchor("0123456789abcdef", seq, hash, "2026-03-02T09:00:00.000+00:00", seq)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    sandbox = new_sandbox()
    await sandbox.start()
    yield sandbox
    await sandbox.stop()


@pytest.fixture
def bucket(sandbox: Sandbox) -> ObjectLock:
    return ObjectLock("example-anchors", "ours/", f"{sandbox.world.base_url}/s3", writer=WRITER, reader=READER)


async def put(bucket: ObjectLock, *anchors: Anchor) -> None:
    for anchor in anchors:
        await bucket.put(anchor, at=datetime.now(UTC))


def kept(sandbox: Sandbox) -> list[Any]:
    return list(sandbox.stand_ins["s3"].state()["versions"])


async def test_an_anchor_is_kept_under_its_number_and_hash_and_locked(sandbox: Sandbox, bucket: ObjectLock) -> None:
    await put(bucket, an_anchor())
    (version,) = kept(sandbox)
    assert version["key"] == f"ours/000000000007-{'ab' * 32}-0123456789abcdef.json"
    assert version["mode"] == "COMPLIANCE"
    assert datetime.fromisoformat(version["retain_until"]) > datetime.now(UTC) + timedelta(days=399)
    assert '"count": 7' in version["body"]


async def test_the_same_anchor_twice_is_one_and_no_error(sandbox: Sandbox, bucket: ObjectLock) -> None:
    await put(bucket, an_anchor(), an_anchor())
    assert len(kept(sandbox)) == 1


async def test_anchors_are_read_back_with_the_buckets_own_time(bucket: ObjectLock) -> None:
    await put(bucket, an_anchor(7), an_anchor(8))
    found = await bucket.read()
    assert [(one.seq, one.hash, one.database) for one in found] == [
        (seq, "ab" * 32, "0123456789abcdef") for seq in (7, 8)
    ]
    assert abs(datetime.fromisoformat(found[0].at) - datetime.now(UTC)) < timedelta(minutes=1)


async def test_only_newer_anchors_are_read_when_only_they_are_asked_for(bucket: ObjectLock) -> None:
    await put(bucket, *(an_anchor(seq) for seq in (2, 10, 11)))
    assert [one.seq for one in await bucket.read(since=10)] == [10, 11]


async def test_many_anchors_come_in_pages(sandbox: Sandbox, bucket: ObjectLock) -> None:
    await put(bucket, *(an_anchor(seq) for seq in range(1, 131)))
    assert [one.seq for one in await bucket.read()] == list(range(1, 131))


async def test_another_prefix_is_another_place(bucket: ObjectLock) -> None:
    await put(replace(bucket, prefix="theirs/"), an_anchor())
    assert await bucket.read() == []


async def test_whoever_writes_cannot_read_and_whoever_reads_cannot_write(bucket: ObjectLock) -> None:
    with pytest.raises(Fault, match="403 AccessDenied"):
        await replace(bucket, reader=WRITER).read()
    with pytest.raises(Fault, match="403 AccessDenied"):
        await put(replace(bucket, writer=READER), an_anchor())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"writer": Keys("sandbox-anchor-writer", "wrong")}, "403 SignatureDoesNotMatch"),
        ({"writer": Keys("nobody", "wrong")}, "403 InvalidAccessKeyId"),
        ({"bucket": "not-ours"}, "404 NoSuchBucket"),
        ({"url": "http://127.0.0.1:9"}, "no answer"),
    ],
)
async def test_what_is_wrong_is_said_in_the_stores_own_words(
    bucket: ObjectLock, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(Fault, match=said) as caught:
        await put(replace(bucket, **change, _clients={}), an_anchor())
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("kind", ["error", "cut", "lost_answer", "rate_limit_bare"])
async def test_a_failure_that_passes_is_worth_another_try(sandbox: Sandbox, bucket: ObjectLock, kind: str) -> None:
    from connectors.sandbox.world import Fault as Played

    sandbox.world.faults.append(Played("s3", "PUT *", kind))
    with pytest.raises(Fault) as caught:
        await put(bucket, an_anchor())
    assert not caught.value.permanent
    await put(bucket, an_anchor())
    assert len(kept(sandbox)) == 1
