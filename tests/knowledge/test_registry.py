"""Sources that a company adds, in a package of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.config import EXECUTOR, FRONT, read_settings, setting_names
from bot.errors import SettingsError
from bot.sources import choose, names, open_sources, variables_of
from bot.supervisor import environment
from knowledge import Knowledge, Wanted
from knowledge.sources import Document
from knowledge.sources.documents import Folder
from knowledge.sources.registry import Ports

WIKI = """
from knowledge.sources import Document
from knowledge.sources.registry import Setting, SourceKind

class Wiki:
    name = "wiki"

    def __init__(self, url, read_at):
        self.url, self.read_at = url, read_at

    def read(self):
        yield Document("wiki/1", "Keys", "Keys rotate in May.", f"{self.url}/1", "wiki/1", self.read_at)

WIKI = SourceKind(
    lambda settings, ports: [Wiki(settings["TINYAPPROVER_WIKI_URL"], ports.now())],
    (
        Setting("TINYAPPROVER_WIKI_URL", "Where the wiki is.", needed=True, hosts=("wiki.example.com",)),
        Setting("TINYAPPROVER_WIKI_SPACE", "Which part is read.", "all"),
    ),
)
"""
NOW = datetime(2026, 11, 25, 14, 3, tzinfo=UTC)
CHOSEN = {"TINYAPPROVER_SOURCES": "wiki", "TINYAPPROVER_WIKI_URL": "https://wiki.example.com"}


def install(site: Path, name: str, entry: str, code: str = "") -> None:
    """What installing a package leaves in a directory of packages."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[tinyapprover.sources]\n{entry}\n")
    (site / f"{name}.py").write_text(code)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of packages in which the company's wiki is installed."""
    path = tmp_path / "site"
    install(path, "company_wiki", "wiki = company_wiki:WIKI", WIKI)
    monkeypatch.syspath_prepend(str(path))
    return path


@pytest.fixture
def ports(tmp_path: Path) -> Ports:
    return Ports(lambda: NOW, tmp_path)


@pytest.mark.usefixtures("site")
async def test_a_source_of_another_package_is_read_and_found(tmp_path: Path, ports: Ports) -> None:
    sources = open_sources(CHOSEN, ports)
    knowledge = await Knowledge.open(tmp_path / "data", None, embedder=Wanted("none"), sources=sources)
    await knowledge.index()
    (found,) = await knowledge.search(["when do keys rotate"], 3)
    await knowledge.close()
    assert (found.title, found.url, found.updated_at) == ("Keys", "https://wiki.example.com/1", NOW)


@pytest.mark.usefixtures("site")
def test_a_setting_that_is_not_set_has_its_default() -> None:
    (chosen,) = choose(CHOSEN)
    assert chosen.settings == {"TINYAPPROVER_WIKI_URL": "https://wiki.example.com", "TINYAPPROVER_WIKI_SPACE": "all"}


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"TINYAPPROVER_WIKI_URL": ""}, "TINYAPPROVER_WIKI_URL: is not set. Where the wiki is."),
        ({"TINYAPPROVER_WIKI_SPACES": "x"}, "WIKI_SPACES: wiki has no such setting; is TINYAPPROVER_WIKI_SPACE meant"),
        ({"TINYAPPROVER_WIKI_URL": "https://evil.example.net"}, "'evil.example.net' is not one of wiki.example.com"),
        ({"TINYAPPROVER_WIKI_URL": "http://wiki.example.com"}, "must start with https://"),
        ({"TINYAPPROVER_SOURCES": "wikki"}, "no source named 'wikki' is installed; installed are: .*documents,.*wiki"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_the_cure(changed: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        choose({**CHOSEN, **changed})


def test_an_allowed_host_may_hold_a_source(site: Path) -> None:
    moved = {"TINYAPPROVER_WIKI_URL": "https://wiki.example.net", "TINYAPPROVER_ALLOWED_HOSTS": "Example.net"}
    (chosen,) = choose({**CHOSEN, **moved})
    assert chosen.settings["TINYAPPROVER_WIKI_URL"] == "https://wiki.example.net"


@pytest.mark.parametrize(
    ("entry", "code", "words"),
    [
        ("broken = broken:WIKI", "import not_a_module_of_anybody", "cannot be imported: No module named"),
        ("broken = broken:WIKI", "", "cannot be imported: module 'broken' has no attribute 'WIKI'"),
        ("broken = broken:WIKI", "WIKI = 1", "broken:WIKI is no SourceKind"),
    ],
)
def test_a_source_that_cannot_be_loaded_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str, code: str, words: str
) -> None:
    install(tmp_path / "broken-site", "broken", entry, code)
    monkeypatch.syspath_prepend(str(tmp_path / "broken-site"))
    monkeypatch.delitem(__import__("sys").modules, "broken", raising=False)
    with pytest.raises(SettingsError, match=words):
        choose({"TINYAPPROVER_SOURCES": "broken"})


def test_two_packages_cannot_be_one_source(site: Path) -> None:
    install(site, "other_wiki", "wiki = other_wiki:WIKI", WIKI)
    with pytest.raises(SettingsError, match="two packages register 'wiki': company_wiki:WIKI and other_wiki:WIKI"):
        choose(CHOSEN)


def test_without_a_choice_the_documents_folder_is_read_if_there_is_one() -> None:
    assert names({}) == ()
    assert names({"TINYAPPROVER_DOCUMENTS": "handbook"}) == ("documents",)
    assert names({"TINYAPPROVER_DOCUMENTS": "handbook", "TINYAPPROVER_SOURCES": "wiki, , wiki"}) == ("wiki",)


def test_the_folder_is_opened_with_the_address_it_is_published_at(folder: Path, ports: Ports) -> None:
    (folder / "a.md").write_text("# A")
    told = {"TINYAPPROVER_DOCUMENTS": str(folder), "TINYAPPROVER_DOCUMENTS_URL": "https://handbook.example.com"}
    (source,) = open_sources(told, ports)
    assert isinstance(source, Folder)
    (document,) = source.read()
    assert isinstance(document, Document)
    assert document.url == "https://handbook.example.com/a.md"


# --- who knows what --------------------------------------------------------------------------------------------------

_NAMES = "SLACK_BOT_TOKEN SLACK_APP_TOKEN SLACK_RESPONDER_CHANNEL OKTA_ORG_URL OKTA_API_TOKEN OKTA_WRITE_TOKEN"
NEEDED = dict.fromkeys([*_NAMES.split(), "TINYAPPROVER_EMAIL_DOMAINS"], "x")


@pytest.mark.usefixtures("site")
def test_only_the_front_is_given_the_settings_of_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in setting_names().values():
        monkeypatch.delenv(name, raising=False)
    filed = tmp_path / "settings"
    filed.write_text("TINYAPPROVER_WIKI_URL=https://filed.example.com\nTINYAPPROVER_WIKI_SPACE=handbook\n")
    monkeypatch.setenv("TINYAPPROVER_WIKI_URL", "https://wiki.example.com")
    settings = read_settings(_env_file=filed, **NEEDED)
    ours = {"PATH": "/bin", "tinyapprover_wiki_url": "https://wiki.example.com"}
    front, executor = environment(settings, FRONT, ours), environment(settings, EXECUTOR, ours)
    assert front["TINYAPPROVER_WIKI_URL"] == "https://wiki.example.com"
    assert front["TINYAPPROVER_WIKI_SPACE"] == "handbook"
    assert not [name for name in executor if "wiki" in name.casefold()]
    assert executor["PATH"] == "/bin"
    assert not read_settings(roles=(EXECUTOR,), _env_file=filed, **NEEDED).of_sources


@pytest.mark.usefixtures("site")
def test_a_run_is_told_its_sources_like_its_other_settings() -> None:
    settings = read_settings(_env_file=None, **NEEDED, **CHOSEN)
    (chosen,) = choose(variables_of(settings))
    assert chosen.settings["TINYAPPROVER_WIKI_URL"] == "https://wiki.example.com"
