"""The oracle: linearizability of one register, by trying every order. It shares no code with the checkers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from harness.op import Op


class _Try(NamedTuple):
    f: str
    value: Any
    observed: Any
    outcome: str
    invoke: int
    complete: float


def is_linearizable(events: Sequence[Op], *, comparing: bool) -> bool:
    """Try every order of the operations, with and without each of unknown outcome.

    Args:
        events: of one key; values are integers or None.
        comparing: whether a cas that failed and observed nothing says that the value was not `old`.
    """
    tries = _paired(events)
    kept = [item for item in tries if _says_something(item, comparing)]
    return _explained(None, frozenset(range(len(kept))), kept, set())


def _paired(events: Sequence[Op]) -> list[_Try]:
    tries: list[_Try] = []
    open_at: dict[Any, int] = {}
    for at, op in enumerate(events):
        if op.type == "invoke":
            open_at[op.process] = len(tries)
            tries.append(_Try(op.f, op.value, msgspec.UNSET, "info", at, float("inf")))
        else:
            number = open_at.pop(op.process)
            value = op.value if op.f == "read" else tries[number].value
            complete = float("inf") if op.type == "info" else at
            tries[number] = tries[number]._replace(
                value=value, observed=op.observed, outcome=op.type, complete=complete
            )
    return tries


def _says_something(item: _Try, comparing: bool) -> bool:
    if item.outcome == "fail":
        return item.f == "cas" and (comparing or item.observed is not msgspec.UNSET)
    return item.f != "read" or item.outcome == "ok"


def _explained(value: Any, left: frozenset[int], tries: list[_Try], dead: set[tuple[Any, frozenset[int]]]) -> bool:
    """Whether the operations `left` have an order that begins at `value`; `dead` is where that was tried in vain."""
    if all(tries[number].outcome == "info" for number in left):
        return True
    if (value, left) in dead:
        return False
    first_completion = min(tries[number].complete for number in left)
    for number in left:
        item = tries[number]
        if item.invoke < first_completion:
            possible, after = _do(item, value)
            if possible and _explained(after, left - {number}, tries, dead):
                return True
    dead.add((value, left))
    return False


def _do(item: _Try, value: Any) -> tuple[bool, Any]:
    """Return whether an operation can happen when the register holds `value`, and what it holds afterwards."""
    if item.f == "read":
        return item.value == value, value
    if item.f == "write":
        return True, item.value
    old, new = item.value
    if item.outcome != "fail":
        return old == value, new
    return old != value and item.observed in (msgspec.UNSET, value), value
