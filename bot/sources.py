"""The sources that are chosen, opened with their settings: what `run`, `index` and `check` read documents from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bot.config import VENDOR_HOSTS, Settings, as_text, check_address, setting_names
from knowledge.chroma_server import Server
from knowledge.sources import DocumentSource, FollowedSource, registry
from knowledge.sources.registry import Ports, SourceKind

DOCUMENTS = "documents"
CHAT = frozenset({"slack-history", "slack-export"})


@dataclass(frozen=True, slots=True)
class Chosen:
    """A source that is chosen, with its settings."""

    name: str
    kind: SourceKind
    settings: registry.Settings

    async def ping(self, ports: Ports) -> str:
        """One line when it can be read; `SettingsError` or `Fault` with the cure when not."""
        if self.kind.ping is not None:
            return await self.kind.ping(self.settings, ports)
        return ", ".join(source.name for source in self.kind.open(self.settings, ports))


def variables_of(settings: Settings) -> dict[str, str]:
    """A run's settings by the names of their variables, those of sources among them."""
    ours = {name: getattr(settings, field) for field, name in setting_names().items()}
    return {**{name: as_text(value) for name, value in ours.items() if value is not None}, **settings.of_sources}


def names(variables: Mapping[str, str]) -> tuple[str, ...]:
    """The sources that are chosen by name; without a choice the documents folder, if there is one."""
    words = [word.strip() for word in variables.get("TINYAPPROVER_SOURCES", "").split(",")]
    chosen = tuple(dict.fromkeys(word for word in words if word))
    return chosen or ((DOCUMENTS,) if variables.get("TINYAPPROVER_DOCUMENTS") else ())


def reads_chat(variables: Mapping[str, str]) -> bool:
    """Whether what people said in channels is among what is read."""
    return not CHAT.isdisjoint(names(variables))


def choose(variables: Mapping[str, str]) -> list[Chosen]:
    """The chosen sources with their settings; `SettingsError` names whatever is wrong with any of them."""
    return [_chosen(name, variables) for name in names(variables)]


def _chosen(name: str, variables: Mapping[str, str]) -> Chosen:
    kind = registry.load(name)
    settings = registry.settings_of(name, kind, variables)
    allowed = tuple(word.strip().lower() for word in variables.get("TINYAPPROVER_ALLOWED_HOSTS", "").split(","))
    for setting in kind.settings:
        if setting.hosts and settings[setting.name]:
            check_address(setting.name, settings[setting.name], setting.hosts, allowed)
    return Chosen(name, kind, settings)


def vector_server(variables: Mapping[str, str]) -> Server | None:
    """The Chroma server that is to keep the vectors, if one is."""
    name, hosts = "TINYAPPROVER_CHROMA_URL", VENDOR_HOSTS["TINYAPPROVER_CHROMA_URL"]
    if not (url := variables.get(name, "")):
        return None
    check_address(name, url, hosts, tuple(variables.get("TINYAPPROVER_ALLOWED_HOSTS", "").lower().split(",")))
    return Server(url, variables.get("TINYAPPROVER_CHROMA_TOKEN", ""))


def open_sources(variables: Mapping[str, str], ports: Ports) -> list[DocumentSource | FollowedSource]:
    """Every chosen source, ready to be read."""
    return [source for chosen in choose(variables) for source in chosen.kind.open(chosen.settings, ports)]
