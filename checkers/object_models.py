"""Models of locks, sets, queues and counters, in the reading of the near-linear checkers.

They are what the general engine decides by where a near-linear method is not eligible, and what both are compared by.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET

from checkers.models import Model, ModelOp, State
from harness.errors import HistoryError
from harness.op import Op, freeze


def _outcome(completion: Op | None) -> str:
    return "info" if completion is None else completion.type


# --- mutexes: the state is (held, by whom, the last token); an operation has an owner, or [owner, token] --------------


def _step_mutex(state: State, op: ModelOp) -> State | None:
    assert isinstance(state, tuple)
    held, holder, last = state
    owner, token = op.value[1:] if isinstance(op.value, tuple) else (op.value, None)
    if op.f == "release":
        return (False, None, last) if held and holder == owner else None
    if held:
        return None
    if token is None:
        return (True, owner, last if last is None else last + 1)  # the least that it may be leaves most open
    return (True, owner, token) if last is None or token > last else None


def _interpret_mutex(invocation: Op, completion: Op | None) -> ModelOp | None:
    """Read one operation on a mutex that anybody may release."""
    return None if _outcome(completion) == "fail" else ModelOp(invocation.f, None)


def _interpret_owner(invocation: Op, completion: Op | None) -> ModelOp | None:
    """Read one operation on a mutex that its process alone may release."""
    return None if _outcome(completion) == "fail" else ModelOp(invocation.f, invocation.process)


def token_of(completion: Op) -> int:
    """Return the token that an acquire gave.

    Raises:
        HistoryError: it is not an integer.
    """
    if type(completion.value) is not int:
        message = f"event {completion.index}: an acquire gave the token {completion.value!r}"
        raise HistoryError(message, "fencing tokens are integers; without any, choose --model owner-mutex")
    return completion.value


def _interpret_fenced(invocation: Op, completion: Op | None) -> ModelOp | None:
    """Read one operation on a mutex with tokens; that of an acquire of unknown outcome is unknown."""
    if invocation.f == "acquire" and completion is not None and completion.type == "ok":
        return ModelOp("acquire", ("list", invocation.process, token_of(completion)))
    return _interpret_owner(invocation, completion)


def _mutex(name: str, interpret: Any) -> Model:
    return Model(name, (False, None, None), _step_mutex, interpret, ("acquire", "release"), by_columns=True)


MUTEX: Final = _mutex("mutex", _interpret_mutex)
OWNER_MUTEX: Final = _mutex("owner-mutex", _interpret_owner)
FENCED_MUTEX: Final = _mutex("fenced-mutex", _interpret_fenced)

# --- set: the state is the set of its elements ------------------------------------------------------------------------


def _step_set(state: State, op: ModelOp) -> State | None:
    assert isinstance(state, frozenset)
    if op.f == "add":
        return state | {op.value}
    return state if state == frozenset(op.value[1:]) else None


def _interpret_set(invocation: Op, completion: Op | None) -> ModelOp | None:
    outcome = _outcome(completion)
    if invocation.f == "add":
        return None if outcome == "fail" else ModelOp("add", freeze(invocation.value))
    if completion is None or outcome != "ok":
        return None
    return ModelOp("read", ("list", *sorted(set(map(freeze, completion.value or ())), key=repr)))


_READ: Final = frozenset({"read"})

SET: Final = Model("set", frozenset(), _step_set, _interpret_set, ("add", "read"), _READ, by_columns=True)

# --- list: the state is the tuple of its elements ---------------------------------------------------------------------


def _step_append(state: State, op: ModelOp) -> State | None:
    assert isinstance(state, tuple)
    if op.f == "append":
        return (*state, op.value)
    return state if state == op.value[1:] else None


def _interpret_append(invocation: Op, completion: Op | None) -> ModelOp | None:
    outcome = _outcome(completion)
    if invocation.f == "append":
        return None if outcome == "fail" else ModelOp("append", freeze(invocation.value))
    return ModelOp("read", freeze(completion.value or [])) if completion is not None and outcome == "ok" else None


APPEND: Final = Model("append", (), _step_append, _interpret_append, ("append", "read"), _READ, by_columns=True)

# --- FIFO queue: the state is the tuple of its values -----------------------------------------------------------------

_EMPTY: Final = "empty dequeue"


def _step_queue(state: State, op: ModelOp) -> State | None:
    assert isinstance(state, tuple)
    if op.f == "enqueue":
        return (*state, op.value)
    if op.f == _EMPTY:
        return None if state else state
    if not state:
        return state if op.value is UNSET else None
    return state[1:] if op.value is UNSET or op.value == state[0] else None


def _interpret_queue(invocation: Op, completion: Op | None) -> ModelOp | None:
    outcome = _outcome(completion)
    if outcome == "fail":
        return None
    if invocation.f == "enqueue":
        return ModelOp("enqueue", freeze(invocation.value))
    if completion is None or outcome == "info":
        return ModelOp("dequeue", UNSET)
    return ModelOp(_EMPTY, None) if completion.value is None else ModelOp("dequeue", freeze(completion.value))


FIFO_QUEUE: Final = Model(
    "fifo-queue", (), _step_queue, _interpret_queue, ("enqueue", "dequeue"), frozenset({_EMPTY}), by_columns=True
)

# --- counter: the state is its value ----------------------------------------------------------------------------------


def _step_counter(state: State, op: ModelOp) -> State | None:
    assert isinstance(state, int)
    if op.f == "add":
        after: int = state + op.value
        return after
    return state if state == op.value else None


def _interpret_counter(invocation: Op, completion: Op | None) -> ModelOp | None:
    outcome = _outcome(completion)
    if invocation.f == "add":
        return None if outcome == "fail" else ModelOp("add", invocation.value)
    return ModelOp("read", completion.value) if completion is not None and outcome == "ok" else None


COUNTER: Final = Model("counter", 0, _step_counter, _interpret_counter, ("add", "read"), _READ, by_columns=True)
