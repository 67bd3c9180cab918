"""A passage looked at in parts, and what is taken for an answer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.closeness import PART_CHARACTERS, likeness, parts
from knowledge.sources import EVERYBODY, Document
from tests.knowledge.conftest import Open


def test_a_passage_is_cut_after_sentences_and_short_ones_stay_together() -> None:
    text = "# Reading\nIt lasts **four hours**. Ask again.\n\n" + "The reason names a ticket or an incident. " * 3
    assert parts(text) == [
        "Reading It lasts four hours. Ask again. The reason names a ticket or an incident.",
        "The reason names a ticket or an incident. The reason names a ticket or an incident.",
    ]


def test_a_passage_of_one_part_needs_no_second_look() -> None:
    assert parts("It lasts four hours.") == []
    assert parts("") == []


@given(st.text(max_size=600))
def test_every_text_is_cut_into_few_parts(text: str) -> None:
    assert len(parts(text)) <= 2 * len(text) / PART_CHARACTERS + 2


def test_the_sentence_that_answers_counts_half() -> None:
    query = np.array([[1, 0]], dtype=np.float32)
    looks = {"long": np.array([[0.2, 0.9], [0.8, 0.6], [0, 1]], dtype=np.float32), "short": query}
    found = likeness(query, looks)
    assert found["long"].closeness == pytest.approx([0.5])
    assert found["long"].cosines == pytest.approx([0.2])
    assert found["short"].closeness == pytest.approx([1.0])


async def test_a_question_of_words_that_stand_nowhere_has_less_support(opened: Open) -> None:
    async with opened() as knowledge:
        await knowledge.index()
        known, unknown = [
            (await knowledge.search([words], 1))[0]
            for words in ("who approves production access", "who approves production access quuxly zorbic")
        ]
        assert known.support is not None
        assert unknown.support is not None
        assert known.support > unknown.support
        assert knowledge.likely([known]) == [known]
        assert await knowledge.passages(["zorbic frobnication of quuxes"]) == []


class Said:
    """One message of a channel that few read."""

    name = "channel"

    def read(self) -> Iterator[Document]:
        words = "While the payment incident lasts, please answer requests for reading production within ten minutes."
        yield Document("said", "#responders", words, "", "", None, "C0FEW")


async def test_words_that_everybody_reads_are_known_to_the_few_who_are_asked_apart(opened: Open) -> None:
    queries = ["Checkout fails and I need the payment service's logs", "prod-readonly Production, read only"]
    async with opened(sources=[Said()]) as knowledge:
        await knowledge.index()
        (apart,) = await knowledge.search(queries, audience=frozenset({"C0FEW"}))
        (among_all,) = [
            one for one in await knowledge.search(queries, 40, audience=EVERYBODY | {"C0FEW"}) if one.id == apart.id
        ]
        assert apart.support == among_all.support
