"""The connectors talk over real HTTP, through the real packages, to the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from connectors.okta import OktaGroupActor, OktaReader
from connectors.okta_api import OktaApi
from connectors.okta_facts import OktaFacts
from connectors.openai import OpenAIModel
from connectors.pagerduty import PagerDuty
from connectors.sandbox.okta import Okta
from connectors.sandbox.openai import MODEL, OpenAI
from connectors.sandbox.pagerduty import PagerDuty as PagerDutyStandIn
from connectors.sandbox.server import Sandbox, StandIn
from connectors.sandbox.world import Fault, World, new_world


@dataclass
class Wire:
    """A running sandbox, and what a test does to it."""

    sandbox: Sandbox
    url: str

    @property
    def world(self) -> World:
        return self.sandbox.world

    def play(self, vendor: str, kind: str, route: str = "*", **more: Any) -> None:
        """Play a fault on the next matching call."""
        self.world.faults.append(Fault(vendor, route, kind, **more))

    async def act(self, who: str, do: str, /, **args: Any) -> Any:
        """Do something as a person."""
        vendor, _, verb = do.partition(".")
        return await self.sandbox.stand_ins[vendor].acts()[verb](who, args)

    def state(self, vendor: str) -> dict[str, Any]:
        return self.sandbox.stand_ins[vendor].state()

    def calls(self, vendor: str, method: str = "") -> list[str]:
        """The routes that were called."""
        called = [call.route for call in self.world.calls if call.vendor == vendor]
        return [route for route in called if route.startswith(method)]

    def members(self, group: str) -> list[str]:
        return next(one["members"] for one in self.state("okta")["groups"] if one["name"] == group)

    async def later(self, **by: float) -> None:
        """Move the sandbox's clock."""
        self.world.advance(timedelta(**by))


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    world = new_world()
    stand_ins: list[StandIn] = [PagerDutyStandIn(world, retry_seconds=0.01), Okta(world, page=2), OpenAI(world)]
    sandbox = Sandbox(stand_ins, world)
    yield Wire(sandbox, await sandbox.start())
    await sandbox.stop()


@pytest.fixture
async def pagerduty(wire: Wire) -> AsyncIterator[PagerDuty]:
    pager = PagerDuty(
        f"{wire.url}/pagerduty", "sandbox-pagerduty-key", "tinyapprover@example.com", "PSVC001", timeout=0.5
    )
    await pager.connect()
    yield pager
    await pager.close()


@pytest.fixture
async def okta_writer(wire: Wire) -> AsyncIterator[OktaApi]:
    api = OktaApi(f"{wire.url}/okta", "sandbox-okta-writer", timeout=0.5)
    await api.connect()
    yield api
    await api.close()


@pytest.fixture
async def okta(wire: Wire) -> AsyncIterator[OktaReader]:
    reader = OktaReader(OktaApi(f"{wire.url}/okta", "sandbox-okta-reader", timeout=0.5), wire.world)
    await reader.connect()
    yield reader
    await reader.close()


@pytest.fixture
def group_actor(okta: OktaReader, okta_writer: OktaApi) -> OktaGroupActor:
    return OktaGroupActor(okta, okta_writer, protected=frozenset({"iam-approvers"}))


@pytest.fixture
def okta_facts(okta: OktaReader, wire: Wire) -> OktaFacts:
    return OktaFacts(okta, wire.world)


@pytest.fixture
async def adviser(wire: Wire) -> AsyncIterator[OpenAIModel]:
    adviser = OpenAIModel(f"{wire.url}/openai/v1", "sandbox-model-key", MODEL, deadline=5)
    await adviser.connect()
    yield adviser
    await adviser.close()
