"""The process that HTML, PDF and DOCX are converted in: `python -m knowledge.sources.converting`.

What it parses may be made to break parsers. It holds no credential, writes no file, and has little memory and time; the
program that started it sends one file after the other and goes on without it. A frame is a JSON line, with the length
of the bytes that follow in a request.
"""

from __future__ import annotations

import json
import resource
import sys
from typing import BinaryIO

from knowledge.sources.html import Page, page_of_html
from knowledge.sources.pdf import Unreadable, page_of_pdf
from knowledge.sources.word import page_of_word

MEMORY, SECONDS, MAX_TEXT = 1_500_000_000, 60, 5_000_000
KINDS = {"html": page_of_html, "pdf": page_of_pdf, "docx": page_of_word}
TOO_DEEP = "is nested too deeply; save it in a simpler form"
TOO_LARGE = "needs too much memory; split it, or save it in a simpler form"
BROKEN = "cannot be read by its parser ({}); save it again, or in another format"


def main() -> None:
    """Convert until the input ends. Whatever a parser raises is an answer."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    source, target = sys.stdin.buffer, sys.stdout.buffer
    while request := source.readline():
        target.write(json.dumps(answer(request, source)).encode() + b"\n")
        target.flush()


def answer(request: bytes, source: BinaryIO) -> dict[str, str]:
    """`title` and `text`, or `why` not."""
    asked = json.loads(request)
    data = source.read(asked["bytes"])
    _allow(SECONDS)
    try:
        page = KINDS[asked["kind"]](data)
    except Unreadable as problem:
        return {"why": str(problem)}
    except MemoryError:
        return {"why": TOO_LARGE}
    except RecursionError:
        return {"why": TOO_DEEP}
    except Exception as error:  # noqa: BLE001 - a parser may raise anything over a file that was made to break it
        return {"why": BROKEN.format(type(error).__name__)}
    return _told(page)


def _told(page: Page) -> dict[str, str]:
    if len(page.text) > MAX_TEXT:
        return {"why": f"holds more than {MAX_TEXT} characters of text; split it"}
    return {"title": page.title, "text": page.text}


def _allow(seconds: int) -> None:
    """So much more time of a processor; then the kernel ends this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main()
