"""Loads a policy directory: the catalogue, the guardrails and the company's words for the model.

    policies/catalogue/<entitlement>.yml   one file for each thing that may be asked for
    policies/guardrails.cedar              cross-cutting rules, with guardrails.cedarschema beside it
    policies/advice.md                     how the company thinks about access, for the model

Everything is checked before anything is used; what is wrong is a `SettingsError` with file, line and key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from bot.core.request import Entitlement, Sensitivity
from bot.errors import SettingsError
from policies.entry import ID, EntryForm, ExampleForm, SomebodyForm, read_entry
from policies.guardrails import Guardrails
from policies.marks import Marked, read_bytes, read_marked, read_text
from policies.revision import commit_of
from policies.rules import CRITICAL_APPROVALS, gives_power, target_group

GROUP_ACTION = "okta.group"


@dataclass(frozen=True, slots=True)
class Example:
    """A line of a catalogue file that runs as a test, and where it stands."""

    entitlement: str
    form: ExampleForm
    path: Path
    line: int


@dataclass(frozen=True, slots=True)
class Policies:
    """A policy directory, checked. `digest` names exactly this version of its `files`, for the audit trail.

    `commit` is what they were checked out at, if they were.
    """

    entitlements: Mapping[str, Entitlement]
    examples: tuple[Example, ...]
    guardrails: Guardrails
    advice: str
    digest: str
    protected: frozenset[str] = frozenset()
    files: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A catalogue file, read but not yet checked against the others."""

    id: str
    marked: Marked
    form: EntryForm


def load(directory: Path, *, protected: Collection[str] = (), actions: Collection[str] | None = None) -> Policies:
    """Read and check a whole directory.

    `protected` are further groups that no entitlement may add people to; `actions` are the kinds that somebody can
    carry out (None: not known here).
    """
    digest = _digest(directory)
    entries = [_read(path) for path in _catalogue_files(directory / "catalogue")]
    entitlements = _with_symmetric_conflicts(
        {entry.id: entry.form.entitlement(entry.id, source=f"catalogue/{entry.id}.yml") for entry in entries}
    )
    for entry in entries:
        _check_action(entry, actions)
        _check(entry, entitlements, frozenset(protected))
    _check_titles(entries)
    policies = Policies(
        entitlements=MappingProxyType(entitlements),
        examples=tuple(example for entry in entries for example in _examples(entry)),
        guardrails=Guardrails.read(directory),
        advice=_read_advice(directory / "advice.md"),
        digest=digest,
        protected=frozenset(protected),
        files={name: content.decode() for name, content in _contents(directory).items()},
        commit=commit_of(directory),
    )
    if digest != _digest(directory):
        raise SettingsError(f"{directory}: was changed while it was read; load it again")
    return policies


# --- files -----------------------------------------------------------------------------------------------------------


def _catalogue_files(catalogue: Path) -> list[Path]:
    """The files of the catalogue; at least one, and none that would be passed over in silence."""
    if not catalogue.is_dir():
        raise SettingsError(f"{catalogue}: is not a directory; it holds one .yml file for each entitlement")
    for path in sorted(catalogue.glob("*.yaml")):
        raise SettingsError(f"{path}: is named .yaml; name it {path.stem}.yml, or it would be passed over")
    files = sorted(catalogue.glob("*.yml"))
    if not files:
        raise SettingsError(f"{catalogue}: holds no .yml file; write one for each thing that may be asked for")
    return files


def _read(path: Path) -> _Entry:
    marked = read_marked(path)
    if not ID.fullmatch(path.stem):
        raise marked.error((), f'the file name "{path.name}" is the id; use small letters, digits and single hyphens')
    form = read_entry(marked)
    if form.id not in (None, path.stem):
        raise marked.error(("id",), f'"{form.id}" differs from the file name; allowed: {path.stem}')
    return _Entry(path.stem, marked, form)


def _read_advice(path: Path) -> str:
    text = read_text(path).strip()
    if not text:
        raise SettingsError(f"{path}: is empty; say how the company thinks about access")
    return text


def _digest(directory: Path) -> str:
    """SHA-256 (hex) over the name, length and content of every file that decides something."""
    digest = hashlib.sha256()
    for name, content in _contents(directory).items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _contents(directory: Path) -> dict[str, bytes]:
    names = ("guardrails.cedar", "guardrails.cedarschema", "advice.md")
    paths = (*_catalogue_files(directory / "catalogue"), *(directory / name for name in names))
    return {path.relative_to(directory).as_posix(): read_bytes(path) for path in paths}


def _examples(entry: _Entry) -> Iterator[Example]:
    for index, form in enumerate(entry.form.examples):
        yield Example(entry.id, form, entry.marked.path, entry.marked.line(("examples", index)))


# --- what one file says against the others ---------------------------------------------------------------------------


def _with_symmetric_conflicts(entitlements: Mapping[str, Entitlement]) -> dict[str, Entitlement]:
    """A conflict written on one side holds on both."""
    both = {name: set(one.conflicts) for name, one in entitlements.items()}
    for name, one in entitlements.items():
        for other in one.conflicts:
            both.get(other, set()).add(name)
    return {name: replace(one, conflicts=frozenset(both[name])) for name, one in entitlements.items()}


def _check(entry: _Entry, entitlements: Mapping[str, Entitlement], protected: frozenset[str]) -> None:
    _check_numbers(entry)
    _check_fallback(entry)
    _check_target(entry, entitlements, protected)
    _check_conflicts(entry, entitlements)
    for index, example in enumerate(entry.form.examples):
        _check_example(entry, index, example, entitlements)


def _check_action(entry: _Entry, actions: Collection[str] | None) -> None:
    if actions is not None and (kind := entry.form.action.kind) not in actions:
        raise entry.marked.error(("action", "kind"), f'"{kind}" is not one of {", ".join(sorted(actions))}')


def _check_numbers(entry: _Entry) -> None:
    form = entry.form
    if form.time.default > form.time.longest:
        raise entry.marked.error(("time", "default"), "is longer than time.longest; allowed: up to that")
    if form.time.in_total is not None and form.time.in_total < form.time.longest:
        raise entry.marked.error(("time", "in_total"), "is shorter than time.longest; allowed: that or more")
    if Sensitivity(form.sensitivity) is Sensitivity.CRITICAL and form.approvals < CRITICAL_APPROVALS:
        raise entry.marked.error(
            ("approvals",), f"{form.approvals} is too few for critical; allowed: {CRITICAL_APPROVALS} or more"
        )


def _check_fallback(entry: _Entry) -> None:
    fallback = entry.form.fallback
    if fallback is not None and fallback.group == entry.form.who_decides.group:
        raise entry.marked.error(("fallback", "group"), "decides already; allowed: another group")


def _check_target(entry: _Entry, entitlements: Mapping[str, Entitlement], protected: frozenset[str]) -> None:
    entitlement = entitlements[entry.id]
    if entitlement.action == GROUP_ACTION and target_group(entitlement) is None:
        raise entry.marked.error(("action", "group"), f"is missing; {GROUP_ACTION} needs the name of a group")
    if gives_power(entitlements, entitlement, protected):
        raise entry.marked.error(
            ("action", "group"),
            f'"{target_group(entitlement)}" holds approvers or is protected; allowed: a group that decides nothing',
        )


def _check_conflicts(entry: _Entry, entitlements: Mapping[str, Entitlement]) -> None:
    """Conflicts are seen in the directory's groups, so both sides must be groups; else one could never be noticed."""
    for index, other in enumerate(entry.form.conflicts):
        place = ("conflicts", index)
        if other == entry.id or other not in entitlements:
            allowed = ", ".join(name for name in entitlements if name != entry.id)
            raise entry.marked.error(place, f'"{other}" is not another entitlement; allowed: {allowed}')
        for one in (entry.id, other):
            if entitlements[one].action != GROUP_ACTION:
                raise entry.marked.error(
                    place, f"{one} is not an {GROUP_ACTION} action, so nobody can tell who holds it"
                )


def _check_example(entry: _Entry, index: int, example: ExampleForm, entitlements: Mapping[str, Entitlement]) -> None:
    place = ("examples", index)
    if (example.then == "refused") != (example.rule is not None):
        raise entry.marked.error(place, "says `rule` if and only if it is refused")
    if example.decided_by is not None and example.approved_by is not None:
        raise entry.marked.error(place, "has both decided_by and approved_by; allowed: one of them")
    for somebody in (example.who, example.beneficiary, example.decided_by, *(example.approved_by or ())):
        _check_held(entry, place, somebody, entitlements)


def _check_held(
    entry: _Entry, place: tuple[str | int, ...], somebody: SomebodyForm | None, entitlements: Mapping[str, Entitlement]
) -> None:
    for held in somebody.holds if somebody else ():
        if held not in entitlements or target_group(entitlements[held]) is None:
            raise entry.marked.error(place, f'holds: "{held}" is not an entitlement with a group')


def _check_titles(entries: list[_Entry]) -> None:
    """People choose by title, so two may not read the same."""
    seen: dict[str, str] = {}
    for entry in entries:
        title = " ".join(entry.form.title.casefold().split())
        if title in seen:
            raise entry.marked.error(("title",), f'"{entry.form.title}" is already the title of {seen[title]}')
        seen[title] = entry.id
