"""Durations, dates, and outside text made safe to stand on one line."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.words import date, is_blank, one_line, run, span, whole


@pytest.mark.parametrize(
    ("minutes", "words"),
    [
        (1, "1 minute"),
        (45, "45 minutes"),
        (60, "1 hour"),
        (90, "90 minutes"),
        (240, "4 hours"),
        (1440, "1 day"),
        (1500, "25 hours"),
        (7200, "5 days"),
    ],
)
def test_a_duration_reads_as_people_say_it(minutes: int, words: str) -> None:
    assert span(minutes) == words


def test_a_moment_is_named_in_utc() -> None:
    assert date(datetime(2026, 11, 2, 8, 5, tzinfo=UTC)) == "2 Nov 08:05 UTC"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\nApproved by bob", "a Approved by bob"),
        ("a\r\n\t b", "a b"),
        ("a\u2028b\u2029c\x85d", "a b c d"),
        ("\u202ereversed\u202c", "reversed"),
        ("in\u200bvisi\u2060ble\ufeff", "invisible"),
        ("bell\x07 null\x00 escape\x1b[31m", "bell null escape[31m"),
        ("\U000e0041tags", "tags"),
        ("lone \ud800 half", "lone half"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("  edges  ", "edges"),
        ("", ""),
    ],
)
def test_what_cannot_be_seen_is_taken_out(text: str, line: str) -> None:
    assert one_line(text, 100) == line


def test_half_a_character_becomes_a_mark_and_whole_ones_stay() -> None:
    assert whole("Look \ud83d at 👩\u200d🚀 Ä\udc00") == "Look \ufffd at 👩\u200d🚀 Ä\ufffd"


UNSEEN = "\u2800\u3164\u115f\u1160\uffa0\u180e\u00ad\u034f\ufe0f\u200d\u3000\U000e0041\U0001d159\ud83d\x00"


@pytest.mark.parametrize("char", UNSEEN, ids=ascii)
def test_what_shows_nothing_is_blank(char: str) -> None:
    assert is_blank(f" {char}\n{char} ")
    assert not is_blank(f"{char}I need it{char}")


def test_words_of_any_script_are_not_blank() -> None:
    assert not any(map(is_blank, ["한글", "فارسی", "नमस्ते", "ⵜ", "\u2801", "👩\u200d🚀", "."]))


@given(st.text(st.characters()), st.integers(1, 50))
def test_any_text_becomes_one_visible_line_within_its_limit(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1
    assert line == line.strip()
    line.encode()  # nothing that cannot be sent
    assert {unicodedata.category(char) for char in line} & {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"} == set()


@given(st.text(max_size=40))
def test_a_line_that_fits_is_not_changed_again(text: str) -> None:
    once = run(text, 40)
    assert run(once, 40) == once
    assert "  " not in once


def test_what_is_cut_says_so() -> None:
    assert one_line("approve this for me", 8) == "approve…"
