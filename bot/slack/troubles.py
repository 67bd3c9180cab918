"""What responders are told when the program cannot go on by itself."""

from __future__ import annotations

from bot.ledger.kinds import kind_of
from bot.ports import Message
from bot.slack.blocks import escape, said, section


def stuck(subject: str, kind: str, *, trouble: str, tries: int) -> str:
    """A job keeps failing. It goes on trying; somebody should look why."""
    return (
        f"*{escape(subject)}*: the step that {kind_of(kind).does} (`{escape(kind)}`) has failed {tries} times: "
        f"{said(trouble, 300)}. It is tried again every few minutes. When the cause is gone, "
        f"`tinyapprover jobs retry {escape(subject)}` tries it at once."
    )


def gone(request: str) -> str:
    """Access that a decision still covers was found missing. Nothing is given without a decision."""
    return f"*{escape(request)}*: the access that was given is not there any more. If it is needed, ask for it anew."


def message(words: str) -> Message:
    """Words of this file, as they are posted."""
    return Message(text=words, blocks=[section(words)])
