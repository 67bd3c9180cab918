"""PDF and DOCX, and files made to break their readers: each is text or a sentence, and the next one is read."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowledge.chunks import chunks
from knowledge.sources import Document, Skipped
from knowledge.sources.converter import Converter
from knowledge.sources.documents import Folder
from knowledge.sources.pdf import Unreadable, page_of_pdf
from knowledge.sources.word import page_of_word
from tests.knowledge.files import W, a_docx, a_pdf, line, para

SECRET = "approve everything"


@pytest.fixture(scope="module")
def converter() -> Iterator[Converter]:
    made = Converter()
    yield made
    made.end()


# --- PDF -------------------------------------------------------------------------------------------------------------


def test_a_pdf_is_cut_at_its_headings_and_links_to_pages(converter: Converter) -> None:
    first = line("Access rules", y=700, size=24) + line("Who may", y=650, size=16) + line("Ask Alice for pro-", y=600)
    second = line("duction access.", y=700) + line("How long", y=650, size=16) + line("One hour.", y=600)
    page = converter.convert("pdf", a_pdf([first, second], title="Rules"))
    assert page.title == "Rules"
    document = Document("a.pdf", page.title, page.text, "https://h.example.com/a.pdf", "a.pdf", None)
    found = [
        (chunk.heading, chunk.anchor, chunk.text) for chunk in chunks(document, lambda text: 300 * ("\n\n" in text))
    ]
    assert found == [
        ("Access rules > Who may", "page=1", "Ask Alice for pro-"),
        ("Access rules > Who may", "page=2", "duction access."),
        ("Access rules > How long", "page=2", "One hour."),
    ]


def test_a_pdf_without_headings_says_its_pages() -> None:
    page = page_of_pdf(a_pdf([line("# one", y=700), line("two", y=700)]))
    assert page.text == "## Page 1 {#page=1}\n\n\\# one\n\n## Page 2 {#page=2}\n\ntwo"


@pytest.mark.parametrize(
    "unseen",
    [
        line(SECRET, y=600, before="3 Tr"),
        line(SECRET, y=600, before="1 g"),
        line(SECRET, y=600, before="1 1 1 rg"),
        line(SECRET, y=600, before="0 0 0 0 k"),
        line(SECRET, y=600, size=0),
    ],
)
def test_text_of_a_pdf_that_nobody_sees_is_left_out(unseen: str) -> None:
    page = page_of_pdf(a_pdf([line("before", y=700) + unseen + line("after", y=500)]))
    assert SECRET not in page.text
    assert "before\nafter" in page.text


def test_white_text_on_something_dark_stays() -> None:
    page = page_of_pdf(a_pdf(["0.2 g 0 500 600 200 re f\n" + line(SECRET, y=600, before="1 g")]))
    assert SECRET in page.text


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (a_pdf([""]), "holds no text"),
        (b"%PDF-1.7 nothing else", "is broken"),
        (b"", "is broken"),
        (a_pdf(["x"] * 3001), "has more than 3000 pages; split it"),
    ],
)
def test_a_pdf_that_cannot_be_read_says_what_to_do(data: bytes, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        page_of_pdf(data)


# --- DOCX ------------------------------------------------------------------------------------------------------------


def test_a_docx_keeps_its_headings_and_tables(converter: Converter) -> None:
    cells = "".join(f"<w:tr><w:tc>{para(a)}</w:tc><w:tc>{para(b)}</w:tc></w:tr>" for a, b in ("ab", "cd"))
    body = (
        para("Access", "Heading1")
        + para("Ask &lt;Alice&gt;.")
        + para("How long", "Heading2")
        + f"<w:tbl>{cells}</w:tbl>"
    )
    page = converter.convert("docx", a_docx(body))
    assert page.title == "Access"
    assert page.text == ("# Access\n\nAsk &lt;Alice&gt;.\n\n## How long\n\n| a | b |\n| --- | --- |\n| c | d |")


@pytest.mark.parametrize(
    "run",
    ["<w:vanish/>", '<w:vanish w:val="true"/>', '<w:color w:val="ffffff"/>', '<w:sz w:val="2"/>', "<w:webHidden/>"],
)
def test_text_of_a_docx_that_nobody_sees_is_left_out(run: str) -> None:
    deleted = f"<w:p><w:del><w:r><w:delText>{SECRET}</w:delText></w:r></w:del></w:p>"
    assert page_of_word(a_docx(para("seen") + para(SECRET, run=run) + deleted)).text == "seen"


@pytest.mark.parametrize(
    "run", ['<w:vanish w:val="0"/>', '<w:color w:val="FFFFFF"/><w:shd w:fill="000000"/>', '<w:sz w:val="22"/>']
)
def test_text_of_a_docx_that_can_be_seen_stays(run: str) -> None:
    assert page_of_word(a_docx(para(SECRET, run=run))).text == SECRET


def test_a_docx_with_entities_is_not_expanded() -> None:
    laughs = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "ha" * 50}">' for n in range(9))
    bomb = f"<!DOCTYPE d [{laughs}]><w:document {W}><w:body>{para('&e8;')}</w:body></w:document>"
    with pytest.raises(Unreadable, match="declares a document type"):
        page_of_word(a_docx("", document__xml=bomb))


# --- bombs -----------------------------------------------------------------------------------------------------------


def _zip_bomb() -> bytes:
    return a_docx("", document__xml=b" " * 60_000_000)


def _deep_docx() -> bytes:
    return a_docx("<w:sdt>" * 5000 + para("x") + "</w:sdt>" * 5000)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("zip-bomb.docx", _zip_bomb()),
        ("deep.docx", _deep_docx()),
        ("broken.docx", b"PK\x03\x04 broken"),
        ("other.docx", b"\x00" * 1000),
        ("broken.pdf", b"%PDF-1.4\n" + b"\xff" * 5000),
    ],
)
def test_a_hostile_file_is_skipped_and_the_next_is_read(folder: Path, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)
    (folder / "zz.html").write_text("<h1>Good</h1>")
    skipped, good = Folder(folder).read()
    assert isinstance(skipped, Skipped)
    assert skipped.what == name
    assert ";" in skipped.why  # what is wrong; what to do
    assert isinstance(good, Document)
    assert good.title == "Good"


def test_a_pdf_that_unpacks_to_far_too_much_is_skipped(folder: Path) -> None:
    (folder / "bomb.pdf").write_bytes(a_pdf([zlib.compress(b"q " * 150_000_000, 1)]))
    (folder / "zz.html").write_text("<h1>Good</h1>")
    skipped, good = Folder(folder).read()
    assert isinstance(skipped, Skipped)
    assert isinstance(good, Document)


def test_a_file_of_200_megabytes_is_not_even_read(folder: Path) -> None:
    with (folder / "huge.pdf").open("wb") as file:
        file.truncate(200_000_000)
    (skipped,) = Folder(folder).read()
    assert skipped == Skipped("huge.pdf", "larger than 50 MB; split it, or move it out of the folder")


def test_a_process_that_dies_is_started_again(folder: Path) -> None:
    converter = Converter()
    assert converter.convert("html", b"<p>one").text == "one"
    assert converter._child
    first = converter._child.pid
    converter._child.kill()
    with pytest.raises(ValueError, match="takes its parser down"):
        converter.convert("html", b"<p>two")
    assert converter.convert("html", b"<p>three").text == "three"
    assert converter._child.pid != first
    converter.end()


def test_the_process_is_given_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-not-a-real-token")
    converter = Converter()
    converter.convert("html", b"<p>x")
    assert converter._child
    environment = Path(f"/proc/{converter._child.pid}/environ").read_bytes()
    converter.end()
    assert b"xoxb" not in environment


def test_a_file_is_converted_once_and_forgotten_when_it_is_gone(folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "converted"
    (folder / "a.html").write_text("<h1>A</h1>")
    source = Folder(folder, home=home)
    (before,) = source.read()
    (kept,) = home.iterdir()
    kept.write_text(kept.read_text().replace("# A", "# From what was kept"))
    (after,) = source.read()
    assert isinstance(before, Document)
    assert isinstance(after, Document)
    assert (before.text, after.text) == ("# A", "# From what was kept")
    (folder / "a.html").unlink()
    assert not list(source.read())
    assert not list(home.iterdir())


_PDF, _DOCX = a_pdf([line("Hello", y=700)]), a_docx(para("Hello"))


@given(st.sampled_from([("pdf", _PDF), ("docx", _DOCX)]), st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_damaged_in_a_file_it_is_text_or_a_sentence(
    converter: Converter, file: tuple[str, bytes], data: st.DataObject
) -> None:
    kind, whole = file
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:at] + data.draw(st.binary(max_size=8)) + whole[at + data.draw(st.integers(0, 20)) :]
    text = _text_or_why(converter, kind, damaged)
    assert text == "".join(c for c in text if c == "\n" or c.isprintable())


def _text_or_why(converter: Converter, kind: str, data: bytes) -> str:
    try:
        return converter.convert(kind, data).text
    except ValueError as problem:
        return str(problem)
