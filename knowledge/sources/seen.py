"""What a style hides: nothing that nobody can see on a page is quoted from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_ZERO = re.compile(r"[+-]?0*\.?0*(?:px|pt|r?em|%|vw|vh)?")
_FAR = re.compile(r"-\d{4,}(?:\.\d+)?(?:px|pt)?|-\d{2,}r?em")
_WHITE = {"white": "#ffffff", "black": "#000000", "rgb(255,255,255)": "#ffffff", "rgb(0,0,0)": "#000000"}


@dataclass(frozen=True, slots=True)
class Colours:
    """The colours in force; a page is white and its text is not until it says so."""

    text: str = ""
    ground: str = "#ffffff"

    def within(self, attrs: Mapping[str, str | None], style: Mapping[str, str]) -> Colours:
        text = style.get("color") or attrs.get("color") or ""
        marked = attrs.get("bgcolor") or attrs.get("data-highlight-colour") or ""  # Confluence's, of a cell
        ground = style.get("background-color") or style.get("background") or marked
        return Colours(_colour(text) or self.text, _colour(ground) or self.ground)

    @property
    def are_equal(self) -> bool:
        return self.text == "transparent" or self.text == self.ground


def style_of(text: str) -> dict[str, str]:
    """The declarations of a `style` attribute, by name."""
    pairs = (part.partition(":") for part in text[:2000].split(";"))
    return {name.strip().lower(): value.replace("!important", "").strip().lower() for name, _, value in pairs}


def hides(style: Mapping[str, str]) -> bool:
    """Whether what carries these declarations cannot be seen."""
    if style.get("display") == "none" or style.get("visibility") in ("hidden", "collapse"):
        return True
    if any(_ZERO.fullmatch(style.get(name) or "x") for name in ("opacity", "font-size", "max-height", "max-width")):
        return True
    if any(_FAR.fullmatch(style.get(name, "")) for name in ("left", "top", "text-indent", "margin-left")):
        return True
    return style.get("overflow") == "hidden" and any(_ZERO.fullmatch(style.get(n) or "x") for n in ("width", "height"))


def _colour(value: str) -> str:
    name = value.lower().replace(" ", "").removesuffix("!important")
    if re.fullmatch(r"#[0-9a-f]{3}", name):
        name = "#" + "".join(2 * digit for digit in name[1:])
    return _WHITE.get(name, "" if name in ("inherit", "initial") else name)
