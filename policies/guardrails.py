"""The cross-cutting guardrails, written in Cedar: the only file that knows `cedarpy` (https://www.cedarpolicy.com).

Cedar skips a policy that errors, a forbid too, and then may allow. So a decision counts as allowed only if Cedar
says Allow, met no error and names a reason; schema and entities are always passed; anything else is a no.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.core.request import Approvers, Entitlement, Place, Sensitivity, Standing, Wake
from bot.errors import SettingsError
from policies.marks import read_text
from policies.rules import Inquiry, Opinion, Step, approvals_needed

if TYPE_CHECKING:
    from cedarpy import AuthzResult, PolicySet, Schema

POLICY_FILE = "guardrails.cedar"
SCHEMA_FILE = "guardrails.cedarschema"
BOT = "tinyapprover"
_PIECE = re.compile(r'//[^\n]*|"(?:\\.|[^"\\])*"|;|\s+|[^;"/\s]+|.', re.DOTALL)
_ID = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*")
_OWN_NAME = re.compile(r"^for policy `policy0`[,:] ")
_POLICY_NUMBER = re.compile(r"`policy(\d+)`")

Entity = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Guardrail:
    """One Cedar policy: its `@id`, what it does, the sentence a person reads, and where it stands."""

    id: str
    forbids: bool
    reason: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Guardrails:
    """All policies of a file, checked, with the parsed handles that make a decision fast."""

    rails: tuple[Guardrail, ...]
    path: Path
    _policies: PolicySet = field(repr=False)
    _schema: Schema = field(repr=False)

    @classmethod
    def read(cls, directory: Path) -> Guardrails:
        """Parse and check the two files of a policy directory; a `SettingsError` says file, line and `@id`."""
        path = directory / POLICY_FILE
        schema = _read_schema(directory / SCHEMA_FILE)
        rails = tuple(_read_rail(path, line, text, schema) for line, text in _blocks(path, read_text(path)))
        _check_ids(path, rails)
        if all(rail.forbids for rail in rails):
            raise SettingsError(f"{path}:1: permits nothing, so everything would be refused; write at least one permit")
        guardrails = cls._build(rails, path, schema)
        guardrails._check_facts(directory / SCHEMA_FILE)
        return guardrails

    @classmethod
    def _build(cls, rails: tuple[Guardrail, ...], path: Path, schema: Schema) -> Guardrails:
        from cedarpy import PolicySet

        return cls(rails, path, PolicySet.from_str("\n".join(rail.text for rail in rails)), schema)

    def without(self, rail: Guardrail) -> Guardrails:
        """The same guardrails less one, to see whether anything notices."""
        return self._build(tuple(other for other in self.rails if other is not rail), self.path, self._schema)

    def decide(self, inquiry: Inquiry) -> Opinion:
        """What the guardrails say; never raises, and whatever cannot be evaluated is a no."""
        try:
            return self._judge(self._ask(inquiry))
        except Exception:  # noqa: BLE001 - a guardrail that cannot be asked must refuse, whatever went wrong
            return _unclear("The guardrails could not be asked")

    def _ask(self, inquiry: Inquiry) -> AuthzResult:
        request = {
            "principal": _user(inquiry.principal) if inquiry.principal is not None else _entity("Bot", BOT),
            "action": _entity("Action", inquiry.step.value),
            "resource": _entity("Entitlement", inquiry.entitlement.id),
            "context": _context(inquiry),
        }
        return _answer(self._policies, self._schema, json.dumps(request), json.dumps(_entities(inquiry)))

    def _judge(self, result: AuthzResult) -> Opinion:
        from cedarpy import Decision

        errors, named = result.diagnostics.errors, set(result.diagnostics.id_annotations_by_reason.values())
        deciding = [rail for rail in self.rails if rail.id in named]
        if errors:
            return _unclear(self._what_failed(errors))
        if result.decision is Decision.Allow and deciding:
            return Opinion(True, f"guardrails#{deciding[0].id}")
        if result.decision is Decision.Deny and deciding:
            return Opinion(False, f"guardrails#{deciding[0].id}", deciding[0].reason)
        return Opinion(
            False, "guardrails#nothing-permits", "No guardrail permits this, so it is refused; ask the policy owner."
        )

    def _what_failed(self, errors: Sequence[str]) -> str:
        """Which guardrails failed, and nothing else: Cedar's own message can carry names and groups."""
        match = _POLICY_NUMBER.search(errors[0])
        number = int(match[1]) if match else len(self.rails)
        if number < len(self.rails):
            return f"The guardrail {self.rails[number].id} could not be evaluated"
        return "The facts do not fit the guardrails' schema"

    def _check_facts(self, schema_path: Path) -> None:
        """Ask each kind of question once, so that a schema which does not fit our facts fails now, not at a request."""
        for step in Step:
            for error in self._ask(_sample(step)).diagnostics.errors:
                if not _POLICY_NUMBER.search(error):
                    what = error.rsplit("]: ", 1)[-1].splitlines()[0]  # behind all entities, where they are the matter
                    raise SettingsError(
                        f"{schema_path}: does not fit the facts of the action {step}; the program fills these in, "
                        f"so leave their names and types as they were shipped ({what})"
                    )


@lru_cache(maxsize=1024)
def _answer(policies: PolicySet, schema: Schema, request: str, entities: str) -> AuthzResult:
    """Cedar looks at nothing but these: what was asked a moment ago, as while a form was filled in, is known."""
    from cedarpy import is_authorized

    return is_authorized(json.loads(request), policies, entities, schema)


def _unclear(what: str) -> Opinion:
    return Opinion(False, "guardrails#error", f"{what}, so the answer is no; ask the policy owner.")


# --- reading the files -----------------------------------------------------------------------------------------------


def _read_schema(path: Path) -> Schema:
    from cedarpy import Schema

    try:
        return Schema.from_str(read_text(path))
    except ValueError as error:
        raise SettingsError(f"{path}: {_first_line(error)}") from error


def _blocks(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Each policy's text with the line it begins on: Cedar's own errors carry no lines, so each is parsed alone."""
    start, block = 0, ""
    for match in _PIECE.finditer(text):
        piece = match[0]
        if not block and (piece.isspace() or piece.startswith("//")):
            continue
        start = start if block else text.count("\n", 0, match.start()) + 1
        block += piece
        if piece == ";":
            yield start, block
            block = ""
    if block:
        raise SettingsError(f"{path}:{start}: the last policy does not end with a semicolon")


def _read_rail(path: Path, line: int, text: str, schema: Schema) -> Guardrail:
    policy = _parse(path, line, text)
    notes = policy.get("annotations", {})
    name = notes.get("id") or ""
    forbids = policy["effect"] == "forbid"
    where = f"{path}:{line}: @id({json.dumps(name)})"
    for problem in _problems(policy, name, forbids, notes.get("reason") or ""):
        raise SettingsError(f"{where}: {problem}")
    _validate(where, text, schema)
    return Guardrail(name, forbids, (notes.get("reason") or "").strip(), line, text)


def _parse(path: Path, line: int, text: str) -> dict[str, Any]:
    from cedarpy import policies_to_json_str

    try:
        parsed = json.loads(policies_to_json_str(text))
    except ValueError as error:
        raise SettingsError(f"{path}:{line}: the policy that begins here: {_first_line(error)}") from error
    if parsed["templates"]:
        raise SettingsError(f"{path}:{line}: is a template with a slot; name the principal or resource")
    policy: dict[str, Any] = next(iter(parsed["staticPolicies"].values()))
    return policy


def _problems(policy: dict[str, Any], name: str, forbids: bool, reason: str) -> Iterator[str]:
    """What Cedar's own validation lets pass."""
    if not _ID.fullmatch(name):
        yield 'needs an @id("...") of small letters, digits, hyphens and dots'
    if forbids and not reason.strip():
        yield 'needs an @reason("...") that says what to do'
    if not forbids and _applies_always(policy):
        yield "permits everything to everybody; name an action or write a condition"
    for literal in _string_literals(policy.get("conditions", [])):
        yield f"compares with the text {json.dumps(literal)}; use an entity such as Level::{json.dumps(literal)}"


def _applies_always(policy: dict[str, Any]) -> bool:
    scope = (policy[part]["op"] for part in ("principal", "action", "resource"))
    always = ({"kind": "when", "body": {"Value": True}}, {"kind": "unless", "body": {"Value": False}})
    return all(op == "All" for op in scope) and all(part in always for part in policy.get("conditions", []))


def _string_literals(tree: Any) -> Iterator[str]:
    """Texts in an expression: a misspelt text is valid Cedar, a misspelt entity of an enumeration is not."""
    if isinstance(tree, list):
        for item in tree:
            yield from _string_literals(item)
    elif isinstance(tree, dict):
        for key, value in tree.items():
            if key == "Value" and isinstance(value, str):
                yield value
            else:
                yield from _string_literals(value)


def _validate(where: str, text: str, schema: Schema) -> None:
    from cedarpy import validate_policies

    for error in validate_policies(text, schema).errors:
        raise SettingsError(f"{where}: {_OWN_NAME.sub('', _first_line(error.error))}")


def _check_ids(path: Path, rails: Sequence[Guardrail]) -> None:
    seen: dict[str, int] = {}
    for rail in rails:
        if rail.id in seen:
            raise SettingsError(
                f"{path}:{rail.line}: @id({json.dumps(rail.id)}): stands already on line {seen[rail.id]}"
            )
        seen[rail.id] = rail.line


def _first_line(error: object) -> str:
    return (str(error).splitlines() or ["cannot be read"])[0]


# --- our facts as Cedar entities -------------------------------------------------------------------------------------


def _entity(kind: str, name: str) -> Entity:
    return {"type": kind, "id": name}


def _user(person_id: str) -> Entity:
    return _entity("User", person_id)


def _groups(names: frozenset[str]) -> list[Entity]:
    return [_entity("Group", name) for name in sorted(names)]


def _entities(inquiry: Inquiry) -> list[Entity]:
    people = [
        {
            "uid": _user(one.person_id),
            "attrs": {},
            "parents": [*_groups(one.groups), _entity("Status", "active" if one.active else "inactive")],
        }
        for one in inquiry.people
    ]
    return [
        *people,
        {"uid": _entity("Entitlement", inquiry.entitlement.id), "attrs": _attributes(inquiry), "parents": []},
    ]


def _attributes(inquiry: Inquiry) -> Entity:
    entitlement = inquiry.entitlement
    return {
        "sensitivity": _entity("Level", entitlement.sensitivity.value),
        "who_may_ask": _groups(entitlement.requestable_by),
        "who_decides": _entity("Group", entitlement.approvers.group),
        "conflicts": _groups(inquiry.conflicts),
        "approvals": approvals_needed(entitlement),
        "longest_minutes": entitlement.max_minutes,
    }


def _context(inquiry: Inquiry) -> Entity:
    people = {"requester": _user(inquiry.requester), "beneficiary": _user(inquiry.beneficiary)}
    asked = {"minutes": inquiry.minutes, "ticket": inquiry.ticket}
    match inquiry.step:
        case Step.SUBMIT:
            return {**people, **asked}
        case Step.EXECUTE:
            return {**people, **asked, "approvals": inquiry.approvals}
        case _:
            return {**people, "place": _entity("Place", inquiry.place.value)}


def _sample(step: Step) -> Inquiry:
    """A made-up question with every kind of fact in it."""
    entitlement = Entitlement(
        id="sample",
        title="Sample",
        description="",
        why="",
        action="sample",
        params={},
        sensitivity=Sensitivity.LOW,
        requestable_by=frozenset({"a"}),
        approvers=Approvers(group="b"),
        approvals=1,
        default_minutes=1,
        max_minutes=1,
        wake=Wake.NEVER,
    )
    return Inquiry(
        step=step,
        entitlement=entitlement,
        requester="x",
        beneficiary="y",
        principal=None if step is Step.EXECUTE else "x",
        people=(Standing("x", "x@example.com", "X", "ACTIVE", frozenset({"a"}), datetime.fromtimestamp(0, UTC)),),
        conflicts=frozenset({"c"}),
        minutes=1,
        place=Place.SLACK,
    )
