"""What a person does with forms: typing, choosing from the app's suggestions, submitting and closing."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from connectors.sandbox import slack_payloads as payloads
from connectors.sandbox.server import Refusal
from connectors.sandbox.slack_blocks import OPTION, OPTION_GROUP, flat
from connectors.sandbox.slack_forms import client_errors, find_element, find_input, labels, options_of, value_for
from connectors.sandbox.slack_shapes import Shape, items
from connectors.sandbox.slack_socket import Socket
from connectors.sandbox.slack_store import ApiError, Channel, Json, View, Workspace
from connectors.sandbox.slack_views import checked_view, push, replace_body, view_json
from connectors.sandbox.world import SandboxPerson

Typed = dict[str, dict[str, Json]]
MIN_QUERY_LENGTH = 3
_SUGGESTIONS = Shape(
    {}, {"options": items(OPTION, 100, least=0), "option_groups": items(OPTION_GROUP, 100, least=0)},
    either=("options", "option_groups"),
)  # fmt: skip


class ModalActs:
    """The verbs about forms, and what all acts share: finding places, sending payloads, telling the outcome."""

    def __init__(self, workspace: Workspace, socket: Socket) -> None:
        self.workspace = workspace
        self.socket = socket
        self._typed_in_messages: defaultdict[tuple[str, str], Typed] = defaultdict(dict)

    # -- where things are -------------------------------------------------------------------------------------

    def channel_of(self, person: SandboxPerson, args: Mapping[str, Any]) -> Channel:
        """The channel named, as far as this person is in it; none named means the app's direct messages."""
        wanted = str(args.get("channel") or "dm").removeprefix("#")
        if wanted == "dm":
            return self.workspace.im(person.slack)
        for channel in self.workspace.channels.values():
            if wanted in (channel.id, channel.name) and (person.slack in channel.members or args.get("stale")):
                return channel
        raise Refusal(f"{person.key} is in no channel {wanted!r}")

    def view_of(self, person: SandboxPerson, args: Mapping[str, Any]) -> View:
        """The modal on top of this person's stack, or their Home if its id is given."""
        stack, wanted = self.workspace.stacks[person.slack], args.get("view_id")
        home = self.workspace.homes.get(person.slack)
        if home is not None and wanted in (home.id, "home"):
            return home
        if stack and wanted in (None, stack[-1].id):
            return stack[-1]
        raise Refusal(f"{person.key} has no view {wanted!r} in front of them")

    def place_of(self, person: SandboxPerson, args: Mapping[str, Any]) -> tuple[Json, list[list[Json]], Typed]:
        """Where somebody acts: its part of the payload, the blocks shown now (then before), and what was typed."""
        if "ts" not in args:
            view = self.view_of(person, args)
            return payloads.view_place(self.workspace, view), [view.body["blocks"]], view.values
        channel, ts = self.channel_of(person, args), str(args["ts"])
        typed = self._typed_in_messages[person.slack, ts]
        for seen in self.workspace.ephemerals:
            if (seen.ts, seen.user) == (ts, person.slack):
                return payloads.ephemeral_place(channel, seen, typed), [seen.blocks], typed
        message = channel.messages.get(ts)
        if message is None:
            raise Refusal(f"{person.key} sees no message {ts} there")
        place = payloads.message_place(self.workspace, channel, message, typed)
        return place, [message.blocks, *reversed(message.versions)], typed

    # -- sending and telling ----------------------------------------------------------------------------------

    async def interact(self, person: SandboxPerson, payload: Json, args: Mapping[str, Any]) -> Json:
        """Send an interactive payload and say what came of it."""
        ack = await self.socket.ask("interactive", payload)
        return await self.outcome(person, ack.error, payload.get("trigger_id", ""), args)

    async def outcome(self, person: SandboxPerson, error: str, trigger_id: str, args: Mapping[str, Any]) -> Json:
        """Whether it was acknowledged, and the view that the app opened for it (waited for with `await_view`)."""
        if error:
            self.workspace.tell(person.slack, f"{self.workspace.bot_name} did not answer: {error}")
        told: Json = {"acknowledged": not error} | ({"error": error} if error else {})
        trigger = self.workspace.triggers.get(trigger_id)
        if trigger and args.get("await_view"):
            await asyncio.wait({trigger.opened}, timeout=self.socket.ack_seconds)
        if trigger and trigger.opened.done():
            told["view"] = view_json(self.workspace, trigger.opened.result())
        return told

    # -- typing -----------------------------------------------------------------------------------------------

    async def suggest(self, person: SandboxPerson, args: Mapping[str, Any]) -> Json:
        """Type into a menu whose options come from the app, and see them; none when the form has gone meanwhile."""
        try:
            place, blocks, _ = self.place_of(person, args)
        except Refusal:
            return {"options": []}
        found = find_element(blocks[0], str(args["action_id"]), args.get("block_id"))
        if found is None:
            return {"options": []}
        return {"options": await self._suggestions(person, place, *found, str(args.get("value") or ""))}

    async def _suggestions(
        self, person: SandboxPerson, place: Json, block: Json, element: Json, typed: str
    ) -> list[Json]:
        """One round trip; nothing is asked before the minimal number of letters is typed."""
        if len(typed) < element.get("min_query_length", MIN_QUERY_LENGTH):
            return []
        payload = payloads.block_suggestion(
            self.workspace, person, place, block["block_id"], element["action_id"], typed
        )
        ack = await self.socket.ask("interactive", payload)
        problems = list(_SUGGESTIONS(ack.payload, "")) if not ack.error else [ack.error]
        if problems:
            self.workspace.tell(person.slack, f"the options could not be loaded: {problems[0]}")
            return []
        return options_of(ack.payload)

    async def options_shown(
        self, person: SandboxPerson, place: Json, block: Json, element: Json, given: Any
    ) -> list[Json]:
        """The options from which a person picks: the element's own, or what the app suggests for their words."""
        if not element["type"].endswith("external_select"):
            return options_of(element)
        shown: list[Json] = []
        for typed in given if isinstance(given, list) else [given]:
            found = await self._suggestions(person, place, block, element, str(typed or ""))
            shown += found or await self._suggestions(person, place, block, element, "")
        return shown

    async def fill(self, person: SandboxPerson, args: Mapping[str, Any]) -> Json:
        """Put a value into an input; the app hears of it where the input dispatches actions."""
        name = str(args.get("action_id") or args.get("block_id") or args["label"])
        return await self._fill(person, args, name, args["value"])

    async def _fill(self, person: SandboxPerson, args: Mapping[str, Any], name: str, given: Any) -> Json:
        place, blocks, typed = self.place_of(person, args)
        found = find_input(blocks[0], name) or find_element(blocks[0], name)
        if found is None:
            raise Refusal(f"there is no input {name!r}; there are: {', '.join(labels(blocks[0]))}")
        block, element = found
        options = await self.options_shown(person, place, block, element, given)
        value = value_for(self.workspace, element, given, options)
        typed.setdefault(block["block_id"], {})[element["action_id"]] = value
        self.workspace.world.touch()
        if block.get("type") == "input" and not block.get("dispatch_action"):
            return {"value": value}
        place, _, _ = self.place_of(person, args)
        action = {"action_id": element["action_id"], "block_id": block["block_id"], **value}
        payload = payloads.block_actions(self.workspace, person, place, action)
        return {"value": value, **await self.interact(person, payload, args)}

    # -- submitting -------------------------------------------------------------------------------------------

    async def submit(self, person: SandboxPerson, args: Mapping[str, Any]) -> Json:
        """Fill in `values` (by block_id, action_id or label) and submit the modal in front."""
        view = self.view_of(person, args)
        await self._fill_all(person, view, dict(args.get("values") or {}))
        if not view.body.get("submit"):
            raise Refusal("this modal has nothing to submit")
        errors = client_errors(view.body["blocks"], view.values)
        if errors:
            return self._show_errors(view, errors)
        view.errors, view.notice = {}, ""
        payload = payloads.view_submission(self.workspace, person, view) | dict(args.get("raw") or {})
        ack = await self.socket.ask("interactive", payload)
        if ack.error:
            view.notice = ack.error
        result = {"error": ack.error} if ack.error else self._apply(person, view, ack.payload or {})
        return await self.outcome(person, ack.error, payload["trigger_id"], args) | result

    async def _fill_all(self, person: SandboxPerson, view: View, values: dict[str, Any]) -> None:
        """One after the other; an input that appears only after an earlier one was filled is waited for."""
        for name, given in values.items():
            await self._until_shown(view, name)
            await self._fill(person, {"view_id": view.id}, name, given)

    async def _until_shown(self, view: View, name: str) -> None:
        if not any(block.get("dispatch_action") for block in flat(view.body["blocks"])):
            return
        world, loop = self.workspace.world, asyncio.get_running_loop()
        until = loop.time() + self.socket.ack_seconds
        while find_input(view.body["blocks"], name) is None and loop.time() < until:
            await world.wait("version", world.version, until - loop.time())

    def _show_errors(self, view: View, errors: dict[str, str]) -> Json:
        view.errors = errors
        self.workspace.world.touch()
        return {"errors": errors}

    def _apply(self, person: SandboxPerson, view: View, answer: Json) -> Json:
        """Do what the acknowledgement of a submission asks for."""
        try:
            match answer.get("response_action"):
                case None:
                    self._remove(person, view)
                    return {"closed": True}
                case "clear":
                    self.workspace.stacks[person.slack].clear()
                    self.workspace.world.touch()
                    return {"closed": True}
                case "errors":
                    return self._show_errors(view, _own_errors(view, answer.get("errors")))
                case "update":
                    replace_body(self.workspace, view, checked_view(answer.get("view"), "modal"))
                    return {"view": view_json(self.workspace, view)}
                case "push":
                    above = push(self.workspace, person.slack, checked_view(answer.get("view"), "modal"))
                    return {"view": view_json(self.workspace, above)}
                case other:
                    raise ApiError("invalid_arguments", response_action=other)
        except ApiError as refusal:
            view.notice = str(refusal)
            self.workspace.tell(person.slack, f"{self.workspace.bot_name} gave an answer that was refused: {refusal}")
            return {"error": str(refusal), "refused": refusal.answer}

    def _remove(self, person: SandboxPerson, view: View) -> None:
        stack = self.workspace.stacks[person.slack]
        if view in stack:
            stack.remove(view)
        self.workspace.world.touch()

    async def close_view(self, person: SandboxPerson, args: Mapping[str, Any]) -> Json:
        """Close the modal in front (`all`: the whole stack); the app hears of it where it asked to."""
        view = self.view_of(person, args)
        cleared = bool(args.get("all") or view.body.get("clear_on_close"))
        stack = self.workspace.stacks[person.slack]
        for closed in list(reversed(stack)) if cleared else [view]:
            self._remove(person, closed)
            if closed.body.get("notify_on_close"):
                payload = payloads.view_closed(self.workspace, person, closed, cleared=cleared)
                await self.socket.ask("interactive", payload)
        return {"closed": True}


def _own_errors(view: View, errors: Any) -> dict[str, str]:
    """The app's errors, which must be about inputs of this view."""
    inputs = {block["block_id"] for block in flat(view.body["blocks"]) if block.get("type") == "input"}
    if not isinstance(errors, dict) or not errors or not set(errors) <= inputs:
        raise ApiError("invalid_arguments", unknown_blocks=sorted(set(errors or ()) - inputs))
    return {str(block): str(words) for block, words in errors.items()}
