"""Markdown as its readers see it: front matter apart, and HTML in it that nobody can see left out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

_FRONT = re.compile(r"\A---[ \t]*\n(.{0,20000}?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_HEADING = re.compile(r"^#{1,6}[ ]+(.{1,500}?)[ #]*$", re.MULTILINE)
_ANCHOR = re.compile(r"\s*\{#[^{}\s]{1,100}\}\s*$")
_NEXT = re.compile(
    r"(?P<fence>^ {0,3}(?P<mark>`{3,}|~{3,})[^\n]*$)"
    r"|(?P<code>(?<!`)`+(?!`))"
    r"|<(?P<name>script|style|template|textarea|noscript)\b"
    r"|<(?P<hidden>\w{1,20})\b(?=[^<>]{0,1000}?(?:\shidden(?=[\s>=])|display\s*:\s*none|visibility\s*:\s*hidden"
    r"|font-size\s*:\s*0|opacity\s*:\s*0(?![.\d])))",
    re.MULTILINE | re.IGNORECASE,
)


def split_front(text: str) -> tuple[Mapping[str, Any] | None, str]:
    """Front matter and body. Front matter that is no YAML mapping is None: it is dropped, not shown."""
    found = _FRONT.match(text)
    if not found:
        return {}, text
    try:
        front = yaml.safe_load(found[1])
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: an impossible date
        front = None
    return front if isinstance(front, dict) else None, text[found.end() :]


def first_heading(body: str) -> str:
    """The words of the first heading, or nothing."""
    heading = _HEADING.search(body)
    return _ANCHOR.sub("", heading[1]) if heading else ""


def visible(body: str) -> str:
    """`body` without scripts, styles and elements that hide what is in them. Code stays as it is."""
    return "".join(_visible(body)) if "<" in body else body


def _visible(body: str) -> Iterator[str]:
    at = shown = 0
    never: set[str] = set()  # what is looked for and does not come any more, so that this stays linear
    while found := _NEXT.search(body, at):
        name = found["name"] or found["hidden"]
        end = _end_of_element(body, found, name, never) if name else _end_of_code(body, found, never)
        at = end or found.end()
        if name and end:
            yield body[shown : found.start()]
            shown = end
    yield body[shown:]


def _end_of_element(body: str, found: re.Match[str], name: str, never: set[str]) -> int:
    """Where the element ends that begins here; 0 when it never ends, since then nothing may have been hidden."""
    closing = f"</{name.lower()}"
    return _after(body, re.compile(rf"{re.escape(closing)}\s*>", re.IGNORECASE), found.end(), closing, never)


def _end_of_code(body: str, found: re.Match[str], never: set[str]) -> int:
    """Where the code ends that begins here."""
    if found["fence"]:
        mark = found["mark"]
        fence = re.compile(rf"^ {{0,3}}{re.escape(mark)}[`~]*[ \t]*$", re.MULTILINE)
        return _after(body, fence, found.end(), mark, never) or len(body)
    ticks = found["code"]
    return _after(body, re.compile(rf"(?<!`){ticks}(?!`)"), found.end(), f"code {len(ticks)}", never)


def _after(body: str, what: re.Pattern[str], start: int, key: str, never: set[str]) -> int:
    if key in never:
        return 0
    found = what.search(body, start)
    if found is None:
        never.add(key)
    return found.end() if found else 0
