"""What a person's client does with inputs: finding them by label, turning words into values, and checking them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from connectors.sandbox.server import Refusal
from connectors.sandbox.slack_blocks import WRITTEN, elements, flat
from connectors.sandbox.slack_store import Json, Workspace
from connectors.sandbox.slack_views import EMPTY, state_values

REQUIRED = "Please complete this required field."
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_URL = re.compile(r"https?://\S+")

Place = tuple[Json, Json]  # a block and the element in it


def find_element(blocks: Iterable[Json], action_id: str, block_id: str | None = None) -> Place | None:
    """The element with this action_id, in this block if one is named."""
    for block in flat(list(blocks)):
        for element in elements(block):
            if element.get("action_id") == action_id and block_id in (None, block.get("block_id")):
                return block, element
    return None


def find_input(blocks: Iterable[Json], name: str) -> Place | None:
    """The input with this block_id, action_id or visible label."""
    for block in _inputs(blocks):
        label = str(block["label"]["text"])
        if name in (block["block_id"], block["element"]["action_id"]) or name.casefold() == label.casefold():
            return block, block["element"]
    return None


def labels(blocks: Iterable[Json]) -> list[str]:
    """The labels a person can see."""
    return [str(block["label"]["text"]) for block in _inputs(blocks)]


def _inputs(blocks: Iterable[Json]) -> Iterator[Json]:
    return (block for block in flat(list(blocks)) if block.get("type") == "input")


def options_of(element: Json) -> list[Json]:
    """All options of a menu, groups flattened."""
    groups = element.get("option_groups") or []
    return [*(element.get("options") or []), *(option for group in groups for option in group.get("options", []))]


def pick(options: list[Json], wanted: Any) -> Json:
    """The option with this value or text."""
    for option in options:
        if wanted in (option.get("value"), option["text"]["text"]):
            return option
    offered = ", ".join(option["text"]["text"] for option in options) or "nothing"
    raise Refusal(f"there is no option {wanted!r}; offered: {offered}")


def value_for(workspace: Workspace, element: Json, given: Any, options: list[Json]) -> Json:
    """The state value that an element holds after a person puts `given` there; `options` are those they see."""
    kind = str(element["type"])
    if kind in WRITTEN:
        return {"type": kind, "value": str(given) if given not in (None, "") else None}
    if kind not in (*EMPTY, "overflow"):
        raise Refusal(f"nothing can be put into a {kind}")
    (name,) = EMPTY.get(kind, {"selected_option": None})
    return {"type": kind, name: _held(workspace, name, given, options)}


def _held(workspace: Workspace, name: str, given: Any, options: list[Json]) -> Any:
    """What stands under `selected_...` for the words of a person."""
    if name in ("selected_options", "selected_users"):
        return [_held(workspace, name.removesuffix("s"), one, options) for one in given or []]
    if given is None:
        return None
    match name:
        case "selected_option":
            return pick(options, given)
        case "selected_user":
            return _user(workspace, given)
        case "selected_date_time":
            return _moment(given)
        case _:
            return given


def _user(workspace: Workspace, given: Any) -> str:
    """A Slack id from an id, a key or a name."""
    for person in workspace.world.people.values():
        if given in (person.slack, person.key, person.name):
            return person.slack
    raise Refusal(f"nobody is called {given!r}")


def _moment(given: Any) -> int:
    if isinstance(given, str):
        at = datetime.fromisoformat(given)
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
    return int(given)


def client_errors(blocks: list[Json], typed: dict[str, dict[str, Json]]) -> dict[str, str]:
    """What the client shows beside inputs before it sends anything, by block_id."""
    values = state_values(blocks, typed)
    errors: dict[str, str] = {}
    for block in _inputs(blocks):
        value = values[block["block_id"]][block["element"]["action_id"]]
        words = _input_error(block, value)
        if words:
            errors[block["block_id"]] = words
    return errors


def _input_error(block: Json, value: Json) -> str:
    held = next((held for key, held in value.items() if key != "type"), None)
    if held in (None, "", []):
        return "" if block.get("optional") else REQUIRED
    return _written_error(block["element"], held) if block["element"]["type"] in WRITTEN else ""


def _written_error(element: Json, held: str) -> str:
    least, most = element.get("min_length", 0), element.get("max_length", 3000)
    if len(held) < least:
        return f"Please enter at least {least} characters."
    if len(held) > most:
        return f"Please enter no more than {most} characters."
    match element["type"]:
        case "email_text_input" if not _EMAIL.fullmatch(held):
            return "Please enter a valid email address."
        case "url_text_input" if not _URL.fullmatch(held):
            return "Please enter a valid URL."
        case "number_input":
            return _number_error(element, held)
    return ""


def _number_error(element: Json, held: str) -> str:
    pattern = r"-?\d+(\.\d+)?" if element.get("is_decimal_allowed") else r"-?\d+"
    if not re.fullmatch(pattern, held):
        return "Please enter a valid number."
    if "min_value" in element and float(held) < float(element["min_value"]):
        return f"Please enter a number of at least {element['min_value']}."
    if "max_value" in element and float(held) > float(element["max_value"]):
        return f"Please enter a number of at most {element['max_value']}."
    return ""
