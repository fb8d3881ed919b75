"""What a history says of watches and writes, taken apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from checkers._kernels import deliveries
from checkers.models import NEVER_COMPLETES
from checkers.watch_places import Flat
from checkers.words import show
from harness.errors import HistoryError
from harness.facets import FROM_NOW
from harness.history import NEVER, History
from harness.op import Op, freeze

_HINT: Final = "the reference says what a watch's history holds: was it recorded by another workload?"

BEFORE_ALL: Final = int(np.iinfo(np.int64).min)
"""Is less than every revision."""

SET: Final = ("set",)
"""In place of every value's name, where the watches do not tell values."""


class Write(msgspec.Struct, frozen=True, gc=False):
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


class Delivered(msgspec.Struct, frozen=True, gc=False):
    """What one watch delivered.

    Attributes:
        row: in History.columns.
        prefix, start: what was asked for; None: from now.
        changes: [revision, key, value] of each, in the order of their arrival; [revision, key] where the value is not
            told.
        late: likewise, those that came after the cancel.
        ret: row of its completion in History.events.
    """

    row: int
    prefix: str
    start: int | None
    changes: list[list[Any]]
    late: list[list[Any]]
    ret: int


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """A watch that was refused because its start is compacted; `ret` as in Delivered."""

    row: int
    prefix: str
    start: int | None
    ret: int


@dataclass(frozen=True)
class Watched:
    """A history of watches.

    Attributes:
        history: that it is of.
        told: whether the watches tell values; where one does not, values are nobody's matter.
        from_now: how many watches were refused because the service only has watches from now.
        writes: in the order of their invocation.
        watches: that delivered something, in the order of their completion.
        flat: what they delivered.
        late: the watches that delivered something after their cancel.
        refusals: in the order of their completion.
        looks: of each ok `revision`: row, the number, and the rows of its events.
        compactions: of each that may have happened: the row of its invocation among the events, and its revision.
    """

    history: History
    flat: Flat
    told: bool = True
    from_now: list[int] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    watches: list[Delivered] = field(default_factory=list)
    late: list[Delivered] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    looks: list[tuple[int, int, int, int]] = field(default_factory=list)
    compactions: list[tuple[int, int]] = field(default_factory=list)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """The revision that each watch was asked for from; BEFORE_ALL: from now."""
        return np.array([BEFORE_ALL if watch.start is None else watch.start for watch in self.watches], np.int64)

    @cached_property
    def strangers(self) -> list[int]:
        """The watches, by their places in `watches`, that delivered what they did not ask for."""
        flat = self.flat
        ranges = {prefix: flat.keys_of(prefix) for prefix in {watch.prefix for watch in self.watches}}
        begins, ends = (np.array([ranges[watch.prefix][at] for watch in self.watches], np.int64) for at in (0, 1))
        early = np.flatnonzero(flat.oldest < self.starts)
        return sorted({*early.tolist(), *flat.outside(begins, ends).tolist()})

    def name(self, change: list[Any]) -> Any:
        """Return the name of a change's value."""
        if self.told:
            return name_of(change[2])
        return SET if len(change) == 2 or change[2] is not None else None


class Row(msgspec.Struct, frozen=True, gc=False):
    """One operation.

    Attributes:
        row: in History.columns.
        asked, done: its events; `done` is None where no completion was recorded.
        outcome: ok, fail or info.
        invoke, ret: rows of its events; `ret` is NEVER_COMPLETES for an unknown outcome.
    """

    row: int
    asked: Op
    done: Op | None
    outcome: str
    invoke: int
    ret: int

    @property
    def answer(self) -> Any:
        """Return what came of it."""
        assert self.done is not None
        return self.done.value


def collect(history: History) -> Watched:
    """Take a history apart.

    Raises:
        HistoryError: a value is not as WatchChecker says.
    """
    columns, events = history.columns, list(history.events)
    watched = Watched(history, Flat.of((), (), (), ()))
    takers = [_TAKE.get(f) for f in columns.fs]
    rows = zip(columns.f.tolist(), columns.invoke.tolist(), columns.complete.tolist(), strict=True)
    for at, (f, invoke, complete) in enumerate(rows):
        take = takers[f]
        if take is None:
            continue
        done = None if complete == NEVER else events[complete]
        outcome = "info" if done is None else done.type
        item = Row(at, events[invoke], done, outcome, invoke, NEVER_COMPLETES if outcome == "info" else complete)
        try:
            take(watched, item)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise _malformed(history, item.done or item.asked) from error
    watched.watches.sort(key=lambda watch: watch.ret)
    watched.refusals.sort(key=lambda refusal: refusal.ret)
    return _flattened(watched)


def _flattened(watched: Watched) -> Watched:
    """Put what the watches delivered into columns; where values are not told, forget those of the writes."""
    lists = [watch.changes for watch in watched.watches]
    counts = [len(changes) for changes in lists]
    keys = {key: number for number, key in enumerate({write.key: None for write in watched.writes})}
    names = {None: deliveries.DELETED, SET: deliveries.UNTOLD}
    revision, key, name = (np.empty(sum(counts), np.int64) for _ in range(3))
    code = deliveries.flatten(lists, keys, names, name_of, revision, key, name)
    if code != deliveries.FITS:
        row = watched.watches[code - deliveries.MALFORMED].row
        raise _malformed(watched.history, watched.history.completion(row))
    told = not (name == deliveries.UNTOLD).any()
    if not told:
        name = np.minimum(name, deliveries.UNTOLD)
    writes = watched.writes if told else [_untold(write) for write in watched.writes]
    return replace(watched, told=told, writes=writes, flat=Flat.of(counts, list(keys), (revision, key), name))


def _untold(write: Write) -> Write:
    return write if write.name is None else msgspec.structs.replace(write, name=SET)


def name_of(value: Any) -> Any:
    """Return what is equal for equal values."""
    return value if type(value) is int or type(value) is str or value is None else freeze(value)


def _malformed(history: History, op: Op | None) -> HistoryError:
    assert op is not None
    message = f"{history.source}: event {op.index}: {op.f} has the value {show(op.value)[:200]}"
    return HistoryError(message, _HINT)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _revision(value: Any) -> int:
    if type(value) is not int or not BEFORE_ALL < value < -BEFORE_ALL:
        raise TypeError(value)
    return value


def _put(watched: Watched, item: Row) -> None:
    if item.outcome == "fail":
        return
    value = item.asked.value
    if value is None:
        raise ValueError("null is no value: it stands for a deletion")
    revision = _revision(item.answer["revision"]) if item.outcome == "ok" else None
    key = _text(item.asked.key)
    watched.writes.append(Write(item.row, key, name_of(value), revision, item.invoke, item.ret))


def _delete(watched: Watched, item: Row) -> None:
    answer = item.answer["revision"] if item.outcome == "ok" else None
    if item.outcome == "fail" or (item.outcome == "ok" and answer is None):
        return
    revision = None if answer is None else _revision(answer)
    watched.writes.append(Write(item.row, _text(item.asked.key), None, revision, item.invoke, item.ret))


def _look(watched: Watched, item: Row) -> None:
    if item.outcome == "ok":
        watched.looks.append((item.row, _revision(item.answer), item.invoke, item.ret))


def _compact(watched: Watched, item: Row) -> None:
    if item.outcome != "fail":
        watched.compactions.append((item.invoke, _revision(item.asked.value)))


def _watch(watched: Watched, item: Row) -> None:
    if item.done is None or item.outcome == "info":
        return
    prefix, start = _text(item.asked.key), item.asked.value["start"]
    start = None if start is None else _revision(start)
    if item.outcome == "fail":
        if item.done.observed == FROM_NOW:
            watched.from_now.append(item.row)
        elif type(item.done.observed) is int:
            watched.refusals.append(Refusal(item.row, prefix, start, item.ret))
        return
    changes, late = item.answer["changes"], item.answer.get("late", [])
    if not isinstance(changes, list) or not isinstance(late, list):
        raise TypeError(item.answer)
    for change in late:  # what arrived in time is looked at once it is flattened
        _late(change)
    delivered = Delivered(item.row, prefix, start, changes, late, item.ret)
    if changes:
        watched.watches.append(delivered)
    if late:
        watched.late.append(delivered)


def _late(change: Any) -> None:
    if not isinstance(change, list) or len(change) not in (2, 3):
        raise TypeError(change)
    _revision(change[0])
    _text(change[1])


_TAKE: Final[dict[str, Callable[[Watched, Row], None]]] = {
    "put": _put,
    "delete": _delete,
    "revision": _look,
    "compact": _compact,
    "watch": _watch,
}
