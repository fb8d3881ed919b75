"""The smallest set of operations that proves an anomaly by itself.

Whatever is left out of a witness counts as unknown: a left-out write or cas may have happened at any time after its
invocation, or never (if it did, what it answered is still known); a left-out read is gone. That only ever makes a
history easier to explain, so a witness that is still invalid proves its anomaly whatever the rest was. And since it is
monotonic, one pass over single operations, at the end, leaves a set from which nothing more can be taken.

The operations that returned last before the anomaly showed are tried first, ever more of them: the fewer are certain,
the faster it is to see whether they are a proof.

Of what is left out it is enough to keep, of each kind, those that were invoked first, as many as an explanation may use
(checkers/forward.py, rule 10, says how many): put them in the place of the others, in their order. Of any that is used
as the n-th of its kind, n were invoked by then, so the n-th was. What a small proof costs therefore does not depend on
how long the history is.

To show that a value was overwritten, every write of it has to be certain, however many there were: one that is left
out may have come late. So that proofs of thousands of operations need not be tried one by one, this is used. Let z be a
certain blind operation of a witness (the same state follows, whatever the state was), and let all certain operations
of it that are not blind have been invoked after z had returned. Then

1. *certain blind operations that returned before z was invoked make no difference*: in any explanation nothing but
   they, and operations of unknown outcome that may as well not have happened, precede z, and z hides whatever they did;
2. *those of them that are equal are alike*: if there is an explanation with x known and y left out, there is one with
   y known and x left out. Let them precede z in the order of their invocations, as in 1, and let x come late where y
   did: it was invoked before z was, too. So it is enough to know how many of them a proof needs.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from checkers.budget import Budget
from checkers.forward import Encoded, Engine
from checkers.models import NEVER_COMPLETES, Interval, Model
from checkers.operations import Operations, Places
from checkers.shrink import narrow, smallest
from checkers.tables import Tables

_EASY: Final = 2_000  # configurations of a weakened history with which it is tried first to decide it


class Witness(NamedTuple):
    """A proof.

    Attributes:
        at: places of its operations, which have a certain outcome, in the order of their invocations.
        smallest: whether nothing can be taken from it; else there was no time to find out.
    """

    at: list[int]
    smallest: bool


def minimal_witness(model: Model, ops: Operations, row: int, budget: Budget) -> Witness:
    """Return a smallest set of `ops` that is not linearizable by itself.

    Args:
        model: of the object.
        ops: all on one object, not linearizable.
        row: the completion by which the search found no order; what comes later is no part of the proof.
        budget: where it does not suffice, the set is larger than need be, but still a proof.
    """
    before = ops.until(row)
    weakened = _Weakened(model, before, replace(budget, max_configurations=_EASY))
    return part_of(model, before, narrow(weakened.done(row), weakened.groups, weakened.proves, budget.spent), budget)


def part_of(model: Model, ops: Operations, proof: Sequence[int], budget: Budget) -> Witness:
    """Return a smallest part of a proof that still is one.

    Args:
        model: of the object.
        ops: all on one object.
        proof: places of operations that are not linearizable by themselves.
        budget: as above.
    """
    before = ops.until(int(ops.ret[list(proof)].max()))
    kept, exact = list(proof), False
    for most in (_EASY, budget.max_configurations):
        weakened = _Weakened(model, before, replace(budget, max_configurations=min(most, budget.max_configurations)))
        kept = smallest(kept, weakened.split, weakened.proves, budget.spent)
        exact = weakened.exact
        if exact:
            break
    return Witness(kept, exact and not budget.spent())


class _Weakened:
    """The operations on one object, of which only some are known for certain.

    Attributes:
        kind: of each.
        exact: whether all that was asked so far could be decided.
    """

    def __init__(self, model: Model, ops: Operations, budget: Budget) -> None:
        self._model = model
        self._ops = ops
        self._budget = budget
        self._tables = Tables(model, ops.kinds, len(ops))
        self._pure = np.array([kind.f in model.pure for kind in ops.kinds], bool)
        self._blind = np.array(self._tables.blind, bool)
        self._by_kind = np.argsort(ops.kind, kind="stable")
        self._sizes = np.bincount(ops.kind, minlength=len(ops.kinds))
        self._targets = np.array(self._tables.targets, np.int64)
        self._certain = np.zeros(len(ops), bool)  # nothing between two questions
        self.kind = ops.kind
        self.exact = True

    def done(self, row: int) -> list[int]:
        """Return what had returned by an event, the latest first."""
        certain = np.flatnonzero(self._ops.ret <= row)
        latest_first: list[int] = certain[np.argsort(-self._ops.ret[certain])].tolist()
        return latest_first

    def groups(self, old: Sequence[int]) -> list[list[int]]:
        """Return some operations by kind: what is pure first, then the kinds of which there are the most."""
        at = np.array(old, np.int64)
        kinds = self.kind[at]
        counts = np.bincount(kinds, minlength=len(self._pure))
        order = np.lexsort((-counts, ~self._pure))
        return [at[kinds == kind].tolist() for kind in order[counts[order] > 0].tolist()]

    def split(self, kept: Sequence[int]) -> tuple[list[list[int]], list[int]]:
        """Split a proof into groups of operations that are alike (see above), and the rest.

        What changes nothing stands first there: what was done, and when, explains more than what others saw of it. What
        returned last stands last: no proof does without it, mostly.
        """
        at = np.sort(np.array(kept, np.int64))
        hidden = self._hidden(at)
        alike, rest = at[hidden], at[~hidden]
        groups = [alike[self.kind[alike] == kind].tolist() for kind in _different(self.kind[alike])]
        last = self._ops.ret[rest] == self._ops.ret[rest].max(initial=-1)
        return groups, rest[np.lexsort((rest, ~self._pure[self.kind[rest]], last))].tolist()

    def proves(self, numbers: Collection[int]) -> bool:
        """Whether these operations, for certain, and the others, perhaps, have no order that explains them."""
        ops = self._ops
        certain = np.sort(np.fromiter(numbers, np.int64, len(numbers)))
        perhaps, useful = self._perhaps(certain)
        certain = certain[~self._hidden(certain)]
        kept = np.concatenate([certain, perhaps])
        order = np.argsort(kept)
        kept = kept[order]
        encoded = Encoded(
            kinds=ops.kinds,
            kind=ops.kind[kept],
            invoke=ops.invoke[kept],
            ret=np.concatenate([ops.ret[certain], np.full(len(perhaps), NEVER_COMPLETES)])[order],
            useful=np.concatenate([np.full(len(certain), NEVER_COMPLETES), useful])[order],
            offsets=np.array([0, len(kept)], np.int64),
        )
        engine = Engine(self._model, encoded, self._budget, tables=self._tables)
        status = engine.decide(0, self._budget.deadline_s).status
        self.exact = self.exact and status != "unknown"
        return status == "invalid"

    def _hidden(self, certain: Places) -> NDArray[np.bool_]:
        """Say which certain operations make no difference, since all that could tell came after a blind one."""
        blind = self._blind[self.kind[certain]]
        invoke, ret = self._ops.invoke[certain], self._ops.ret[certain]
        telling = invoke[~blind].min(initial=NEVER_COMPLETES)
        begin = invoke[blind & (ret < telling)].max(initial=-1)  # of the last one that hides
        hidden: NDArray[np.bool_] = blind & (ret < begin)
        return hidden

    def _perhaps(self, certain: Places) -> tuple[Places, NDArray[np.int64]]:
        """Return what may be of use of the operations that are left out, and the row until which it may."""
        at = self._left_out(certain)
        until = self._useful(certain, _different(self.kind[at]))[self.kind[at]]
        used = self._ops.invoke[at] < until
        return at[used], until[used]

    def _left_out(self, certain: Places) -> Places:
        """Return the operations that are left out and not pure, of each kind as many as there may be a use for."""
        sizes = np.where(self._pure, 0, self._sizes)
        if self._tables.closed:
            known = np.bincount(self.kind[certain], minlength=len(sizes))
            sizes = np.minimum(sizes, known + len(certain) * self._targets)
        ends = np.cumsum(sizes)
        first = np.cumsum(self._sizes) - self._sizes
        at = self._by_kind[np.repeat(first - ends + sizes, sizes) + np.arange(ends[-1])]
        self._certain[certain] = True
        left_out: Places = at[~self._certain[at]]
        self._certain[certain] = False
        return left_out

    def _useful(self, certain: Places, perhaps: Sequence[int]) -> NDArray[np.int64]:
        """Return, for each kind, the row until which an unknown outcome of it may be of use."""
        kinds = self._ops.kinds
        last = np.full(len(kinds), -1, np.int64)
        np.maximum.at(last, self.kind[certain], self._ops.ret[certain])
        ops = [Interval(kinds[each], 0, int(last[each]), 0) for each in np.flatnonzero(last >= 0).tolist()]
        ops += [Interval(kinds[each], 0, NEVER_COMPLETES, 0) for each in perhaps]
        until = np.full(len(kinds), -1, np.int64)
        until[perhaps] = self._model.useful_until(ops)[len(ops) - len(perhaps) :]
        return until


def _different(kinds: NDArray[np.int32]) -> list[int]:
    """Return the kinds that there are. (np.unique imports more than this check takes.)"""
    return np.flatnonzero(np.bincount(kinds)).tolist() if len(kinds) else []
