"""A comment decides only when the whole of it has the written form."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.notes import MAX_REASON, Approve, Chatter, Comment, Deny, Stop, Unclear, read_comment
from tests.core.comments import APPROVALS, CHATTER, DENIALS, NO_STOP, STOPS, STOPS_NOTHING, UNCLEAR

SPACE = " \t\r\n\f\v"
SAYS_YES, SAYS_NO = ("approve", "approved"), ("deny", "denied", "reject", "rejected")
TRICKS = "\u200b\u200d\u00ad\u2060\ufeff\u202e\u00a0\u3000\x00\x1b\n'\"`>?!,;:-_/*#ａеpо"

cases = st.integers(1, 999_999_999).map(lambda number: f"TA-{number}")
codes = st.tuples(*[st.text(string.ascii_uppercase + string.digits, min_size=4, max_size=4)] * 2).map("-".join)
outer = st.text(SPACE, max_size=3)
inner = st.text(" \t", min_size=1, max_size=3)


def read(text: str) -> Comment:
    return read_comment(text, case="TA-12")


@st.composite
def shouted(draw: st.DrawFn, text: str) -> str:
    """The same ASCII letters in any case."""
    return "".join(draw(st.sampled_from([char.lower(), char.upper()])) for char in text)


def test_the_table_is_long_enough_to_mean_something() -> None:
    assert len(APPROVALS) + len(DENIALS) + len(set(UNCLEAR)) + len(set(CHATTER)) >= 300


@pytest.mark.parametrize("text", APPROVALS)
def test_an_approval_in_the_written_form_counts(text: str) -> None:
    assert read(text) == Approve(*APPROVALS[text])


@pytest.mark.parametrize("text", DENIALS)
def test_a_denial_in_the_written_form_counts_with_its_reason(text: str) -> None:
    assert read(text) == Deny(*DENIALS[text])


@pytest.mark.parametrize("text", STOPS)
def test_a_stop_in_the_written_form_counts(text: str) -> None:
    assert read(text) == Stop("TA-12")


@pytest.mark.parametrize("text", STOPS_NOTHING)
def test_what_only_sounds_like_a_stop_stops_nothing_and_is_answered(text: str) -> None:
    assert isinstance(read(text), Unclear)


@pytest.mark.parametrize("text", NO_STOP)
def test_other_words_with_stop_in_them_are_none_of_our_business(text: str) -> None:
    assert read(text) == Chatter()


@pytest.mark.parametrize("text", UNCLEAR)
def test_what_only_talks_about_a_decision_decides_nothing_and_is_answered(text: str) -> None:
    assert isinstance(read(text), Unclear)


@pytest.mark.parametrize("text", CHATTER, ids=lambda text: text[:20])
def test_everything_else_is_none_of_our_business(text: str) -> None:
    assert read(text) == Chatter()


def test_a_long_reason_is_cut() -> None:
    denial = read("deny " + "x" * 5000)
    assert denial == Deny(reason="x" * MAX_REASON)


@given(st.data(), st.sampled_from(SAYS_YES), cases, codes, outer, inner, inner)
def test_every_written_approval_is_read_as_written(
    data: st.DataObject, verb: str, case: str, code: str, edge: str, gap: str, gap2: str
) -> None:
    stop = data.draw(st.sampled_from(["", ".", " ."]))
    said = [data.draw(shouted(part)) for part in (verb, case, code)]
    assert read_comment(f"{edge}{said[0]}{stop}{edge}", case=case) == Approve()
    assert read_comment(f"{edge}{said[0]}{gap}{said[1]}{stop}{edge}", case=case) == Approve(case)
    whole = f"{edge}{said[0]}{gap}{said[1]}{gap2}{said[2]}{stop}{edge}"
    assert read_comment(whole, case=case) == Approve(case, code)


@given(st.data(), st.sampled_from(SAYS_NO), cases, st.text(st.characters(exclude_characters="-"), max_size=40), outer)
def test_every_written_denial_is_read_as_written(
    data: st.DataObject, verb: str, case: str, reason: str, edge: str
) -> None:
    said = [data.draw(shouted(part)) for part in (verb, case)]
    denial = read_comment(f"{edge}{said[0]} {said[1]}: {reason}{edge}", case=case)
    assert denial == Deny(case, reason.strip(SPACE))


@given(st.data(), cases, outer, inner)
def test_every_written_stop_is_read_as_written(data: st.DataObject, case: str, edge: str, gap: str) -> None:
    said = [data.draw(shouted(part)) for part in ("stop", case)]
    stop = data.draw(st.sampled_from(["", ".", " ."]))
    assert read_comment(f"{edge}{said[0]}{gap}{said[1]}{stop}{edge}", case=case) == Stop(case)


@given(cases, cases)
def test_another_case_is_never_stopped(mine: str, other: str) -> None:
    assert read_comment(f"stop {other}", case=mine) == (Stop(mine) if mine == other else Unclear(other))


@given(cases, cases, st.sampled_from([*SAYS_YES, *SAYS_NO]))
def test_another_case_is_never_decided(mine: str, other: str, verb: str) -> None:
    comment = read_comment(f"{verb} {other}", case=mine)
    assert comment == Unclear(other) if mine != other else isinstance(comment, Approve | Deny)


def is_written_approval(text: str) -> bool:
    """The grammar once more, in another way: word by word."""
    words = text.strip(SPACE).removesuffix(".").replace("\t", " ").split(" ")
    said = [word.lower() for word in words if word]
    shape = [said[0] in SAYS_YES, said[1:2] in ([], ["ta-12"]), len(said) < 3 or is_code(said[2]), len(said) < 4]
    return text.isascii() and all(shape)


def is_code(word: str) -> bool:
    letters = set(string.ascii_lowercase + string.digits)
    return len(word) == 9 and word[4] == "-" and set(word[:4] + word[5:]) <= letters


def is_written_denial(text: str) -> bool:
    body = text.strip(SPACE).lower()
    return any(body.startswith(verb) and (body[len(verb) :] + " ")[0] in f"{SPACE}.:,;!" for verb in SAYS_NO)


def is_written_stop(text: str) -> bool:
    words = text.strip(SPACE).removesuffix(".").replace("\t", " ").lower().split(" ")
    return [word for word in words if word] == ["stop", "ta-12"]


def decides_only_what_is_written(text: str) -> None:
    comment = read(text)
    if isinstance(comment, Stop):
        assert is_written_stop(text)
    if isinstance(comment, Approve):
        assert is_written_approval(text)
    if isinstance(comment, Deny):
        assert is_written_denial(text)
        assert comment.case in (None, "TA-12")


@given(st.text())
def test_no_text_at_all_decides_unless_it_is_written_so(text: str) -> None:
    decides_only_what_is_written(text)


@given(
    st.lists(
        st.sampled_from([*SAYS_YES, *SAYS_NO, "stop", "TA-12", "TA-13", "K7QF-2M9D", " ", " ", "\n", ".", *TRICKS])
    )
)
def test_no_arrangement_of_the_grammars_own_words_decides_unless_it_is_written_so(pieces: list[str]) -> None:
    decides_only_what_is_written("".join(pieces))


@given(st.sampled_from([*APPROVALS]), st.integers(0, 30), st.sampled_from(TRICKS))
def test_one_strange_character_inside_an_approval_undoes_it(text: str, place: int, trick: str) -> None:
    body = text.strip(SPACE)
    spoilt = body[: place % len(body)] + trick + body[place % len(body) :]
    if spoilt.strip(SPACE) != body:
        assert not isinstance(read(spoilt), Approve)
