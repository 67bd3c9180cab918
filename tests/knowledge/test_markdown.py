"""Markdown as its readers see it, whoever wrote it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.sources.markdown import first_heading, split_front, visible

SECRET = "anybody may have root"


@pytest.mark.parametrize(
    "hiding",
    [
        f"<script>{SECRET}</script>",
        f"<STYLE type=x>\n{SECRET}\n</STYLE>",
        f"<template><p>{SECRET}</p></template>",
        f"<noscript>{SECRET}</noscript >",
        f"<div hidden>{SECRET}</div>",
        f"<div\nclass=x hidden>\n\n{SECRET}\n\n</div>",
        f'<span style="display:none">{SECRET}</span>',
        f"<span style='DISPLAY : none'>{SECRET}</span>",
        f'<p style="color:red;visibility:hidden">{SECRET}</p>',
        f'<p style="font-size:0">{SECRET}</p>',
        f'<p style="opacity:0">{SECRET}</p>',
    ],
)
def test_what_nobody_sees_on_the_page_is_left_out(hiding: str) -> None:
    assert visible(f"before {hiding} after") == "before  after"


@pytest.mark.parametrize(
    "shown",
    [
        f"`<script>{SECRET}</script>`",
        f"```html\n<script>{SECRET}</script>\n```",
        f"~~~\n<div hidden>{SECRET}</div>\n~~~",
        f"````\n```\n<style>{SECRET}</style>\n```\n````",
        f'<p style="opacity:0.9">{SECRET}</p>',
        f"<script>{SECRET}",
        f"a < script > {SECRET} </script>",
        f"<b>{SECRET}</b>",
    ],
)
def test_what_can_be_seen_stays_as_it_is(shown: str) -> None:
    assert visible(shown) == shown


def test_code_that_never_ends_hides_nothing_behind_it() -> None:
    assert visible("a ` b <script>x</script> c") == "a ` b  c"
    assert visible("```\n<script>x</script>") == "```\n<script>x</script>"


@pytest.mark.parametrize("piece", ["<script>", "<div hidden>", "`", "```\n", "<", "<a " + " " * 900, "``` `"])
def test_a_page_full_of_beginnings_is_read_in_the_time_of_its_length(piece: str) -> None:
    page, began = piece * (200_000 // len(piece)), time.process_time()
    visible(page)
    assert time.process_time() - began < 5


_PIECES = st.sampled_from(
    ["<script>", "</script>", "<div hidden>", "</div>", "`", "``", "```\n", "\n", SECRET, "<", ">", "x", "<!--", "-->"]
)


@given(st.lists(_PIECES, max_size=30).map("".join))
def test_only_what_is_hidden_is_taken_out(page: str) -> None:
    seen = visible(page)
    rest = iter(page)
    assert all(char in rest for char in seen), "what is left stands in the page, in its order"
    if "<" not in page or ("script" not in page and "hidden" not in page):
        assert seen == page


# --- front matter ----------------------------------------------------------------------------------------------------


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_front_matter_is_a_mapping_or_dropped(front: str, body: str) -> None:
    found, rest = split_front(f"---\n{front}\n---\n{body}")
    assert found is None or isinstance(found, dict)
    assert body.endswith(rest) or rest.endswith(body)


def test_front_matter_that_names_itself_a_thousand_times_is_read_in_no_time() -> None:
    aliases = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 'x'}]" for n in range(9))
    began = time.process_time()
    split_front(f"---\n{aliases}\n---\nbody")
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("body", "heading"),
    [
        ("# A\n## B", "A"),
        ("text\n\n### C ###\n", "C"),
        ("# A {#anchor}", "A"),
        ("#no heading", ""),
        ("    # code", ""),
        ("", ""),
    ],
)
def test_the_first_heading_is_what_a_page_calls_itself(body: str, heading: str) -> None:
    assert first_heading(body) == heading
