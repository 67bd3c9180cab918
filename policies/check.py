"""`tinyapprover policy check`: loads a policy directory, runs its examples, and looks for rules nothing would miss."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from bot.errors import SettingsError
from policies.examples import rule_example, surprise
from policies.guardrails import Guardrail, Guardrails
from policies.load import Policies, load
from policies.rules import Guard, Inquiry, Opinion

_WHERE = re.compile(r"(?P<path>.+?):(?P<line>\d+): (?P<message>.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to put right, with where it stands. `line` 0 means the file or directory as a whole."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}" if self.line else f"{self.path}: {self.message}"


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome: counts of what was checked, and every finding. `digest` is empty when it could not be loaded."""

    findings: tuple[Finding, ...] = ()
    entitlements: int = 0
    guardrails: int = 0
    examples: int = 0
    digest: str = ""

    @property
    def ok(self) -> bool:
        return not self.findings


@dataclass(slots=True)
class _Recorder:
    """The guardrails, remembering each inquiry, also those that a layer before them refuses anyway."""

    guard: Guard
    answered: list[tuple[Inquiry, Opinion]] = field(default_factory=list)

    def decide(self, inquiry: Inquiry) -> Opinion:
        opinion = self.guard.decide(inquiry)
        self.answered.append((inquiry, opinion))
        return opinion


def check(directory: Path, *, protected: Collection[str] = (), actions: Collection[str] | None = None) -> Report:
    """Validate the directory, run every example, and remove each guardrail in turn to see whether one flips."""
    try:
        policies = load(directory, protected=protected, actions=actions)
    except SettingsError as error:
        return Report(tuple(_finding(line, directory) for line in str(error).splitlines()))
    recorder = _Recorder(policies.guardrails)
    findings = [*_wrong_examples(policies, recorder), *_missing_examples(policies)]
    findings += _idle_guardrails(policies.guardrails, recorder.answered)
    return Report(
        findings=tuple(findings),
        entitlements=len(policies.entitlements),
        guardrails=len(policies.guardrails.rails),
        examples=len(policies.examples),
        digest=policies.digest,
    )


def _finding(text: str, directory: Path) -> Finding:
    match = _WHERE.fullmatch(text)
    if match:
        return Finding(match["path"], int(match["line"]), match["message"])
    path, separator, message = text.partition(": ")
    return Finding(path, 0, message) if separator else Finding(str(directory), 0, text)


def _wrong_examples(policies: Policies, recorder: _Recorder) -> list[Finding]:
    outcomes = ((one, surprise(one, rule_example(policies, one, recorder))) for one in policies.examples)
    return [Finding(str(one.path), one.line, f"example {what}") for one, what in outcomes if what]


def _missing_examples(policies: Policies) -> list[Finding]:
    """An entitlement should show somebody who gets it and somebody who does not."""
    shown = {(example.entitlement, example.form.then) for example in policies.examples}
    directory = policies.guardrails.path.parent
    return [
        Finding(str(directory / entitlement.source), 1, f"examples: none is {outcome}; add one that is")
        for entitlement in policies.entitlements.values()
        for outcome in ("allowed", "refused")
        if (entitlement.id, outcome) not in shown
    ]


def _idle_guardrails(guardrails: Guardrails, answered: list[tuple[Inquiry, Opinion]]) -> list[Finding]:
    return [
        Finding(
            str(guardrails.path), rail.line, f'@id("{rail.id}"): no example would notice if it were removed; add one'
        )
        for rail in guardrails.rails
        if not _is_missed(guardrails, rail, answered)
    ]


def _is_missed(guardrails: Guardrails, rail: Guardrail, answered: list[tuple[Inquiry, Opinion]]) -> bool:
    """Whether some inquiry is answered differently, by the guardrails alone, once the rail is gone."""
    rest = guardrails.without(rail)
    return any(rest.decide(inquiry).allowed != opinion.allowed for inquiry, opinion in answered)
