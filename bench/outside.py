"""The other side, in a process of its own: the sandbox, a crowd of requesters in it, and what they do on command.

The crowd acts with the sandbox's genuine payloads over its genuine WebSocket. Everything is timed here, where the
vendors are: a case begins when its envelope is sent, and a milestone is reached when a vendor that takes exactly as
long as was said has answered the call that makes it visible. What the sandbox needs beyond that is printed apart.
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

from aiohttp import web

from bench.catalogue import KINDS, channel, entitlement
from bot.collecting import settle
from connectors.sandbox import slack_payloads as payloads
from connectors.sandbox.okta import Okta
from connectors.sandbox.openai import OpenAI
from connectors.sandbox.pagerduty import PagerDuty
from connectors.sandbox.server import Act, Sandbox
from connectors.sandbox.slack import Slack
from connectors.sandbox.slack_forms import find_element
from connectors.sandbox.slack_store import Json
from connectors.sandbox.world import Call, SandboxPerson, World, new_world

APPROVER = "bob"
AT_ONCE = 8
PAGES_A_MINUTE = 60_000  # more than PagerDuty's, so that thousands can be opened before anything is measured
TOKEN = re.compile(r"case-\d{5}")
ASKED = re.compile(r"TA-\d+")
SLOW = {"slack": 0.150, "pagerduty": 0.250, "okta": 0.300, "openai": 2.500}
PASSED_ON = re.compile(r"PUT /groups/[^/]+/users/(?P<user>[^/]+)")
READ_BACK = re.compile(r"GET /users/(?P<user>[^/]+)/groups")


def crowded_world(people: int) -> World:
    """The sandbox's people and `people` requesters, with a channel and a group for each entitlement."""
    world = new_world()
    for number in range(people):
        person = requester(number)
        world.people[person.key] = person
    world.seed["channels"] += [
        {"id": channel(n), "name": f"bench-{n:02d}", "private": True, "members": [APPROVER]} for n in range(KINDS)
    ]
    world.seed["groups"] += [entitlement(n) for n in range(KINDS)]
    return world


def requester(number: int) -> SandboxPerson:
    """One of a crowd: an engineer like every other."""
    return SandboxPerson(
        key=f"requester-{number}",
        name=f"Requester {number}",
        email=f"requester-{number}@example.com",
        slack=f"U0REQ{number:05d}",
        okta=f"00ureq{number:012d}",
        title="Engineer",
        groups=("everyone", "engineering"),
        factors=("push",),
        sign_ins=({"days_ago": 1, "country": "Germany", "city": "Berlin"},),
    )


def serve(people: int, pipe: Connection) -> None:
    """The process: say the address, then serve until the other end of the pipe is closed."""
    asyncio.run(_serve(people, pipe))


async def _serve(people: int, pipe: Connection) -> None:
    world = crowded_world(people)
    slack = Slack(world)
    crowd = Crowd(world, slack)
    sandbox = Sandbox([slack, PagerDuty(world, per_minute=PAGES_A_MINUTE), Okta(world), OpenAI(world), crowd], world)
    address = await sandbox.start()
    settle()  # the vendors' garbage is not what is measured
    pipe.send(address)
    try:
        await asyncio.to_thread(pipe.recv)
    except EOFError:
        await sandbox.stop()


class Crowd:
    """A stand-in without routes: its acts are the runs of the bench. A case is a requester's number and its token."""

    name = "bench"

    def __init__(self, world: World, slack: Slack) -> None:
        self._world = world
        self._slack = slack

    def routes(self) -> list[web.RouteDef]:
        return []

    def state(self) -> dict[str, Any]:
        return {}

    def acts(self) -> dict[str, Act]:
        return {"open": self._open_all, "submit": self._submit_all, "click": self._click_all, "seen": self._seen} | {
            "compare": self._compare,
            "overhead": self._overhead,
        }

    # --- before anything is measured ----------------------------------------------------------------------------------

    async def _open_all(self, _who: str, args: Mapping[str, Any]) -> Json:
        """Everybody of `cases` opens the form and fills it in; `kind` gives all the same entitlement."""
        room = asyncio.Semaphore(AT_ONCE)

        async def one(case: int) -> None:
            async with room:
                await self._open(case, args.get("kind", case))

        await asyncio.gather(*(one(case) for case in args["cases"]))
        return {}

    async def _open(self, case: int, kind: int) -> None:
        person, acts = self._person(case), self._slack.acts()
        await acts["shortcut"](person.key, {"callback_id": "request_access", "await_view": True})
        view = self._slack.workspace.stacks[person.slack][-1]
        first = view.hash
        await acts["fill"](person.key, {"label": "Access", "value": entitlement(kind)})
        while view.hash == first:
            await self._world.wait("version", self._world.version, 1.0)
        words = f"{token(case)}: look at yesterday's error logs of the checkout service, as agreed with the team"
        await acts["fill"](person.key, {"label": "Justification", "value": words})

    def _person(self, case: int) -> SandboxPerson:
        return self._world.people[f"requester-{case}"]

    # --- what is measured ---------------------------------------------------------------------------------------------

    async def _submit_all(self, _who: str, args: Mapping[str, Any]) -> Json:
        """Each case submits its form, one every `every` seconds; when each was sent and acknowledged."""
        return await self._at_pace(args, [(token(case), self._submission(case)) for case in args["cases"]])

    def _submission(self, case: int) -> Json:
        person = self._person(case)
        view = self._slack.workspace.stacks[person.slack][-1]
        return payloads.view_submission(self._slack.workspace, person, view)

    async def _click_all(self, who: str, args: Mapping[str, Any]) -> Json:
        """The approver presses *Approve* on the card of each case, one every `every` seconds."""
        cards = dict(self._cards())
        return await self._at_pace(
            args, [(token(case), self._click(who, *cards[token(case)])) for case in args["cases"]]
        )

    def _cards(self) -> Iterator[tuple[str, tuple[Any, Any]]]:
        for place in self._slack.workspace.channels.values():
            for message in place.messages.values():
                if not place.im_with and (found := TOKEN.search(json.dumps(message.blocks))):
                    yield found[0], (place, message)

    def _click(self, who: str, place: Any, message: Any) -> Json:
        workspace, person = self._slack.workspace, self._world.people[who]
        found = find_element(message.blocks, "approve")
        assert found is not None, "the card has no Approve"
        block, button = found
        action = {"block_id": block["block_id"]} | {key: button[key] for key in ("action_id", "type", "text", "value")}
        return payloads.block_actions(workspace, person, payloads.message_place(workspace, place, message, {}), action)

    async def _at_pace(self, args: Mapping[str, Any], payloads_of: Sequence[tuple[str, Json]]) -> Json:
        start, every = time.monotonic(), float(args["every"])

        async def one(number: int, payload: Json) -> tuple[float, float, str]:
            await asyncio.sleep(start + number * every - time.monotonic())
            return await self._ask(payload)

        answers = await asyncio.gather(*(one(n, payload) for n, (_, payload) in enumerate(payloads_of)))
        return {token: answer for (token, _), answer in zip(payloads_of, answers, strict=True)}

    async def _ask(self, payload: Json) -> tuple[float, float, str]:
        """Sent, acknowledged (seconds), and what was wrong with the answer."""
        sent = time.monotonic()
        ack = await self._slack.socket.ask("interactive", payload)
        return sent, time.monotonic(), ack.error or json.dumps(ack.payload or "").strip('"')

    async def _compare(self, _who: str, args: Mapping[str, Any]) -> Json:
        """The same submission to the bare client (the newest connection) and to the program, in turns."""
        taken: defaultdict[str, list[tuple[float, float, str]]] = defaultdict(list)
        for case in args["cases"]:
            payload = self._submission(case)
            for name in ("bare", "program"):
                for connection in self._slack.socket.connections:
                    connection.leaving = (connection is self._slack.socket.connections[-1]) != (name == "bare")
                taken[name].append(await self._ask(payload))
            await asyncio.sleep(float(args["pause"]))
        for connection in self._slack.socket.connections:
            connection.leaving = False
        return dict(taken)

    # --- what came of it ----------------------------------------------------------------------------------------------

    async def _seen(self, _who: str, _args: Mapping[str, Any]) -> Json:
        """For each case, when each milestone was first reached."""
        return Milestones(self._world).read()

    async def _overhead(self, _who: str, args: Mapping[str, Any]) -> Json:
        """What the sandbox itself added to each delayed call, median milliseconds by vendor."""
        added: defaultdict[str, list[float]] = defaultdict(list)
        for call in self._world.calls[int(args.get("since", 0)) :]:
            if call.fault == "latency" and call.status is not None:
                added[call.vendor].append(call.ms - SLOW[call.vendor] * 1000)
        return {vendor: statistics.median(values) for vendor, values in added.items()}


class Milestones:
    """Reads the record of calls: which case each belongs to, and what it made visible."""

    def __init__(self, world: World) -> None:
        self._calls = [call for call in world.calls if call.status is not None and call.status < 300]
        self._case_of_user = {
            str(person.okta): token(int(key.removeprefix("requester-")))
            for key, person in world.people.items()
            if key.startswith("requester-")
        }
        self._case_of: dict[str, str] = {}
        self._seen: defaultdict[str, dict[str, float]] = defaultdict(dict)
        self._written: dict[str, float] = {}

    def read(self) -> dict[str, dict[str, float]]:
        readers: dict[str, Callable[[Call], None]] = {"slack": self._slack, "pagerduty": self._page, "okta": self._okta}
        for call in self._calls:
            if call.vendor in readers:
                readers[call.vendor](call)
        return dict(self._seen)

    def _reached(self, case: str, milestone: str, call: Call) -> None:
        self._seen[case].setdefault(milestone, _answered(call))

    def _slack(self, call: Call) -> None:
        if not call.route.endswith(("chat.postMessage", "chat.update")) or str(call.body["channel"]).startswith("D"):
            return
        drawn = json.dumps(call.body)
        found, asked = TOKEN.search(drawn), ASKED.search(drawn)
        if found and asked:
            self._case_of[asked[0]] = found[0]
            self._reached(found[0], "card", call)
            for milestone, action in (("decidable", '"approve"'), ("full", '"show_advice"')):
                if action in drawn:
                    self._reached(found[0], milestone, call)

    def _page(self, call: Call) -> None:
        if call.route == "POST /incidents" and call.body["incident"]["incident_key"] in self._case_of:
            self._reached(self._case_of[call.body["incident"]["incident_key"]], "page", call)

    def _okta(self, call: Call) -> None:
        if (written := PASSED_ON.fullmatch(call.route)) is not None:
            self._seen[self._case_of_user[written["user"]]].setdefault("acting", call.started)
            self._written[written["user"]] = _answered(call)
        elif (read := READ_BACK.fullmatch(call.route)) and call.started >= self._written.get(
            read["user"], float("inf")
        ):
            self._reached(self._case_of_user[read["user"]], "granted", call)


def _answered(call: Call) -> float:
    """When a vendor that takes exactly as long as was said would have answered."""
    return call.started + (SLOW[call.vendor] if call.fault == "latency" else call.ms / 1000)


def token(case: int) -> str:
    """What stands in the justification of a case."""
    return f"case-{case:05d}"
