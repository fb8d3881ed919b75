"""A user's own model: a name, an initial state and a step, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import UNSET

from checkers.models.model import Model, ModelOp, State
from harness.op import Op, freeze


def interpret(invocation: Op, completion: Op | None) -> ModelOp | None:
    """Read an operation as what was asked and what was answered; one that failed says nothing."""
    if completion is None or completion.type == "info":
        return ModelOp(invocation.f, freeze(invocation.value))
    if completion.type == "fail":
        return None
    return ModelOp(invocation.f, freeze(invocation.value), freeze(completion.value))


Step = Callable[[Any, ModelOp], State | None]


def model(name: str, initial: State, step: Step, *, unknown: Any = None, pure: frozenset[str] = frozenset()) -> Model:
    """Return a model from plain Python.

    Args:
        name: for messages.
        initial: the state before any operation; any hashable but None.
        step: returns the state after an operation, or None where it cannot have happened in that state. The operation
            has `f`, `value` (what was asked) and `result` (what was answered): JSON as it was recorded, with tuples for
            lists.
        unknown: `result` of an operation of unknown outcome.
        pure: names of operations that change no state, such as "read"; witnesses leave them out altogether.
    """

    def thawed_step(state: State, op: ModelOp) -> State | None:
        result = unknown if op.result is UNSET else thaw(op.result)
        return step(state, ModelOp(op.f, thaw(op.value), result))

    return Model(name, initial, thawed_step, interpret, fs=(), pure=pure, by_columns=True)


def thaw(frozen: Any) -> Any:
    """Undo harness.op.freeze, but for lists, which get tuples."""
    if not isinstance(frozen, tuple):
        return frozen
    kind, *items = frozen
    if kind == "bool":
        return items[0]
    if kind == "list":
        return tuple(map(thaw, items))
    return {name: thaw(item) for name, item in items[0]}
