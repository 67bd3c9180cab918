"""A stand-in for one S3 bucket with Object Lock: puts by a writer that may do nothing else, listing by a reader.

Path-style addresses, signatures (version 4) checked. What S3 refuses is refused: an object that is there already under
`If-None-Match: *`, a lock without a checksum, a retention in the past, a bucket or key of somebody else.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

from aiohttp import web

from connectors.sandbox.server import Act
from connectors.sandbox.world import World

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
PAGE = 100


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an object, locked until a time."""

    key: str
    body: str
    modified: str
    mode: str
    retain_until: str


class S3:
    """The stand-in, mounted under `/s3`."""

    name = "s3"

    def __init__(self, world: World) -> None:
        self._world = world
        self._seed: Mapping[str, Any] = world.seed["s3"]
        self._versions: dict[str, Version] = {}

    def routes(self) -> list[web.RouteDef]:
        return [web.put("/{bucket}/{key:.+}", self._put), web.get("/{bucket}", self._list)]

    def acts(self) -> dict[str, Act]:
        return {}

    def state(self) -> dict[str, Any]:
        return {"bucket": self._seed["bucket"], "versions": [asdict(one) for one in self._versions.values()]}

    async def _put(self, request: web.Request) -> web.Response:
        body = await request.read()
        if refusal := self._refusal(request, "writer", body) or _lock_refusal(request, self._world.now()):
            return refusal
        key = request.match_info["key"]
        if request.headers.get("If-None-Match") == "*" and key in self._versions:
            return _error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
        self._versions[key] = Version(
            key=key,
            body=body.decode(),
            modified=self._world.now().strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            mode=request.headers.get("x-amz-object-lock-mode", ""),
            retain_until=request.headers.get("x-amz-object-lock-retain-until-date", ""),
        )
        self._world.touch()
        return web.Response(headers={"ETag": f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'})

    async def _list(self, request: web.Request) -> web.Response:
        if refusal := self._refusal(request, "reader", b""):
            return refusal
        if "versions" not in request.query:
            return _error(403, "AccessDenied", "Access Denied")
        prefix, marker = request.query.get("prefix", ""), request.query.get("key-marker", "")
        found = [self._versions[key] for key in sorted(self._versions) if key.startswith(prefix) and key > marker]
        return _xml(_listing(found[:PAGE], truncated=len(found) > PAGE, encoded="encoding-type" in request.query))

    def _refusal(self, request: web.Request, role: str, body: bytes) -> web.Response | None:
        """Who asks, whether the signature is theirs, and whether they may do this."""
        signed = _signed(request)
        holder = next((name for name in ("writer", "reader") if self._seed[name]["id"] == signed.get("key_id")), None)
        if holder is None:
            return _error(
                403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."
            )
        if not hmac.compare_digest(_signature(request, signed, self._seed[holder]["secret"]), signed["signature"]):
            return _error(403, "SignatureDoesNotMatch", "The request signature we calculated does not match")
        if request.headers["x-amz-content-sha256"] not in ("UNSIGNED-PAYLOAD", hashlib.sha256(body).hexdigest()):
            return _error(400, "XAmzContentSHA256Mismatch", "The provided header does not match what was computed.")
        if request.match_info["bucket"] != self._seed["bucket"]:
            return _error(404, "NoSuchBucket", "The specified bucket does not exist")
        return None if holder == role else _error(403, "AccessDenied", "Access Denied")


def _lock_refusal(request: web.Request, now: datetime) -> web.Response | None:
    """What S3 asks of a put with a retention of its own."""
    headers, until = request.headers, request.headers.get("x-amz-object-lock-retain-until-date")
    if until is None:
        return None
    if headers.get("x-amz-object-lock-mode") not in ("COMPLIANCE", "GOVERNANCE"):
        return _error(400, "InvalidArgument", "Unknown wormMode directive.")
    if not any(name.lower().startswith("x-amz-checksum-") or name.lower() == "content-md5" for name in headers):
        words = "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock"
        return _error(400, "InvalidRequest", words)
    if datetime.fromisoformat(until) <= now:
        return _error(400, "InvalidArgument", "The retain until date must be in the future!")
    return None


def _signed(request: web.Request) -> dict[str, str]:
    """The parts of an Authorization header; nothing for one of another kind."""
    scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
    if scheme != "AWS4-HMAC-SHA256":
        return {}
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    key_id, _, scope = parts["Credential"].partition("/")
    return {"key_id": key_id, "scope": scope, "headers": parts["SignedHeaders"], "signature": parts["Signature"]}


def _signature(request: web.Request, signed: Mapping[str, str], secret: str) -> str:
    """Signature version 4, computed as Amazon's documentation says."""
    names = signed["headers"].split(";")
    query = "&".join(sorted(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in request.query.items()))
    canonical = [request.method, quote(request.path, safe="/-_.~"), query]
    canonical += [f"{name}:{' '.join(request.headers[name].split())}" for name in names]
    canonical += ["", signed["headers"], request.headers["x-amz-content-sha256"]]
    digest = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in signed["scope"].split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    words = "\n".join(["AWS4-HMAC-SHA256", request.headers["x-amz-date"], signed["scope"], digest])
    return hmac.new(key, words.encode(), "sha256").hexdigest()


def _listing(page: list[Version], *, truncated: bool, encoded: bool) -> str:
    shown = [quote(one.key, safe="/-_.~") if encoded else escape(one.key) for one in page]
    rows = "".join(
        f"<Version><Key>{key}</Key><VersionId>1</VersionId><IsLatest>true</IsLatest>"
        f"<LastModified>{one.modified}</LastModified><Size>{len(one.body)}</Size></Version>"
        for key, one in zip(shown, page, strict=True)
    )
    rest = (
        f"<NextKeyMarker>{shown[-1]}</NextKeyMarker><NextVersionIdMarker>1</NextVersionIdMarker>" if truncated else ""
    )
    kind = "<EncodingType>url</EncodingType>" if encoded else ""
    told = f"<IsTruncated>{str(truncated).lower()}</IsTruncated>{kind}{rest}{rows}"
    return f'<ListVersionsResult xmlns="{NAMESPACE}">{told}</ListVersionsResult>'


def _xml(text: str, *, status: int = 200) -> web.Response:
    return web.Response(
        text=f'<?xml version="1.0" encoding="UTF-8"?>{text}', content_type="application/xml", status=status
    )


def _error(status: int, code: str, words: str) -> web.Response:
    return _xml(f"<Error><Code>{code}</Code><Message>{escape(words)}</Message></Error>", status=status)
