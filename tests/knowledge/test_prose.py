"""Passages are shown as words, not as Markdown."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from knowledge.prose import prose


def test_marks_are_taken_out_and_words_are_kept() -> None:
    markdown = (
        "## Rules\n- **Least privilege.** Ask for `prod-readonly`.\n- See [the page](https://example.com)\n\n"
        "| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
    assert prose(markdown).split("\n") == [
        "Rules",
        "Least privilege. Ask for prod-readonly.",
        "See the page",
        "a | b",
        "1 | 2",
    ]


def test_code_is_kept_as_it_is() -> None:
    assert prose("```\nkubectl get pods\n```") == "kubectl get pods"


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    assert isinstance(prose(text), str)
