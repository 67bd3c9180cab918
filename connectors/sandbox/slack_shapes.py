"""How a JSON shape is described and checked in Slack's words, such as `must be less than 3001 characters`.

A rule takes a value and its JSON pointer and yields what is wrong; a shape is a table of fields and rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Problem = str
Rule = Callable[[Any, str], Iterator[Problem]]


def problem(words: str, pointer: str) -> Problem:
    """A complaint as Slack words it, with the place it is about."""
    return f"{words} [json-pointer:{pointer}]"


def anything(_value: Any, _pointer: str) -> Iterator[Problem]:
    """Accepts whatever comes: the field exists, its content is not looked at."""
    return iter(())


def boolean(value: Any, pointer: str) -> Iterator[Problem]:
    if not isinstance(value, bool):
        yield problem("must be a boolean", pointer)


def whole(value: Any, pointer: str) -> Iterator[Problem]:
    if not isinstance(value, int) or isinstance(value, bool):
        yield problem("must be an integer", pointer)


def string(most: int = 255, *, least: int = 0) -> Rule:
    """Text of `least` to `most` characters."""

    def check(value: Any, pointer: str) -> Iterator[Problem]:
        if not isinstance(value, str):
            yield problem("must be a string", pointer)
        elif len(value) > most:
            yield problem(f"must be less than {most + 1} characters", pointer)
        elif len(value) < least:
            yield problem(f"must be more than {least - 1} characters", pointer)

    return check


def one_of(*choices: str) -> Rule:
    """One of a few words."""

    def check(value: Any, pointer: str) -> Iterator[Problem]:
        if value not in choices:
            yield problem(f"must be a valid enum value: {', '.join(choices)}", pointer)

    return check


def items(rule: Rule, most: int, *, least: int = 1) -> Rule:
    """A list of `least` to `most` members."""

    def check(value: Any, pointer: str) -> Iterator[Problem]:
        if not isinstance(value, list):
            yield problem("must be an array", pointer)
            return
        if len(value) > most:
            yield problem(f"no more than {most} items allowed", pointer)
        if len(value) < least:
            yield problem(f"no less than {least} items allowed", pointer)
        for index, item in enumerate(value):
            yield from rule(item, f"{pointer}/{index}")

    return check


@dataclass(frozen=True, slots=True)
class Shape:
    """An object: fields that must be there, fields that may be there, and fields of which one must be."""

    required: Mapping[str, Rule] = field(default_factory=dict)
    optional: Mapping[str, Rule] = field(default_factory=dict)
    either: tuple[str, ...] = ()

    def __call__(self, value: Any, pointer: str) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield problem("must be an object", pointer)
            return
        yield from self._fields(value, pointer)
        rules = {**self.required, **self.optional}
        for name, rule in rules.items():
            if name in value:
                yield from rule(value[name], f"{pointer}/{name}")

    def _fields(self, value: Mapping[str, Any], pointer: str) -> Iterator[Problem]:
        known = {*self.required, *self.optional, "type"}
        yield from (problem(f"missing required field: {name}", pointer) for name in self.required if name not in value)
        yield from (problem(f"invalid additional property: {name}", pointer) for name in value if name not in known)
        if self.either and not any(name in value for name in self.either):
            yield problem(f"must define either {' or '.join(f'`{name}`' for name in self.either)}", pointer)


def typed(shapes: Mapping[str, Rule], only: Iterable[str] | None = None) -> Rule:
    """An object whose `type` picks its shape; `only` narrows which types may stand here."""
    allowed = set(only) if only is not None else None

    def check(value: Any, pointer: str) -> Iterator[Problem]:
        kind = value.get("type") if isinstance(value, dict) else None
        if kind is None:
            yield problem("missing required field: type", pointer)
        elif kind not in shapes or (allowed is not None and kind not in allowed):
            yield problem(f"unsupported type: {kind}", f"{pointer}/type")
        else:
            yield from shapes[kind](value, pointer)

    return check


def text(most: int, *kinds: str, least: int = 1) -> Rule:
    """A text object, of both kinds unless narrowed."""
    kinds = kinds or ("plain_text", "mrkdwn")
    shapes = {
        "plain_text": Shape({"text": string(most, least=least)}, {"emoji": boolean}),
        "mrkdwn": Shape({"text": string(most, least=least)}, {"verbatim": boolean}),
    }
    return typed(shapes, kinds)


def plain(most: int, *, least: int = 1) -> Rule:
    """A `plain_text` object."""
    return text(most, "plain_text", least=least)
