"""PDF and DOCX files as small as they can be, and a git checkout, for tests to fill."""

from __future__ import annotations

import os
import subprocess
import zlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/><Override PartName="/word/document.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
_RELS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
    'Target="word/document.xml"/></Relationships>'
)
_STYLES = (
    f'<w:styles {W}><w:style w:type="paragraph" w:styleId="Heading1"><w:name w:val="heading 1"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="Heading2"><w:name w:val="heading 2"/></w:style></w:styles>'
)


def a_docx(body: str, **parts: str | bytes) -> bytes:
    """A DOCX with WordprocessingML as its body; `parts` replace or add parts under word/, dots written as `__`."""
    document = f"<w:document {W}><w:body>{body}</w:body></w:document>"
    inside = {"document__xml": document, "styles__xml": _STYLES, **parts}
    target = BytesIO()
    with ZipFile(target, "w", ZIP_DEFLATED) as file:
        file.writestr("[Content_Types].xml", _TYPES)
        file.writestr("_rels/.rels", _RELS)
        for name, part in inside.items():
            file.writestr(f"word/{name.replace('__', '.')}", part)
    return target.getvalue()


def para(text: str, style: str = "", run: str = "") -> str:
    """A paragraph of one run; `run` are the run's properties."""
    styled = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{styled}<w:r>{f'<w:rPr>{run}</w:rPr>' if run else ''}<w:t>{text}</w:t></w:r></w:p>"


def a_pdf(pages: Sequence[bytes | str], *, title: str = "", more: Sequence[bytes] = (), resources: str = "") -> bytes:
    """A PDF whose pages hold these instructions (see `line`); `more` are further objects, from number 4 + 2n."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, instructions in enumerate(pages):
        content = instructions.encode("latin-1") if isinstance(instructions, str) else instructions
        packed = instructions if isinstance(instructions, bytes) else zlib.compress(content)
        page = f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents {5 + 2 * number} 0 R "
        objects.append(f"{page}/Resources << /Font << /F1 3 0 R >> {resources} >> >>".encode())
        objects.append(b"<< /Length %d /Filter /FlateDecode >>\nstream\n%b\nendstream" % (len(packed), packed))
    return _assembled([*objects, *more], title)


def _assembled(objects: Sequence[bytes], title: str) -> bytes:
    objects = [*objects, f"<< /Title ({title}) >>".encode("latin-1")]
    out, places = bytearray(b"%PDF-1.7\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size, start = len(objects) + 1, len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n%b" % (size, table)
    out += b"trailer\n<< /Size %d /Root 1 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(objects), start)
    return bytes(out)


def line(text: str, *, y: int, size: int = 11, before: str = "") -> str:
    """Instructions that show one line; `before` are instructions that say how."""
    held = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
    return f"q {before} BT /F1 {size} Tf 72 {y} Td ({held}) Tj ET Q\n"


class Repository:
    """A checkout, and the people who commit to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._git("init", "-q")

    def write(self, who: str, day: str, text: str, *, file: str = "page.md", trailer: str = "") -> None:
        (self.folder / file).write_text(text)
        self._git("add", ".", who=who, day=day)
        self._git("commit", "-q", "--allow-empty", "-m", f"Change\n\n{trailer}", who=who, day=day)

    def _git(self, *words: str, who: str = "alice", day: str = "2025-01-02") -> None:
        at = f"{day}T03:04:05Z"
        env = {**os.environ, "GIT_COMMITTER_DATE": at, "GIT_AUTHOR_DATE": at}
        git = ["git", "-C", str(self.folder), "-c", f"user.name={who.title()}", "-c", f"user.email={who}@example.com"]
        subprocess.run([*git, *words], check=True, env=env)
