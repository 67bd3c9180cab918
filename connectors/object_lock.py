"""An object-lock bucket (Amazon S3, or a store that speaks its API) as the place for anchors of the audit trail.

Least permissions: the writer `s3:PutObject` and `s3:PutObjectRetention` below the prefix, and nothing else; the reader
`s3:ListBucketVersions` of the bucket for the prefix. Everything that is compared stands in an object's key, so nothing
needs to be fetched. Never deletes, never overwrites (`If-None-Match: *`), never reads with the writer. The versions are
listed, not the objects: a delete marker hides an object, and the lock keeps its version.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bot.audit import Anchor, read_anchor
from bot.errors import Fault

VENDOR = "anchor bucket"
TIMEOUT_SECONDS = 8
SUFFIX = ".json"
MAY_PASS = frozenset({"ConditionalRequestConflict", "OperationAborted", "RequestTimeout", "SlowDown", "Throttling"})


@dataclass(frozen=True, slots=True)
class Keys:
    """A pair of access keys; without one, boto3 looks for the caller's own."""

    id: str
    secret: str = field(repr=False)


@dataclass(slots=True)
class ObjectLock:
    """One prefix of one bucket. `days` is how long nobody, not even the account's owner, can remove an anchor."""

    bucket: str
    prefix: str
    url: str = ""
    writer: Keys | None = None
    reader: Keys | None = None
    days: int = 400
    _clients: dict[Keys | None, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    @property
    def reads_apart(self) -> bool:
        return self.reader is not None

    async def put(self, anchor: Anchor, *, at: datetime) -> None:
        wanted = {
            "Bucket": self.bucket,
            "Key": f"{self.prefix}{anchor.key}{SUFFIX}",
            "Body": json.dumps(asdict(anchor), sort_keys=True).encode(),
            "ContentType": "application/json",
            "IfNoneMatch": "*",
            "ObjectLockMode": "COMPLIANCE",
            "ObjectLockRetainUntilDate": at + timedelta(days=self.days),
        }
        try:
            await self._call(self.writer, lambda client: client.put_object(**wanted))
        except Fault as fault:
            if fault.status != 412:  # it is there already
                raise

    async def read(self, *, since: int = 0) -> Sequence[Anchor]:
        found: list[Anchor] = await self._call(self.reader, lambda client: self._list(client, since))
        return found

    def _list(self, client: Any, since: int) -> list[Anchor]:
        pages = client.get_paginator("list_object_versions").paginate(
            Bucket=self.bucket, Prefix=self.prefix, KeyMarker=f"{self.prefix}{since:012d}"
        )
        versions = [version for page in pages for version in page.get("Versions", [])]
        found = [self._anchor(version) for version in versions]
        return [anchor for anchor in found if anchor is not None]

    def _anchor(self, version: Any) -> Anchor | None:
        key = str(version["Key"]).removeprefix(self.prefix).removesuffix(SUFFIX)
        return read_anchor(key, at=version["LastModified"].isoformat(timespec="seconds"))

    async def _call(self, keys: Keys | None, do: Callable[[Any], Any]) -> Any:
        """Beside the loop, because boto3 blocks; every error becomes a `Fault`."""
        return await asyncio.to_thread(self._call_now, keys, do)

    def _call_now(self, keys: Keys | None, do: Callable[[Any], Any]) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

        try:
            if keys not in self._clients:
                self._clients[keys] = _new_client(self.url, keys)
            return do(self._clients[keys])
        except ClientError as error:
            raise _refused(error.response) from None
        except BotoCoreError as error:
            raise Fault(VENDOR, f"no answer ({type(error).__name__})", unknown=True) from None


def _new_client(url: str, keys: Keys | None) -> Any:
    """Path-style addresses for stores of one's own; no retries here, a job repeats itself."""
    import boto3  # type: ignore[import-untyped]
    from botocore.config import Config  # type: ignore[import-untyped]

    config = Config(
        connect_timeout=TIMEOUT_SECONDS,
        read_timeout=TIMEOUT_SECONDS,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path"} if url else None,
    )
    session = boto3.session.Session(
        aws_access_key_id=keys.id if keys else None, aws_secret_access_key=keys.secret if keys else None
    )
    region = session.region_name or "us-east-1"
    return session.client("s3", endpoint_url=url or None, region_name=region, config=config)


def _refused(answer: Any) -> Fault:
    error, status = answer.get("Error", {}), int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    code = str(error.get("Code", status))
    passing = status >= 500 or status == 429 or code in MAY_PASS
    return Fault(VENDOR, f"{status} {code}", status=status, unknown=status >= 500, permanent=not passing)
