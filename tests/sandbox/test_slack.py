"""A real Bolt app in Socket Mode against the sandbox's Slack."""

from __future__ import annotations

import asyncio
from typing import Any

from slack_bolt.async_app import AsyncApp

from tests.sandbox.slack_desk import Desk, button, buttons, modal, section, typing, words

ACCESS = {
    "type": "input",
    "block_id": "access",
    "label": words("Access"),
    "element": {"type": "external_select", "action_id": "access", "min_query_length": 0},
}
FORM = modal(ACCESS, typing("Justification", "why", min_length=5))
CATALOGUE = {"prod-readonly": "Production, read only", "vpn": "Office network"}


def form_app(desk: Desk) -> AsyncApp:
    """Opens a form from a shortcut, suggests options, refuses bad reasons, posts the rest."""
    app = desk.app()

    @app.shortcut("ask")
    async def ask(ack: Any, body: Any, client: Any) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=FORM)

    @app.options("access")
    async def suggest(ack: Any, body: Any) -> None:
        found = {key: name for key, name in CATALOGUE.items() if body["value"].lower() in name.lower()}
        await ack(options=[{"text": words(name), "value": key} for key, name in found.items()])

    @app.view("form")
    async def submitted(ack: Any, body: Any, client: Any) -> None:
        values = body["view"]["state"]["values"]
        reason = values["why"]["why"]["value"]
        if reason == "because":
            await ack(response_action="errors", errors={"why": "Say more."})
            return
        await ack()
        picked = values["access"]["access"]["selected_option"]["value"]
        await client.chat_postMessage(channel="C0ACCESS", text=f"{body['user']['id']} {picked} {reason}")

    return app


async def test_a_shortcut_opens_a_form_for_the_person_who_used_it(desk: Desk) -> None:
    await desk.connect(form_app(desk))
    told = await desk.act("alice", "shortcut", callback_id="ask", await_view=True)
    assert told["view"]["callback_id"] == "form"
    views = (await desk.state())["views"]
    assert [view["id"] for view in views["alice"]] == [told["view"]["id"]]
    assert views["bob"] == []


async def test_the_app_suggests_options_for_what_was_typed(desk: Desk) -> None:
    await desk.connect(form_app(desk))
    await desk.act("alice", "shortcut", callback_id="ask", await_view=True)
    told = await desk.act("alice", "suggest", action_id="access", value="office")
    assert [option["value"] for option in told["options"]] == ["vpn"]


async def test_a_submission_is_corrected_and_then_accepted(desk: Desk) -> None:
    await desk.connect(form_app(desk))
    await desk.act("alice", "shortcut", callback_id="ask", await_view=True)
    empty = await desk.act("alice", "submit", values={"Access": "Production, read only"})
    assert empty == {"errors": {"why": "Please complete this required field."}}
    short = await desk.act("alice", "submit", values={"Justification": "hm"})
    assert "at least 5" in short["errors"]["why"]
    weak = await desk.act("alice", "submit", values={"Justification": "because"})
    assert weak["errors"] == {"why": "Say more."}
    assert (await desk.state())["views"]["alice"][0]["errors"] == {"why": "Say more."}
    good = await desk.act("alice", "submit", values={"Justification": "incident 7"})
    assert good["closed"]
    card = await desk.until(lambda state: state["channels"]["C0ACCESS"]["messages"])
    assert card[0]["text"] == "U0ALICE prod-readonly incident 7"
    assert (await desk.state())["views"]["alice"] == []


async def test_a_click_changes_the_message_and_answers_only_the_person(desk: Desk) -> None:
    app = desk.app()

    @app.action("approve")
    async def approve(ack: Any, body: Any, client: Any, respond: Any) -> None:
        await ack()
        place = body["container"]
        await client.chat_update(channel=place["channel_id"], ts=place["message_ts"], text="approved", blocks=[])
        await respond("thank you")

    await desk.connect(app)
    ts = await desk.post(section("May alice?"), buttons(button("approve")))
    await desk.act("bob", "click", channel="C0ACCESS", ts=ts, action_id="approve")
    await desk.until(lambda state: state["ephemerals"]["bob"])
    state = await desk.state()
    assert [seen["text"] for seen in state["ephemerals"]["bob"]] == ["thank you"]
    assert state["ephemerals"]["carol"] == []
    message = state["channels"]["C0ACCESS"]["messages"][0]
    assert (message["text"], message["blocks"]) == ("approved", [])
    assert message["edited"]


async def test_a_button_that_is_gone_can_only_be_clicked_by_a_stale_client(desk: Desk) -> None:
    app, values = desk.app(), []

    @app.action("approve")
    async def approve(ack: Any, action: Any) -> None:
        await ack()
        values.append(action["value"])

    await desk.connect(app)
    ts = await desk.post(buttons(button("approve", "TA-1")))
    await desk.client.chat_update(channel="C0ACCESS", ts=ts, text="closed", blocks=[])
    assert "no 'approve'" in await desk.refusal("bob", "click", channel="C0ACCESS", ts=ts, action_id="approve")
    await desk.act("bob", "click", channel="C0ACCESS", ts=ts, action_id="approve", stale=True)
    await desk.act("bob", "click", channel="C0ACCESS", ts=ts, action_id="approve", stale=True, value="TA-2")
    assert values == ["TA-1", "TA-2"]


async def test_a_forged_payload_reaches_the_app_as_it_was_written(desk: Desk) -> None:
    app, seen = desk.app(), []

    @app.action("approve")
    async def approve(ack: Any, body: Any) -> None:
        await ack()
        seen.append((body["user"]["id"], body["team"]["id"]))

    await desk.connect(app)
    ts = await desk.post(buttons(button("approve")))
    forged = {"team": {"id": "T0ELSEWHERE", "domain": "elsewhere"}}
    await desk.act("mallory", "click", channel="C0ACCESS", ts=ts, action_id="approve", raw=forged)
    assert seen == [("U0MALLORY", "T0ELSEWHERE")]


async def test_an_act_says_what_it_still_needs(desk: Desk) -> None:
    assert "callback_id" in await desk.refusal("alice", "shortcut")


async def test_a_person_outside_the_channel_sees_no_message_to_click(desk: Desk) -> None:
    ts = await desk.post(buttons(button("approve")))
    assert "in no channel" in await desk.refusal("alice", "click", channel="C0ACCESS", ts=ts, action_id="approve")


async def test_menus_send_the_option_that_was_chosen(desk: Desk) -> None:
    app, chosen = desk.app(), []

    @app.action("more")
    async def more(ack: Any, action: Any) -> None:
        await ack()
        chosen.append((action["type"], action["selected_option"]["value"]))

    await desk.connect(app)
    options = [{"text": words("Ask"), "value": "ask"}, {"text": words("Pass on"), "value": "pass"}]
    for kind in ("overflow", "static_select"):
        ts = await desk.post(buttons({"type": kind, "action_id": "more", "options": options}))
        await desk.act("bob", "click", channel="C0ACCESS", ts=ts, action_id="more", option="Pass on")
    assert chosen == [("overflow", "pass"), ("static_select", "pass")]


async def test_a_slash_command_is_answered_where_it_was_typed(desk: Desk) -> None:
    app = desk.app()

    @app.command("/access")
    async def access(ack: Any, command: Any) -> None:
        await ack(f"you said {command['text']} in {command['channel_name']}")

    await desk.connect(app)
    await desk.act("alice", "command", command="/access", text="help", channel="general")
    seen = (await desk.state())["ephemerals"]["alice"]
    assert [(one["text"], one["channel"]) for one in seen] == [("you said help in general", "C0GENERAL")]


async def test_a_message_shortcut_carries_the_message(desk: Desk) -> None:
    app, texts = desk.app(), []

    @app.shortcut("from_message")
    async def from_message(ack: Any, body: Any) -> None:
        await ack()
        texts.append((body["type"], body["message"]["text"], body["channel"]["id"]))

    await desk.connect(app)
    said = await desk.act("alice", "say", channel="general", text="I need <prod> & more")
    await desk.act("bob", "message_shortcut", callback_id="from_message", channel="general", ts=said["ts"])
    assert texts == [("message_action", "I need &lt;prod&gt; &amp; more", "C0GENERAL")]


async def test_the_app_hears_mentions_direct_messages_and_its_home(desk: Desk) -> None:
    app = desk.app()

    @app.event("app_mention")
    async def mentioned(event: Any, say: Any) -> None:
        await say(f"mention: {event['text']}", thread_ts=event["ts"])

    @app.event("message")
    async def direct(event: Any, say: Any) -> None:
        if event["channel_type"] == "im":
            await say(f"direct: {event['text']}")

    @app.event("app_home_opened")
    async def opened(event: Any, client: Any) -> None:
        await client.views_publish(user_id=event["user"], view={"type": "home", "blocks": [section("hello")]})

    await desk.connect(app)
    said = await desk.act("alice", "say", channel="general", text="@TinyApprover may I?")
    await desk.act("alice", "say", channel="general", text="nothing for the app")
    await desk.act("alice", "say", text="may I?")
    await desk.act("alice", "home")
    await desk.until(lambda state: "alice" in state["homes"] and len(state["dms"]["alice"]["messages"]) == 2)
    answered = await desk.until(lambda state: state["channels"]["C0GENERAL"]["messages"][2:])
    assert [(one["text"], one["thread_ts"]) for one in answered] == [
        ("mention: <@U0TINYAPP> may I?", said["ts"]),
    ]
    assert (await desk.state())["dms"]["alice"]["messages"][1]["text"] == "direct: may I?"


async def test_filling_an_input_can_change_the_form(desk: Desk) -> None:
    app = desk.app()
    kind = {**typing("Kind", "kind"), "dispatch_action": True}

    @app.shortcut("ask")
    async def ask(ack: Any, body: Any, client: Any) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=modal(kind))

    @app.action("kind")
    async def changed(ack: Any, body: Any, client: Any) -> None:
        await ack()
        view = body["view"]
        await client.views_update(view_id=view["id"], hash=view["hash"], view=modal(kind, typing("Ticket", "ticket")))

    seen: list[Any] = []

    @app.view("form")
    async def submitted(ack: Any, view: Any) -> None:
        await ack(response_action="update", view=modal(section("done"), callback_id="done"))
        seen.append(view["state"]["values"])

    await desk.connect(app)
    await desk.act("alice", "shortcut", callback_id="ask", await_view=True)
    told = await desk.act("alice", "submit", values={"Kind": "prod", "Ticket": "OPS-1"})
    assert told["view"]["callback_id"] == "done"
    assert seen[0]["ticket"]["ticket"]["value"] == "OPS-1"
    assert seen[0]["kind"]["kind"]["value"] == "prod"


async def test_a_submission_can_push_and_clear_views(desk: Desk) -> None:
    app = desk.app()

    @app.shortcut("ask")
    async def ask(ack: Any, body: Any, client: Any) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=modal(section("first"), callback_id="first"))

    @app.view("first")
    async def first(ack: Any) -> None:
        await ack(response_action="push", view=modal(section("second"), callback_id="second"))

    @app.view("second")
    async def second(ack: Any) -> None:
        await ack(response_action="clear")

    await desk.connect(app)
    await desk.act("alice", "shortcut", callback_id="ask", await_view=True)
    pushed = await desk.act("alice", "submit")
    assert len((await desk.state())["views"]["alice"]) == 2
    assert pushed["view"]["previous_view_id"]
    assert (await desk.act("alice", "submit"))["closed"]
    assert (await desk.state())["views"]["alice"] == []


async def test_closing_a_form_tells_an_app_that_asked_to_know(desk: Desk) -> None:
    app, closed = desk.app(), asyncio.Event()

    @app.shortcut("ask")
    async def ask(ack: Any, body: Any, client: Any) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=modal(section("x"), notify_on_close=True))

    @app.view_closed("form")
    async def gone(ack: Any) -> None:
        await ack()
        closed.set()

    await desk.connect(app)
    await desk.act("alice", "shortcut", callback_id="ask", await_view=True)
    await desk.act("alice", "close_view")
    assert closed.is_set()


async def test_an_error_for_an_unknown_input_is_not_accepted(desk: Desk) -> None:
    app = desk.app()

    @app.shortcut("ask")
    async def ask(ack: Any, body: Any, client: Any) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=modal(typing("Why", "why")))

    @app.view("form")
    async def submitted(ack: Any) -> None:
        await ack(response_action="errors", errors={"elsewhere": "no"})

    await desk.connect(app)
    await desk.act("alice", "shortcut", callback_id="ask", await_view=True)
    told = await desk.act("alice", "submit", values={"why": "so"})
    assert told["error"] == "invalid_arguments"
    assert (await desk.state())["views"]["alice"][0]["notice"] == "invalid_arguments"


async def test_deactivated_people_can_do_nothing(desk: Desk) -> None:
    assert "deactivated" in await desk.refusal("dave", "say", text="let me in")
    await desk.act("alice", "deactivate")
    assert "deactivated" in await desk.refusal("alice", "shortcut", callback_id="ask")


async def test_a_name_is_a_mention_in_whatever_case_it_is_typed(desk: Desk) -> None:
    for text in ("@tinyapprover, ask @BOB BAKER", "<@U0TINYAPP>, ask @Bob Baker"):
        await desk.act("alice", "say", channel="general", text=text)
    said = [one["text"] for one in (await desk.state())["channels"]["C0GENERAL"]["messages"]]
    assert said == ["<@U0TINYAPP>, ask <@U0BOB>"] * 2
