"""Several registers that are written and read together, in one step."""

from __future__ import annotations

from typing import Any, Final

from checkers.models.model import Model, ModelOp, State
from harness.errors import HistoryError
from harness.op import Op, freeze


def _step(state: State, op: ModelOp) -> State | None:
    assert isinstance(state, frozenset)
    held: dict[Any, Any] = dict(state)
    if op.f == "read":
        return state if all(held.get(name) == value for name, value in op.value) else None
    held.update(op.value)
    return frozenset((name, value) for name, value in held.items() if value is not None)


def _interpret(invocation: Op, completion: Op | None) -> ModelOp | None:
    """Read one operation.

    Raises:
        HistoryError: what was written or read is no object of names and values.
    """
    outcome = "info" if completion is None else completion.type
    if invocation.f == "write":
        return None if outcome == "fail" else ModelOp("write", _registers(invocation))
    return ModelOp("read", _registers(completion)) if completion is not None and outcome == "ok" else None


def _registers(op: Op) -> frozenset[tuple[str, Any]]:
    if not isinstance(op.value, dict):
        message = f"event {op.index}: the value of {op.f} is {op.value!r} and not an object of registers and values"
        raise HistoryError(message, "docs/reference-models.md shows each model's operations")
    return frozenset((name, freeze(value)) for name, value in op.value.items())


MULTI_REGISTER: Final = Model(
    name="multi-register",
    initial=frozenset(),
    step=_step,
    interpret=_interpret,
    fs=("read", "write"),
    pure=frozenset({"read"}),
    by_columns=True,
)
"""A read or a write of several registers happens at one instant; one that was never written holds null."""
