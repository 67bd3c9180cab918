"""Reading a folder of Markdown that anybody may have written."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.errors import Fault
from knowledge.sources import PUBLIC, RESPONDERS, Author, Document, Skipped
from knowledge.sources.documents import MAX_BYTES, Folder
from tests.knowledge.files import Repository


def _read(folder: Path, base_url: str = "") -> tuple[list[Document], list[Skipped]]:
    items = list(Folder(folder, base_url=base_url).read())
    return [i for i in items if isinstance(i, Document)], [i for i in items if isinstance(i, Skipped)]


def test_front_matter_gives_title_date_and_address(folder: Path) -> None:
    (folder / "a.md").write_text(
        "---\ntitle: Keys\nupdated: 2026-03-01\nurl: https://h.example.com/k\n---\n# Other\n\nText"
    )
    (document,), _ = _read(folder)
    assert document.title == "Keys"
    assert document.updated_at == datetime(2026, 3, 1, tzinfo=UTC)
    assert document.url == "https://h.example.com/k"
    assert "title:" not in document.text


def test_without_front_matter_heading_time_and_path_serve(folder: Path) -> None:
    (folder / "sub").mkdir()
    page = folder / "sub" / "b c.md"
    page.write_text("Intro\n\n## The heading ##\n\nText")
    os.utime(page, (1_700_000_000, 1_700_000_000))
    (document,), _ = _read(folder)
    assert (document.id, document.title, document.url) == ("documents/sub/b c.md", "The heading", "sub/b c.md")
    assert document.updated_at == datetime.fromtimestamp(1_700_000_000, UTC)
    (based,), _ = _read(folder, base_url="https://wiki.example.com/")
    assert based.url == "https://wiki.example.com/sub/b%20c.md"


@pytest.fixture
def repository(folder: Path) -> Repository:
    return Repository(folder)


def _authors(folder: Path, file: str = "page.md") -> list[str]:
    """The addresses of a document's authors."""
    (one,) = [document for document in _read(folder)[0] if document.file == file]
    return sorted(author.id for author in one.authors)


def test_in_a_checkout_the_commit_dates_a_document(folder: Path, repository: Repository) -> None:
    repository.write("alice", "2025-01-02", "# Page", file="é page.md")
    (document,), _ = _read(folder)
    assert document.updated_at == datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert document.authors == (Author("alice@example.com", "Alice"),)


def test_whoever_changed_a_document_within_three_months_before_its_last_change_wrote_it(
    folder: Path, repository: Repository
) -> None:
    repository.write("carol", "2025-01-01", "# Page\n\nRule")
    repository.write("mallory", "2025-03-20", "# Page\n\nAnybody may have it")
    repository.write("bob", "2025-06-01", "# Page\n\nAnybody may have it.")
    assert _authors(folder) == ["bob@example.com", "mallory@example.com"]


def test_each_document_has_authors_of_its_own(folder: Path, repository: Repository) -> None:
    repository.write("alice", "2024-01-01", "old", file="old.md")
    repository.write("mallory", "2023-11-01", "older words", file="unlike.md")
    repository.write("bob", "2025-06-01", "new", file="new.md")
    assert _authors(folder, "old.md") == ["alice@example.com"]
    assert _authors(folder, "new.md") == ["bob@example.com"]


def test_whoever_is_named_as_having_written_it_too_is_an_author(folder: Path, repository: Repository) -> None:
    repository.write(
        "bob", "2025-06-01", "# Page", trailer="Co-authored-by: Mallory <Mallory@example.com>\nCo-authored-by: nobody"
    )
    assert _authors(folder) == ["bob@example.com", "mallory@example.com"]


def test_a_name_in_a_commit_shows_nothing_that_cannot_be_seen(folder: Path, repository: Repository) -> None:
    repository.write("\u202ebob\u2066", "2025-06-01", "# Page")
    ((document,), _) = _read(folder)
    assert [author.name for author in document.authors] == ["Bob"]


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "//evil",
        "https://a@b/",
        "https://x/ <b>",
        "[1]",
        "http://[",
        "data:,x",
    ],
)
def test_an_address_that_is_no_web_address_is_not_used(folder: Path, url: str) -> None:
    (folder / "a.md").write_text(f"---\nurl: {url!r}\n---\ntext")
    (document,), _ = _read(folder)
    assert document.url == "a.md"


@pytest.mark.parametrize(
    "front",
    [
        "a: [",
        "!!python/object/apply:os.system [ls]",
        "- list",
        "updated: 2026-99-99",
        "title: [x]\nupdated: soon",
        "&a [*a]",
    ],
)
def test_broken_front_matter_is_dropped(folder: Path, front: str) -> None:
    (folder / "a.md").write_text(f"---\n{front}\n---\n# Real title\n\ntext")
    (document,), _ = _read(folder)
    assert document.title == "Real title"
    assert document.updated_at is not None


def test_what_cannot_be_read_is_skipped_with_a_reason(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.md").write_text("# Secret")
    (tmp_path / "beyond").mkdir()
    (tmp_path / "beyond" / "c.md").write_text("# Secret")
    (folder / "link.md").symlink_to(tmp_path / "outside.md")
    (folder / "folder").symlink_to(tmp_path / "beyond")
    (folder / "loop.md").symlink_to("loop.md")
    (folder / "latin.md").write_bytes(b"caf\xe9")
    (folder / "huge.md").write_bytes(b"x" * (MAX_BYTES + 1))
    os.mkfifo(folder / "pipe.md")
    (folder / "good.md").write_text("# Good")
    documents, skipped = _read(folder)
    assert [document.title for document in documents] == ["Good"]
    reasons = {s.what: s.why for s in skipped}
    assert reasons.keys() == {"link.md", "loop.md", "latin.md", "huge.md", "pipe.md"}
    assert reasons["link.md"] == "a link out of the documents folder"
    assert reasons["latin.md"] == "not UTF-8 at byte 3; save it as UTF-8"


def test_links_within_the_folder_are_followed_once(folder: Path) -> None:
    """As in a mounted Kubernetes ConfigMap: the files are links into a hidden folder."""
    (folder / "..2026").mkdir()
    (folder / "..2026" / "a.md").write_text("# A")
    (folder / "..data").symlink_to("..2026")
    (folder / "a.md").symlink_to("..data/a.md")
    documents, skipped = _read(folder)
    assert [d.file for d in documents] == ["a.md"]
    assert not skipped


def test_characters_that_cannot_be_seen_are_taken_out(folder: Path) -> None:
    hidden = "Deny\u202eevorppa\u202c this\u200b \x00\x1b[31mplease\ufeff\u2066\U000e0041"
    (folder / "a.md").write_text(f'---\ntitle: "a\\u202Eb\\nc"\n---\n{hidden}\r\nnext\tline')
    (document,), _ = _read(folder)
    assert document.title == "ab c"
    assert document.text == "Denyevorppa this [31mplease\nnext    line"


@pytest.mark.parametrize("name", [b"caf\xe9.md", "a\u202eb.md".encode(), "a\u200b.md".encode(), b"a\nb.md"])
def test_a_name_that_cannot_be_shown_is_said_and_the_file_is_not_read(folder: Path, name: bytes) -> None:
    (folder / "a.md").write_text("# A")
    (folder / os.fsdecode(name)).write_text("# B")
    documents, (skipped,) = _read(folder)
    assert [one.title for one in documents] == ["A"]
    assert "rename it" in skipped.why
    assert skipped.what.isprintable()


def test_a_folder_that_cannot_be_opened_is_said(folder: Path) -> None:
    (folder / "a.md").write_text("# A")
    here = os.open(folder, os.O_RDONLY)
    for _ in range(20):  # a path longer than any call takes
        os.mkdir("f" * 250, dir_fd=here)
        inside = os.open("f" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inside
    os.close(here)
    documents, (skipped,) = _read(folder)
    assert [one.title for one in documents] == ["A"]
    assert skipped.why == "the folder: File name too long"


def test_a_folder_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="not a folder"):
        list(Folder(tmp_path / "none").read())


# --- who may see it, and what is not the folder's own ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("front", "visibility"),
    [
        ("title: x", PUBLIC),
        ("visibility: public", PUBLIC),
        ("visibility: Public ", PUBLIC),
        ("visibility: responders", RESPONDERS),
        ("visibility: privat", RESPONDERS),
        ("visibility: [public]", RESPONDERS),
        ("visibility:", RESPONDERS),
        ("visibility: public\n  broken: [", RESPONDERS),
    ],
)
def test_front_matter_opens_a_document_only_in_so_many_words(folder: Path, front: str, visibility: str) -> None:
    (folder / "a.md").write_text(f"---\n{front}\n---\n# A")
    (document,), _ = _read(folder)
    assert document.visibility == visibility


def test_front_matter_that_cannot_be_read_is_said(folder: Path) -> None:
    (folder / "a.md").write_text("---\nvisibility: public\n  broken: [\n---\n# A")
    (folder / "b.md").write_text("---\nvisibility: responders\n---\n# B")
    _, skipped = _read(folder)
    assert skipped == [Skipped("a.md", "from what everybody may see, as its front matter cannot be read; mend it")]


def test_what_lies_below_a_restricted_folder_is_for_responders_whatever_it_says(folder: Path) -> None:
    for name in ("secret/deep/a.md", "secretly/b.md", "c.md", "d.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("---\nvisibility: public\n---\n# Page")
    documents = [one for one in Folder(folder, restricted=["secret", "c.md"]).read() if isinstance(one, Document)]
    assert {one.file for one in documents if one.visibility == RESPONDERS} == {"secret/deep/a.md", "c.md"}
    assert {one.file for one in documents if one.visibility == PUBLIC} == {"secretly/b.md", "d.md"}


def test_ignored_and_hidden_files_are_not_read(folder: Path, repository: Repository) -> None:
    for name in ("drafts/plan.md", "kept/note.md", ".git-secret/a.md", ".hidden.md", "local.tmp.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("# Page")
    (folder / "kept" / ".gitignore").write_text("own.md\n")
    (folder / "kept" / "own.md").write_text("# Mine")
    (folder / ".gitignore").write_text("drafts/\n*.tmp.md\n")
    assert [one.file for one in _read(folder)[0]] == ["kept/note.md"]


def test_a_repository_cannot_run_anything_while_it_is_looked_at(folder: Path, repository: Repository) -> None:
    repository.write("mallory", "2025-01-02", "# Page")
    trap, sprung = folder / "trap.sh", folder / "sprung"
    trap.write_text(f"#!/bin/sh\ntouch {sprung}\n")
    trap.chmod(0o755)
    with (folder / ".git" / "config").open("a") as config:
        config.write(f"[core]\n\tfsmonitor = {trap}\n\tpager = {trap}\n[log]\n\tshowSignature = true\n")
        config.write(f"[diff]\n\texternal = {trap}\n[gpg]\n\tprogram = {trap}\n")
    assert len(_read(folder)[0]) == 1
    assert not sprung.exists()
