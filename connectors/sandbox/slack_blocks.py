"""Block Kit as Slack checks it: which blocks and elements exist, and their limits.

https://docs.slack.dev/reference/block-kit/ names the limits; the words of the refusals are Slack's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from connectors.sandbox.slack_shapes import (
    Problem,
    Rule,
    Shape,
    anything,
    boolean,
    items,
    one_of,
    plain,
    problem,
    string,
    text,
    typed,
    whole,
)

MOST_IN_MESSAGE, MOST_IN_VIEW = 50, 100
MOST_CHARACTERS = 13_200
MOST_MARKDOWN = 12_000

_ID = string(255)
CONFIRM = Shape(
    {"title": plain(100), "text": text(300), "confirm": plain(30), "deny": plain(30)},
    {"style": one_of("primary", "danger")},
)
OPTION = Shape({"text": text(75), "value": string(150)}, {"description": text(75), "url": string(3000)})
OPTION_GROUP = Shape({"label": plain(75), "options": items(OPTION, 100)})

_COMMON: dict[str, Rule] = {"action_id": _ID, "confirm": CONFIRM, "focus_on_load": boolean}
_PICK: dict[str, Rule] = {**_COMMON, "placeholder": plain(150)}
_MANY: dict[str, Rule] = {**_PICK, "max_selected_items": whole}
_OPTIONS: dict[str, Rule] = {"options": items(OPTION, 100), "option_groups": items(OPTION_GROUP, 100)}
_WRITE: dict[str, Rule] = {
    "action_id": _ID,
    "focus_on_load": boolean,
    "placeholder": plain(150),
    "initial_value": string(3000),
    "dispatch_action_config": anything,
}
_CONVERSATIONS: dict[str, Rule] = {
    "default_to_current_conversation": boolean,
    "filter": anything,
    "initial_conversation": _ID,
    "response_url_enabled": boolean,
}

ELEMENTS: dict[str, Rule] = {
    "button": Shape(
        {"text": plain(75)},
        {
            **_COMMON,
            "value": string(2000),
            "url": string(3000),
            "style": one_of("primary", "danger"),
            "accessibility_label": string(75),
        },
    ),
    "image": Shape({"alt_text": string(2000)}, {"image_url": string(3000), "slack_file": anything}),
    "overflow": Shape({"options": items(OPTION, 5)}, {**_COMMON}),
    "static_select": Shape({}, {**_PICK, **_OPTIONS, "initial_option": OPTION}, either=("options", "option_groups")),
    "multi_static_select": Shape(
        {}, {**_MANY, **_OPTIONS, "initial_options": items(OPTION, 100)}, either=("options", "option_groups")
    ),
    "external_select": Shape({}, {**_PICK, "initial_option": OPTION, "min_query_length": whole}),
    "multi_external_select": Shape({}, {**_MANY, "initial_options": items(OPTION, 100), "min_query_length": whole}),
    "users_select": Shape({}, {**_PICK, "initial_user": _ID}),
    "multi_users_select": Shape({}, {**_MANY, "initial_users": items(_ID, 100)}),
    "conversations_select": Shape({}, {**_PICK, **_CONVERSATIONS}),
    "channels_select": Shape({}, {**_PICK, "initial_channel": _ID, "response_url_enabled": boolean}),
    "radio_buttons": Shape({"options": items(OPTION, 10)}, {**_COMMON, "initial_option": OPTION}),
    "checkboxes": Shape({"options": items(OPTION, 10)}, {**_COMMON, "initial_options": items(OPTION, 10)}),
    "datepicker": Shape({}, {**_PICK, "initial_date": string(10)}),
    "timepicker": Shape({}, {**_PICK, "initial_time": string(5), "timezone": _ID}),
    "datetimepicker": Shape({}, {**_COMMON, "initial_date_time": whole}),
    "plain_text_input": Shape({}, {**_WRITE, "multiline": boolean, "min_length": whole, "max_length": whole}),
    "url_text_input": Shape({}, _WRITE),
    "email_text_input": Shape({}, _WRITE),
    "number_input": Shape(
        {"is_decimal_allowed": boolean}, {**_WRITE, "min_value": string(100), "max_value": string(100)}
    ),
    "feedback_buttons": Shape({"positive_button": anything, "negative_button": anything}, {"action_id": _ID}),
    "icon_button": Shape({"icon": _ID, "text": plain(75)}, {**_COMMON, "value": string(2000)}),
}
WRITTEN = {"plain_text_input", "url_text_input", "email_text_input", "number_input"}
PICKED = {name for name in ELEMENTS if name.endswith(("_select", "picker"))} | {
    "radio_buttons",
    "checkboxes",
}
CLICKED = {"button", "overflow", *PICKED}

_TEXTS = {"plain_text": text(2000), "mrkdwn": text(2000)}
_BLOCK_ID = {"block_id": _ID}
_CELL = typed({"raw_text": Shape({"text": string(3000)}), "raw_number": anything, "rich_text": anything})

BLOCKS: dict[str, Rule] = {
    "section": Shape(
        {},
        {
            **_BLOCK_ID,
            "text": text(3000),
            "fields": items(text(2000), 10),
            "accessory": typed(ELEMENTS, {*CLICKED, "image"}),
            "expand": boolean,
        },
        either=("text", "fields"),
    ),
    "header": Shape({"text": plain(150)}, {**_BLOCK_ID, "level": whole}),
    "divider": Shape({}, _BLOCK_ID),
    "context": Shape({"elements": items(typed({**_TEXTS, "image": ELEMENTS["image"]}), 10)}, _BLOCK_ID),
    "context_actions": Shape({"elements": items(typed(ELEMENTS, {"feedback_buttons", "icon_button"}), 5)}, _BLOCK_ID),
    "actions": Shape({"elements": items(typed(ELEMENTS, CLICKED), 25)}, _BLOCK_ID),
    "image": Shape(
        {"alt_text": string(2000)},
        {**_BLOCK_ID, "image_url": string(3000), "slack_file": anything, "title": plain(2000)},
    ),
    "input": Shape(
        {"label": plain(2000), "element": typed(ELEMENTS, WRITTEN | PICKED)},
        {**_BLOCK_ID, "hint": plain(2000), "optional": boolean, "dispatch_action": boolean},
    ),
    "rich_text": Shape({"elements": items(anything, 1000)}, _BLOCK_ID),
    "markdown": Shape({"text": string(MOST_MARKDOWN, least=1)}, _BLOCK_ID),
    "alert": Shape(
        {"text": text(200)}, {**_BLOCK_ID, "level": one_of("default", "info", "warning", "error", "success")}
    ),
    "table": Shape({"rows": items(items(_CELL, 20), 100)}, {**_BLOCK_ID, "column_settings": items(anything, 20)}),
}
_CHILD = {name: rule for name, rule in BLOCKS.items() if name not in ("alert", "input")}
BLOCKS["container"] = Shape(
    {"child_blocks": items(typed(_CHILD), 10)},
    {
        **_BLOCK_ID,
        "title": plain(150),
        "rich_text_title": anything,
        "subtitle": text(150),
        "width": one_of("narrow", "standard", "wide", "full"),
        "icon": ELEMENTS["image"],
        "is_collapsible": boolean,
        "default_collapsed": boolean,
        "has_header_divider": boolean,
    },
    either=("title", "rich_text_title"),
)
_MESSAGE_BLOCKS = items(typed(BLOCKS, BLOCKS.keys() - {"alert"}), MOST_IN_MESSAGE, least=0)
_VIEW_BLOCKS = items(typed(BLOCKS), MOST_IN_VIEW, least=0)


def message_problems(blocks: Any) -> list[Problem]:
    """What Slack would say about a message's blocks; empty when they are fine."""
    return [*_MESSAGE_BLOCKS(blocks, "/blocks"), *_ids_twice(blocks, "/blocks")]


def view_block_problems(blocks: Any) -> Iterator[Problem]:
    """The same for the blocks of a modal or Home."""
    yield from _VIEW_BLOCKS(blocks, "/view/blocks")
    yield from _ids_twice(blocks, "/view/blocks")


def flat(blocks: Any) -> Iterator[dict[str, Any]]:
    """Every block, those inside containers too."""
    for block in blocks if isinstance(blocks, list) else []:
        if isinstance(block, dict):
            yield block
            yield from flat(block.get("child_blocks"))


def elements(block: dict[str, Any]) -> list[dict[str, Any]]:
    """The elements of a block that a person can use."""
    found = [*(block.get("elements") or []), block.get("accessory"), block.get("element")]
    return [element for element in found if isinstance(element, dict) and element.get("type") in ELEMENTS]


def _ids_twice(blocks: Any, pointer: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, block in enumerate(flat(blocks)):
        block_id = block.get("block_id")
        if block_id and block_id in seen:
            yield problem(f"block_id must be unique: {block_id}", f"{pointer}/{index}/block_id")
        seen.add(str(block_id))
        actions = [element["action_id"] for element in elements(block) if element.get("action_id")]
        for twice in sorted({action for action in actions if actions.count(action) > 1}):
            yield problem(f"`action_id` must be unique within a block: {twice}", f"{pointer}/{index}/elements")


def characters(blocks: Any) -> int:
    """All text in the blocks together, which Slack limits beside the single limits."""
    if isinstance(blocks, dict):
        own = len(blocks["text"]) if isinstance(blocks.get("text"), str) else 0
        return own + sum(characters(value) for value in blocks.values())
    return sum(characters(item) for item in blocks) if isinstance(blocks, list) else 0


def markdown_characters(blocks: Any) -> int:
    """The text of all `markdown` blocks together."""
    return sum(len(str(block.get("text"))) for block in flat(blocks) if block.get("type") == "markdown")


def with_ids(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A copy in which every block and element has an id, as Slack fills them in."""
    return [_named(block, f"b{index}") for index, block in enumerate(blocks)]


def _named(block: dict[str, Any], spare: str) -> dict[str, Any]:
    named = {**block, "block_id": block.get("block_id") or spare}
    if "child_blocks" in block:
        named["child_blocks"] = [_named(child, f"{spare}.{i}") for i, child in enumerate(block["child_blocks"])]
    if block.get("type") in ("actions", "context_actions"):
        named["elements"] = [_with_action(element, f"a{i}") for i, element in enumerate(block["elements"])]
    for place in ("accessory", "element"):
        if place in block:
            named[place] = _with_action(block[place], "a0")
    return named


def _with_action(element: dict[str, Any], spare: str) -> dict[str, Any]:
    return element if element.get("type") == "image" else {**element, "action_id": element.get("action_id") or spare}
