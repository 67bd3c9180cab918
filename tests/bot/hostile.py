"""The worst that outside text can be, and requests full of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import strategies as st

from bot.core.lifecycle import State
from bot.core.request import (
    Advice,
    Answer,
    Approvers,
    Decision,
    Entitlement,
    Evidence,
    Extension,
    Fact,
    Flag,
    Leaning,
    Passage,
    Place,
    Precedent,
    Question,
    Reason,
    Request,
    Sensitivity,
)
from tests.builders import NOW, a_grant, a_person, a_plan, a_request, a_ruling, an_entitlement

TRICKS = [
    "<!channel>",
    "<!everyone|nobody>",
    "<@U0BOB>",
    "<https://evil.example.com|the runbook>",
    "<!date^1^{date}|now>",
    "*bold* _i_ ~s~ `code` ```block```",
    "&lt;!here&gt; &amp;",
    "\n🟢 Approved by Bob Baker\n",
    "\u202egnp.exe\u202c",
    "\u200b\u2060\ufeff",
    "\x00\x1b[31m\u2028\u2029",
    "\U000e0041\ud800",
    ":white_check_mark: :tada:",
    "👩\u200d🚀" * 300,
    "&" * 3000,
    "<" * 3000,
    "x" * 10_000,
    "\n" * 10_000,
    "Ä" * 5000,
    " ",
]

texts = st.one_of(
    st.sampled_from(TRICKS), st.text(max_size=60), st.lists(st.sampled_from(TRICKS), max_size=3).map("".join)
)
names = texts.filter(lambda text: bool(text.strip()))
whos = st.builds(
    lambda who, name, email: replace(a_person(who), name=name, email=email),
    st.sampled_from(["alice", "bob"]),
    names,
    texts,
)
entitlements: st.SearchStrategy[Entitlement] = st.builds(
    an_entitlement,
    title=st.one_of(names, st.just("Production")),
    description=texts,
    why=texts,
    sensitivity=st.sampled_from(Sensitivity),
    approvers=st.builds(Approvers, names),
)
facts = st.builds(Fact, texts, texts, texts, st.sampled_from(Flag))
links = st.one_of(texts, texts.map("https://handbook.example.com/{}".format))
ages = st.sampled_from([NOW, NOW - timedelta(days=4000), NOW + timedelta(days=1)])
passages = st.builds(
    Passage,
    *(texts, texts, texts, texts, links),
    st.none() | ages,
    st.booleans(),
    st.lists(texts, max_size=5).map(tuple),
    st.booleans(),
)
precedents = st.builds(
    Precedent, texts, texts, st.integers(1, 100_000), texts, texts, ages, title=texts, decided_by=texts, url=links
)
evidence = st.builds(
    Evidence,
    facts=st.lists(facts, max_size=40).map(tuple),
    passages=st.lists(passages, max_size=12).map(tuple),
    closed=st.lists(passages, max_size=3).map(tuple),
    precedents=st.lists(precedents, max_size=5).map(tuple),
    silent=st.lists(texts, max_size=4).map(tuple),
)
advice = st.builds(
    Advice,
    st.sampled_from(Leaning),
    st.lists(st.builds(Reason, texts, st.lists(texts, max_size=3).map(tuple)), max_size=12).map(tuple),
    texts,
    texts,
)
decisions = st.builds(
    lambda person, answer, place, reason: Decision(
        "TA-1", person.id, person.name, answer, place, "", NOW, reason=reason
    ),
    whos,
    st.sampled_from(Answer),
    st.sampled_from(Place),
    texts,
)
questions = st.builds(Question, st.integers(1, 9), texts, texts, st.just(NOW), texts)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """A request in any state, with the worst in every place that outside text can reach."""
    entitlement, asker, holder = draw(entitlements), draw(whos), draw(whos)
    request = a_request(entitlement=entitlement, person=asker, minutes=draw(st.integers(1, 100_000)))
    plan = a_plan(request, lines=tuple(draw(st.lists(texts, min_size=1, max_size=6))))
    return replace(
        request,
        id=f"TA-{draw(st.integers(1, 999_999_999))}",
        state=draw(st.sampled_from(State)),
        beneficiary=holder,
        justification=draw(texts)[:2000],
        ticket=draw(texts)[:500],
        plan=draw(st.sampled_from([plan, None])),
        ruling=draw(
            st.none() | st.builds(a_ruling, rule=texts, reason=texts, approver_group=texts, fallback_group=texts)
        ),
        extends=draw(st.none() | st.builds(Extension, st.just("TA-1"), st.just(NOW), st.integers(1, 100_000))),
        evidence=draw(st.none() | evidence),
        advice=draw(st.none() | advice),
        decisions=tuple(draw(st.lists(decisions, max_size=3))),
        questions=tuple(draw(st.lists(questions, max_size=4))),
        grant=draw(st.sampled_from([a_grant(request), None])),
        incident_id=draw(st.sampled_from(["Q1", None])),
        outcome=draw(texts),
        revoke_overdue=draw(st.booleans()),
        can_wait=draw(st.booleans()),
        trouble={"page": draw(texts)},
    )
