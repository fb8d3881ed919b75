"""A key-value store of strings, as one key sees it: get, put and append. Porcupine's model of the same name."""

from __future__ import annotations

from typing import Final

from checkers.models import Model, ModelOp, State
from harness.errors import HistoryError
from harness.op import Op


def step_kv(state: State, op: ModelOp) -> State | None:
    """Apply a get, a put or an append to a string, which is empty at first."""
    if op.f == "get":
        return state if state == op.value else None
    return op.value if op.f == "put" else str(state) + str(op.value)


def interpret_kv(invocation: Op, completion: Op | None) -> ModelOp | None:
    """Read one operation; a get of unknown outcome, and whatever failed, say nothing.

    Raises:
        HistoryError: a value is no string.
    """
    outcome = "info" if completion is None else completion.type
    if invocation.f == "get":
        if completion is None or outcome != "ok":
            return None
        return ModelOp("get", _text(completion))
    return None if outcome == "fail" else ModelOp(invocation.f, _text(invocation))


def _text(op: Op) -> str:
    if not isinstance(op.value, str):
        message = f"event {op.index}: the value of {op.f} is {op.value!r} and not a string"
        raise HistoryError(message, "was the history recorded by another workload?")
    return op.value


KV: Final = Model(
    name="kv",
    initial="",
    step=step_kv,
    interpret=interpret_kv,
    fs=("get", "put", "append"),
    pure=frozenset({"get"}),
    blind=frozenset({"put"}),
    by_columns=True,
)
"""A string under each key; an append adds to its end."""
