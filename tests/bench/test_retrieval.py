"""The labelled questions are what they say, and the figures count what they name."""

from __future__ import annotations

import re
import statistics

import pytest

from bench.retrieval import (
    BEGIN,
    DOCUMENTS,
    END,
    HALVES,
    QUESTIONS,
    Found,
    Outcome,
    Question,
    between_marks,
    load,
    score,
)
from knowledge.search import match_expression
from knowledge.sources import Document
from knowledge.sources.documents import Folder

TEXTS = {one.file: one.text for one in Folder(DOCUMENTS).read() if isinstance(one, Document)}
ASKED = load(QUESTIONS)
ANSWERABLE = [one for one in ASKED if one.answerable]
NEAR = 300  # characters on either side


def words(text: str) -> str:
    return " ".join(re.sub(r"[*`\\]", "", text).split()).casefold()


@pytest.mark.parametrize("question", ANSWERABLE, ids=lambda one: one.q)
def test_the_words_that_answer_stand_in_each_file(question: Question) -> None:
    assert all(words(question.key) in words(TEXTS[file]) for file in question.files)


def test_there_are_enough_of_each_kind_in_both_halves() -> None:
    for half in HALVES:
        some = [one for one in ASKED if one.half == half]
        assert sum(one.answerable for one in some) >= 60
        assert sum(not one.answerable for one in some) >= 20
        assert sum(one.kind == "request" for one in some) >= 25
    assert len({one.q for one in ASKED}) == len(ASKED)


def test_no_document_is_asked_about_in_both_halves() -> None:
    halves = {(one.files[0], one.half) for one in ANSWERABLE}
    assert len(halves) == len({file for file, _ in halves})


def test_most_questions_are_put_in_other_words_than_the_answer() -> None:
    assert statistics.median(_shared(one) for one in ANSWERABLE if one.kind != "exact") < 1 / 3


def _shared(question: Question) -> float:
    """The share of the question's content words that stand near the answer."""
    text = words(TEXTS[question.files[0]])
    at = text.index(words(question.key))
    near = set(re.findall(r"\w+", text[max(0, at - NEAR) : at + NEAR]))
    asked = match_expression(question.q.casefold()).replace('"', "").split(" OR ")
    return sum(word in near for word in asked) / len(asked)


def test_the_figures_count_files_passages_refusals_and_characters() -> None:
    known = Question("who", "policy", ("a.md",), "the *owner*")
    right, wrong = Found("a.md", "Ask the **owner** first."), Found("b.md", "the owner")
    outcomes = [
        Outcome(known, [wrong, right], answers=True, ms=1),
        Outcome(known, [wrong, Found("a.md", "Nothing.")], answers=False, ms=3),
        Outcome(Question("dental", "unanswerable"), [wrong], answers=False, ms=2),
    ]
    found = score(outcomes)
    assert (found.file_at_5.mean, found.at_5.mean, found.at_10.mean, found.mrr.mean) == (1, 0.5, 0.5, 0.25)
    assert (found.refused_rightly.mean, found.refused_wrongly.mean, found.p50, found.p99) == (1, 0.5, 2, 3)
    assert found.characters == pytest.approx((33 + 17 + 9) / 3)


def test_the_table_replaces_the_one_that_is_there() -> None:
    page = between_marks(f"above\n{BEGIN}\nold\n{END}\nbelow", [["ours", "tune"]])
    assert "old" not in page
    assert page.startswith(f"above\n{BEGIN}\n| recipe |")
    assert page.endswith(f"| ours | tune |\n{END}\nbelow")
