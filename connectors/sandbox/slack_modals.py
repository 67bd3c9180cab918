"""The Web API's `views.*`."""

from __future__ import annotations

from typing import Any

from connectors.sandbox.slack_store import ApiError, Json, View, Workspace
from connectors.sandbox.slack_views import checked_view, new_view, push, replace_body, view_json


def _open(workspace: Workspace, args: Json) -> Json:
    body = checked_view(args.get("view"), "modal")
    trigger = workspace.spend_trigger(args.get("trigger_id"))
    workspace.stacks[trigger.user].clear()
    view = push(workspace, trigger.user, body)
    trigger.opened.set_result(view)
    return {"view": view_json(workspace, view)}


def _update(workspace: Workspace, args: Json) -> Json:
    view = _found(workspace, args)
    _check_hash(view, args)
    replace_body(workspace, view, checked_view(args.get("view"), "modal"))
    return {"view": view_json(workspace, view)}


def _publish(workspace: Workspace, args: Json) -> Json:
    user = str(args.get("user_id"))
    if workspace.person(user) is None:
        raise ApiError("invalid_arguments", response_metadata={"messages": ["[ERROR] invalid `user_id`"]})
    body = checked_view(args.get("view"), "home")
    home = workspace.homes.get(user)
    if home is None:
        home = workspace.homes.setdefault(user, new_view(workspace, user, body))
    else:
        _check_hash(home, args)
    replace_body(workspace, home, body)
    return {"view": view_json(workspace, home)}


def _found(workspace: Workspace, args: Json) -> View:
    wanted: Any = args.get("view_id") or args.get("external_id")
    for stack in workspace.stacks.values():
        for view in stack:
            if wanted and wanted in (view.id, view.body.get("external_id")):
                return view
    raise ApiError("not_found")


def _check_hash(view: View, args: Json) -> None:
    if args.get("hash") and args["hash"] != view.hash:
        raise ApiError("hash_conflict")


VIEW_METHODS = {
    "views.open": (_open, ""),
    "views.update": (_update, ""),
    "views.publish": (_publish, ""),
}
