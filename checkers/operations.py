"""The operations on one object, as columns: what a search for a proof, and its explanation, work on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from checkers.models import Interval, ModelOp

Places = NDArray[np.int64]
"""Places of operations in an Operations, in ascending order."""


@dataclass(frozen=True, slots=True)
class Operations:
    """The operations on one object, in the order of their invocations.

    Attributes:
        kinds: the different ones.
        kind: int32[n], indexes into `kinds`.
        invoke, ret: int64[n], rows of events; `ret` is NEVER_COMPLETES for an unknown outcome.
        row: int64[n], in History.columns.
    """

    kinds: Sequence[ModelOp]
    kind: NDArray[np.int32]
    invoke: NDArray[np.int64]
    ret: NDArray[np.int64]
    row: NDArray[np.int64]

    @classmethod
    def of(cls, intervals: Sequence[Interval]) -> Operations:
        """Return columns for what is held as objects."""
        numbers: dict[ModelOp, int] = {}
        return cls(
            kind=np.array([numbers.setdefault(item.op, len(numbers)) for item in intervals], np.int32),
            kinds=tuple(numbers),
            invoke=np.array([item.invoke for item in intervals], np.int64),
            ret=np.array([item.complete for item in intervals], np.int64),
            row=np.array([item.row for item in intervals], np.int64),
        )

    def __len__(self) -> int:
        return len(self.kind)

    def __getitem__(self, place: int) -> Interval:
        kind, invoke, ret, row = (int(column[place]) for column in (self.kind, self.invoke, self.ret, self.row))
        return Interval(self.kinds[kind], invoke, ret, row)

    def until(self, row: int) -> Operations:
        """Return what was invoked before an event."""
        end = int(np.searchsorted(self.invoke, row))
        return Operations(self.kinds, self.kind[:end], self.invoke[:end], self.ret[:end], self.row[:end])

    def where(self, wanted: Callable[[ModelOp], bool]) -> Places:
        """Return the places of the operations whose kind is wanted."""
        return np.flatnonzero(np.array([wanted(kind) for kind in self.kinds], bool)[self.kind])
