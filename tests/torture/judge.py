"""What came of it, told by what the vendors hold and were asked; nothing of our own tables is looked at."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime

from connectors.sandbox.okta_records import SHOWN_EVENTS
from tests.story import CHANNEL, Json
from tests.torture.people import Case, key_of
from tests.torture.stage import Stage

GRANTED, FAILED = "granted", "failed"
WORDS = {
    "Granted and read back": GRANTED,
    "Ended": GRANTED,
    "Denied": "denied",
    "Expired": "expired",
    "Withdrawn": "withdrawn",
    "Refused": "refused",
    "Could not be granted": FAILED,
}
TOLD = {"active": GRANTED, "done": GRANTED} | {one: one for one in ("denied", "expired", "withdrawn", "refused")}
NOTED = re.compile(
    r"^TA-\d+: (approved by .*granted and read back|ended\. The access|denied|expired|withdrawn|refused)"
)
ENDS = re.compile(r"ends <!date\^(\d+)")


@dataclass(slots=True)
class Findings:
    """Of one batch or of many. Whatever is named in `wrong` must not be."""

    requests: int = 0
    grants: int = 0
    revoked: int = 0
    calls: int = 0
    failed_calls: int = 0
    sent_again: int = 0
    messages_twice: int = 0
    notes_twice: int = 0
    late: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    conflicting: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)
    chain: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        """Everything that is not as it must be, in words."""
        return [*self.lost, *self.conflicting, *self.twice, *self.left_behind, *self.chain, *self.other]

    def add(self, more: Findings) -> None:
        for name, value in asdict(more).items():
            setattr(self, name, getattr(self, name) + value)


class Judge:
    """Reads the vendors' state once, and answers for each case."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.channels = stage.slack.workspace.channels.values()
        self.incidents: list[Json] = list(stage.pager.state()["incidents"])
        okta = stage.sandbox.stand_ins["okta"].state()
        self.log: list[Json] = okta["log"]
        assert len(self.log) < SHOWN_EVENTS, "the directory does not show all of its log: make batches smaller"
        self.members = {group["name"]: group["members"] for group in okta["groups"]}

    def of(self, cases: Iterable[Case]) -> Findings:
        found = Findings(calls=len(self.stage.world.calls))
        found.failed_calls = sum(bool(call.fault) for call in self.stage.world.calls)
        found.sent_again = sum(count - 1 for count in Counter(self._writes()).values())
        keys = Counter(key for channel in self.channels for one in channel.messages.values() if (key := key_of(one)))
        found.messages_twice = sum(count - 1 for count in keys.values())
        notes = Counter((page["id"], note["content"]) for page in self.incidents for note in self._ours(page))
        found.notes_twice = sum(count - 1 for count in notes.values())
        for case in cases:
            self._case(case, found)
        held = {name: self.members[name] for name in {case.group for case in cases} if self.members[name]}
        found.left_behind += [f"{', '.join(people)} still in {name}" for name, people in held.items()]
        found.other += [f"page {page['id']} is still open" for page in self.incidents if page["status"] != "resolved"]
        pages = Counter(page["title"].partition(":")[0] for page in self.incidents if "overdue" not in page["title"])
        found.other += [f"{name} was paged {count} times" for name, count in pages.items() if count > 1]
        return found

    def _case(self, case: Case, found: Findings) -> None:
        found.requests += case.acknowledged
        requests = self._requests(case)
        if case.stuck:
            found.lost.append(f"{case}: {case.stuck}")
        elif case.acknowledged and not requests:
            found.lost.append(f"{case}: acknowledged, and there is no card")
        if len(requests) > 1:
            found.other.append(f"{case}: asked once, and there are {', '.join(sorted(requests))}")
        for request in requests:
            self._request(case, request, found)

    def _request(self, case: Case, request: str, found: Findings) -> None:
        outcomes = set(self._outcomes(request))
        changes = self._changes(case)
        adds, removes = ([one for one in changes if one["event"].endswith(verb)] for verb in ("add", "remove"))
        outcomes |= {GRANTED} if adds and not outcomes & {GRANTED, FAILED} else set()
        found.grants += bool(adds)
        found.revoked += len(removes)
        if len(outcomes - {FAILED}) > 1:
            found.conflicting.append(f"{case}: {request} is {' and '.join(sorted(outcomes))}")
        if case.expected and case.expected not in outcomes:
            found.lost.append(f"{case}: {request} should be {case.expected} and is {sorted(outcomes) or 'nothing'}")
        if max(len(adds), len(removes)) > 1 + case.retries:
            found.twice.append(f"{case}: {len(adds)} adds, {len(removes)} removes, {case.retries} retries")
        if GRANTED in outcomes and not adds:
            found.conflicting.append(f"{case}: {request} was said to be granted and was not")
        found.late += self._late(request, removes)

    def _requests(self, case: Case) -> set[str]:
        cards = [one for one in self.stage.slack.workspace.channels[CHANNEL].messages.values() if key_of(one)]
        return {key_of(one).partition("/")[0] for one in cards if case.token in str(one.blocks)}

    def _outcomes(self, request: str) -> Iterator[str]:
        """What was said of it: on the card, to the requester, on the page."""
        for channel in self.channels:
            for message in channel.messages.values():
                key = key_of(message)
                if key == f"{request}/card":
                    yield from (outcome for words, outcome in WORDS.items() if words in message.text)
                if key.startswith(f"{request}/tell:outcome:") and (outcome := TOLD.get(key.rpartition(":")[2])):
                    yield outcome
        for page in self.incidents:
            for note in self._ours(page):
                if note["content"].startswith(f"{request}: ") and (said := NOTED.match(note["content"])):
                    yield GRANTED if said[1].startswith(("approved", "ended")) else said[1]

    def _changes(self, case: Case) -> list[Json]:
        email = self.stage.world.people[case.who].email
        return [one for one in self.log if (one["user"], one["group"]) == (email, case.group)]

    def _late(self, request: str, removes: list[Json]) -> Iterator[float]:
        """Seconds of ours from the end that the card named to the removal, the program's absence aside."""
        ends = {
            datetime.fromtimestamp(int(found), self.stage.world.now().tzinfo)
            for message in self.stage.slack.workspace.channels[CHANNEL].messages.values()
            if key_of(message) == f"{request}/card"
            for blocks in (*message.versions, message.blocks)
            for found in ENDS.findall(str(blocks))
        }
        gone = max((datetime.fromisoformat(one["at"]) for one in removes), default=None)
        if ends and gone and gone >= max(ends):
            yield self._between(max(ends), gone) - self._away(max(ends), gone)

    def _away(self, since: datetime, until: datetime) -> float:
        overlaps = ((max(since, gone), min(until, back)) for gone, back in self.stage.away)
        return sum(self._between(gone, back) for gone, back in overlaps if back > gone)

    def _between(self, since: datetime, until: datetime) -> float:
        return self.stage.ours(until) - self.stage.ours(since)

    @staticmethod
    def _ours(page: Json) -> list[Json]:
        return [note for note in page["notes"] if note["content"].startswith("TA-")]

    def _writes(self) -> Iterator[str]:
        """What each write that must be made once was about."""
        for call in self.stage.world.calls:
            if call.route.startswith(("PUT /groups", "DELETE /groups", "POST /incidents")):
                yield f"{call.route} {call.body}"
            elif call.route.endswith("/chat.postMessage") and isinstance(call.body, dict):
                yield f"{call.body.get('channel')} {call.body.get('metadata')}"
