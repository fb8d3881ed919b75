"""The clients' operations as numpy columns: what checkers work on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from harness.errors import HistoryError
from harness.op import Op, freeze

OK: Final = 0
FAIL: Final = 1
INFO: Final = 2
_OUTCOME: Final = {"ok": OK, "fail": FAIL, "info": INFO}

NEVER: Final = -1
"""Row of a completion that was not recorded: the run ended, or was killed, before it."""

ABSENT: Final = -1
"""In place of a value's id: there is no value."""

NULL: Final = 0
"""The id of None, in every history: an event without a value has it too."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The clients' operations, one row each, in the order of their invocations.

    Values are equal where JSON says so (harness.op.freeze), and then have one id.

    Attributes:
        invoke, complete: int64[n], rows in History.events; `complete` is NEVER where no completion was recorded.
        outcome: int8[n], OK, FAIL or INFO (also where no completion was recorded).
        process: int64[n], the logical client.
        f: int16[n], index into `fs`.
        key: int32[n], index into `keys`.
        value: int32[n], the invocation's value, an index into `values`.
        result: int32[n], the completion's value; ABSENT where no completion was recorded.
        observed: int32[n], what a failed cas saw; ABSENT where it saw nothing.
        old, new: int32[n], the elements of the invocation's value where that is a list of two; else ABSENT.
        fs, keys, values: the distinct names, keys and values, in order of appearance; `values[NULL]` is None.
    """

    invoke: NDArray[np.int64]
    complete: NDArray[np.int64]
    outcome: NDArray[np.int8]
    process: NDArray[np.int64]
    f: NDArray[np.int16]
    key: NDArray[np.int32]
    value: NDArray[np.int32]
    result: NDArray[np.int32]
    observed: NDArray[np.int32]
    old: NDArray[np.int32]
    new: NDArray[np.int32]
    fs: tuple[str, ...]
    keys: Sequence[Any]
    values: Sequence[Any]

    def __len__(self) -> int:
        return len(self.invoke)


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
    fs, keys, values = _Ids(), _Ids(), _Ids(None)
    key_of, value_of = keys.number, values.number
    invoke: list[int] = []
    asked: list[tuple[int, int, int, int, int, int]] = []
    done: list[tuple[int, int, int, int, int]] = []
    open_rows: dict[int, int] = {}
    for at, op in enumerate(events):
        process, value = op.process, op.value
        if type(process) is not int:
            continue
        if op.type == "invoke":
            if process in open_rows:
                raise mispaired(source, at, op, "is invoked while another operation of this process is open")
            open_rows[process] = len(asked)
            invoke.append(at)
            if type(value) is list and len(value) == 2:
                old, new = value_of(value[0]), value_of(value[1])
                asked.append((process, fs[op.f], key_of(op.key), values.pair(old, new, value), old, new))
            else:
                asked.append((process, fs[op.f], key_of(op.key), value_of(value), ABSENT, ABSENT))
            continue
        row = open_rows.pop(process, None)
        if row is None or events[invoke[row]].f != op.f:
            raise mispaired(source, at, op, f"is {op.type} without an invocation")
        observed = ABSENT if op.observed is UNSET else value_of(op.observed)
        done.append((row, at, _OUTCOME[op.type], value_of(value), observed))
    return _joined(invoke, asked, done, (tuple(fs), keys.given, values.given))


def _joined(
    invoke: list[int],
    asked: list[tuple[int, int, int, int, int, int]],
    done: list[tuple[int, int, int, int, int]],
    names: tuple[tuple[str, ...], list[Any], list[Any]],
) -> Columns:
    """Make columns of what was asked, and of what was done in which row."""
    count = len(invoke)
    begun, ended = np.array(asked, np.int64).reshape(count, 6), np.array(done, np.int64).reshape(len(done), 5)

    def outcome(place: int, kind: type[np.signedinteger[Any]], absent: int) -> NDArray[Any]:
        filled = np.full(count, absent, kind)
        filled[ended[:, 0]] = ended[:, place]
        return filled

    process, f, key, value, old, new = (np.ascontiguousarray(column) for column in begun.T)
    fs, keys, values = names
    return Columns(
        invoke=np.array(invoke, np.int64),
        complete=outcome(1, np.int64, NEVER),
        outcome=outcome(2, np.int8, INFO),
        process=process,
        f=f.astype(np.int16),
        key=key.astype(np.int32),
        value=value.astype(np.int32),
        result=outcome(3, np.int32, ABSENT),
        observed=outcome(4, np.int32, ABSENT),
        old=old.astype(np.int32),
        new=new.astype(np.int32),
        fs=fs,
        keys=keys,
        values=values,
    )


def mispaired(source: str, at: int, op: Op, what: str) -> HistoryError:
    """Return the error of an event that does not pair."""
    return HistoryError(
        f"{source}: event {op.index} (line {at + 1}): {op.f} of process {op.process} {what}",
        "was the file edited or joined from two runs? a process has one operation open at a time",
    )
