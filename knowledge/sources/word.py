"""DOCX as Markdown, by way of HTML. Hidden text, deletions and comments are left out.

Runs on hostile input, inside the limits of `knowledge.sources.converting`.
"""

from __future__ import annotations

from io import BytesIO
from xml.etree import ElementTree
from zipfile import BadZipFile, ZipFile, ZipInfo

from knowledge.sources.html import Page, page_of_html
from knowledge.sources.pdf import Unreadable

MAX_ENTRIES, MAX_ENTRY_BYTES = 5000, 50_000_000
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_NO = frozenset({"0", "false", "off"})
_TINY = 2  # half points


def page_of_word(data: bytes) -> Page:
    """The text of a DOCX. `Unreadable` for a file that is none, or unpacks to far too much."""
    import mammoth  # type: ignore[import-untyped]

    try:
        visible = _visible(data)
        made = mammoth.convert_to_html(BytesIO(visible), convert_image=lambda _image: [], ignore_empty_paragraphs=True)
    except (BadZipFile, KeyError, ElementTree.ParseError, ValueError, AttributeError, OSError) as error:
        raise Unreadable("is no DOCX file that can be opened; save it as DOCX again") from error
    return page_of_html(made.value)


def _visible(data: bytes) -> bytes:
    """The parts that hold text, without what nobody can see; pictures, macros and the like are not taken along."""
    target = BytesIO()
    with ZipFile(BytesIO(data)) as source, ZipFile(target, "w") as slim:
        entries = source.infolist()
        if len(entries) > MAX_ENTRIES or any(entry.file_size > MAX_ENTRY_BYTES for entry in entries):
            raise Unreadable("unpacks to far too much; save it without its attachments, or as PDF")
        for entry in entries:
            if entry.filename.endswith((".xml", ".rels")):
                slim.writestr(entry.filename, _part(source, entry))
    return target.getvalue()


def _part(source: ZipFile, entry: ZipInfo) -> bytes:
    body = source.read(entry)
    if b"DOCTYPE" in body[:2000]:
        raise Unreadable("declares a document type, which no DOCX does; save it as DOCX again")
    return _without_hidden(body) if entry.filename.startswith("word/") and b":rPr" in body else body


def _without_hidden(part: bytes) -> bytes:
    root = ElementTree.fromstring(part)  # noqa: S314 - no document type, and limits on memory and time
    for parent in root.iter():
        for run in [child for child in parent if child.tag == f"{_W}r" and _is_hidden(child.find(f"{_W}rPr"))]:
            parent.remove(run)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _is_hidden(properties: ElementTree.Element | None) -> bool:
    if properties is None:
        return False
    if any(_is_on(properties.find(f"{_W}{name}")) for name in ("vanish", "webHidden", "specVanish")):
        return True
    white = _value(properties, "color").upper() == "FFFFFF"
    grounded = any(properties.find(f"{_W}{name}") is not None for name in ("shd", "highlight"))
    size = _value(properties, "sz")
    return (white and not grounded) or (size.isdecimal() and int(size) <= _TINY)


def _is_on(mark: ElementTree.Element | None) -> bool:
    return mark is not None and mark.get(f"{_W}val", "1").lower() not in _NO


def _value(properties: ElementTree.Element, name: str) -> str:
    found = properties.find(f"{_W}{name}")
    return found.get(f"{_W}val", "") if found is not None else ""
