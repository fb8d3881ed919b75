"""The operations on registers, read from a history's columns: grouped by key, in one pass over the rows.

What each operation says is what checkers.models.interpret_register says, in integers:

    READ     value was there                     an ok read; a failed cas that told what it observed
    WRITE    value was put there, or may have    ok, or of unknown outcome (`ret` is NEVER)
    CAS      value was put in place of old       the same
    NOT      value was not there                 a failed cas that observed nothing, where that counts (`comparing`)
    REFUTED  cannot be                           a failed cas that observed the very value it asked for

Failed writes, reads of unknown outcome and, unless `comparing`, failed cas that observed nothing say nothing.
"""

from __future__ import annotations

from typing import Any

import cython
import numpy as np

from harness.history import FAIL, INFO, OK

READ = 0
WRITE = 1
CAS = 2
NOT = 3
REFUTED = 4
NEVER = 2**31 - 1  # the return of an operation of unknown outcome

_READ = cython.declare(cython.int, READ)
_WRITE = cython.declare(cython.int, WRITE)
_CAS = cython.declare(cython.int, CAS)
_NOT = cython.declare(cython.int, NOT)
_REFUTED = cython.declare(cython.int, REFUTED)
_SILENT = cython.declare(cython.int, 5)
_MALFORMED = cython.declare(cython.int, 6)
_NEVER = cython.declare(cython.int, NEVER)
_FAIL = cython.declare(cython.int, FAIL)
_OK = cython.declare(cython.int, OK)
_INFO = cython.declare(cython.int, INFO)


@cython.cclass
class Columns:
    """Views of harness.columns.Columns, as one object for the loops."""

    f: cython.const[cython.short][::1]
    key: cython.const[cython.int][::1]
    outcome: cython.const[cython.schar][::1]
    invoke: cython.const[cython.longlong][::1]
    complete: cython.const[cython.longlong][::1]
    value: cython.const[cython.int][::1]
    result: cython.const[cython.int][::1]
    observed: cython.const[cython.int][::1]
    old: cython.const[cython.int][::1]
    new: cython.const[cython.int][::1]
    kind_of_f: cython.const[cython.schar][::1]
    comparing: cython.bint
    rows: cython.Py_ssize_t

    def __init__(self, columns: Any, kind_of_f: Any, comparing: bool) -> None:
        """Take the views; uncompiled, lists."""
        self.f = _plain(columns.f)
        self.key = _plain(columns.key)
        self.outcome = _plain(columns.outcome)
        self.invoke = _plain(columns.invoke)
        self.complete = _plain(columns.complete)
        self.value = _plain(columns.value)
        self.result = _plain(columns.result)
        self.observed = _plain(columns.observed)
        self.old = _plain(columns.old)
        self.new = _plain(columns.new)
        self.kind_of_f = _plain(kind_of_f)
        self.comparing = comparing
        self.rows = len(columns)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=True)
    def kind(self, row: cython.Py_ssize_t) -> cython.int:
        """Return what an operation says: a kind, _SILENT or _MALFORMED."""
        kind: cython.int = self.kind_of_f[self.f[row]]
        outcome: cython.int = self.outcome[row]
        if kind == _READ:
            return _READ if outcome == _OK else _SILENT
        if kind == _WRITE:
            return _WRITE if outcome != _FAIL else _SILENT
        if self.old[row] < 0:
            return _MALFORMED
        if outcome != _FAIL:
            return _CAS
        if self.observed[row] < 0:
            return _NOT if self.comparing else _SILENT
        return _REFUTED if self.observed[row] == self.old[row] else _READ

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=True)
    def count(self, offsets: cython.longlong[::1], said: cython.schar[::1]) -> cython.Py_ssize_t:
        """Note what each operation says, and count those of each key; return the row of a malformed one, plus 1."""
        row: cython.Py_ssize_t
        kind: cython.int
        for row in range(self.rows):
            kind = self.kind(row)
            if kind == _MALFORMED:
                return row + 1
            said[row] = kind
            if kind != _SILENT:
                offsets[self.key[row] + 1] += 1
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=True)
    def fill(
        self,
        said: cython.schar[::1],
        places: cython.longlong[::1],
        rows: cython.int[::1],
        kinds: cython.schar[::1],
        values: cython.int[::1],
        olds: cython.int[::1],
        invokes: cython.int[::1],
        rets: cython.int[::1],
    ) -> cython.int:
        """Write each operation at the next place of its key."""
        row: cython.Py_ssize_t
        at: cython.Py_ssize_t
        kind: cython.int
        for row in range(self.rows):
            kind = said[row]
            if kind == _SILENT:
                continue
            at = places[self.key[row]]
            places[self.key[row]] = at + 1
            rows[at] = cython.cast(cython.int, row)
            kinds[at] = kind
            olds[at] = self.old[row] if kind == _CAS else -1
            if kind == _WRITE:
                values[at] = self.value[row]
            elif kind == _CAS:
                values[at] = self.new[row]
            elif kind == _READ and self.outcome[row] == _OK:
                values[at] = self.result[row]
            elif kind == _READ:
                values[at] = self.observed[row]
            else:
                values[at] = self.old[row]
            invokes[at] = cython.cast(cython.int, self.invoke[row])
            rets[at] = cython.cast(cython.int, self.complete[row]) if self.outcome[row] != _INFO else _NEVER
        return 0


def read(columns: Any, kind_of_f: Any, comparing: bool) -> tuple[int, Any]:
    """Read the operations on registers.

    Args:
        columns: harness.columns.Columns of less than 2**31 events.
        kind_of_f: int8, for each of `columns.fs`: READ, WRITE or CAS.
        comparing: whether a failed cas that observed nothing says that the value was not `old`.

    Returns:
        The row of an operation whose value is not [old, new], or -1; then the arrays, grouped by key and sorted by
        invocation: offsets int64[keys + 1], row int32 (in the columns), kind int8, value int32, old int32 (of a CAS;
        else -1), invoke int32, ret int32 (rows of events).
    """
    views = Columns(columns, kind_of_f, comparing)
    counts = np.zeros(len(columns.keys) + 1, np.int64)
    said = np.empty(len(columns), np.int8)
    malformed = views.count(counts, said)
    if malformed:
        return malformed - 1, ()
    offsets = np.cumsum(counts)
    count = int(counts.sum())
    rows, kinds = np.empty(count, np.int32), np.empty(count, np.int8)
    values, olds = np.empty(count, np.int32), np.empty(count, np.int32)
    invokes, rets = np.empty(count, np.int32), np.empty(count, np.int32)
    views.fill(said, offsets.copy(), rows, kinds, values, olds, invokes, rets)
    return -1, (offsets, rows, kinds, values, olds, invokes, rets)


def _plain(array: Any) -> Any:
    return array if cython.compiled else array.tolist()
