"""The policies of a run: many entitlements from one template, each with its own Slack channel and Okta group."""

from __future__ import annotations

import shutil
from pathlib import Path

KINDS = 40
TEMPLATE = """\
title: Bench access {number}
description: Stands for one of many things that may be asked for.
why: Every entitlement has its own channel, so that Slack's pace for one channel is not what is measured.

action: {{kind: okta.group, group: {entitlement}}}
sensitivity: medium
who_may_ask: {{groups: [engineering]}}
who_decides: {{group: iam-approvers}}
approvals: 1
time: {{default: 1h, longest: 8h}}
page: high
channel: {channel}
"""


def entitlement(number: int) -> str:
    """The id of an entitlement and the name of its group."""
    return f"bench-{number % KINDS:02d}"


def channel(number: int) -> str:
    """The id of its channel."""
    return f"C0BENCH{number % KINDS:02d}"


def write_policies(shipped: Path, directory: Path) -> Path:
    """A policy directory with the shipped guardrails and prompt, and a catalogue from the template."""
    catalogue = directory / "catalogue"
    catalogue.mkdir(parents=True)
    for name in ("guardrails.cedar", "guardrails.cedarschema", "advice.md"):
        shutil.copy(shipped / name, directory / name)
    for number in range(KINDS):
        name = entitlement(number)
        filled = TEMPLATE.format(number=number, entitlement=name, channel=channel(number))
        (catalogue / f"{name}.yml").write_text(filled, "utf-8")
    return directory
