"""The stand-in's answers against PagerDuty's own OpenAPI document, where somebody has a copy of it.

Set PAGERDUTY_OPENAPI to the path of the REST API's document (JSON) to run this.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.sandbox.vendor_wire import PAGERDUTY, running

DOCUMENT = Path(os.environ.get("PAGERDUTY_OPENAPI", "pagerduty-rest-openapi.json"))
pytestmark = pytest.mark.skipif(not DOCUMENT.exists(), reason="no copy of PagerDuty's OpenAPI document here")

CALLS: list[tuple[str, str, str, Any]] = [
    ("GET", "/users", "/users", None),
    ("GET", "/users/{id}", "/users/PBOB001", None),
    ("GET", "/services/{id}", "/services/PSVC001", None),
    ("GET", "/oncalls", "/oncalls", None),
    (
        "POST",
        "/incidents",
        "/incidents",
        {"incident": {"type": "incident", "title": "t", "service": {"id": "PSVC001", "type": "service_reference"}}},
    ),
    ("GET", "/incidents", "/incidents", None),
    ("GET", "/incidents/{id}", "/incidents/{incident}", None),
    ("POST", "/incidents/{id}/notes", "/incidents/{incident}/notes", {"note": {"content": "hello"}}),
    ("GET", "/incidents/{id}/notes", "/incidents/{incident}/notes", None),
    (
        "PUT",
        "/incidents/{id}",
        "/incidents/{incident}",
        {"incident": {"type": "incident_reference", "status": "resolved"}},
    ),
    ("GET", "/incidents/{id}", "/incidents/Q0NOTTHERE", None),
    (
        "POST",
        "/webhook_subscriptions",
        "/webhook_subscriptions",
        {
            "webhook_subscription": {
                "type": "webhook_subscription",
                "delivery_method": {"type": "http_delivery_method", "url": "https://example.com/hook"},
                "events": ["incident.annotated"],
                "filter": {"type": "service_reference", "id": "PSVC001"},
            }
        },
    ),
    ("GET", "/webhook_subscriptions", "/webhook_subscriptions", None),
    (
        "PUT",
        "/webhook_subscriptions/{id}",
        "/webhook_subscriptions/{subscription}",
        {"webhook_subscription": {"active": True, "events": ["incident.annotated", "incident.resolved"]}},
    ),
    ("POST", "/webhook_subscriptions/{id}/enable", "/webhook_subscriptions/{subscription}/enable", None),
]


def as_json_schema(node: Any) -> Any:
    """OpenAPI 3.0 as JSON Schema. PagerDuty answers null for times that are not, without declaring them nullable."""
    if isinstance(node, list):
        return [as_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    schema = {key: as_json_schema(value) for key, value in node.items() if key not in ("example", "examples")}
    if isinstance(schema.get("type"), str) and (schema.get("nullable") or schema.get("format") == "date-time"):
        schema["type"] = [schema["type"], "null"]
    return schema


class Contract:
    """The document, asked what an answer should look like."""

    def __init__(self, path: Path) -> None:
        document = as_json_schema(json.loads(path.read_text("utf-8")))
        self._registry = Registry().with_resource("urn:pagerduty", Resource.from_contents(document, DRAFT202012))

    def problems(self, method: str, path: str, status: int, answer: Any) -> list[str]:
        escaped = path.replace("/", "~1").replace("{", "%7B").replace("}", "%7D")
        pointer = f"urn:pagerduty#/paths/{escaped}/{method.lower()}/responses/{status}"
        response = self._registry.resolver().lookup(pointer).contents
        pointer = f"urn:pagerduty{response['$ref']}" if "$ref" in response else pointer
        schema = {"$ref": f"{pointer}/content/application~1json/schema"}
        errors = Draft202012Validator(schema, registry=self._registry).iter_errors(answer)
        return [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in errors]


async def test_all_answers_are_of_the_documented_shape() -> None:
    contract = Contract(DOCUMENT)
    found: dict[str, list[str]] = {}
    async with running() as wire:
        incident = subscription = ""
        for method, documented, path, body in CALLS:
            target = "/pagerduty" + path.replace("{incident}", incident).replace("{subscription}", subscription)
            status, answer, _ = await wire.call(method, target, PAGERDUTY, body)
            if problems := contract.problems(method, documented, status, answer):
                found[f"{method} {documented} {status}"] = problems
            subscription = subscription or (answer.get("webhook_subscription") or {}).get("id", "")
            incident = incident or (answer.get("incident") or {}).get("id", "")
    assert found == {}
