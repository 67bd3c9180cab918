"""The two kinds of error: a person's matter and a fault of ours or a vendor's."""

from __future__ import annotations


class Refused(Exception):
    """A person's matter: one kind sentence, shown where they are, that says what to do.

    `field` names the form input the sentence belongs to (a `block_id`), when there is one; `rule` names
    the rule that refused, for the audit trail; `about` is the other request that stands against it, if one does.
    """

    def __init__(self, sentence: str, *, field: str | None = None, rule: str = "intake", about: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.field = field
        self.rule = rule
        self.about = about


class Fault(Exception):
    """Ours or a vendor's: logged with the request id, retried or escalated, never shown raw to a person.

    `retry_after` is in seconds, when the vendor said it. `unknown` is true when a write may have been carried
    out although no answer came back: read before saying or repeating anything. `permanent` is true when the
    same call can only fail again (wrong token, missing permission, no such thing).
    """

    def __init__(
        self,
        vendor: str,
        what: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        unknown: bool = False,
        permanent: bool = False,
    ) -> None:
        super().__init__(f"{vendor}: {what}")
        self.vendor = vendor
        self.what = what
        self.status = status
        self.retry_after = retry_after
        self.unknown = unknown
        self.permanent = permanent


class SettingsError(Exception):
    """A setting, catalogue or guardrail file that cannot be used: says which, where, and what is allowed."""


class Unreachable(SettingsError):
    """A vendor whom the start needs does not answer: the address may be wrong, unless it was right before."""
