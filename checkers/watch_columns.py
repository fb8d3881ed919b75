"""What a history says of watches and writes, taken apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np

from checkers.models import NEVER_COMPLETES
from checkers.words import show
from harness.errors import HistoryError
from harness.history import FAIL, INFO, History
from harness.op import freeze

_HINT: Final = "the reference says what a watch's history holds: was it recorded by another workload?"


class Write(NamedTuple):
    """A put or a delete that did not fail, or may not have.

    Attributes:
        row: in History.columns.
        key: what it wrote.
        name: of the value, equal for equal ones; None for a delete.
        revision: that was acknowledged; None where its outcome is unknown.
        invoke, ret: rows in History.events; `ret` is NEVER_COMPLETES for an unknown outcome.
    """

    row: int
    key: str
    name: Any
    revision: int | None
    invoke: int
    ret: int


class Delivered(NamedTuple):
    """What one watch delivered.

    Attributes:
        row: in History.columns.
        prefix, start: what was asked for; None: from now.
        changes: revision and key of each, in the order of their arrival.
        names: of their values.
        late: revision and key of those that came after the cancel.
        ret: row of its completion in History.events.
    """

    row: int
    prefix: str
    start: int | None
    changes: list[tuple[int, str]]
    names: list[Any]
    late: list[tuple[int, str]]
    ret: int


class Refusal(NamedTuple):
    """A watch that was refused because its start is compacted; `ret` as in Delivered."""

    row: int
    prefix: str
    start: int | None
    ret: int


@dataclass(frozen=True, slots=True)
class Watched:
    """A history of watches.

    Attributes:
        history: that it is of.
        writes: in the order of their invocation.
        watches: that delivered something, in the order of their completion.
        refusals: likewise.
        looks: of each ok `revision`: row, the number, and the rows of its events.
        compactions: of each that may have happened: the row of its invocation among the events, and its revision.
    """

    history: History
    writes: list[Write] = field(default_factory=list)
    watches: list[Delivered] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    looks: list[tuple[int, int, int, int]] = field(default_factory=list)
    compactions: list[tuple[int, int]] = field(default_factory=list)


def collect(history: History) -> Watched:
    """Take a history apart.

    Raises:
        HistoryError: a value is not as WatchChecker says.
    """
    watched = Watched(history)
    for f, take in _TAKE.items():
        if f not in history.columns.fs:
            continue
        for row in np.flatnonzero(history.columns.f == history.columns.fs.index(f)).tolist():
            try:
                take(watched, row)
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                raise _malformed(history, row) from error
    watched.watches.sort(key=lambda watch: watch.ret)
    watched.refusals.sort(key=lambda refusal: refusal.ret)
    return watched


def name_of(value: Any) -> Any:
    """Return what is equal for equal values."""
    return value if type(value) is int or type(value) is str or value is None else freeze(value)


def _malformed(history: History, row: int) -> HistoryError:
    op = history.completion(row) or history.invocation(row)
    message = f"{history.source}: event {op.index}: {op.f} has the value {show(op.value)[:200]}"
    return HistoryError(message, _HINT)


def _ends(history: History, row: int) -> tuple[int, int]:
    """Return the rows of an operation's events; NEVER_COMPLETES for an unknown outcome."""
    columns = history.columns
    unknown = columns.outcome[row] == INFO
    return int(columns.invoke[row]), NEVER_COMPLETES if unknown else int(columns.complete[row])


def _asked(history: History, row: int) -> Any:
    return history.columns.values[history.columns.value[row]]


def _answered(history: History, row: int) -> Any:
    return history.columns.values[history.columns.result[row]]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _revision(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(value)
    return value


def _put(watched: Watched, row: int) -> None:
    history = watched.history
    columns = history.columns
    if columns.outcome[row] == FAIL:
        return
    invoke, ret = _ends(history, row)
    value = _asked(history, row)
    if value is None:
        raise ValueError("null is no value: it stands for a deletion")
    revision = None if ret == NEVER_COMPLETES else _revision(_answered(history, row)["revision"])
    key = _text(columns.keys[columns.key[row]])
    watched.writes.append(Write(row, key, name_of(value), revision, invoke, ret))


def _delete(watched: Watched, row: int) -> None:
    history = watched.history
    columns = history.columns
    if columns.outcome[row] == FAIL:
        return
    invoke, ret = _ends(history, row)
    revision = None
    if ret != NEVER_COMPLETES:
        answer = _answered(history, row)["revision"]
        if answer is None:
            return
        revision = _revision(answer)
    watched.writes.append(Write(row, _text(columns.keys[columns.key[row]]), None, revision, invoke, ret))


def _look(watched: Watched, row: int) -> None:
    history = watched.history
    if history.columns.outcome[row] not in (FAIL, INFO):
        watched.looks.append((row, _revision(_answered(history, row)), *_ends(history, row)))


def _compact(watched: Watched, row: int) -> None:
    history = watched.history
    if history.columns.outcome[row] != FAIL:
        watched.compactions.append((int(history.columns.invoke[row]), _revision(_asked(history, row))))


def _watch(watched: Watched, row: int) -> None:
    history = watched.history
    columns = history.columns
    if columns.outcome[row] == INFO:
        return
    prefix, ret = _text(columns.keys[columns.key[row]]), int(columns.complete[row])
    start = _asked(history, row)["start"]
    start = None if start is None else _revision(start)
    if columns.outcome[row] == FAIL:
        if columns.observed[row] >= 0:
            watched.refusals.append(Refusal(row, prefix, start, ret))
        return
    answer = _answered(history, row)
    changes = answer["changes"]
    late = list(_pairs(answer.get("late", ())))
    if changes or late:
        names = [name_of(change[2]) for change in changes]
        watched.watches.append(Delivered(row, prefix, start, list(_pairs(changes)), names, late, ret))


def _pairs(changes: Any) -> Iterator[tuple[int, str]]:
    for revision, key, _ in changes:
        if type(revision) is not int or type(key) is not str:
            raise TypeError(revision)
        yield revision, key


_TAKE: Final[dict[str, Callable[[Watched, int], None]]] = {
    "put": _put,
    "delete": _delete,
    "revision": _look,
    "compact": _compact,
    "watch": _watch,
}
