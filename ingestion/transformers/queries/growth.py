"""By how much texts may grow in a query, which its words tell before it runs."""

from collections.abc import Container, Iterator, Sequence
from itertools import pairwise
from math import prod

from ingestion.transformers.queries.tokens import Token

__all__ = ["MOST", "growth", "growth_problems", "padding"]

MOST = 1_000
"""Times that a text may come, or characters that may be added to it."""

_PADS = frozenset({"LPAD", "RPAD"})
_PUT_IN = {"REPLACE": 2, "REGEXP_REPLACE": 2, "ARRAY_TO_STRING": 1}  # the argument that is put in again and again
_JOINS = {"CONCAT": 1, "CONCAT_WS": 2}  # by argument; the second one has a separator as well
_CALLS = 200


def growth_problems(tokens: Sequence[Token]) -> Iterator[str]:
    """Why functions that make texts longer are refused, if they are."""
    if sum(token.key in _PADS or token.key in _PUT_IN or token.key in _JOINS for token in tokens) > _CALLS:
        yield f"the query joins, pads and replaces texts more than {_CALLS} times; divide it"
        return
    for index, token in enumerate(tokens):
        if _is_call(tokens, index, _PADS) and not _pad(tokens, index):
            yield f"{token.text} takes a length from 0 to {MOST} as it is written"
        if _is_call(tokens, index, _PUT_IN) and _put_in(tokens, index) is None:
            yield f"{token.text} puts in a text as it is written, in quotes"
    if growth(tokens) > MOST or padding(tokens) > MOST:
        yield (
            f"the query could make texts {MOST} times as long; join, pad and replace less in it, "
            f"or divide it over several transformations"
        )


def growth(tokens: Sequence[Token]) -> float:
    """How many times as long a text may become; each SELECT may take what another one has made."""
    selects = max(sum(token.key == "SELECT" for token in tokens), 1)
    put_in = prod(max(_put_in(tokens, index) or 1, 1) for index in range(len(tokens)))
    return put_in * (1 + _joined(tokens) / selects) ** selects


def padding(tokens: Sequence[Token]) -> int:
    """The most characters that functions which pad add to a text."""
    return sum(_pad(tokens, index) or 0 for index in range(len(tokens)))


def _joined(tokens: Sequence[Token]) -> int:
    """How many texts are joined to others."""
    signs = sum(one.text == other.text == "|" for one, other in pairwise(tokens))
    calls = [index for index in range(len(tokens)) if _is_call(tokens, index, _JOINS)]
    return signs + sum(len(_arguments(tokens, index)) * _JOINS[tokens[index].key] for index in calls)


def _pad(tokens: Sequence[Token], index: int) -> int | None:
    if not _is_call(tokens, index, _PADS):
        return None
    length = _arguments(tokens, index)[1:2]
    text = length[0][0].text if length and len(length[0]) == 1 else ""
    return max(int(text), 1) if text.isdigit() and int(text) <= MOST else None


def _put_in(tokens: Sequence[Token], index: int) -> int | None:
    """The length of the text that a function puts in."""
    if not _is_call(tokens, index, _PUT_IN):
        return None
    place = _PUT_IN[tokens[index].key]
    text = _arguments(tokens, index)[place : place + 1]
    literal = text and len(text[0]) == 1 and text[0][0].kind == "text"
    return len(text[0][0].text) - 2 if literal else None


def _is_call(tokens: Sequence[Token], index: int, names: Container[str]) -> bool:
    """Whether one of these functions is called; ``* REPLACE (a AS b)`` is none."""
    called = tokens[index].key in names and index + 1 < len(tokens) and tokens[index + 1].text == "("
    return called and tokens[index - 1].text not in ("*", ")")


def _arguments(tokens: Sequence[Token], index: int) -> list[list[Token]]:
    """What stands between the parentheses and commas of the call at *index*."""
    found: list[list[Token]] = [[]]
    depth = 0
    for token in tokens[index + 1 :]:
        depth -= token.text in (")", "]")
        if not depth and token.text == ")":
            break
        if depth == 1 and token.text == ",":
            found.append([])
        elif depth:
            found[-1].append(token)
        depth += token.text in ("(", "[")
    return found
