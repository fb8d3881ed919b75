"""One plain sentence for an anomaly of a register: who saw what, when, and why that cannot be.

Each kind is a pattern of a minimal witness whose sentence is true by the order of events alone; a witness that fits
none is "not linearizable", and its sentence lists the operations.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from msgspec import UNSET

from checkers.explain_objects import GENERAL, explain_object
from checkers.models import (
    FAILED_CAS,
    INITIAL_VALUE,
    NEVER_COMPLETES,
    Interval,
    Model,
    observed,
    step_register,
    written,
)
from checkers.operations import Operations, Places
from harness.history import History

_MAX_LISTED: Final = 12  # operations in a sentence; more are counted

Explanation = tuple[str, str]
"""An anomaly's kind and its sentence."""


def explain(history: History, witness: Sequence[Interval], ops: Operations, model: Model) -> Explanation:
    """Classify a minimal witness.

    Args:
        history: for processes and times.
        witness: the operations that prove the anomaly, on one key.
        ops: all operations on that key, or all that have to do with a value in the witness.
        model: of the object.

    Returns:
        The kind, and a sentence that is true of the witness.
    """
    if model.step is not step_register:
        return explain_object(history, model.name, witness)
    case = _Case(history, witness, ops)
    patterns: tuple[Callable[[_Case], Explanation | None], ...] = (
        _contradiction,
        _unwritten,
        _twice_from_one,
        _returned_to_old,
        _overwritten,
    )
    for pattern in patterns:
        explanation = pattern(case)
        if explanation is not None:
            return explanation
    return _general(case)


@dataclass(frozen=True, slots=True)
class _Case:
    """A witness, and words for what is in it."""

    history: History
    witness: Sequence[Interval]
    ops: Operations

    def writers(self, value: Any) -> Places:
        """Return the places of what wrote `value`, or may have, in the order of their invocations."""
        return self.ops.where(lambda op: written(op) == value)

    def name(self, item: Interval) -> str:
        """Return what an operation did and who asked for it, such as "cas from 4 to 9 by process 3"."""
        process = self.history.invocation(item.row).process
        return f"{_action(item)} by process {process}"

    def began(self, item: Interval) -> int:
        return self.history.events[item.invoke].time

    def returned(self, item: Interval) -> int:
        return self.history.events[item.complete].time


def _action(item: Interval) -> str:
    f, value = item.op.f, item.op.value
    if f == "cas":
        return f"cas from {_show(value[0])} to {_show(value[1])}"
    if f == FAILED_CAS:
        saw = "" if value[1] is UNSET else f" that saw {_show(value[1])}"
        return f"failed cas from {_show(value[0])}{saw}"
    return f"{f} of {_show(value)}"


def _show(frozen: Any) -> str:
    return json.dumps(_thaw(frozen), ensure_ascii=False)


def _thaw(frozen: Any) -> Any:
    """Undo harness.op.freeze."""
    if not isinstance(frozen, tuple):
        return frozen
    kind, *items = frozen
    if kind == "bool":
        return items[0]
    if kind == "list":
        return [_thaw(item) for item in items]
    return {name: _thaw(item) for name, item in sorted(items[0])}


def _seconds(*times_ns: int) -> list[str]:
    """Write times in seconds, with as few decimals (2, 3, 6 or 9) as tell the different ones apart."""
    for decimals in (2, 3, 6, 9):
        texts = [f"{time / 1e9:.{decimals}f} s" for time in times_ns]
        if len(set(texts)) == len(set(times_ns)):
            break
    return texts


def _contradiction(case: _Case) -> Explanation | None:
    """A failed cas that saw the very value it asked for."""
    if len(case.witness) != 1:
        return None
    (seen,) = case.witness
    if seen.op.f != FAILED_CAS or seen.op.value[0] != seen.op.value[1]:
        return None
    (returned,) = _seconds(case.returned(seen))
    return GENERAL, f"{case.name(seen)} failed, at {returned}, although that is the value it asked for"


def _unwritten(case: _Case) -> Explanation | None:
    """A value was seen that nothing had written by then."""
    if len(case.witness) != 1:
        return None
    (seen,) = case.witness
    value = observed(seen.op)
    if value is UNSET or value == INITIAL_VALUE:
        return None
    writers = [at for at in case.writers(value)[:2].tolist() if case.ops.row[at] != seen.row]
    if not writers:
        (returned,) = _seconds(case.returned(seen))
        other = "other " if written(seen.op) == value else ""
        what = f"no {other}write or cas to {_show(value)} ever succeeded or may have"
        return "value never written", f"{case.name(seen)} returned at {returned}, but {what}"
    first = case.ops[writers[0]]
    if first.invoke < seen.complete:
        return None
    returned, began = _seconds(case.returned(seen), case.began(first))
    sentence = f"{case.name(seen)} returned at {returned}, before {case.name(first)}, the first to write that, began"
    return "future read", f"{sentence} at {began}"


def _twice_from_one(case: _Case) -> Explanation | None:
    """Two cas replaced the same value, which was there only once."""
    swaps = [item for item in case.witness if item.op.f == "cas"]
    if len(swaps) != 2 or any(old == new for old, new in (item.op.value for item in swaps)):
        return None
    first, second = sorted(swaps, key=lambda item: item.complete)
    value = first.op.value[0]
    if second.op.value[0] != value:
        return None
    last = max(item.complete for item in case.witness)
    places = case.writers(value)
    writers = [case.ops[at] for at in places[case.ops.invoke[places] < last][:2].tolist()]
    if any(item not in (*writers, *swaps) for item in case.witness) or len(writers) + (value == INITIAL_VALUE) != 1:
        return None
    if value == INITIAL_VALUE:
        origin = f"{_show(value)} was there only at the start"
    else:
        origin = f"{_show(value)} was written only once, by process {case.history.invocation(writers[0].row).process}"
    times = _seconds(case.returned(first), case.returned(second))
    sentence = f"{case.name(first)} and {case.name(second)} both succeeded (at {times[0]} and {times[1]}), but {origin}"
    return "lost update", f"{sentence}: one of them overwrote the other unseen"


def _returned_to_old(case: _Case) -> Explanation | None:
    """Something saw a value, after another value had been seen or written, that had come after it."""
    chain = sorted(case.witness, key=lambda item: item.invoke)
    if len(chain) not in (2, 3) or any(one.complete > two.invoke for one, two in pairwise(chain)):
        return None
    before = chain[0] if len(chain) == 3 else None
    middle, after = chain[-2:]
    value, between = observed(after.op), _left(middle)
    if value is UNSET or between is UNSET or between == value:
        return None
    if before is not None and _left(before) != value:
        return None
    return _old_again(case, before, middle, after)


def _left(item: Interval) -> Any:
    """Return the value that is there right after an operation, as far as it tells."""
    value = written(item.op)
    return observed(item.op) if value is UNSET else value


def _old_again(case: _Case, before: Interval | None, middle: Interval, after: Interval) -> Explanation:
    returned, began = _seconds(case.returned(middle), case.began(after))
    value = _show(observed(after.op))
    sentence = f"{case.name(after)} began at {began}, after {case.name(middle)} had returned at {returned}"
    read = written(middle.op) is UNSET
    if before is None:  # `after` is possible without `middle`, so the value was there, but with it only before it
        why = f"nothing can have put {value} there again"
    else:
        why = f"{value} is older: {case.name(before)} had returned before that" if read else ""
    if read:
        return "resurrected value", f"{sentence}, and {why}"
    if _nobody_saw(case, middle, after):
        unseen = _show(written(middle.op))
        return "lost update", f"{sentence}, but nothing is known to have seen {unseen}: {value} was still there"
    kind = "lost update" if after.op.f == "cas" else "stale read"  # a cas replaced the old value as if it still held
    return kind, f"{sentence}, and {why or f'{value} was overwritten by it'}"


def _nobody_saw(case: _Case, lost: Interval, after: Interval) -> bool:
    """Whether a write left no trace, while what was there before it went on: seen twice, or replaced by a cas."""
    value, old = written(lost.op), observed(after.op)
    ops = case.ops
    certain = ops.ret != NEVER_COMPLETES
    if np.any(certain[ops.where(lambda op: observed(op) == value)]):
        return False
    seen = ops.where(lambda op: observed(op) == old)
    later = np.count_nonzero(certain[seen] & (ops.invoke[seen] > lost.complete))
    return bool(later > 1 or after.op.f == "cas")


def _overwritten(case: _Case) -> Explanation | None:
    """Something saw a value after another one had come, although all that wrote it had returned before that.

    True whatever else happened, so that it needs no minimal witness: since `middle` began nothing can have put the
    value there, and `middle` left another one.
    """
    chain = sorted(case.witness, key=lambda item: item.invoke)
    if len(chain) < 3 or chain[-2].complete > chain[-1].invoke:
        return None
    middle, after = chain[-2:]
    value, between = observed(after.op), _left(middle)
    if value is UNSET or between is UNSET or between == value:
        return None
    places = case.writers(value)
    places = places[(case.ops.invoke[places] < after.complete) & (case.ops.row[places] != after.row)]
    if not len(places) or case.ops.ret[places].max() > middle.invoke:
        return None
    returned, began = _seconds(case.returned(middle), case.began(after))
    value_text = _show(value)
    kind = (
        "resurrected value" if written(middle.op) is UNSET else "lost update" if after.op.f == "cas" else "stale read"
    )
    return kind, (
        f"{case.name(after)} began at {began}, after {case.name(middle)} had returned at {returned}, and all "
        f"{len(places)} operations that wrote {value_text} had returned before that one began"
    )


def _general(case: _Case) -> Explanation:
    listed = []
    for item in case.witness[:_MAX_LISTED]:
        began, returned = _seconds(case.began(item), case.returned(item))
        listed.append(f"{case.name(item)} ({began} to {returned})")
    rest = len(case.witness) - _MAX_LISTED
    if rest > 0:
        listed.append(f"and {rest} more")
    if len(listed) == 1:
        return GENERAL, f"nothing that may have happened before explains {listed[0]}"
    return GENERAL, f"no order of these operations explains what each of them saw: {'; '.join(listed)}"
