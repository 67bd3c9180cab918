"""The paths that people wait on, each beside the sum of only those outside calls that must follow one another."""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from bench.figures import Figure
from bench.outside import SLOW
from bench.stage import SEARCH_SECONDS, Json, Seen, Stage
from bot.screen import looks_secret

SLACK, PAGERDUTY, OKTA, MODEL = (SLOW[name] * 1000 for name in ("slack", "pagerduty", "okta", "openai"))
SOURCE = max(OKTA, SEARCH_SECONDS * 1000)
EVERY = 0.5
BURST, ROUNDS = 32, 3
BURST_OF_ONE_CHANNEL, PACED_CARDS = 4, 12
SETTLE = 0.25

Clock = tuple[float, float, str]


@dataclass(frozen=True, slots=True)
class Path:
    """From an envelope to a milestone."""

    name: str
    milestone: str
    limit: float
    made_of: str
    aim: float
    aim_p99: float


SUBMITTED = (
    Path("first-card", "card", SLACK, f"one Slack post {SLACK:.0f}", 1.10, 1.3),
    Path(
        "decidable",
        "decidable",
        OKTA + SLACK,
        f"the slowest of the plan's and the policy's reads (Okta {OKTA:.0f}), then one Slack update {SLACK:.0f}",
        1.10,
        1.3,
    ),
    Path(
        "page",
        "page",
        SOURCE + PAGERDUTY,
        f"the slowest source (Okta {SOURCE:.0f}), then one PagerDuty create {PAGERDUTY:.0f}",
        1.10,
        1.3,
    ),
    Path(
        "full-card",
        "full",
        SOURCE + MODEL + SLACK,
        f"the slowest source (Okta {SOURCE:.0f}), the model {MODEL:.0f}, one Slack update {SLACK:.0f}",
        1.05,
        1.2,
    ),
)
CLICKED = Path(
    "granted",
    "granted",
    3 * OKTA,
    f"Okta: status read again {OKTA:.0f}, membership written {OKTA:.0f}, read back {OKTA:.0f}",
    1.10,
    1.3,
)


class People:
    """Hands out requesters that have not asked for anything yet."""

    def __init__(self) -> None:
        self.used = 0

    def take(self, count: int) -> list[int]:
        first, self.used = self.used, self.used + count
        return list(range(first, self.used))


def needed(requests: int, compared: int) -> int:
    """How many requesters a whole run takes."""
    return requests + compared + BURST * ROUNDS + PACED_CARDS


async def measure_paths(stage: Stage, people: People, requests: int) -> AsyncIterator[Figure]:
    """Submissions at a steady pace, all the way to the grant."""
    cases = people.take(requests)
    await stage.act("bench.open", cases=cases)
    await stage.slow(on=True)
    submitted = await stage.act("bench.submit", cases=cases, every=EVERY)
    _check(submitted)
    seen = await stage.until([path.milestone for path in SUBMITTED], submitted)
    notes = await _overhead(stage)
    for path in SUBMITTED:
        yield _figure(path, submitted, seen, notes=notes if path is SUBMITTED[0] else ())
    clicked = await stage.act("bench.click", cases=cases, every=EVERY)
    _check(clicked)
    yield _figure(CLICKED, clicked, await stage.until(["granted"], clicked))
    await stage.slow(on=False)


async def _overhead(stage: Stage) -> Sequence[str]:
    added = await stage.act("bench.overhead")
    shares = ", ".join(f"{vendor} {ms:.1f}" for vendor, ms in sorted(added.items()))
    return (f"of which the sandbox itself added to each call, median ms: {shares}",)


def _check(answers: Json) -> None:
    refused = [answer for _, _, answer in answers.values() if answer]
    assert not refused, refused[:3]


def _figure(path: Path, begun: Json, seen: Seen, *, notes: Sequence[str] = ()) -> Figure:
    samples = [(seen[case][path.milestone] - sent) * 1000 for case, (sent, _, _) in begun.items()]
    return Figure(path.name, path.limit, path.made_of, samples, path.aim, path.aim_p99, notes=notes)


async def measure_burst(stage: Stage, people: People, rounds: int) -> Figure:
    """Many submissions at the same moment, over many channels."""
    samples: list[float] = []
    for _ in range(rounds):
        cases = people.take(BURST)
        await stage.act("bench.open", cases=cases)
        await stage.slow(on=True)
        submitted = await stage.act("bench.submit", cases=cases, every=0)
        _check(submitted)
        seen = await stage.until(["full"], submitted)
        samples += [(seen[case]["card"] - sent) * 1000 for case, (sent, _, _) in submitted.items()]
        await stage.slow(on=False)
    made_of = f"one Slack post {SLACK:.0f}; {BURST} submissions at once, each entitlement in its own channel"
    return Figure("burst", SLACK, made_of, samples, aim_p99=1.5)


async def measure_one_channel(stage: Stage, people: People) -> Figure:
    """The same in one channel, where Slack itself takes about one message a second after a short burst."""
    cases = people.take(PACED_CARDS)
    await stage.act("bench.open", cases=cases, kind=0)
    await stage.act("slack.pace", on=True)
    await stage.slow(on=True)
    submitted = await stage.act("bench.submit", cases=cases, every=0)
    _check(submitted)
    seen = await stage.until(["card"], submitted)
    await stage.act("slack.pace", on=False)
    await stage.slow(on=False)
    last = max(seen[case]["card"] - sent for case, (sent, _, _) in submitted.items())
    waits = (PACED_CARDS - 1) // BURST_OF_ONE_CHANNEL * BURST_OF_ONE_CHANNEL
    made_of = (
        f"the last of {PACED_CARDS} cards in one channel: Slack takes {BURST_OF_ONE_CHANNEL} in "
        f"{BURST_OF_ONE_CHANNEL} s, so it waits {waits} s, then one post {SLACK:.0f}"
    )
    return Figure("one-channel", waits * 1000 + SLACK, made_of, [last * 1000])


async def measure_ack(stage: Stage, people: People, count: int) -> Figure:
    """From the envelope to its acknowledgement, the durable commit included, beside the bare client in turns."""
    cases = people.take(count)
    await stage.act("bench.open", cases=cases)
    async with _bare_client(stage):
        taken = await stage.act("bench.compare", cases=cases, pause=SETTLE)
    ours, bare = ([(acked - sent) * 1000 for sent, acked, _ in taken[name]] for name in ("program", "bare"))
    made_of = f"slack_sdk's bare client acknowledges the same envelope (p99 {sorted(bare)[int(len(bare) * 0.99)]:.2f})"
    screen = f"of which the screen for secrets takes {_screen_ms():.2f} ms"
    return Figure("ack", statistics.median(bare), made_of, ours, aim=15.0, notes=(screen,))


def _screen_ms() -> float:
    words = "case-00000: look at yesterday's error logs of the checkout service, as agreed with the team\n"
    looks_secret(words)
    taken = []
    for _ in range(50):
        begun = time.perf_counter()
        looks_secret(words)
        taken.append((time.perf_counter() - begun) * 1000)
    return statistics.median(taken)


@asynccontextmanager
async def _bare_client(stage: Stage) -> AsyncIterator[None]:
    """slack_sdk's client in this process, acknowledging everything at once."""
    settings = stage.running.settings
    web = AsyncWebClient(base_url=settings.slack_api_url)
    client = SocketModeClient(settings.slack_app_token.get_secret_value(), web_client=web)

    async def acknowledge(_client: object, request: SocketModeRequest) -> None:
        await client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))

    client.socket_mode_request_listeners.append(acknowledge)
    await client.connect()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        await client.close()  # type: ignore[no-untyped-call]
