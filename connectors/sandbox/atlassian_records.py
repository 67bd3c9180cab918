"""What the Atlassian stand-in remembers, and how Confluence and Jira Service Management write it down."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from typing import Any

import yaml

from connectors.sandbox.world import World


@dataclass(slots=True)
class Space:
    id: str
    key: str
    name: str
    readers: list[str]
    """Names of groups, as in atlassian.yml."""


@dataclass(slots=True)
class Page:
    id: str
    space: str
    title: str
    body: str
    changed: datetime
    status: str = "current"
    parent: str = ""
    version: int = 1
    restricted: list[str] = field(default_factory=list)
    author: str = "carol"
    earlier: list[tuple[str, datetime]] = field(default_factory=list)
    """Who made the versions before this one and when, oldest first."""


@dataclass(slots=True)
class Site:
    """Spaces, pages and desks, seeded from atlassian.yml."""

    email: str
    groups: dict[str, str]
    spaces: dict[str, Space]
    pages: dict[str, Page]
    desks: dict[str, dict[str, Any]]
    without_email: set[str] = field(default_factory=set)
    """Accounts that keep their address to themselves."""

    def space_json(self, space: Space) -> dict[str, Any]:
        return {"id": space.id, "key": space.key, "name": space.name, "type": "global", "status": "current"}

    def permissions_json(self, space: Space) -> list[dict[str, Any]]:
        """Every reader may read and comment."""
        return [
            {
                "id": f"{space.id}-{group}-{key}",
                "principal": {"type": "group", "id": self.groups[group]},
                "operation": {"key": key, "targetType": target},
            }
            for group in space.readers
            for key, target in (("read", "space"), ("create", "comment"))
        ]

    def restrictions_json(self, page: Page) -> list[dict[str, Any]]:
        """One entry each for reading and changing; nobody named means everybody."""
        holders = [{"type": "group", "id": self.groups[name], "name": name} for name in page.restricted]
        return [_restriction("read", holders), _restriction("update", holders)]

    def above(self, page: Page) -> list[Page]:
        """What is above a page, from the top."""
        found: list[Page] = []
        while page.parent in self.pages:
            page = self.pages[page.parent]
            found.insert(0, page)
        return found


def _restriction(operation: str, holders: list[dict[str, Any]]) -> dict[str, Any]:
    groups = {"results": holders, "start": 0, "limit": 100, "size": len(holders)}
    nobody = {"results": [], "start": 0, "limit": 100, "size": 0}
    return {"operation": operation, "restrictions": {"user": nobody, "group": groups}}


def page_json(page: Page) -> dict[str, Any]:
    """A page without its words."""
    return {
        "id": page.id,
        "status": page.status,
        "title": page.title,
        "spaceId": page.space,
        "parentId": page.parent or None,
        "parentType": "page" if page.parent else None,
        "version": version_json(page.version, page.author, page.changed),
        "_links": {"webui": f"/spaces/{page.space}/pages/{page.id}"},
    }


def version_json(number: int, author: str, at: datetime) -> dict[str, Any]:
    return {"number": number, "authorId": account_of(author), "createdAt": at.isoformat()}


def versions_json(page: Page) -> list[dict[str, Any]]:
    """Every version, newest first."""
    made = [*page.earlier, (page.author, page.changed)]
    return [version_json(number, author, at) for number, (author, at) in reversed([*enumerate(made, 1)])]


def account_of(person: str) -> str:
    return f"712020:{person}"


def user_json(account: str, *, shows_email: bool) -> dict[str, Any]:
    """An account as somebody else sees it, who may not be shown its address."""
    person = account.removeprefix("712020:")
    names = {"displayName": person.title(), "publicName": person}
    return {"accountId": account, **names, "email": f"{person}@example.com" if shows_email else ""}


def new_site(world: World) -> Site:
    """The site as atlassian.yml has it."""
    seed = yaml.safe_load((resources.files(__package__) / "atlassian.yml").read_text("utf-8"))
    pages = [Page(changed=world.now(), **entry) for entry in seed["pages"]]
    return Site(
        email=seed["account"]["email"],
        groups=seed["groups"],
        spaces={entry["id"]: Space(**entry) for entry in seed["spaces"]},
        pages={page.id: page for page in pages},
        desks=seed["desks"],
    )
