"""Jira Service Management's knowledge: the Confluence spaces in which chosen service desks find their articles.

Its own API only searches, so a desk is asked for articles about some words, and the spaces that they are in are read as
a whole, with Confluence's rules on who may see what.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence

from bot.errors import Fault
from connectors.atlassian import Atlassian
from knowledge.sources import DocumentSource
from knowledge.sources.confluence import Wiki, keys_of, site_settings, wiki, words_of
from knowledge.sources.registry import Ports, Setting, Settings, SourceKind

NAME = "jira-service"
PREFIX = "TINYAPPROVER_JIRA_SERVICE"


async def linked_spaces(site: Atlassian, projects: Sequence[str], words: Sequence[str]) -> list[str]:
    """The keys of the spaces behind some desks. `Fault` for a desk that is not there or finds nothing."""
    desks = await site.desks()
    found: set[str] = set()
    for project in projects:
        if project not in desks:
            raise Fault(NAME, f"no service desk {project}, or the account may not see it", permanent=True)
        spaces = [await site.article_spaces(desks[project], word) for word in words]
        if not any(spaces):
            raise Fault(NAME, f"{project} has no article about {', '.join(words)}; set {PREFIX}_WORDS", permanent=True)
        found.update(*spaces)
    return sorted(found)


def _open_wiki(settings: Settings, ports: Ports) -> Wiki:
    projects = keys_of(f"{PREFIX}_DESKS", settings[f"{PREFIX}_DESKS"])
    words = words_of(settings[f"{PREFIX}_WORDS"])
    return wiki(NAME, PREFIX, settings, ports, lambda site: linked_spaces(site, projects, words))


def _open(settings: Settings, ports: Ports) -> list[DocumentSource]:
    return [_open_wiki(settings, ports)]


def _ping(settings: Settings, ports: Ports) -> Coroutine[None, None, str]:
    return _open_wiki(settings, ports).ping()


JIRA_SERVICE = SourceKind(
    _open,
    (
        *site_settings(PREFIX),
        Setting(f"{PREFIX}_DESKS", "Project keys of the service desks, comma separated.", needed=True),
        Setting(
            f"{PREFIX}_WORDS", "Words by which a desk's knowledge base is found, comma separated.", "access,request"
        ),
    ),
    ping=_ping,
)
