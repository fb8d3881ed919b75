"""Anomalies of a FIFO queue, in words and with the fewest operations that prove them.

What is left out of a witness counts as unknown: an enqueue or a dequeue may have happened at any time after its
invocation, or never (but a dequeue took no other value than it did); an empty dequeue is gone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import numpy as np

from checkers.budget import Budget
from checkers.forward import search
from checkers.models import NEVER_COMPLETES, Interval
from checkers.near_linear import Finding, Object, Rows
from checkers.object_models import FIFO_QUEUE
from checkers.words import began, process, returned, seconds, show
from harness.columns import ABSENT, NULL

_WITNESS_TIME_S: Final = 2.0
_WITNESS_CONFIGURATIONS: Final = 2_000


def _row(queue: Object, at: int) -> int:
    return int(queue.rows[at])


def _value(queue: Object, at: int) -> str:
    """Write the value that an operation put in or took out."""
    row = _row(queue, at)
    invocation, completion = queue.history.invocation(row), queue.history.completion(row)
    return show(invocation.value if invocation.f == "enqueue" or completion is None else completion.value)


def _name(queue: Object, at: int) -> str:
    """Return such as "dequeue of 4 by process 3"."""
    f = queue.history.invocation(_row(queue, at)).f
    return f"{f} of {_value(queue, at)} by {process(queue.history, _row(queue, at))}"


def never_enqueued(queue: Object, dequeue: int, enqueue: int) -> Finding:
    """Return the finding of a dequeue whose value had not been enqueued (`enqueue` is -1) or not by then."""
    end = returned(queue.history, _row(queue, dequeue))
    if enqueue < 0:
        (at,) = seconds(end)
        summary = f"{_name(queue, dequeue)} returned at {at}, but no enqueue of that value succeeded or may have"
    else:
        at, later = seconds(end, began(queue.history, _row(queue, enqueue)))
        summary = f"{_name(queue, dequeue)} returned at {at}, before {_name(queue, enqueue)} began at {later}"
    return Finding("never enqueued", summary, (dequeue,))


def twice(queue: Object, one: int, other: int) -> Finding:
    """Return the finding of two dequeues of one value."""
    ends = [returned(queue.history, _row(queue, at)) for at in (one, other)]
    times = seconds(*ends)
    summary = (
        f"{_name(queue, one)} (returned at {times[0]}) and {_name(queue, other)} (returned at {times[1]}) "
        "both took it, but it was enqueued once"
    )
    return Finding("dequeued twice", summary, (one, other))


def overtaken(
    queue: Object, unknown: Rows, enqueue_first: int, dequeue_first: int, enqueue_second: int, dequeue_second: int
) -> Finding:
    """Return the finding of a value that came out before one that had been put in before it."""
    history = queue.history
    times = seconds(
        returned(history, _row(queue, enqueue_first)),
        began(history, _row(queue, enqueue_second)),
        returned(history, _row(queue, dequeue_second)),
        began(history, _row(queue, dequeue_first)),
    )
    summary = (
        f"{_name(queue, enqueue_first)} had returned at {times[0]}, before {_name(queue, enqueue_second)} began at "
        f"{times[1]}; but {_name(queue, dequeue_second)} returned at {times[2]}, before "
        f"{_name(queue, dequeue_first)} began at {times[3]}"
    )
    proof = [enqueue_first, dequeue_second]  # that the other enqueue began when it did is known whatever came of it
    if any(unknown < queue.ret[dequeue_second]):  # it might have taken the first value, had nobody else
        proof.append(dequeue_first)
    return Finding("dequeued out of order", summary, proof)


def lost(queue: Object, enqueues: Sequence[int], enqueue: int, dequeue: int) -> Finding:
    """Return the finding of values that nothing can have taken before a later one came out.

    Args:
        queue: they were lost in.
        enqueues: of the lost values.
        enqueue, dequeue: of the later one.
    """
    end, start = seconds(returned(queue.history, _row(queue, dequeue)), began(queue.history, _row(queue, enqueue)))
    later = f"{_name(queue, dequeue)} returned at {end}, although"
    if len(enqueues) == 1:
        (before,) = seconds(returned(queue.history, _row(queue, enqueues[0])))
        summary = f"{later} {_name(queue, enqueues[0])} had returned at {before}, before {_value(queue, enqueue)} was"
        summary += f" enqueued (from {start} on), and no dequeue can have taken it"
    else:
        names = ", ".join(_value(queue, at) for at in enqueues[:12])
        more = f" and {len(enqueues) - 12} more" if len(enqueues) > 12 else ""
        summary = f"{later} {names}{more} had been enqueued before it (which began at {start}), and only "
        takers = len(enqueues) - 1
        summary += f"{takers} {'dequeue' if takers == 1 else 'dequeues'} of unknown outcome can have taken any of them"
    return Finding("lost element", summary, [*enqueues, dequeue])


def missed(queue: Object, empty: int, ops: Sequence[int]) -> Finding:
    """Return the finding of a dequeue that found the queue empty while it never was.

    Args:
        queue: that was not empty.
        empty: the dequeue.
        ops: enqueues and dequeues that show that at each moment some value was inside.
    """
    ops = _needed(queue, [*ops, empty])
    start, end = seconds(began(queue.history, _row(queue, empty)), returned(queue.history, _row(queue, empty)))
    names = "; ".join(_name(queue, at) for at in ops[:12] if at != empty)
    summary = f"dequeue by {process(queue.history, _row(queue, empty))} ({start} to {end}) found the queue empty, but "
    summary += f"it never was in that time: {names}"
    return Finding("element missed", summary, ops)


def _needed(queue: Object, ops: Sequence[int]) -> list[int]:
    """Leave out, one by one, what the proof does without; the general engine decides, on these values alone."""
    kept = sorted(set(ops))
    budget = Budget(time.monotonic, time.monotonic() + _WITNESS_TIME_S, _WITNESS_CONFIGURATIONS)
    certain = queue.ret != NEVER_COMPLETES
    value = np.where(certain, queue.answered, ABSENT)
    enqueues = queue.of("enqueue")
    value[enqueues] = queue.asked[enqueues]
    concerned = np.isin(value, value[kept]) & (value != NULL) | (value == ABSENT)
    concerned[kept] = True
    concerned &= queue.invoke < queue.ret[kept].max()
    intervals = []
    for at in np.flatnonzero(concerned).tolist():
        row = int(queue.rows[at])
        op = FIFO_QUEUE.interpret(queue.history.invocation(row), queue.history.completion(row))
        assert op is not None
        intervals.append(Interval(op, int(queue.invoke[at]), int(queue.ret[at]), at))
    for at in list(kept):
        rest = [other for other in kept if other != at]
        weak = [
            item if item.row in rest else item._replace(complete=NEVER_COMPLETES)
            for item in intervals
            if item.row in rest or value[item.row] != NULL
        ]
        if search(FIFO_QUEUE, weak, budget).status == "invalid":
            kept = rest
    return kept
