"""A priority queue: what comes out is the least of what is in it."""

from __future__ import annotations

from bisect import insort
from typing import Any, Final

from msgspec import UNSET

from checkers.models.model import Model, ModelOp, State
from harness.errors import HistoryError
from harness.op import Op

_EMPTY: Final = "empty dequeue"


def _step(state: State, op: ModelOp) -> State | None:
    assert isinstance(state, tuple)
    if op.f == "enqueue":
        items = list(state)
        insort(items, op.value)
        return tuple(items)
    if op.f == _EMPTY:
        return None if state else state
    if not state:
        return state if op.result is UNSET else None
    return state[1:] if op.result is UNSET or op.result == state[0] else None


def _interpret(invocation: Op, completion: Op | None) -> ModelOp | None:
    """Read one operation.

    Raises:
        HistoryError: a value is no number and no list of numbers.
    """
    outcome = "info" if completion is None else completion.type
    if outcome == "fail":
        return None
    if invocation.f == "enqueue":
        return ModelOp("enqueue", _priority(invocation))
    if completion is None or outcome == "info":
        return ModelOp("dequeue", None)
    return ModelOp(_EMPTY, None) if completion.value is None else ModelOp("dequeue", None, _priority(completion))


def _priority(op: Op) -> tuple[Any, ...]:
    """Return a value in a form that compares as priorities do."""
    parts = op.value if isinstance(op.value, list | tuple) else [op.value]
    if not parts or any(type(part) not in (int, float) for part in parts):
        message = f"event {op.index}: the value of {op.f} is {op.value!r} and neither a number nor a list of numbers"
        raise HistoryError(message, "docs/reference-models.md shows each model's operations")
    return tuple(parts)


PRIORITY_QUEUE: Final = Model(
    name="priority-queue",
    initial=(),
    step=_step,
    interpret=_interpret,
    fs=("enqueue", "dequeue"),
    pure=frozenset({_EMPTY}),
    by_columns=True,
)
"""A value is its own priority: a number, or a list of numbers that is compared one after the other."""
