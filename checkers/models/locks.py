"""Locks that may be held more than once: by one process again, or by several."""

from __future__ import annotations

from typing import Final

from checkers.models.model import Model, ModelOp, State
from harness.errors import HistoryError, UsageError
from harness.op import Op


def _step_reentrant(state: State, op: ModelOp) -> State | None:
    assert isinstance(state, tuple)
    holder, times = state
    if op.f == "acquire":
        return (op.value, times + 1) if times == 0 or holder == op.value else None
    if times == 0 or holder != op.value:
        return None
    return (holder, times - 1) if times > 1 else (None, 0)


def _interpret_reentrant(invocation: Op, completion: Op | None) -> ModelOp | None:
    """Read one operation; what failed says nothing."""
    failed = completion is not None and completion.type == "fail"
    return None if failed else ModelOp(invocation.f, invocation.process)


REENTRANT_MUTEX: Final = Model(
    name="reentrant-mutex",
    initial=(None, 0),
    step=_step_reentrant,
    interpret=_interpret_reentrant,
    fs=("acquire", "release"),
    by_columns=True,
)
"""The process that holds it may acquire it again, and has to release it as often."""


def _interpret_semaphore(invocation: Op, completion: Op | None) -> ModelOp | None:
    """Read one operation; what failed says nothing.

    Raises:
        HistoryError: its value is no number of permits.
    """
    if completion is not None and completion.type == "fail":
        return None
    permits = 1 if invocation.value is None else invocation.value
    if type(permits) is not int or permits < 1:
        message = f"event {invocation.index}: the value of {invocation.f} is {permits!r} and not a number of permits"
        raise HistoryError(message, "docs/reference-models.md shows each model's operations")
    return ModelOp(invocation.f, permits)


def semaphore_named(name: str) -> Model | None:
    """Return the model that a name such as "semaphore:3" means, or None where it is no such name."""
    kind, _, permits = name.partition(":")
    return semaphore(int(permits)) if kind == "semaphore" and permits.isdecimal() else None


def semaphore(permits: int) -> Model:
    """Return the model of a semaphore of so many permits.

    Raises:
        UsageError: there is no such semaphore.
    """
    if permits < 1:
        raise UsageError(f"a semaphore of {permits} permits cannot be acquired", "give at least 1, as in semaphore:3")

    def step(state: State, op: ModelOp) -> State | None:
        assert isinstance(state, int)
        held: int = state + (op.value if op.f == "acquire" else -op.value)
        return held if 0 <= held <= permits else None

    name = f"semaphore:{permits}"
    return Model(name, 0, step, _interpret_semaphore, ("acquire", "release"), by_columns=True)
