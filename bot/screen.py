"""Finds what looks like a secret in a text, so that it is refused at the form and never stored."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detect_secrets.plugins.base import BasePlugin

ENTROPY = ("Base64HighEntropyString", "HexHighEntropyString")  # they fire on ordinary prose
SHOUTING = ("KeywordDetector", "IPPublicDetector")
_SAID = re.compile(r"\b(?:password|passwort|passcode|pwd|secret|token|api[ -]?key)\b\s*(?:is|ist|=|:)\s*\S{4,}", re.I)
_CARD = re.compile(r"(?<![\w-])(?:\d[ -]?){13,19}(?![\w-])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b")


def looks_secret(text: str) -> str | None:
    """What the text seems to hold (such as `an AWS access key`), or None."""
    return next(_findings(text), None)


def _findings(text: str) -> Iterator[str]:
    if _SAID.search(text):
        yield "a password or token"
    if any(_luhn(re.sub(r"\D", "", found)) for found in _CARD.findall(text)):
        yield "a card number"
    if any(_iban(found.replace(" ", "")) for found in _IBAN.findall(text)):
        yield "a bank account number"
    for row in text.splitlines():
        for plugin in _plugins():
            if any(True for _ in plugin.analyze_string(row)):
                yield f"a secret ({plugin.secret_type})"


@cache
def _plugins() -> tuple[BasePlugin, ...]:
    """The detectors, made once; importing them takes a while, so `warm` is called at start."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    classes: Iterable[type[BasePlugin]] = get_mapping_from_secret_type_to_class().values()
    return tuple(kind() for kind in classes if kind.__name__ not in (*ENTROPY, *SHOUTING))


def warm() -> None:
    """Load the detectors."""
    looks_secret("nothing to see")


def _luhn(digits: str) -> bool:
    doubled = [int(d) if i % 2 == 0 else sum(divmod(2 * int(d), 10)) for i, d in enumerate(reversed(digits))]
    return 13 <= len(digits) <= 19 and sum(doubled) % 10 == 0 and len(set(digits)) > 1


def _iban(text: str) -> bool:
    rearranged = text[4:] + text[:4]
    return len(text) >= 15 and int("".join(str(int(char, 36)) for char in rearranged)) % 97 == 1
