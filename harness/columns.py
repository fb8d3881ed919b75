"""The clients' operations as numpy columns: what checkers work on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, Final, TypeVar

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from harness.errors import HistoryError
from harness.op import Op, freeze

OK: Final = 0
FAIL: Final = 1
INFO: Final = 2
T = TypeVar("T", bound=np.signedinteger[Any])

_OUTCOME: Final = {"ok": OK, "fail": FAIL, "info": INFO}

NEVER: Final = -1
"""Row of a completion that was not recorded: the run ended, or was killed, before it."""

ABSENT: Final = -1
"""In place of a value's id: there is no value."""

NULL: Final = 0
"""The id of None, in every history: an event without a value has it too."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """The values of the clients' operations as numbers; equal ones, as JSON has it (harness.op.freeze), have one.

    Attributes:
        value: int32[n], the invocation's value, an index into `values`.
        result: int32[n], the completion's value; ABSENT where no completion was recorded.
        observed: int32[n], what a failed cas saw; ABSENT where it saw nothing.
        old, new: int32[n], the elements of the invocation's value where that is a list of two; else ABSENT.
        values: the distinct values, in order of appearance; `values[NULL]` is None.
    """

    value: NDArray[np.int32]
    result: NDArray[np.int32]
    observed: NDArray[np.int32]
    old: NDArray[np.int32]
    new: NDArray[np.int32]
    values: Sequence[Any]

    def of(self, rows: NDArray[np.intp]) -> Numbers:
        """Return those of some operations; values keep their numbers."""
        value, result, observed = self.value[rows], self.result[rows], self.observed[rows]
        return Numbers(value, result, observed, self.old[rows], self.new[rows], self.values)


@dataclass(frozen=True)
class Columns:
    """The clients' operations, one row each, in the order of their invocations.

    Attributes:
        invoke, complete: int64[n], rows in History.events; `complete` is NEVER where no completion was recorded.
        outcome: int8[n], OK, FAIL or INFO (also where no completion was recorded).
        process: int64[n], the logical client.
        f: int16[n], index into `fs`.
        key: int32[n], index into `keys`.
        fs, keys: the distinct names and keys, in order of appearance.
        number: makes `numbers`, at most once: to number long lists takes longer than to check most of what holds them,
            and whoever looks at the events themselves needs no numbers.
    """

    invoke: NDArray[np.int64]
    complete: NDArray[np.int64]
    outcome: NDArray[np.int8]
    process: NDArray[np.int64]
    f: NDArray[np.int16]
    key: NDArray[np.int32]
    fs: tuple[str, ...]
    keys: Sequence[Any]
    number: Callable[[], Numbers]

    def __len__(self) -> int:
        return len(self.invoke)

    def only(self, fs: Collection[str]) -> Columns:
        """Return the operations of these names, and no other name or key."""
        rows = np.flatnonzero(np.isin(self.f, [code for code, f in enumerate(self.fs) if f in fs]))
        names, f = np.unique(self.f[rows], return_inverse=True)
        keys, key = np.unique(self.key[rows], return_inverse=True)
        return Columns(
            invoke=self.invoke[rows],
            complete=self.complete[rows],
            outcome=self.outcome[rows],
            process=self.process[rows],
            f=f.astype(np.int16),
            key=key.astype(np.int32),
            fs=tuple(self.fs[code] for code in names.tolist()),
            keys=[self.keys[code] for code in keys.tolist()],
            number=lambda: self.numbers.of(rows),
        )

    @cached_property
    def numbers(self) -> Numbers:
        """The values, numbered; the properties below are its columns."""
        return self.number()

    @property
    def value(self) -> NDArray[np.int32]:
        return self.numbers.value

    @property
    def result(self) -> NDArray[np.int32]:
        return self.numbers.result

    @property
    def observed(self) -> NDArray[np.int32]:
        return self.numbers.observed

    @property
    def old(self) -> NDArray[np.int32]:
        return self.numbers.old

    @property
    def new(self) -> NDArray[np.int32]:
        return self.numbers.new

    @property
    def values(self) -> Sequence[Any]:
        return self.numbers.values


class _Ids(dict[Any, int]):
    """Numbers for JSON values, in order of appearance; equal values have one.

    Indexed by a value's name, which integers and text are themselves.
    """

    def __init__(self, *known: Any) -> None:
        self.given: list[Any] = []
        self._pairs: dict[tuple[int, int], int] = {}
        for value in known:
            self.number(value)

    def __missing__(self, name: Any) -> int:
        number = self[name] = len(self.given)
        self.given.append(name)
        return number

    def number(self, value: Any) -> int:
        """Return the number of any value."""
        kind = type(value)
        if kind is int or kind is str:
            return self[value]
        if kind is list and len(value) == 2:
            return self.pair(self.number(value[0]), self.number(value[1]), value)
        return self._new(self.setdefault(freeze(value), len(self.given)), value)

    def pair(self, one: int, two: int, value: Any) -> int:
        """Return the number of a list of two, by the numbers of its elements."""
        return self._new(self._pairs.setdefault((one, two), len(self.given)), value)

    def _new(self, number: int, value: Any) -> int:
        if number == len(self.given):
            self.given.append(value)
        return number


def pair(events: Sequence[Op], source: str) -> Columns:
    """Pair invocations with completions.

    Raises:
        HistoryError: a completion without an invocation, or an invocation while another is open.
    """
    fs, keys = _Ids(), _Ids()
    key_of = keys.number
    invoke: list[int] = []
    asked: list[tuple[int, int, int]] = []
    done: list[tuple[int, int, int]] = []
    open_rows: dict[int, tuple[int, str]] = {}
    for at, op in enumerate(events):
        process = op.process
        if type(process) is not int:
            continue
        if op.type == "invoke":
            if process in open_rows:
                raise mispaired(source, at, op, "is invoked while another operation of this process is open")
            open_rows[process] = len(asked), op.f
            invoke.append(at)
            asked.append((process, fs[op.f], key_of(op.key)))
            continue
        row, f = open_rows.pop(process, (NEVER, ""))
        if row == NEVER or f != op.f:
            raise mispaired(source, at, op, f"is {op.type} without an invocation")
        done.append((row, at, _OUTCOME[op.type]))
    begun, ended = _table(asked), _table(done)
    rows = np.array(invoke, np.int64)
    complete = _spread(len(rows), ended[0], ended[1], NEVER, np.int64)
    return Columns(
        invoke=rows,
        complete=complete,
        outcome=_spread(len(rows), ended[0], ended[2], INFO, np.int8),
        process=np.ascontiguousarray(begun[0]),
        f=begun[1].astype(np.int16),
        key=begun[2].astype(np.int32),
        fs=tuple(fs),
        keys=keys.given,
        number=lambda: _number(events, rows, complete),
    )


def renumbered(numbers: Numbers) -> Numbers:
    """Give equal values one number, where they were numbered by how they are written: 1 and 1.0 are equal."""
    ids = _Ids()
    known = np.array([*map(ids.number, numbers.values), ABSENT], np.int32)  # ABSENT is the index of the last one
    return Numbers(
        value=known[numbers.value],
        result=known[numbers.result],
        observed=known[numbers.observed],
        old=known[numbers.old],
        new=known[numbers.new],
        values=ids.given,
    )


def _number(events: Sequence[Op], invoke: NDArray[np.int64], complete: NDArray[np.int64]) -> Numbers:
    """Number the values of paired events."""
    values = _Ids(None)
    value_of = values.number
    asked: list[tuple[int, int, int]] = []
    done: list[tuple[int, int, int]] = []
    row_of = np.full(len(events), NEVER, np.int64)
    row_of[complete[complete != NEVER]] = np.flatnonzero(complete != NEVER)
    row_of[invoke] = np.arange(len(invoke))
    for op, row in zip(events, row_of.tolist(), strict=True):
        value = op.value
        if row == NEVER:
            continue
        if op.type != "invoke":
            observed = ABSENT if op.observed is UNSET else value_of(op.observed)
            done.append((row, value_of(value), observed))
        elif type(value) is list and len(value) == 2:
            old, new = value_of(value[0]), value_of(value[1])
            asked.append((values.pair(old, new, value), old, new))
        else:
            asked.append((value_of(value), ABSENT, ABSENT))
    begun, ended = _table(asked), _table(done)
    value_ids, olds, news = (column.astype(np.int32) for column in begun)
    results, seen = (_spread(len(invoke), ended[0], column, ABSENT, np.int32) for column in ended[1:])
    return Numbers(value=value_ids, result=results, observed=seen, old=olds, new=news, values=values.given)


def _table(rows: Sequence[tuple[int, int, int]]) -> NDArray[np.int64]:
    """Return rows of three as three columns; numpy's own way from a list of tuples takes four times as long."""
    return np.fromiter(chain.from_iterable(rows), np.int64, 3 * len(rows)).reshape(-1, 3).T


def _spread(count: int, rows: NDArray[np.int64], filled: NDArray[np.int64], absent: int, kind: type[T]) -> NDArray[T]:
    """Return a column that has `filled` in some rows, and `absent` in the others."""
    column = np.full(count, absent, kind)
    column[rows] = filled
    return column


def mispaired(source: str, at: int, op: Op, what: str) -> HistoryError:
    """Return the error of an event that does not pair."""
    return HistoryError(
        f"{source}: event {op.index} (line {at + 1}): {op.f} of process {op.process} {what}",
        "was the file edited or joined from two runs? a process has one operation open at a time",
    )
