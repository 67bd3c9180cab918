"""Linking accounts to one person: by immutable ids, once. An e-mail finds a candidate and never proves anybody."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace

from bot.core.request import Person, Standing
from bot.errors import Refused
from bot.ledger import Ledger
from bot.ports import Chat, Directory, Member, Pager


def check_member(member: Member, *, home_team: str) -> None:
    """Guests, strangers, bots, other workspaces and deactivated accounts neither ask nor decide."""
    if member.team != home_team:
        raise Refused("You belong to another workspace, so this has to be asked by one of us.", rule="people#team")
    if member.bot or member.deleted or not member.full_member:
        raise Refused(
            "Only full members of this workspace can do this; guests and bots cannot. Ask your contact here to do it.",
            rule="people#full-member",
        )


async def identify(
    user: str, *, ledger: Ledger, chat: Chat, directory: Directory, home_team: str, domains: Collection[str]
) -> Person:
    """The person behind a chat account, linked now if they are not yet; `Refused` with what they can do about it."""
    member, known = await asyncio.gather(chat.member(user), ledger.person_by_slack(home_team, user))
    check_member(member, home_team=home_team)
    return known or await _link_requester(member, ledger=ledger, directory=directory, domains=domains)


async def _link_requester(member: Member, *, ledger: Ledger, directory: Directory, domains: Collection[str]) -> Person:
    """First link of somebody who asks: confirmed e-mail in an allowed domain, exactly one active account with it."""
    if not member.email_confirmed or member.email.rpartition("@")[2].lower() not in domains:
        raise Refused(
            "Your chat account has no confirmed e-mail address of ours. Confirm it in your profile, or ask an admin.",
            rule="people#email",
        )
    standing = await directory.by_login(member.email)
    if standing is None or not standing.active:
        raise Refused(
            f"There is no active directory account with the login {member.email}. Ask IT to have a look at it.",
            rule="people#directory",
        )
    if await ledger.person(standing.person_id) is not None:
        raise Refused(
            "Your directory account is linked to another chat account. An admin can link it anew.",
            rule="people#relinked",
        )
    person = Person(
        id=standing.person_id,
        email=standing.email,
        name=standing.name,
        slack_team=member.team,
        slack_user=member.user,
    )
    await ledger.link(person, by="first request")
    return person


async def link_responder(
    email: str,
    *,
    slack_user: str,
    ledger: Ledger,
    chat: Chat,
    directory: Directory,
    home_team: str,
    pager: Pager | None,
    by: str,
) -> Person:
    """An admin's link of somebody who decides. All three accounts must exist and be active; ids are kept."""
    member = await chat.member(slack_user)
    check_member(member, home_team=home_team)
    standing = await directory.by_login(email)
    if standing is None or not standing.active:
        raise Refused(f"{email} is not the login of an active directory account.", rule="people#directory")
    if not member.email_confirmed or member.email.casefold() != standing.email.casefold():
        raise Refused(f"The chat account {slack_user} has another e-mail address than {email}.", rule="people#email")
    pager_user = await pager.user_by_email(email) if pager else None
    person = Person(
        id=standing.person_id,
        email=standing.email,
        name=standing.name,
        slack_team=member.team,
        slack_user=slack_user,
        pagerduty_user=pager_user.id if pager_user else None,
        decides=True,
    )
    await ledger.link(person, by=by)
    return person


def as_person(standing: Standing, person: Person | None) -> Person:
    """A beneficiary: their link if there is one, else their directory account alone."""
    if person is not None:
        return replace(person, name=standing.name, email=standing.email)
    return Person(id=standing.person_id, email=standing.email, name=standing.name)
