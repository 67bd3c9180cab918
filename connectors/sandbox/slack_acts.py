"""What a person can do in Slack: shortcuts, commands, clicks, forms, messages. Each act sends the genuine payload."""

from __future__ import annotations

import html
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from connectors.sandbox import slack_payloads as payloads
from connectors.sandbox.server import Act, Refusal
from connectors.sandbox.slack_forms import find_element, options_of, value_for
from connectors.sandbox.slack_modal_acts import ModalActs
from connectors.sandbox.slack_replies import reply
from connectors.sandbox.slack_store import ApiError, Channel, Json, Message, ResponseAddress
from connectors.sandbox.world import SandboxPerson

Verb = Callable[[SandboxPerson, Mapping[str, Any]], Awaitable[Any]]


class Given(dict[str, Any]):
    """Arguments that say which one is missing."""

    def __missing__(self, name: str) -> Any:
        raise Refusal(f"say {name!r}")


class Acts(ModalActs):
    """All verbs of `/_sandbox/act`, called as `slack.<verb>`."""

    def table(self) -> dict[str, Act]:
        """Name to coroutine function(person key, arguments)."""
        verbs: dict[str, Verb] = {
            "shortcut": self.shortcut,
            "command": self.command,
            "message_shortcut": self.message_shortcut,
            "click": self.click,
            "say": self.say,
            "edit": self.edit,
            "unsay": self.unsay,
            "home": self.home,
            "suggest": self.suggest,
            "fill": self.fill,
            "submit": self.submit,
            "close_view": self.close_view,
        }
        return {name: self._as_somebody(verb) for name, verb in verbs.items()}

    def _as_somebody(self, verb: Verb) -> Act:
        """Deactivated people cannot do anything; `stale` lets a session that is still open act."""

        async def act(key: str, args: Mapping[str, Any]) -> Any:
            person = self.workspace.world.people[key]
            if person.deactivated and not args.get("stale"):
                raise Refusal(f"the account of {key} is deactivated")
            return await verb(person, Given(args))

        return act

    async def shortcut(self, person: SandboxPerson, args: Mapping[str, Any]) -> Json:
        """A global shortcut, by callback_id."""
        return await self.interact(person, payloads.shortcut(self.workspace, person, args["callback_id"]), args)

    async def message_shortcut(self, person: SandboxPerson, args: Mapping[str, Any]) -> Json:
        """A shortcut from a message's menu."""
        channel = self.channel_of(person, args)
        message = channel.messages.get(str(args["ts"]))
        if message is None:
            raise Refusal("there is no such message")
        payload = payloads.message_shortcut(self.workspace, person, args["callback_id"], channel, message)
        return await self.interact(person, payload, args)

    async def command(self, person: SandboxPerson, args: Mapping[str, Any]) -> Json:
        """A slash command; what comes with the acknowledgement is shown to the person or the channel."""
        channel = self.channel_of(person, args)
        name, text = str(args["command"]), str(args.get("text") or "")
        payload = payloads.command(self.workspace, person, channel, name, text)
        ack = await self.socket.ask("slash_commands", payload)
        if ack.payload:
            self._show_command_answer(person, channel, ack.payload)
        return await self.outcome(person, ack.error, payload["trigger_id"], args)

    def _show_command_answer(self, person: SandboxPerson, channel: Channel, answer: Any) -> None:
        body = answer if isinstance(answer, dict) else {"text": str(answer)}
        address = ResponseAddress(person.slack, channel.id, self.workspace.world.now())
        try:
            reply(self.workspace, address, body)
        except ApiError as refusal:
            self.workspace.tell(person.slack, f"the command failed: {refusal}")

    async def click(self, person: SandboxPerson, args: Mapping[str, Any]) -> Json:
        """Use a button or menu in a message, modal or Home as this person sees it.

        `stale` clicks what was there before: an earlier version of the message, or an element of that `value`.
        `raw` lays fields over the payload, to send what no honest client would.
        """
        place, blocks, typed = self.place_of(person, args)
        block, element = self._clicked(args, blocks)
        action = await self._action(person, place, block, element, args)
        if element["type"] not in ("button", "overflow"):
            self._remember(args, typed, action)
            place, _, _ = self.place_of(person, args)
        payload = payloads.block_actions(self.workspace, person, place, action)
        return await self.interact(person, payload | dict(args.get("raw") or {}), args)

    def _clicked(self, args: Mapping[str, Any], blocks: list[list[Json]]) -> tuple[Json, Json]:
        """The element, looked for in what is shown now and, for a stale click, in what was shown before."""
        action_id, block_id = str(args["action_id"]), args.get("block_id")
        for shown in blocks if args.get("stale") else blocks[:1]:
            found = find_element(shown, action_id, block_id)
            if found and ("value" not in args or found[1].get("value") == args["value"] or not args.get("stale")):
                return found
        if not args.get("stale") and not args.get("raw"):
            raise Refusal(f"there is no {action_id!r} to click here now")
        words = {"type": "plain_text", "text": action_id}
        button = {"type": "button", "action_id": action_id, "text": words, "value": str(args.get("value", ""))}
        return {"type": "actions", "block_id": block_id or "gone"}, button

    async def _action(
        self, person: SandboxPerson, place: Json, block: Json, element: Json, args: Mapping[str, Any]
    ) -> Json:
        action = {"action_id": element["action_id"], "block_id": block["block_id"], "type": element["type"]}
        if element["type"] == "button":
            return action | {name: element[name] for name in ("text", "value", "style", "url") if name in element}
        if "option" not in args:
            raise Refusal(f"say which option: {', '.join(one['text']['text'] for one in options_of(element))}")
        options = await self.options_shown(person, place, block, element, args["option"])
        return action | value_for(self.workspace, element, args["option"], options)

    def _remember(self, args: Mapping[str, Any], typed: dict[str, dict[str, Json]], action: Json) -> None:
        held = {key: value for key, value in action.items() if key not in ("action_id", "block_id")}
        typed.setdefault(action["block_id"], {})[action["action_id"]] = held

    async def say(self, person: SandboxPerson, args: Mapping[str, Any]) -> Json:
        """Write a message; without a channel, to the app directly."""
        channel = self.channel_of(person, args)
        if channel.archived:
            raise Refusal(f"#{channel.name} is archived")
        text = self._typed_text(str(args["text"]))
        thread = str(args["thread_ts"]) if args.get("thread_ts") else None
        message = Message(ts=self.workspace.next_ts(), user=person.slack, text=text, thread_ts=thread)
        self.workspace.post(channel, message)
        if (
            not channel.im_with
            and f"<@{self.workspace.bot_user}>" in text
            and self.workspace.bot_user in channel.members
        ):
            mention = self.workspace.message_json(message) | {"type": "app_mention", "channel": channel.id}
            self.workspace.emit(mention | {"event_ts": message.ts})
        return {"channel": channel.id, "ts": message.ts}

    async def edit(self, person: SandboxPerson, args: Mapping[str, Any]) -> Json:
        """Change the words of an own message."""
        channel, message = self._own_message(person, args)
        self.workspace.rewrite(channel, message, {"text": self._typed_text(str(args["text"]))})
        return {"channel": channel.id, "ts": message.ts}

    async def unsay(self, person: SandboxPerson, args: Mapping[str, Any]) -> Json:
        """Delete an own message."""
        channel, message = self._own_message(person, args)
        self.workspace.remove(channel, message)
        return {"channel": channel.id, "ts": message.ts}

    def _own_message(self, person: SandboxPerson, args: Mapping[str, Any]) -> tuple[Channel, Message]:
        channel = self.channel_of(person, args)
        message = channel.messages.get(str(args["ts"]))
        if message is None or message.user != person.slack:
            raise Refusal("they wrote no such message")
        return channel, message

    def _typed_text(self, text: str) -> str:
        """Escaped as Slack does; `@Name` of the app or a person becomes a mention, in whatever case it is typed."""
        names = {self.workspace.bot_name: self.workspace.bot_user}
        names |= {person.name: person.slack for person in self.workspace.world.people.values()}
        escaped = html.escape(text, quote=False)
        for name, user_id in names.items():
            escaped = escaped.replace(f"&lt;@{user_id}&gt;", f"<@{user_id}>")
            escaped = re.sub(f"@{re.escape(name)}", f"<@{user_id}>", escaped, flags=re.IGNORECASE)
        return escaped

    async def home(self, person: SandboxPerson, args: Mapping[str, Any]) -> Json:
        """Open the app's Home (or, with `tab: messages`, its direct messages)."""
        event = {
            "type": "app_home_opened",
            "user": person.slack,
            "channel": self.workspace.im(person.slack).id,
            "tab": str(args.get("tab") or "home"),
            "event_ts": self.workspace.next_ts(),
        }
        home = self.workspace.homes.get(person.slack)
        self.workspace.emit(event | ({"view": payloads.view_place(self.workspace, home)["view"]} if home else {}))
        return {"ok": True}


class AdminActs:
    """What an administrator or the network does: membership, archiving, the connections, the pace."""

    def __init__(self, acts: Acts, set_pace: Callable[[bool], None]) -> None:
        self.workspace, self.socket = acts.workspace, acts.socket
        self._set_pace = set_pace

    def table(self) -> dict[str, Act]:
        return {
            "disconnect": self.disconnect,
            "drop": self.drop,
            "freeze": self.freeze,
            "silence": self.silence,
            "garble": self.garble,
            "drop_in_a_frame": self.drop_in_a_frame,
            "refuse": self.refuse,
            "repeat": self.repeat,
            "delete": self.delete,
            "pace": self.pace,
            "remove_app": self.remove_app,
            "invite_app": self.invite_app,
            "archive": self.archive,
            "convert": self.convert,
            "share": self.share,
            "delete_channel": self.delete_channel,
            "deactivate": self.deactivate,
        }

    async def disconnect(self, _key: str, args: Mapping[str, Any]) -> Json:
        """Send a disconnect frame: `warning`, `refresh_requested` or `link_disabled`."""
        return {"connections": await self.socket.disconnect(str(args.get("reason") or "refresh_requested"))}

    async def drop(self, _key: str, args: Mapping[str, Any]) -> Json:
        return {"connections": self.socket.drop(count=args.get("count"))}

    async def freeze(self, _key: str, args: Mapping[str, Any]) -> Json:
        return {"connections": self.socket.freeze(frozen=bool(args.get("on", True)))}

    async def silence(self, _key: str, _args: Mapping[str, Any]) -> Json:
        return {"connections": self.socket.silence()}

    async def garble(self, _key: str, _args: Mapping[str, Any]) -> Json:
        return {"connections": await self.socket.garble()}

    async def drop_in_a_frame(self, _key: str, _args: Mapping[str, Any]) -> Json:
        return {"connections": self.socket.drop_in_a_frame()}

    async def refuse(self, _key: str, args: Mapping[str, Any]) -> Json:
        """Refuse the next `times` handshakes, whatever address they come with."""
        self.socket.refusals = int(args.get("times", 1))
        return {"times": self.socket.refusals}

    async def repeat(self, _key: str, _args: Mapping[str, Any]) -> Json:
        """Deliver the latest interactive payload a second time."""
        ack = await self.socket.repeat()
        return {"acknowledged": not ack.error, "answer": ack.payload}

    async def delete(self, _key: str, args: Mapping[str, Any]) -> Json:
        """Delete somebody's message, as an administrator may."""
        channel = self.workspace.channels.get(str(args.get("channel")))
        message = channel.messages.get(str(args.get("ts"))) if channel else None
        if channel is None or message is None:
            raise Refusal("there is no such message")
        self.workspace.remove(channel, message)
        return self._changed()

    async def pace(self, _key: str, args: Mapping[str, Any]) -> Json:
        """Keep apps to one message a second and channel, or stop doing so."""
        self._set_pace(bool(args.get("on", True)))
        return {"paced": bool(args.get("on", True))}

    async def remove_app(self, key: str, args: Mapping[str, Any]) -> Json:
        channel = self._named(args)
        self._happened(channel, "left", key)
        channel.members.discard(self.workspace.bot_user)
        return self._changed()

    async def invite_app(self, _key: str, args: Mapping[str, Any]) -> Json:
        self._named(args).members.add(self.workspace.bot_user)
        return self._changed()

    async def archive(self, key: str, args: Mapping[str, Any]) -> Json:
        channel = self._named(args)
        channel.archived = bool(args.get("on", True))
        self._happened(channel, "archive" if channel.archived else "unarchive", key)
        return self._changed()

    async def convert(self, key: str, args: Mapping[str, Any]) -> Json:
        """Make a channel private, or with `private: false` public; it keeps its id."""
        channel = self._named(args)
        channel.private = bool(args.get("private", True))
        kind = "private" if channel.private else "public"
        if not args.get("silently"):
            user = self.workspace.world.people[key].slack
            self.workspace.note(channel, user, f"channel_convert_to_{kind}", f"made this channel *{kind}*.")
        return self._changed()

    async def share(self, _key: str, args: Mapping[str, Any]) -> Json:
        """Share a channel with another company, or with `on: false` stop doing so."""
        channel = self._named(args)
        channel.shared = bool(args.get("on", True))
        kind = "channel_shared" if channel.shared else "channel_unshared"
        event = {"type": kind, "channel": channel.id, "event_ts": self.workspace.next_ts()}
        self.workspace.emit(event | ({"connected_team_id": "T0PARTNER"} if channel.shared else {}))
        return self._changed()

    async def delete_channel(self, key: str, args: Mapping[str, Any]) -> Json:
        channel = self._named(args)
        self._happened(channel, "deleted", key)
        del self.workspace.channels[channel.id]
        return self._changed()

    def _happened(self, channel: Channel, what: str, key: str) -> None:
        """Tell the app what was done to a channel it is in, in the words for its kind."""
        kind = "group" if channel.private else "channel"
        user = self.workspace.world.people[key].slack
        ts = self.workspace.next_ts()
        self.workspace.emit({"type": f"{kind}_{what}", "channel": channel.id, "user": user, "event_ts": ts})

    async def deactivate(self, key: str, args: Mapping[str, Any]) -> Json:
        """Deactivate this person's account, or with `on: false` bring it back."""
        people = self.workspace.world.people
        people[key] = replace(people[key], deactivated=bool(args.get("on", True)))
        return self._changed()

    def _named(self, args: Mapping[str, Any]) -> Channel:
        wanted = str(args.get("channel")).removeprefix("#")
        for channel in self.workspace.channels.values():
            if wanted in (channel.id, channel.name):
                return channel
        raise Refusal(f"there is no channel {wanted!r}")

    def _changed(self) -> Json:
        self.workspace.world.touch()
        return {"ok": True}
