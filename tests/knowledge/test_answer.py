"""What of a model's answer stands: quotes that are there, sentences that speak of them, and nothing else."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bot.core.question import Sentence
from bot.core.request import Passage
from bot.core.strict_json import Unusable
from knowledge.answer import MAX_SENTENCES, finished, parse_answer
from knowledge.support import holds, supported

WORDS = ("production", "access", "lasts", "engineers", "members", "decide", "two", "approvers", "Größe", "4", "8")
TEXTS = st.lists(st.sampled_from(WORDS), min_size=8, max_size=30).map(" ".join)
MARKS = st.sampled_from([" ", ", ", " — ", "\n", "\t", "  ", "* ", "_", "; ", "** ", "\u00a0", " “", "… "])


def passage(text: str) -> Passage:
    return Passage("p1", "Policy", "", text, "https://example.com")


@st.composite
def quoted(draw: st.DrawFn) -> tuple[str, str]:
    """A text, and some of its words in a row."""
    words = draw(TEXTS).split()
    length = draw(st.integers(4, len(words)))
    begin = draw(st.integers(0, len(words) - length))
    return " ".join(words), " ".join(words[begin : begin + length])


@given(quoted())
def test_words_that_stand_there_are_found(case: tuple[str, str]) -> None:
    text, quote = case
    assume(len(quote) >= 12)
    assert holds(text, quote)


@given(quoted(), st.data())
def test_case_marks_and_spacing_say_nothing(case: tuple[str, str], data: st.DataObject) -> None:
    text, quote = case
    assume(len(quote) >= 12)
    words = [data.draw(st.sampled_from([word.upper(), word.lower(), word])) for word in quote.split()]
    dressed = "".join(word + data.draw(MARKS) for word in words)
    assert holds(text, unicodedata.normalize(data.draw(st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"])), dressed))


@given(quoted(), st.sampled_from(["never", "not", "root", "9"]), st.data())
def test_a_word_more_that_is_not_there_is_no_quote(case: tuple[str, str], word: str, data: st.DataObject) -> None:
    text, quote = case
    words = quote.split()
    words.insert(data.draw(st.integers(0, len(words))), word)
    assert not holds(text, " ".join(words))


@pytest.mark.parametrize("quote", ["", " ", "...", "two", "two two", "a b c d", "\u200b\u200b\u200b", "access lasts"])
def test_too_little_is_no_quote(quote: str) -> None:
    assert not holds("a b c d two two access lasts", quote)


def test_half_a_word_is_no_quote() -> None:
    assert not holds("engineers never decide alone", "gineers never decide alone")
    assert not holds("at most 48 hours of access", "at most 4 hours of access")


SAID = "Access to production lasts 4 hours."
TEXT = "Access to production lasts 4 hours at most."


@pytest.mark.parametrize("cites", [(), (0,), (2,), (-1,), (99,)])
def test_a_number_that_is_no_passage_supports_nothing(cites: tuple[int, ...]) -> None:
    assert supported([Sentence(SAID, cites, SAID)], [passage(TEXT)]) == []


def test_only_the_passages_that_hold_the_quote_stay_cited() -> None:
    said = Sentence(SAID, (2, 1, 7), "production lasts 4 hours")
    assert supported([said], [passage("Something else entirely"), passage(TEXT)]) == [
        Sentence(SAID, (2,), "production lasts 4 hours")
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Access to production lasts 40 hours.",
        "Contractors receive unlimited root everywhere forever.",
        "",
    ],
)
def test_a_sentence_that_its_quote_does_not_bear_falls(text: str) -> None:
    assert supported([Sentence(text, (1,), "production lasts 4 hours")], [passage(TEXT)]) == []


RULE = "Contractors cannot hold prod-admin. Engineers may ask for it, needs two approvers, lasts 4 hours. Else 8 hours."


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("Contractors can hold prod-admin.", "Contractors cannot hold prod-admin"),
        ("Contractors hold prod-admin.", "hold prod-admin"),
        ("Engineers may not ask for it.", "Engineers may ask for it"),
        ("Engineers may ask without approvers.", "Engineers may ask for it, needs two approvers"),
        ("It needs three approvers.", "needs two approvers"),
        ("Engineers may ask, and it lasts 8 hours.", "Engineers may ask for it, needs two approvers, lasts 4 hours"),
    ],
)
def test_what_turns_its_quote_round_falls(text: str, quote: str) -> None:
    assert supported([Sentence(text, (1,), quote)], [passage(RULE)]) == []


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("Contractors can't hold prod-admin.", "Contractors cannot hold prod-admin"),
        ("Engineers may ask for it.", "Engineers may ask"),
        ("Only others hold prod-admin, contractors never.", "Contractors cannot hold prod-admin"),
        ("It takes 2 approvers and lasts at most four hours.", "needs two approvers, lasts 4 hours"),
    ],
)
def test_what_says_its_quote_in_other_words_stands(text: str, quote: str) -> None:
    assert supported([Sentence(text, (1,), quote)], [passage(RULE)]) != []


ANY = st.text(max_size=60)


@given(st.lists(st.builds(Sentence, ANY, st.tuples(st.integers(-2, 4)), ANY), max_size=5))
def test_whatever_stands_quotes_what_it_cites(sentences: list[Sentence]) -> None:
    passages = [passage(TEXT), passage("Two approvers decide about root.")]
    for one in supported(sentences, passages):
        assert one.cites
        assert all(holds(passages[n - 1].text, one.quote) for n in one.cites)


# --- the form --------------------------------------------------------------------------------------------------------


def form(*sentences: dict[str, Any], answerable: Any = True, **more: Any) -> str:
    return json.dumps({"answerable": answerable, "sentences": list(sentences), **more})


ONE = {"text": SAID, "cites": [1], "quote": "production lasts 4 hours"}


def test_an_answer_of_the_form_is_read() -> None:
    said = parse_answer(form(ONE, conflict=True))
    assert said.sentences == [Sentence(SAID, (1,), "production lasts 4 hours")]
    assert said.conflict
    assert parse_answer(form(ONE, answerable=False)).sentences == []


UNUSABLE = [
    "",
    "null",
    "[]",
    '"yes"',
    f"```json\n{form(ONE)}\n```",
    form(ONE) + form(ONE),
    form(ONE)[:-1],
    form(ONE, more=1),
    form({**ONE, "trust": "me"}),
    form({**ONE, "cites": ["1"]}),
    form({**ONE, "cites": [1.0]}),
    form({**ONE, "cites": [True]}),
    form({**ONE, "cites": [1] * 9}),
    form({**ONE, "text": ""}),
    form({**ONE, "text": "a" * 401}),
    form({**ONE, "quote": "a" * 601}),
    form({"text": SAID, "cites": [1]}),
    form(*[ONE] * (MAX_SENTENCES + 1)),
    form(ONE, answerable="true"),
    '{"answerable": false, ' + form(ONE)[1:],
    form(ONE).replace('"cites": [1]', '"cites": [1], "cites": [2]'),
    form(ONE).replace("[1]", "[NaN]"),
    form(ONE).replace("[1]", "[Infinity]"),
    form(ONE).replace("[1]", "[" * 5_000 + "]" * 5_000),
    form({**ONE, "quote": "a" * 30_000}),
]


@pytest.mark.parametrize("text", UNUSABLE)
def test_anything_else_is_unusable(text: str) -> None:
    with pytest.raises(Unusable):
        parse_answer(text)


def test_links_and_unseen_characters_are_taken_out_of_sentences() -> None:
    said = parse_answer(form({**ONE, "text": "Ask at https://evil.example/x \u202egnp.\u200b Now"}))
    assert said.sentences[0].text == "Ask at (link removed) gnp. Now"


# --- while it is written ---------------------------------------------------------------------------------------------

SENTENCES = st.fixed_dictionaries(
    {"text": st.text(min_size=1, max_size=40), "cites": st.lists(st.integers(0, 9), max_size=3), "quote": ANY}
)


@given(st.lists(SENTENCES, max_size=4), st.booleans(), st.booleans())
def test_at_every_moment_the_sentences_so_far_are_those_of_the_end(
    sentences: list[dict[str, Any]], ascii_only: bool, spaced: bool
) -> None:
    told = {"answerable": True, "sentences": sentences, "conflict": False}
    text = json.dumps(told, ensure_ascii=ascii_only, indent=2 if spaced else None)
    whole = list(parse_answer(text).sentences)
    assert finished(text) == whole
    for at in range(len(text)):
        so_far = finished(text[:at])
        assert so_far == whole[: len(so_far)]


@pytest.mark.parametrize(
    "text",
    [
        form(ONE, answerable=False),
        '{"sentences": [' + json.dumps(ONE),
        "```json\n" + form(ONE),
        '{"answerable": true, "answerable": true, "sentences": [' + json.dumps(ONE),
        '{"answerable": true, "sentences": [{"text": "x", "text": "y", "cites": [1], "quote": "z"}',
        '{"answerable": true, "sentences": [[' * 3_000,
        '{"answerable": true, "sentences": [{"a":' + "[" * 50_000 + "}",
    ],
)
def test_what_is_not_of_the_form_is_not_heard(text: str) -> None:
    assert finished(text) == []


@given(st.text(max_size=200))
def test_anything_may_be_heard(text: str) -> None:
    assert isinstance(finished(text), list)
    assert isinstance(finished('{"answerable": true, "sentences": [' + text), list)
