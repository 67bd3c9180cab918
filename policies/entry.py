"""One catalogue file as its owner writes it: the keys, what each allows, and the entitlement it stands for."""

from __future__ import annotations

import difflib
import json
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from bot.core.request import Approvers, Entitlement, Fallback, Sensitivity, Wake
from bot.errors import SettingsError
from policies.marks import Marked

LONGEST_MINUTES = 30 * 24 * 60
ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_DURATION = re.compile(r"([1-9][0-9]{0,4})([mhd])")
_CHANNEL = re.compile(r"[CG][A-Z0-9]{2,}")
_QUOTED = re.compile(r"'([^']*)'")
_MINUTES = {"m": 1, "h": 60, "d": 24 * 60}
_WAKE = {"low": Wake.NEVER, "medium": Wake.LOW, "high": Wake.HIGH, "critical": Wake.HIGH}


def read_minutes(value: object) -> int:
    """Whole minutes from a duration such as `30m`, `2h` or `5d`."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise PydanticCustomError("duration", "{shown} is not a duration like 30m, 2h or 5d", {"shown": show(value)})
    minutes = int(match[1]) * _MINUTES[match[2]]
    if minutes > LONGEST_MINUTES:
        raise PydanticCustomError(
            "duration", "{shown} is longer than the 30 days that are allowed", {"shown": show(value)}
        )
    return minutes


def read_level(value: object) -> int:
    """An escalation level, 1 being first; `no` (which YAML reads as false) is 0, on call at no level."""
    if value is False:
        return 0
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 20:
        return value
    raise PydanticCustomError("level", "{shown} is not an escalation level from 1 to 20, or no", {"shown": show(value)})


def read_channel(value: object) -> str:
    """A Slack channel by its id, because names change."""
    if isinstance(value, str) and _CHANNEL.fullmatch(value):
        return value
    raise PydanticCustomError("channel", "{shown} is not a channel id like C0123ABCD", {"shown": show(value)})


def show(value: object) -> str:
    """A value as the file's owner would recognise it, cut to a line."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^\S(.*\S)?$")]
Minutes = Annotated[int, BeforeValidator(read_minutes)]
Level = Annotated[int, BeforeValidator(read_level)]


class Form(BaseModel):
    """What every part of a file keeps to: no unknown keys, no conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys_only(cls, data: Any) -> Any:
        if cls.model_config.get("extra") == "forbid" and isinstance(data, dict):
            allowed = [field.alias or name for name, field in cls.model_fields.items()]
            for key in data:
                if key not in allowed:
                    raise PydanticCustomError("unknown_key", "{message}", _unknown(key, allowed))
        return data


def _unknown(key: str, allowed: list[str]) -> dict[str, str]:
    near = difflib.get_close_matches(key, allowed, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return {"key": key, "message": f"is not a known key; {hint}allowed here: {', '.join(allowed)}"}


class ActionForm(Form):
    """Which connector acts, and its parameters, all of them plain text."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    __pydantic_extra__: dict[str, Name] = Field(init=False)

    kind: Name


class WhoMayAskForm(Form):
    groups: Annotated[list[Name], Field(min_length=1)]


class OnCallForm(Form):
    escalation_policy: Name
    levels: list[Annotated[int, Field(ge=1, le=20)]] = []


class WhoDecidesForm(Form):
    group: Name
    on_call: OnCallForm | None = None


class TimeForm(Form):
    """How long it may be asked for, and how long it may last `in_total` with extensions (no longer, if not said)."""

    default: Minutes
    longest: Minutes
    in_total: Minutes | None = None


class SomebodyForm(Form):
    """A person in an example, by what matters about them. `holds` are entitlements they have already."""

    groups: list[Name] = []
    holds: list[Name] = []
    active: bool = True


class DeciderForm(SomebodyForm):
    """Whoever answers, maybe the requester or beneficiary themselves. Without `on_call` it is not known who is."""

    same_as: Literal["requester", "beneficiary"] | None = None
    on_call: Level | None = None
    linked: bool = True


class ExampleForm(Form):
    """One line that reads as a sentence and runs as a test.

    With `decided_by` it asks whether that person may decide, with `approved_by` whether the request may be carried
    out, otherwise whether it may be asked for. `after_silence` lets the fallback group decide, too.
    """

    who: SomebodyForm
    beneficiary: Annotated[SomebodyForm | None, Field(alias="for")] = None
    asks_for: Minutes | None = None
    ticket: str = ""
    decided_by: DeciderForm | None = None
    answer: Literal["approve", "deny"] = "approve"
    place: Annotated[Literal["slack", "pagerduty"], Field(alias="in")] = "slack"
    after_silence: bool = False
    approved_by: list[DeciderForm] | None = None
    then: Literal["allowed", "refused"]
    rule: Name | None = None


class FallbackForm(Form):
    """Who decides as well once nobody has answered for so long."""

    group: Name
    after: Minutes


class EntryForm(Form):
    """A whole file."""

    id: Name | None = None
    title: Annotated[Text, StringConstraints(max_length=75)]
    description: Text
    why: Text
    action: ActionForm
    sensitivity: Literal["low", "medium", "high", "critical"]
    who_may_ask: WhoMayAskForm
    who_decides: WhoDecidesForm
    approvals: Annotated[int, Field(ge=1, le=10)]
    time: TimeForm
    conflicts: list[Name] = []
    ticket: Literal["required", "optional"] = "optional"
    page: Literal["never", "low", "high"] | None = None
    channel: Annotated[str, BeforeValidator(read_channel)] | None = None
    remind_after: Minutes | None = None
    escalate_after: Minutes | None = None
    fallback: FallbackForm | None = None
    examples: list[ExampleForm] = []

    def entitlement(self, name: str, *, source: str) -> Entitlement:
        """The core noun that this file stands for."""
        on_call = self.who_decides.on_call
        return Entitlement(
            id=name,
            title=self.title,
            description=self.description,
            why=self.why,
            action=self.action.kind,
            params=dict(self.action.__pydantic_extra__ or {}),
            sensitivity=Sensitivity(self.sensitivity),
            requestable_by=frozenset(self.who_may_ask.groups),
            approvers=Approvers(
                group=self.who_decides.group,
                escalation_policy=on_call.escalation_policy if on_call else None,
                levels=tuple(on_call.levels) if on_call else (),
            ),
            approvals=self.approvals,
            default_minutes=self.time.default,
            max_minutes=self.time.longest,
            wake=Wake(self.page) if self.page else _WAKE[self.sensitivity],
            conflicts=frozenset(self.conflicts),
            ticket_required=self.ticket == "required",
            channel=self.channel,
            source=source,
            total_minutes=self.time.in_total,
            remind_minutes=self.remind_after,
            escalate_minutes=self.escalate_after,
            fallback=Fallback(self.fallback.group, self.fallback.after) if self.fallback else None,
        )


def read_entry(marked: Marked) -> EntryForm:
    """The file's form; a `SettingsError` that lists everything wrong with it, a line each."""
    if not isinstance(marked.data, dict):
        raise marked.error((), f"is not a set of keys; allowed: {', '.join(EntryForm.model_fields)}")
    try:
        return EntryForm.model_validate(marked.data)
    except ValidationError as error:
        problems = sorted(_explain(marked, details) for details in error.errors())
        raise SettingsError("\n".join(text for _, text in problems)) from error


def _explain(marked: Marked, details: ErrorDetails) -> tuple[int, str]:
    place = details["loc"]
    if details["type"] == "unknown_key":
        place = (*place, details["ctx"]["key"])
    return marked.line(place), str(marked.error(place, _message(details)))


def _message(details: ErrorDetails) -> str:
    """What is wrong and what is allowed, in the owner's words rather than the library's."""
    shown, context = show(details["input"]), details.get("ctx", {})
    match details["type"]:
        case "unknown_key" | "duration" | "level" | "channel":
            return details["msg"]
        case "missing":
            return "is missing"
        case "literal_error":
            return f"{shown} is not one of {', '.join(_QUOTED.findall(context['expected']))}"
        case "string_type":
            return f"{shown} is not text; put it in quotes"
        case "model_type" | "dict_type":
            return f"{shown} is not a set of keys"
        case "list_type":
            return f"{shown} is not a list like [one, two]"
        case _:
            return f"{shown}: {details['msg'][0].lower()}{details['msg'][1:]}"
