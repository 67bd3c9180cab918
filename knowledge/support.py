"""What of an answer stands: pure functions from sentences and passages to the sentences that are supported.

A sentence stands when the words it quotes are in a passage it cites, when its figures and its yes or no are those of
the clauses in which these words stand, and when it speaks of what that passage says.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from bot.core.question import Sentence
from bot.core.request import Passage

LEAST_WORDS, LEAST_CHARACTERS = 3, 12
SPEAKS_OF = 1 / 3  # the share of a sentence's long words that its passage must know
_WORD = re.compile(r"[^\W_]+")
_FIGURE = re.compile(r"\d+")
_END = re.compile(r"[.,;:!?\n\u2013\u2014]")  # of a clause
_LONG = 4
_TWO_TO_TWELVE = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NUMBERS = {name: str(number) for number, name in enumerate(_TWO_TO_TWELVE, 2)}
_NO = frozenset(("no", "not", "none", "nobody", "nothing", "never", "neither", "nor", "cannot", "without"))
_BOUND = re.compile(
    r"only|unless|except|until|most|least|maximum|minimum|limit\w*|longest|up|refus\w*|den(?:y|ied|ies)|forbid\w*"
    r"|prohibit\w*|exclud\w*"
)


def supported(sentences: Sequence[Sentence], passages: Sequence[Passage]) -> list[Sentence]:
    """The sentences that stand, each citing only the passages that hold its quote."""
    return list(_supported(sentences, [one.text for one in passages]))


def _supported(sentences: Sequence[Sentence], texts: Sequence[str]) -> Iterator[Sentence]:
    for one in sentences:
        cited = [n for n in one.cites if 0 < n <= len(texts)]
        holding = tuple(n for n in cited if holds(texts[n - 1], one.quote) and bears(texts[n - 1], one.quote, one.text))
        if holding and one.text and _speaks_of(one.text, " ".join(texts[n - 1] for n in holding)):
            yield Sentence(one.text, holding, one.quote)


def holds(text: str, quote: str) -> bool:
    """Whether these words stand in the text, at least a few of them, whatever their case, spacing and markup."""
    wanted = _normal(quote)
    enough = len(_WORD.findall(wanted)) >= LEAST_WORDS and len(wanted) >= LEAST_CHARACTERS
    return enough and f" {wanted} " in f" {_normal(text)} "


def _normal(text: str) -> str:
    """Words and figures alone, with one blank between them: what punctuation or markup stands there says nothing."""
    flat = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(_WORD.findall(flat))


def bears(text: str, quote: str, sentence: str) -> bool:
    """Whether a sentence has no figure, and no other yes or no, than the clauses in which its quote stands."""
    said = _normal(sentence)
    return any(
        _figures(said) <= _figures(told) and _no_more_than(said, told) and _no_more_than(told, said)
        for told in _clauses(text, _normal(quote).split())
    )


def _clauses(text: str, quote: list[str]) -> Iterator[str]:
    """The whole clauses that a quote touches, for each place where it stands."""
    parts = [(number, word) for number, clause in enumerate(_END.split(text)) for word in _normal(clause).split()]
    words = [word for _, word in parts]
    for at in range(len(words) - len(quote) + 1):
        if words[at : at + len(quote)] == quote:
            touched = {number for number, _ in parts[at : at + len(quote)]}
            yield " ".join(word for number, word in parts if number in touched)


def _figures(words: str) -> set[str]:
    """Its figures, also those that are written out; one is too often a pronoun."""
    return {*_FIGURE.findall(words), *(_NUMBERS[word] for word in words.split() if word in _NUMBERS)}


def _no_more_than(one: str, other: str) -> bool:
    """Whether one says no only if the other does, or knows some bound."""
    return not _says_no(one) or _says_no(other) or any(map(_BOUND.fullmatch, other.split()))


def _says_no(words: str) -> bool:
    return not _NO.isdisjoint(words.split()) or " t " in f" {words} "  # the end of "can't"


def _speaks_of(sentence: str, passage: str) -> bool:
    """Whether the passage knows enough of the sentence's long words to be what it is about."""
    long = [word for word in _normal(sentence).split() if len(word) >= _LONG]
    stems = {word[:5] for word in _normal(passage).split()}
    return sum(word[:5] in stems for word in long) >= SPEAKS_OF * len(long)
