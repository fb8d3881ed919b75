"""A task under a lease: submitted, claimed by a worker at an epoch, completed or failed."""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET

from checkers.models.model import Model, ModelOp, State
from harness.errors import HistoryError
from harness.op import Op, freeze

_SUBMITTED: Final = ("submitted", None, 0)


def _step(state: State, op: ModelOp) -> State | None:
    """Apply an operation to (status, worker, epoch)."""
    assert isinstance(state, tuple)
    status, worker, epoch = state
    if op.f == "status":
        return state if op.result == status else None
    if op.f == "submit":
        return _SUBMITTED if status is None else None
    if op.f == "claim":
        if status not in ("submitted", "claimed"):
            return None
        if op.result is UNSET:
            return ("claimed", op.value, epoch + 1)  # the least that it may be leaves most open
        return ("claimed", op.value, op.result) if op.result > epoch else None
    done = "completed" if op.f == "complete" else "failed"
    return (done, worker, epoch) if status == "claimed" and (worker, epoch) == op.value else None


def _interpret(invocation: Op, completion: Op | None) -> ModelOp | None:
    """Read one operation; what failed says nothing, nor does a status of unknown outcome.

    Raises:
        HistoryError: an epoch is no positive integer, or a status no text.
    """
    outcome = "info" if completion is None else completion.type
    if outcome == "fail":
        return None
    if invocation.f == "status":
        return ModelOp("status", None, _status(completion)) if completion is not None and outcome == "ok" else None
    if invocation.f == "submit":
        return ModelOp("submit", None)
    if invocation.f == "claim":
        known = completion is not None and outcome == "ok"
        return ModelOp("claim", invocation.process, _epoch(completion) if known else UNSET)
    return ModelOp(invocation.f, (invocation.process, _epoch(invocation)))


def _status(op: Op) -> Any:
    if op.value is not None and not isinstance(op.value, str):
        raise HistoryError(f"event {op.index}: the status {op.value!r} is no text", _HINT)
    return freeze(op.value)


def _epoch(op: Op | None) -> int:
    assert op is not None
    if type(op.value) is not int or op.value < 1:
        raise HistoryError(f"event {op.index}: the epoch of {op.f} is {op.value!r} and not 1 or more", _HINT)
    return op.value


_HINT: Final = "docs/reference-models.md shows each model's operations"

TASK: Final = Model(
    name="task",
    initial=(None, None, 0),
    step=_step,
    interpret=_interpret,
    fs=("submit", "claim", "complete", "fail", "status"),
    pure=frozenset({"status"}),
    by_columns=True,
)
"""Each key is a task. A claim at a greater epoch takes it from the worker before, whose lease has run out."""
