"""The grammar of a decision in a PagerDuty comment.

A comment decides only when the whole of it has the written form; nothing is normalised, corrected or guessed:

    approve | approved [TA-<n> [CODE]] [.]
    deny | denied | reject | rejected [TA-<n>] [reason]
    stop TA-<n> [.]

ASCII letters in any case, white space around it ignored. White space or one of `.:,;!` parts a denial from its reason.
Everything else that holds a decision word is answered once with the exact line to write, and decides nothing.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

MAX_REASON = 1000
LONGEST_CASE = len("TA-123456789")
LOOKED_AT = 4000  # of a long comment, when looking for something that sounds like a decision
_SPACE = " \t\r\n\f\v"
_CASE = r"TA-[1-9][0-9]{0,8}"
_CODE = r"[0-9A-Z]{4}-[0-9A-Z]{4}"
_APPROVE = re.compile(rf"approved?(?:[ \t]+({_CASE})(?:[ \t]+({_CODE}))?)?[ \t]*\.?", re.A | re.I)
_DENY = re.compile(
    rf"(?:deny|denied|reject|rejected)(?=[\s.:,;!]|\Z)[ \t]*({_CASE})?(?![\w-])[.:,;]?(.*)", re.A | re.I | re.S
)
_STOP = re.compile(rf"stop[ \t]+({_CASE})[ \t]*\.?", re.A | re.I)
_STOP_WORDS = re.compile(r"(?:\bstop\W+(?:\w+\W+){0,3}TA-[0-9])|\A\W*stop\W*\Z", re.I)
_ANY_CASE = re.compile(r"\bTA-[0-9]\w*", re.A | re.I)
_DECISION_WORD = re.compile(r"approv|\bden(?:y|ied|ies)|reject", re.I)
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


@dataclass(frozen=True, slots=True)
class Approve:
    """An approval in the written form; `case` and `code` as far as they were written."""

    case: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Deny:
    """A denial in the written form, with the reason that followed."""

    case: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """In the written form: do not carry out `case`, or take it back now. Never without the case."""

    case: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """It talks about a decision but has not the written form, or names `another` case: answer it, decide nothing."""

    another: str = ""


@dataclass(frozen=True, slots=True)
class Chatter:
    """No decision word in it: none of our business."""


Comment = Approve | Deny | Stop | Unclear | Chatter


def read_comment(text: str, *, case: str) -> Comment:
    """What a comment says on the incident of `case` (such as `TA-12`), the one case that is open there."""
    body = text.strip(_SPACE)
    if approval := _APPROVE.fullmatch(body):
        return _for_case(case, Approve(case=_upper(approval[1]), code=_upper(approval[2])))
    if stop := _STOP.fullmatch(body):
        return Stop(stop[1].upper()) if stop[1].upper() == case else Unclear(stop[1].upper())
    another = _another_case(body, case)
    denial = _DENY.fullmatch(body)
    if denial and not another:
        return Deny(case=_upper(denial[1]), reason=denial[2].strip(_SPACE)[:MAX_REASON])
    folded = _folded(body[:LOOKED_AT])
    return _unclear(another) if _DECISION_WORD.search(folded) or _STOP_WORDS.search(folded) else Chatter()


def _for_case(case: str, approval: Approve) -> Comment:
    return approval if approval.case in (None, case) else Unclear(approval.case or "")


def _unclear(another: str) -> Unclear:
    return Unclear(another if len(another) <= LONGEST_CASE else "")


def _another_case(body: str, case: str) -> str:
    """The first case that is named there and is not this one."""
    return next((found.upper() for found in _ANY_CASE.findall(body) if found.upper() != case), "")


def _upper(text: str | None) -> str | None:
    return text.upper() if text else None


def _folded(text: str) -> str:
    """Only for noticing that a decision was meant, never for taking one."""
    return unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))
