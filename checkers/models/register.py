"""Registers: read, write, cas. The state is (value,), since None is a value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec import UNSET

from checkers.models.model import NEVER_COMPLETES, Interpret, Interval, Model, ModelOp, State
from harness.errors import HistoryError
from harness.op import Op, freeze

FAILED_CAS: Final = "failed cas"
"""`f` of the ModelOp of a cas that failed: a read, with the value [old, observed]."""

INITIAL_VALUE: Final = None
"""What a register holds that was never written."""


def step_register(state: State, op: ModelOp) -> State | None:
    """Apply a read, a write, a cas or a failed cas to a register whose state is `(value,)`."""
    if op.f == "write":
        return (op.value,)
    if op.f == "read":
        return state if state == (op.value,) else None
    if op.f == "cas":
        old, new = op.value
        return (new,) if state == (old,) else None
    old, observed = op.value
    if state == (old,) or (observed is not UNSET and state != (observed,)):
        return None
    return state


def interpret_register(invocation: Op, completion: Op | None) -> ModelOp | None:
    """Read one operation on a register; a failed cas that tells what it observed is a read.

    One that observed nothing says nothing: `fail` only means that it did not happen, and "connection refused" is no
    evidence of the register's value. (A false accusation of etcd with a killed node, in this harness's first hour.)

    Raises:
        HistoryError: the value of a cas is not [old, new].
    """
    outcome = "info" if completion is None else completion.type
    if invocation.f == "read":
        return ModelOp("read", freeze(completion.value)) if completion and outcome == "ok" else None
    if invocation.f == "write":
        return None if outcome == "fail" else ModelOp("write", freeze(invocation.value))
    old, new = _cas(invocation)
    if completion is None or outcome != "fail":
        return ModelOp("cas", (old, new))
    if completion.observed is UNSET:
        return None
    return ModelOp(FAILED_CAS, (old, freeze(completion.observed)))


def interpret_comparing_register(invocation: Op, completion: Op | None) -> ModelOp | None:
    """Read one operation of a history in which a cas fails only because the value was not `old`.

    For logs of other tools that record a failed comparison as `fail` and every other error as `info`; in them a
    failed cas that observed nothing says: not `old`.

    Raises:
        HistoryError: the value of a cas is not [old, new].
    """
    if invocation.f == "cas" and completion is not None and completion.type == "fail" and completion.observed is UNSET:
        return ModelOp(FAILED_CAS, (_cas(invocation)[0], UNSET))
    return interpret_register(invocation, completion)


def _cas(invocation: Op) -> tuple[Any, Any]:
    if not isinstance(invocation.value, list | tuple) or len(invocation.value) != 2:
        message = f"event {invocation.index}: the value of a cas is {invocation.value!r} and not [old, new]"
        raise HistoryError(message, "was the history recorded by another workload?")
    old, new = map(freeze, invocation.value)
    return old, new


def written(op: ModelOp) -> Any:
    """Return the value that an operation puts into a register; UNSET where it puts none."""
    if op.f == "write":
        return op.value
    return op.value[1] if op.f == "cas" else UNSET


def observed(op: ModelOp) -> Any:
    """Return the value that an operation saw in a register; UNSET where it saw none."""
    if op.f == "read":
        return op.value
    if op.f == "cas":
        return op.value[0]
    return op.value[1] if op.f == FAILED_CAS else UNSET


def useful_until_register(ops: Sequence[Interval]) -> list[int]:
    """Return, for each operation, the last row at which something may still see the value that it writes.

    A write or cas of unknown outcome is of use only if some operation sees its value: a certain one, until it
    completes, or a cas of unknown outcome that is of use itself. The latter is a least fixed point, so that two such
    cas do not justify each other. A failed cas that observed nothing may be explained by any value but its `old`.
    """
    last: dict[Any, int] = {}
    unseen: dict[Any, int] = {}
    chains: list[tuple[Any, Any]] = []
    for op, _, complete, _ in ops:
        value = observed(op)
        if op.f == FAILED_CAS and value is UNSET:
            unseen[op.value[0]] = max(unseen.get(op.value[0], -1), complete)
        elif complete == NEVER_COMPLETES and op.f == "cas":
            chains.append(op.value)
        elif value is not UNSET:
            last[value] = max(last.get(value, -1), complete)
    latest = sorted(unseen.items(), key=lambda item: -item[1])[:2]  # of two different values, one is not `value`
    until = {value: max([last.get(value, -1), *(row for old, row in latest if old != value)]) for value in _values(ops)}
    changed = True
    while changed:
        changed = False
        for old, new in chains:
            if until[new] > until[old]:
                until[old] = until[new]
                changed = True
    return [until.get(written(interval.op), -1) for interval in ops]


def _values(ops: Iterable[Interval]) -> set[Any]:
    return {value for interval in ops for value in (written(interval.op), observed(interval.op)) if value is not UNSET}


def _register(name: str, fs: tuple[str, ...], interpret: Interpret = interpret_register) -> Model:
    return Model(
        name=name,
        initial=(INITIAL_VALUE,),
        step=step_register,
        interpret=interpret,
        fs=fs,
        pure=frozenset({"read", FAILED_CAS}),
        blind=frozenset({"write"}),
        useful_until=useful_until_register,
    )


REGISTER: Final = _register("register", ("read", "write"))
CAS_REGISTER: Final = _register("cas-register", ("read", "write", "cas"))

COMPARING_CAS_REGISTER: Final = _register("cas-register", ("read", "write", "cas"), interpret_comparing_register)
"""The cas-register of a history in which every failed cas is a failed comparison."""
