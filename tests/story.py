"""One whole product for a test: the sandbox, the program, and verbs that read like the story."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from bot.app import SANDBOX, Running, start
from bot.demo import link_responders, sandbox_settings
from bot.ledger.queue import Waiting
from connectors.sandbox import new_sandbox
from connectors.sandbox.server import Sandbox
from connectors.sandbox.world import World, new_world

Json = dict[str, Any]
CHANNEL = "C0ACCESS"
PATIENCE = 45.0  # with a machine that is busy; who waits in vain waits as long
FOR_THE_PAGE = ("gather", "page")
TUESDAY, DAY = 1, 24 * 3600.0


def early_on_a_tuesday() -> World:
    """A world three hours before working hours begin, whenever the tests run."""
    world = new_world()
    days = timedelta((TUESDAY - world.now().weekday()) % 7 or 7)
    world.advance((world.now() + days).replace(hour=6, minute=0, second=0, microsecond=0) - world.now())
    return world


class Story:
    """Alice and the others, over real HTTP and WebSocket. Outcomes are judged by the vendors' state."""

    world: Callable[[], World] = staticmethod(early_on_a_tuesday)

    def __init__(self, data_dir: Path, **settings: Any) -> None:
        self.data_dir = data_dir
        self.settings = {"TINYAPPROVER_EMBEDDER": "none", **settings}
        self.sandbox: Sandbox = new_sandbox(self.world())
        self.base = ""
        self.running: Running | None = None
        self._http: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        self.base = await self.sandbox.start()
        self._http = aiohttp.ClientSession()
        await self.start()
        assert self.running is not None
        await link_responders(self.running, self.sandbox.world)

    async def start(self) -> None:
        """Start the program (again), on the same data."""
        settings = sandbox_settings(self.base, self.sandbox.world, self.data_dir, **self.settings)
        self.running = await start(settings, kind=SANDBOX)
        await self.running.warm.wait()

    async def stop(self) -> None:
        """Stop the program; the vendors go on."""
        if self.running is not None:
            await self.running.stop()
            self.running = None

    async def close(self) -> None:
        await self.stop()
        if self._http is not None:
            await self._http.close()
        await self.sandbox.stop()

    # --- the vendors ------------------------------------------------------------------------------------------------

    async def act(self, who: str, do: str, /, **arguments: Any) -> Json:
        """Do something as a person; asserts that the sandbox lets them try."""
        status, answer = await self.try_to(who, do, **arguments)
        assert status == 200, answer
        return answer

    async def try_to(self, who: str, do: str, /, **arguments: Any) -> tuple[int, Json]:
        """The same, with the sandbox's own refusal as the answer."""
        body = {"as": who, "do": do, **arguments}
        assert self._http is not None
        async with self._http.post(f"{self.base}/_sandbox/act", json=body) as response:
            return response.status, await response.json()

    async def fault(self, vendor: str, route: str, kind: str, *, times: int | None = 1, **more: Any) -> None:
        """Play a fault on matching calls; `times=None` until `mend`."""
        body = {"vendor": vendor, "route": route, "kind": kind, "times": times, **more}
        assert self._http is not None
        async with self._http.post(f"{self.base}/_sandbox/faults", json=body) as response:
            assert response.status == 200, await response.text()

    async def mend(self) -> None:
        """No more faults."""
        assert self._http is not None
        async with self._http.delete(f"{self.base}/_sandbox/faults") as response:
            assert response.status == 200

    def let_go(self) -> None:
        """What is held goes on; the other faults stay."""
        faults = self.sandbox.world.faults
        faults[:] = [one for one in faults if one.kind != "held"]
        self.sandbox.world.touch()

    async def advance(self, seconds: float) -> None:
        """Move everybody's clock."""
        assert self._http is not None
        async with self._http.post(f"{self.base}/_sandbox/clock", json={"advance": seconds}) as response:
            assert response.status == 200
        await self.until(self._follows, what="the program's clock does not follow")

    async def steps(self, times: int, *, seconds: float = 150.0) -> None:
        """Time passes, with a try of everything that failed in each step, and of what waited for another's hand."""
        for _ in range(times):
            for by in (seconds, 1.0):
                await self.advance(by)
                await self.settle()

    async def advance_to(self, clock: str, *, after: float = 0.0) -> None:
        """Move everybody's clock to so many seconds after it is next `clock` (HH:MM, UTC), or before if negative."""
        now = self.sandbox.world.now()
        hour, minute = map(int, clock.split(":"))
        then = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
        await self.advance((then - now).total_seconds() % DAY + after)

    def _follows(self) -> bool:
        """Whether the program, if it runs here, has the time that everybody has."""
        if self.running is None:
            return True
        return abs(self.sandbox.world.now() - self.running.journey.clock.now()) < timedelta(milliseconds=50)

    @property
    def state(self) -> Json:
        """What each vendor holds."""
        return {name: stand_in.state() for name, stand_in in self.sandbox.stand_ins.items()}

    def calls(self, vendor: str, route: str) -> int:
        """How often a route was asked so far."""
        return sum(call.vendor == vendor and call.route.startswith(route) for call in self.sandbox.world.calls)

    def messages(self, channel: str = CHANNEL) -> list[Json]:
        return list(self.state["slack"]["channels"][channel]["messages"])

    def dms(self, who: str) -> list[Json]:
        return list(self.state["slack"]["dms"].get(who, {}).get("messages", []))

    def whispers(self, who: str) -> list[str]:
        """What only they can see."""
        return [str(one["text"]) for one in self.state["slack"]["ephemerals"].get(who, [])]

    def incidents(self) -> list[Json]:
        return list(self.state["pagerduty"]["incidents"])

    def notes(self) -> str:
        """All comments of all incidents, as one text."""
        return "\n".join(note["content"] for incident in self.incidents() for note in incident["notes"])

    def members(self, group: str) -> list[str]:
        """Who is in an Okta group."""
        return next(one["members"] for one in self.state["okta"]["groups"] if one["name"] == group)

    def changes(self) -> list[tuple[str, str, str]]:
        """Every membership change that Okta logged: event, user, group."""
        return [(one["event"].rpartition(".")[2], one["user"], one["group"]) for one in self.state["okta"]["log"]]

    async def until(self, holds: Callable[[], Any], *, what: str = "", seconds: float = PATIENCE) -> Any:
        """Wait for something to become true."""
        deadline = time.monotonic() + seconds
        while not (found := self._look(holds)):
            assert time.monotonic() < deadline, what or "it never happened"
            await asyncio.sleep(0.02)
        return found

    @staticmethod
    def _look(holds: Callable[[], Any]) -> Any:
        try:
            return holds()
        except (KeyError, IndexError, StopIteration):
            return None

    async def until_card(self, request: str, says: str) -> None:
        """Wait until the card of a request says so."""
        await self.until(lambda: says in self.card(request=request)["text"])

    async def settle(self, *, seconds: float = PATIENCE) -> None:
        """Wait until no job is due, claimed or running, so that "nothing more happens" can be asserted."""
        deadline = time.monotonic() + seconds
        while busy := await self._busy():
            assert time.monotonic() < deadline, f"jobs are still due: {busy}"
            await asyncio.sleep(0.02)

    async def _busy(self) -> object:
        """What there is still to do, if anything."""
        assert self.running is not None
        return self.running.worker.running or await self._due()

    async def _due(self) -> list[Waiting]:
        """The jobs that are due or claimed, as far as the program that runs here can tell."""
        if self.running is None:
            return []
        jobs, now = await self.running.ledger.waiting(), self.running.journey.clock.now()
        return [job for job in jobs if job.runs or job.due <= now]

    # --- what people do ---------------------------------------------------------------------------------------------

    async def asks(
        self,
        who: str = "alice",
        access: str = "Production, read only",
        why: str = "Look at yesterday's error logs",
        **fields: Any,
    ) -> str:
        """Ask through the shortcut and the form; returns the request's id once its card is up and decidable.

        By then its page is out too, or was tried, or waits for its time: whoever decides sooner has none sent.
        """
        before = self._look(self.card)
        answer = await self.submits(who, access, why, **fields)
        assert answer.get("closed"), answer
        card = await self.until(lambda: self._decidable_after(before), what="no decidable card appeared")
        await self.page_is_out(self.id_of(card))
        return self.id_of(card)

    def _decidable_after(self, before: Json | None) -> Json | None:
        found = self.card(button="approve")
        return found if before is None or found["ts"] != before["ts"] else None

    async def page_is_out(self, request: str) -> None:
        """Wait until a request's page is out, or was tried, or waits for its time."""
        deadline = time.monotonic() + PATIENCE
        while any(job.subject == request and job.kind in FOR_THE_PAGE for job in await self._due()):
            assert time.monotonic() < deadline, "its page is still due"
            await asyncio.sleep(0.01)

    async def submits(
        self,
        who: str = "alice",
        access: str = "Production, read only",
        why: str = "Look at yesterday's error logs",
        **fields: Any,
    ) -> Json:
        """Open the form, fill it in and submit it; the answer holds `closed` or `errors`."""
        opened = await self.act(who, "slack.shortcut", callback_id="request_access", await_view=True)
        values = {"Access": access, "Justification": why, **fields}
        return await self.act(who, "slack.submit", view_id=opened["view"]["id"], values=values)

    async def presses(self, who: str, action_id: str, *, card: Json | None = None, **more: Any) -> Json:
        """Press a button on the (newest) card."""
        found = card or self.card()
        return await self.act(who, "slack.click", channel=CHANNEL, ts=found["ts"], action_id=action_id, **more)

    async def comments(self, who: str, content: str, *, incident: str | None = None, **more: Any) -> Json:
        """Comment on the (newest) incident, and have it read."""
        chosen = incident or self.incidents()[-1]["id"]
        await self.settle()
        answer = await self.act(who, "pagerduty.comment", incident=chosen, content=content, **more)
        await self.advance(6)
        return answer

    def card(self, *, button: str | None = None, request: str | None = None) -> Json:
        """The newest card (of a request), once it has a button; KeyError while there is none."""
        for message in reversed(self.messages()):
            key = (message.get("metadata") or {}).get("event_payload", {}).get("key", "")
            if key.endswith("/card") and (request is None or key == f"{request}/card"):
                if button is None or f"'action_id': '{button}'" in str(message["blocks"]):
                    return message
                break
        raise KeyError("no such card")

    @staticmethod
    def id_of(card: Json) -> str:
        return str(card["metadata"]["event_payload"]["key"]).partition("/")[0]

    async def trail(self, request: str | None = None) -> list[str]:
        """What the audit trail tells, in order."""
        assert self.running is not None
        return [event.what for event in await self.running.ledger.events(request)]

    async def refusals(self, request: str | None = None) -> list[str]:
        """The rules that refused something, in order."""
        assert self.running is not None
        events = await self.running.ledger.events(request)
        return [str(event.detail["rule"]) for event in events if event.what.endswith(".refused")]

    async def until_refused(self, rule: str) -> None:
        """Wait until the audit trail holds a refusal by a rule."""
        deadline = time.monotonic() + PATIENCE
        while rule not in await self.refusals():
            assert time.monotonic() < deadline, f"never refused by {rule}"
            await asyncio.sleep(0.02)

    async def metrics(self) -> str:
        """What monitoring reads."""
        assert self.running is not None
        assert self._http is not None
        async with self._http.get(f"{self.running.url}/metrics") as response:
            return await response.text()

    def home(self, who: str) -> Json:
        """Somebody's App Home as it stands."""
        return dict(self.state["slack"]["homes"][who])

    def told(self, who: str) -> str:
        """Everything that the program said to one person alone, as one text."""
        return "\n".join([*(str(one["text"]) for one in self.dms(who)), *self.whispers(who)])

    def buttons(self, message: Json) -> set[str]:
        """The names of the buttons and menus of a message or view."""
        elements = [element for block in message["blocks"] for element in block.get("elements", [])]
        return {str(element["action_id"]) for element in elements if "action_id" in element}


S = TypeVar("S", bound=Story)


@asynccontextmanager
async def opened(story: S) -> AsyncIterator[S]:
    """The story for the length of a test; closed also when opening fails half-way."""
    try:
        await story.open()
        yield story
    finally:
        await story.close()
