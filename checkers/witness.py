"""The smallest set of operations that proves an anomaly by itself.

Whatever is left out of a witness counts as unknown: a left-out write or cas may have happened at any time after its
invocation, or never (if it did, what it answered is still known); a left-out read is gone. That only ever makes a
history easier to explain, so a witness that is still invalid proves its anomaly whatever the rest was. And since it is
monotonic, one pass over single operations, at the end, leaves a set from which nothing more can be taken.

The operations that returned last before the anomaly showed are tried first, ever more of them: the fewer are certain,
the faster it is to see whether they are a proof.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from checkers.budget import Budget
from checkers.forward import Encoded, Engine
from checkers.models import NEVER_COMPLETES, Interval, Model, ModelOp
from checkers.tables import Tables

Proves = Callable[[Collection[int]], bool]
"""Says whether the operations with these numbers are not linearizable by themselves."""

_FIRST: Final = 8  # operations that are tried first
_GROWTH: Final = 4
_RECENT: Final = 128  # operations up to which it is tried to do with the last ones
_MAX_KINDS: Final = 64


def minimal_witness(model: Model, ops: Sequence[Interval], row: int, budget: Budget) -> list[Interval]:
    """Return a smallest set of `ops` that is not linearizable by itself.

    Args:
        ops: all on one object, not linearizable.
        row: the completion by which the search found no order; what comes later is no part of the proof.
        budget: where it does not suffice, the set is larger than need be, but still a proof.

    Returns:
        Operations with a certain outcome, in the order of their invocations.
    """
    prefix = [item for item in ops if item.invoke < row]
    weakened = _Weakened(model, prefix, budget)
    done = sorted(
        (number for number, item in enumerate(prefix) if item.complete <= row), key=lambda n: -prefix[n].complete
    )
    recent, old = _narrow(weakened, done, budget)
    reads = [number for number in recent if weakened.pure(number)]
    others = [number for number in recent if not weakened.pure(number)]

    def proves(numbers: Collection[int]) -> bool:
        return weakened.proves([*old, *numbers])

    recent = smallest(sorted(reads), sorted(others), proves, budget.spent)
    kept = smallest([], sorted(old), lambda numbers: weakened.proves([*recent, *numbers]), budget.spent)
    return [prefix[number] for number in sorted([*recent, *kept])]


def _narrow(weakened: _Weakened, done: list[int], budget: Budget) -> tuple[list[int], list[int]]:
    """Return the recent operations of a proof, and the old ones that it needs: often none, else all of a few kinds.

    To show that a value was overwritten, every write of that value has to be certain, however old.
    """
    size = _FIRST
    while size < min(len(done), _RECENT) and not budget.spent():
        if weakened.proves(done[:size]):
            return done[:size], []
        size *= _GROWTH
    recent, old = done[:size], done[size:]
    kinds = weakened.kinds(old)
    for group in [[kind for kind in kinds if weakened.pure_kind(kind)], *([kind] for kind in kinds)]:
        if budget.spent():
            break
        rest = [number for number in old if weakened.kind(number) not in group]
        if weakened.proves([*recent, *rest]):
            old = rest
    return recent, old


class _Weakened:
    """The operations on one object, of which only some are known for certain."""

    def __init__(self, model: Model, ops: Sequence[Interval], budget: Budget) -> None:
        numbers: dict[ModelOp, int] = {}
        kind = [numbers.setdefault(item.op, len(numbers)) for item in ops]
        self._model = model
        self._budget = budget
        self._kinds = tuple(numbers)
        self._kind = np.array(kind, np.int32)
        self._invoke = np.array([item.invoke for item in ops], np.int64)
        self._ret = np.array([item.complete for item in ops], np.int64)
        self._tables = Tables(model, self._kinds, len(ops))
        self._pure = np.array([kind.f in model.pure for kind in self._kinds], bool)

    def kind(self, number: int) -> int:
        """Return which operations are equal to this one."""
        return int(self._kind[number])

    def kinds(self, numbers: Collection[int]) -> list[int]:
        """Return the kinds of some operations, or none where there are too many to be worth a look."""
        found: list[int] = np.unique(self._kind[list(numbers)]).tolist()
        return found if len(found) <= _MAX_KINDS else []

    def pure_kind(self, kind: int) -> bool:
        """Whether the model says that operations of a kind change nothing."""
        return bool(self._pure[kind])

    def pure(self, number: int) -> bool:
        """Whether the model says that an operation changes nothing."""
        return self.pure_kind(self.kind(number))

    def proves(self, numbers: Collection[int]) -> bool:
        """Whether these operations, for certain, and the others, perhaps, have no order that explains them."""
        certain = np.zeros(len(self._ret), bool)
        certain[list(numbers)] = True
        kind = self._kind
        until = self._useful(certain)
        kept = certain | (~self._pure[kind] & (until[kind] > self._invoke))
        encoded = Encoded(
            kinds=self._kinds,
            kind=kind[kept],
            invoke=self._invoke[kept],
            ret=np.where(certain, self._ret, NEVER_COMPLETES)[kept],
            useful=until[kind[kept]],
            offsets=np.array([0, np.count_nonzero(kept)], np.int64),
        )
        engine = Engine(self._model, encoded, self._budget, tables=self._tables)
        return engine.decide(0, self._budget.deadline_s).status == "invalid"

    def _useful(self, certain: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return, for each kind, the row until which an unknown outcome of it may be of use."""
        last = np.full(len(self._kinds), -1, np.int64)
        np.maximum.at(last, self._kind[certain], self._ret[certain])
        seen = np.flatnonzero(last >= 0).tolist()
        perhaps = np.unique(self._kind[~certain]).tolist()
        ops = [Interval(self._kinds[each], 0, int(last[each]), 0) for each in seen]
        ops += [Interval(self._kinds[each], 0, NEVER_COMPLETES, 0) for each in perhaps]
        until = np.full(len(self._kinds), -1, np.int64)
        until[perhaps] = self._model.useful_until(ops)[len(seen) :]
        return until


def smallest(reads: list[int], others: list[int], proves: Proves, spent: Callable[[], bool]) -> list[int]:
    """Leave out what a proof does without, in ever smaller runs, then one by one.

    Reads are left out first: what was written, and when, explains more than what others saw of it.

    Args:
        reads, others: numbers of operations that are a proof together.
        proves: whether some of them are a proof.
        spent: whether to stop, with a proof that is larger than need be.

    Returns:
        Those that are left, in ascending order.
    """
    reads = _shrink(reads, others, proves, spent)
    return sorted([*reads, *_shrink(others, reads, proves, spent)])


def _shrink(rows: list[int], fixed: Sequence[int], proves: Proves, spent: Callable[[], bool]) -> list[int]:
    size = 2 * len(rows)
    while size > 1 and not spent():
        size = (size + 1) // 2
        start = 0
        while start < len(rows):
            rest = rows[:start] + rows[start + size :]
            if proves({*rest, *fixed}):
                rows = rest
            else:
                start += size
    return rows
