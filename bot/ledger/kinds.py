"""Every kind of job: who does it, what it waits for while it runs, and what it does in words for people."""

from __future__ import annotations

from dataclasses import dataclass

LANE_ROOM = 64  # running jobs of one process that wait for the same outside: a slow one leaves room for the rest


@dataclass(frozen=True, slots=True)
class Kind:
    """`lane` is what its jobs wait for; they share the room of that lane."""

    lane: str
    does: str
    role: str = "front"


def _executor(does: str) -> Kind:
    return Kind("grants", does, "executor")


KINDS = {
    "advice_note": Kind("pagerduty", "writes the model's advice on the incident"),
    "advise": Kind("model", "asks the model for advice"),
    "anchor": Kind("anchors", "tells the head of the audit trail to places outside the database"),
    "answer": Kind("answers", "answers a policy question that somebody asked"),
    "announce": Kind("slack", "tells the responder channel that a page was closed undecided"),
    "away": Kind("slack", "tells responders that presses may have been lost"),
    "card": Kind("slack", "posts or redraws the card in the responder channel"),
    "card_note": Kind("pagerduty", "tells the incident where the card is"),
    "code": Kind("slack", "sends one responder their one-time code"),
    "codes": Kind("directory", "finds who needs a one-time code"),
    "compare": Kind("slack", "compares the messages of a channel with the record, and makes them true to it"),
    "decide": Kind("directory", "checks an answer that somebody gave, and counts it"),
    "dm": Kind("slack", "keeps the requester's own message true"),
    "end_note": Kind("pagerduty", "writes on the incident how the access ended"),
    "escalate": Kind("pagerduty", "pages the next level"),
    "expire": Kind("ledger", "ends a request that nobody decided in time"),
    "fallback": Kind("ledger", "lets the fallback group decide as well, because nobody answers"),
    "fallback_people": Kind("directory", "finds who belongs to the fallback group, and has them told"),
    "frozen": Kind("slack", "tells the responder channels that everything is frozen"),
    "gather": Kind("evidence", "gathers the evidence"),
    "grant": _executor("gives the access that was approved, and reads it back"),
    "hand_on": Kind("slack", "passes a question on to the responder channel"),
    "home": Kind("slack", "draws somebody's App Home"),
    "listing": Kind("pagerduty", "keeps the quiet page that lists what is beyond the ceiling"),
    "look": _executor("looks whether an overtaken or unanswered step left something wrong, and puts it right"),
    "nudge": Kind("slack", "tells one person of the fallback group"),
    "overdue_page": Kind("pagerduty", "pages somebody about access that could not be taken back"),
    "page": Kind("pagerduty", "opens the incident"),
    "plan": Kind("directory", "works out what exactly would change, and what policy says of it"),
    "plan_note": Kind("pagerduty", "writes a changed plan on the incident"),
    "poll": Kind("pagerduty", "reads the comments of the incident"),
    "press": Kind("directory", "does what a button means, for whoever pressed it"),
    "question_note": Kind("pagerduty", "writes a question or its answer on the incident"),
    "reconcile": Kind("ledger", "has every channel compared in which something open stands"),
    "remind": Kind("slack", "reminds the channel that nobody has answered"),
    "repage": Kind("pagerduty", "pages once more after a page was closed undecided"),
    "reply": Kind("slack", "tells one person what became of their answer"),
    "resolve": Kind("pagerduty", "writes the outcome on the incident, and closes it"),
    "restore": _executor("puts back access that a removal for another request took along"),
    "revoke": _executor("takes the access back, and reads that it is gone"),
    "silence": Kind("slack", "passes the page on, because nobody answers"),
    "stop": Kind("directory", "checks who wrote a comment that stops a request, and stops it"),
    "stuck": Kind("slack", "tells the responder channel about a job that keeps failing"),
    "subscription": Kind("pagerduty", "looks whether PagerDuty still delivers its webhooks"),
    "tell": Kind("slack", "tells the requester news"),
    "thawed": Kind("slack", "tells the responder channels that it goes on"),
    "unclear": Kind("ledger", "records a comment that decided nothing"),
    "warn": Kind("slack", "warns the holder that the access ends soon"),
}
UNKNOWN = Kind("other", "is not described here")


def kind_of(job_kind: str) -> Kind:
    """The kind of a job, whose own name may say more after a colon (`tell:outcome`)."""
    return KINDS.get(job_kind.partition(":")[0], UNKNOWN)
