"""One plain sentence for an anomaly of a lock, a queue, a set, a counter or a task.

A kind says what the operation that came last shows; its sentence is true of every minimal witness: no order of these
operations explains what each of them saw, and without any one of them there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from checkers.models import Interval
from checkers.words import seconds, show
from harness.history import History

GENERAL: Final = "not linearizable"
_MAX_LISTED: Final = 12  # operations in a sentence; more are counted
_MAX_TEXT: Final = 60  # characters of a value


class Seen(NamedTuple):
    """An operation of a witness, as its client saw it.

    Attributes:
        f, asked: what was invoked.
        answer: the value that came back.
        name: in words, with its process.
        began_ns, returned_ns: when.
    """

    f: str
    asked: Any
    answer: Any
    name: str
    began_ns: int
    returned_ns: int


def explain_object(history: History, model: str, witness: Sequence[Interval]) -> tuple[str, str]:
    """Classify a minimal witness of an object that is no register.

    Args:
        history: for processes, values and times.
        model: the model's name.
        witness: the operations that prove the anomaly.

    Returns:
        The kind, and a sentence that is true of the witness.
    """
    ops = sorted((_seen(history, item) for item in witness), key=lambda op: op.returned_ns)
    classify = _KINDS.get(model.split(":")[0])
    kind = (classify and classify(ops)) or GENERAL
    return kind, _sentence(kind, ops)


def _seen(history: History, item: Interval) -> Seen:
    invocation, completion = history.events[item.invoke], history.events[item.complete]
    name = invocation.f if invocation.value is None else f"{invocation.f} of {_short(invocation.value)}"
    if completion.value != invocation.value:
        name += f" that gave {_short(completion.value)}"
    name += f" by process {invocation.process}"
    return Seen(invocation.f, invocation.value, completion.value, name, invocation.time, completion.time)


def _short(value: Any) -> str:
    text = show(value)
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"


def _lock(ops: Sequence[Seen]) -> str:
    return "double grant" if ops[-1].f == "acquire" else "released without holding"


def _queue(ops: Sequence[Seen]) -> str | None:
    taken = [op.answer for op in ops if op.f == "dequeue"]
    if None in taken:
        return "element missed"
    if len(ops) == len(taken) == 1:
        return "never enqueued"
    if len(ops) == len(taken) and all(answer == taken[0] for answer in taken):
        return "dequeued twice"
    return "dequeued out of order" if len(taken) > 1 or len(ops) > len(taken) > 0 else None


def _set(ops: Sequence[Seen]) -> str | None:
    reads = [op for op in ops if op.f == "read"]
    if len(ops) == 1:
        return "element never added"
    return "lost element" if len(reads) == 1 else "reads disagree"


def _counter(ops: Sequence[Seen]) -> str | None:
    return "counter out of bounds" if len([op for op in ops if op.f == "read"]) == 1 else None


def _task(ops: Sequence[Seen]) -> str:
    last = ops[-1].f
    return {"claim": "double claim", "submit": "submitted twice", "status": "stale status"}.get(
        last, "stale completion"
    )


_KINDS: Final[dict[str, Callable[[Sequence[Seen]], str | None]]] = {
    "mutex": _lock,
    "owner-mutex": _lock,
    "fenced-mutex": _lock,
    "reentrant-mutex": _lock,
    "semaphore": _lock,
    "fifo-queue": _queue,
    "priority-queue": _queue,
    "set": _set,
    "counter": _counter,
    "task": _task,
}


def _sentence(kind: str, ops: Sequence[Seen]) -> str:
    times = seconds(*(time for op in ops for time in (op.began_ns, op.returned_ns)))
    texts = [f"{op.name} ({times[2 * at]} to {times[2 * at + 1]})" for at, op in enumerate(ops)]
    last, others = texts[-1], texts[:-1]
    listed = "; ".join(others[-_MAX_LISTED:])
    if len(others) > _MAX_LISTED:
        listed = f"{len(others) - _MAX_LISTED} more; {listed}"
    if not others:
        return f"{last} succeeded, but nothing that may have happened before explains it"
    if kind == GENERAL:
        return f"no order of these operations explains what each of them saw: {listed}; {last}"
    return f"{last} succeeded, but in no order of the operations can it have, given {listed}"
