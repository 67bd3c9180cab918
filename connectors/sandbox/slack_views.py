"""Modals and Homes: what Slack accepts as a view, how it gives it back, and the values that stand in its inputs."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

from connectors.sandbox.slack_blocks import PICKED, WRITTEN, elements, flat, view_block_problems, with_ids
from connectors.sandbox.slack_shapes import Problem, Shape, anything, boolean, plain, problem, string
from connectors.sandbox.slack_store import APP_ID, ApiError, Json, View, Workspace

MOST_VIEWS = 3
MOST_BYTES = 250_000

_COMMON = {
    "private_metadata": string(3000),
    "callback_id": string(255),
    "external_id": string(255),
    "clear_on_close": boolean,
    "notify_on_close": boolean,
}
_MODAL = Shape(
    {"title": plain(24), "blocks": anything},
    {**_COMMON, "submit": plain(24), "close": plain(24), "submit_disabled": boolean},
)
_HOME = Shape({"blocks": anything}, _COMMON)

EMPTY: dict[str, Json] = {
    "static_select": {"selected_option": None},
    "external_select": {"selected_option": None},
    "radio_buttons": {"selected_option": None},
    "multi_static_select": {"selected_options": []},
    "multi_external_select": {"selected_options": []},
    "checkboxes": {"selected_options": []},
    "users_select": {"selected_user": None},
    "multi_users_select": {"selected_users": []},
    "conversations_select": {"selected_conversation": None},
    "channels_select": {"selected_channel": None},
    "datepicker": {"selected_date": None},
    "timepicker": {"selected_time": None},
    "datetimepicker": {"selected_date_time": None},
    **{kind: {"value": None} for kind in WRITTEN},
}
_INITIAL = {
    "selected_option": "initial_option",
    "selected_options": "initial_options",
    "selected_user": "initial_user",
    "selected_users": "initial_users",
    "selected_conversation": "initial_conversation",
    "selected_channel": "initial_channel",
    "selected_date": "initial_date",
    "selected_time": "initial_time",
    "selected_date_time": "initial_date_time",
    "value": "initial_value",
}


def checked_view(given: Any, kind: str) -> Json:
    """The view as Slack would keep it; refused with Slack's words when it breaks a rule."""
    view = _parsed(given)
    if len(json.dumps(view)) > MOST_BYTES:
        raise ApiError("view_too_large")
    problems = list(_problems(view, kind))
    if problems:
        raise ApiError("invalid_arguments", response_metadata={"messages": [f"[ERROR] {words}" for words in problems]})
    return {**view, "blocks": with_ids(view["blocks"])}


def _parsed(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    try:
        return json.loads(given)
    except ValueError:
        raise ApiError("invalid_arguments", response_metadata={"messages": ["[ERROR] invalid `view`"]}) from None


def _problems(view: Any, kind: str) -> Iterator[Problem]:
    shape = _HOME if kind == "home" else _MODAL
    yield from shape(view, "/view")
    if not isinstance(view, dict):
        return
    if view.get("type") != kind:
        yield problem(f"must be a valid enum value: {kind}", "/view/type")
    yield from view_block_problems(view.get("blocks", []))
    has_input = any(block.get("type") == "input" for block in flat(view.get("blocks")))
    if kind == "modal" and has_input and "submit" not in view:
        yield problem("missing required field: submit", "/view")


def new_view(workspace: Workspace, user: str, body: Json, *, below: View | None = None) -> View:
    """A view just shown to a person, on top of another or alone."""
    view_id = workspace.new_id("V")
    root, previous = (below.root_id, below.id) if below else (view_id, None)
    return View(view_id, user, body, _new_hash(workspace), root, previous)


def replace_body(workspace: Workspace, view: View, body: Json) -> None:
    """Show another definition in the same view; what was filled in stays where block and action are the same."""
    view.body, view.hash, view.errors, view.notice = body, _new_hash(workspace), {}, ""
    kept = {
        (block["block_id"], element.get("action_id")) for block in flat(body["blocks"]) for element in elements(block)
    }
    view.values = {
        block_id: {action: value for action, value in actions.items() if (block_id, action) in kept}
        for block_id, actions in view.values.items()
    }
    workspace.world.touch()


def _new_hash(workspace: Workspace) -> str:
    return f"{int(workspace.world.now().timestamp())}.{secrets.token_hex(4)}"


def state_values(blocks: list[Json], typed: dict[str, dict[str, Json]]) -> dict[str, dict[str, Json]]:
    """Every input's value: what the person put there, else what the app set first, else empty."""
    values: dict[str, dict[str, Json]] = {}
    for block in flat(blocks):
        for element in elements(block):
            if element["type"] in WRITTEN | PICKED:
                own = typed.get(block["block_id"], {}).get(element["action_id"])
                values.setdefault(block["block_id"], {})[element["action_id"]] = own or initial_value(element)
    return values


def initial_value(element: Json) -> Json:
    """The value an element starts with."""
    empty = EMPTY[element["type"]]
    return {"type": element["type"], **{key: element.get(_INITIAL[key], nothing) for key, nothing in empty.items()}}


def view_json(workspace: Workspace, view: View) -> Json:
    """The view as the Web API and the payloads give it."""
    body = view.body
    defaults: Json = {"private_metadata": "", "callback_id": "", "external_id": "", "close": None, "submit": None}
    defaults |= {"title": None, "clear_on_close": False, "notify_on_close": False}
    return {
        **defaults,
        **body,
        "id": view.id,
        "team_id": workspace.team_id,
        "state": {"values": state_values(body["blocks"], view.values)},
        "hash": view.hash,
        "root_view_id": view.root_id,
        "previous_view_id": view.previous_id,
        "app_id": APP_ID,
        "app_installed_team_id": workspace.team_id,
        "bot_id": workspace.bot_id,
    }


def push(workspace: Workspace, user: str, body: Json) -> View:
    """Put a view on top of the person's stack."""
    stack = workspace.stacks[user]
    if len(stack) >= MOST_VIEWS:
        raise ApiError("push_limit_reached")
    view = new_view(workspace, user, body, below=stack[-1] if stack else None)
    stack.append(view)
    workspace.world.touch()
    return view
