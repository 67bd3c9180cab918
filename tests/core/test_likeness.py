"""Which earlier requests are shown beside a new one."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bot.core.likeness import Sketch, bm25, most_alike

ASKED = Sketch(
    "TA-9", "prod-readonly", "Production, read only", "okta.group", None, "Payments", "Checkout fails, read its logs"
)
OTHER = replace(ASKED, entitlement="prod-admin", title="Production, administrator", text="Restart the checkout")


def ids(*earlier: Sketch, limit: int = 3) -> list[str]:
    return [one.request_id for one in most_alike(ASKED, earlier, limit=limit)]


def test_the_same_entitlement_comes_before_what_only_sounds_alike() -> None:
    alike = replace(OTHER, request_id="TA-2", text=ASKED.text)
    same = replace(ASKED, request_id="TA-1", text="Something else entirely")
    assert ids(alike, same) == ["TA-1", "TA-2"]


def test_among_the_same_entitlement_the_words_decide_then_the_newest() -> None:
    words = replace(ASKED, request_id="TA-1")
    later, earlier = (replace(ASKED, request_id=id, text="Quarterly report") for id in ("TA-3", "TA-2"))
    assert ids(later, earlier, words) == ["TA-1", "TA-3", "TA-2"]


def test_a_colleague_of_the_same_department_comes_before_a_stranger_with_the_same_words() -> None:
    stranger = replace(ASKED, request_id="TA-3", department="Facilities")
    assert ids(stranger, replace(ASKED, request_id="TA-2")) == ["TA-2", "TA-3"]


def test_what_was_decided_in_another_channel_is_not_told() -> None:
    assert ids(replace(ASKED, request_id="TA-1", channel="C0SECRET")) == []


def test_another_kind_of_action_or_no_word_in_common_is_not_alike() -> None:
    account = replace(OTHER, action="aws.policy", text=ASKED.text)
    payroll = replace(OTHER, entitlement="payroll", title="Payroll", text="Pay people")
    assert ids(account, payroll) == []


def test_an_erased_request_still_counts_by_what_it_asked_for() -> None:
    assert ids(replace(ASKED, request_id="TA-1", text="", department="")) == ["TA-1"]


def test_nobody_is_alike_where_nothing_was_decided() -> None:
    assert ids() == []


def test_a_rare_word_weighs_more_than_a_common_one() -> None:
    documents = [["logs", "checkout"], ["logs"], ["logs"], ["checkout"]]
    assert bm25(["logs"], documents)[1] < bm25(["checkout"], documents)[3]


@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=6), max_size=6), st.lists(st.sampled_from("abcde")))
def test_a_document_scores_exactly_when_it_shares_a_word(documents: list[list[str]], query: list[str]) -> None:
    for document, score in zip(documents, bm25(query, documents), strict=True):
        assert (score > 0) == bool(set(document) & set(query))
