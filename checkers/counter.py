"""The checkers of counters: bounds for every read, and exact where all additions are equal."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np

from checkers._kernels import turns
from checkers.budget import Budget
from checkers.linearizability import Linearizable
from checkers.models import NEVER_COMPLETES, ModelOp
from checkers.near_linear import Finding, NotEligible, Object, Rows, judge, objects
from checkers.object_models import COUNTER
from checkers.operations import Operations
from checkers.shrink import smallest
from checkers.witness import part_of
from checkers.words import NOT_SMALLEST, began, process, returned, seconds, show
from harness.errors import HistoryError
from harness.history import History
from harness.verdict import Verdict

ENGINE: Final = "counter of equal steps"
BOUNDS_ENGINE: Final = "counter bounds"
FS: Final = ("add", "read")
KIND: Final = "counter out of bounds"
_WITNESS_TIME_S: Final = 2.0
_WITNESSES_TIME_S: Final = 20.0  # of all keys together
_WITNESS_CONFIGURATIONS: Final = 100_000
_MAX_SUM: Final = 2**62
_ADDITION: Final = -1  # in place of what a read saw


class CounterBounds:
    """Every read of a counter is within bounds; each key is a counter that begins at 0.

    Operations: `add` with an integer, negative too; `read`, whose ok completion has the integer that was seen. A read
    of unknown outcome says nothing.

    Detects: "counter out of bounds": a read that no choice of additions explains, where those that returned before it
    began are in, those that began after it returned are not, and each other one is or is not, by its sign.

    Cannot detect: reads that contradict each other (a counter that goes back within its bounds), and sums that no
    subset of the additions makes (3, of two open additions of 2). `Counter` does, for linearizability.

    Cost: O(n log n), sorting.

    Why it is sound. Whatever the order, a read sees a sum of additions that contains the ones that returned before it
    and none that began after it; the bounds are the least and the greatest such sum. It is exact as to what it says,
    and for one read and additions of 1 it is linearizability.
    """

    name = "counter bounds"

    def check(self, history: History) -> Verdict:
        """Decide every counter; report the first anomaly of each.

        Raises:
            UsageError: an operation that is not a counter's.
            HistoryError: a value is not an integer, or the history's events do not pair.
        """
        found = objects(history, FS, "counter-bounds")
        return judge(history, found, decide_bounds, checker=self.name, engine=BOUNDS_ENGINE)


class Counter:
    """Linearizability of counters, each key a counter that begins at 0.

    Operations: as CounterBounds.

    Detects: every history that no counter explains: a read out of bounds, and reads that contradict each other or the
    additions between them. Kind: "counter out of bounds".

    Cannot detect: what no read saw.

    Cost: O(n c) for c clients. A witness is long where the proof is a count of many additions. Where additions are of
    different size and every read is within bounds, the method is not eligible, and the general engine decides: that
    problem is NP-hard (subset sum). Then the general engine also looks for a part of the witness of a read out of
    bounds that does without bounds; a sum that it cannot decide in time leaves the operation in question.

    Why it is sound, and exact: bounds are necessary (CounterBounds); for additions that are all equal see
    checkers/_kernels/turns.py.

    Args:
        clock: seconds, monotonic; a witness gets two of them, those of all keys twenty, and may be larger than need be
            if these do not do.
        limits: of the general engine, for histories that are not eligible: see Linearizable.
    """

    name = "linearizable"

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, **limits: Any) -> None:
        self._clock = clock
        self._general = Linearizable(COUNTER, clock=clock, **limits)

    def check(self, history: History) -> Verdict:
        """Decide every counter; report the first anomaly of each.

        Raises:
            UsageError: an operation that is not a counter's.
            HistoryError: a value is not an integer, or the history's events do not pair.
        """
        found = objects(history, FS, "counter")
        decide = partial(self._decide, self._clock() + _WITNESSES_TIME_S)
        return judge(history, found, decide, checker=self.name, engine=ENGINE, otherwise=self._general.check)

    def _decide(self, latest_s: float, item: Object) -> Finding | None:
        counted = _counted(item)
        step = int(counted.deltas[0]) if len(counted.deltas) else 1
        if step and not np.any(counted.deltas != step):
            return (
                _no_sum(item, counted, step)
                or decide_bounds(item)
                or _decide_steps(item, counted, step, self._budget(latest_s))
            )
        finding = decide_bounds(item)
        if finding is None:
            raise NotEligible("the additions are of different size")
        return _part_of(item, counted, finding, self._budget(latest_s))

    def _budget(self, latest_s: float) -> Budget:
        """Return what the next witness may cost."""
        deadline_s = min(self._clock() + _WITNESS_TIME_S, latest_s)
        return Budget(self._clock, deadline_s, _WITNESS_CONFIGURATIONS)


@dataclass(frozen=True, slots=True)
class _Counted:
    """A counter's additions and the reads that returned, with integers.

    Attributes:
        adds, reads: positions.
        deltas, sums: what was added, and what was read.
    """

    adds: Rows
    deltas: Rows
    reads: Rows
    sums: Rows


def _counted(item: Object) -> _Counted:
    adds, reads = item.of("add"), item.of("read", certain=True)
    deltas = _integers(item, item.asked[adds], item.invoke[adds], "an addition")
    sums = _integers(item, item.answered[reads], item.ret[reads], "a read")
    try:
        counted = _Counted(adds, np.array(deltas, np.int64), reads, np.array(sums, np.int64))
    except OverflowError as error:
        raise NotEligible("a value is above 2**63") from error
    if sum(map(abs, deltas)) >= _MAX_SUM:
        raise NotEligible("the sum is above 2**62")
    return counted


def _integers(item: Object, ids: Rows, rows: Rows, what: str) -> list[int]:
    values = item.history.columns.values
    found = [values[number] for number in ids.tolist()]
    for number, value in enumerate(found):
        if type(value) is not int:
            event = item.history.events[int(rows[number])].index
            message = f"{item.history.source}: event {event}: the value of {what} is {show(value)} and not an integer"
            raise HistoryError(message, "was the history recorded by another workload?")
    return found


def decide_bounds(item: Object) -> Finding | None:
    """Return the first read of a counter that is out of bounds, or None.

    Raises:
        NotEligible: numbers are too large.
        HistoryError: a value is not an integer.
    """
    counted = _counted(item)
    begin, end = item.invoke[counted.reads], item.ret[counted.reads]
    low, high = (_bound(item, counted, sign, begin, end) for sign in (1, -1))
    bad = np.flatnonzero((counted.sums < low) | (counted.sums > high))
    if not len(bad):
        return None
    worst = int(bad[np.argmin(end[bad])])
    value = int(counted.sums[worst])
    if value < low[worst]:
        return _out_of_bounds(item, counted, worst, 1, f"at least {int(low[worst])}")
    return _out_of_bounds(item, counted, worst, -1, f"at most {int(high[worst])}")


def _bound(item: Object, counted: _Counted, sign: int, begin: Rows, end: Rows) -> Rows:
    """Return the least (sign 1) or the greatest (-1) sum that each read may have seen."""
    pulls = counted.deltas * sign > 0  # what had returned before makes the bound narrower, the others may make it wider
    return _total(item.ret[counted.adds[pulls]], counted.deltas[pulls], begin) + _total(
        item.invoke[counted.adds[~pulls]], counted.deltas[~pulls], end
    )


def _total(rows: Rows, deltas: Rows, until: Rows) -> Rows:
    """Return the sum of the deltas whose row is below each of `until`."""
    order = np.argsort(rows)
    sums = np.append(0, np.cumsum(deltas[order]))
    return sums[np.searchsorted(rows[order], until)]


def _out_of_bounds(item: Object, counted: _Counted, worst: int, sign: int, bound: str) -> Finding:
    read = int(counted.reads[worst])
    begin, end = item.invoke[read], item.ret[read]
    pulls = counted.deltas * sign > 0
    wide = int(counted.deltas[~pulls & (item.invoke[counted.adds] < end)].sum())
    before = np.flatnonzero(pulls & (item.ret[counted.adds] < begin))
    before = before[np.argsort(-np.abs(counted.deltas[before]), kind="stable")]
    sums = np.append(0, np.cumsum(counted.deltas[before])) + wide
    enough = int(np.flatnonzero((sums - counted.sums[worst]) * sign > 0)[0])
    proof = [*counted.adds[before[:enough]].tolist(), read]
    row = int(item.rows[read])
    times = seconds(began(item.history, row), returned(item.history, row))
    summary = (
        f"read of {int(counted.sums[worst])} by {process(item.history, row)} ({times[0]} to {times[1]}) is out of "
        f"bounds: by the additions that had returned before it and those that began before its end it is {bound}"
    )
    return Finding(KIND, summary, sorted(proof))


def _part_of(item: Object, counted: _Counted, finding: Finding, budget: Budget) -> Finding:
    """Leave out of a proof by bounds what is no sum of the additions anyway."""
    kept = np.sort(np.concatenate([counted.adds, counted.reads]))
    value = np.zeros(len(item.rows), np.int64)
    value[counted.adds], value[counted.reads] = counted.deltas, counted.sums
    is_read = np.zeros(len(item.rows), bool)
    is_read[counted.reads] = True
    names, kind = np.unique(np.stack([is_read[kept], value[kept]], axis=1), axis=0, return_inverse=True)
    kinds = [ModelOp("read" if read else "add", number) for read, number in names.tolist()]
    ops = Operations(kinds, kind.reshape(-1).astype(np.int32), item.invoke[kept], item.ret[kept], item.rows[kept])
    found = part_of(COUNTER, ops, np.searchsorted(kept, finding.at).tolist(), budget)
    at = kept[found.at].tolist()
    if len(at) == len(finding.at):
        return finding if found.smallest else replace(finding, summary=f"{finding.summary} ({NOT_SMALLEST})")
    return Finding(KIND, _contradiction(item, counted, at), at)


def _no_sum(item: Object, counted: _Counted, step: int) -> Finding | None:
    """Look for a read of what no number of equal additions makes."""
    counts, rest = np.divmod(counted.sums, step)
    bad = np.flatnonzero((rest != 0) | (counts < 0))
    if not len(bad):
        return None
    worst = int(bad[np.argmin(item.ret[counted.reads[bad]])])
    read = int(counted.reads[worst])
    (end,) = seconds(returned(item.history, int(item.rows[read])))
    what = f"read of {int(counted.sums[worst])} by {process(item.history, int(item.rows[read]))} returned at {end}"
    return Finding(KIND, f"{what}, but no number of additions of {step} makes that", (read,))


def _decide_steps(item: Object, counted: _Counted, step: int, budget: Budget) -> Finding | None:
    """Decide a counter all of whose additions are equal, and every read a number of them."""
    kept = np.sort(np.concatenate([counted.adds, counted.reads]))
    target = np.full(len(item.rows), _ADDITION)
    target[counted.reads] = counted.sums // step
    target, invoke, ret = target[kept], item.invoke[kept], item.ret[kept]
    stuck = _stuck(target, invoke, ret)
    if stuck < 0:
        return None
    before = int(np.searchsorted(invoke, ret[stuck]))
    target, invoke, known = target[:before], invoke[:before], ret[:before]

    def proves(proof: Sequence[int]) -> bool:
        weak = np.full(before, NEVER_COMPLETES)
        weak[list(proof)] = known[list(proof)]
        there = (target == _ADDITION) | (weak != NEVER_COMPLETES)
        return _stuck(target[there], invoke[there], weak[there]) >= 0

    def split(proof: Sequence[int]) -> tuple[list[list[int]], list[int]]:
        """Additions that returned before any read of the proof was invoked are alike: their order is free."""
        at = np.array(proof, np.int64)
        added = target[at] == _ADDITION
        alike = added & (known[at] < invoke[at[~added]].min(initial=NEVER_COMPLETES))
        rest = [*at[added & ~alike].tolist(), *at[~added].tolist()]  # additions are left out first
        return [at[alike].tolist()], rest

    proof = smallest(np.flatnonzero(known <= ret[stuck]).tolist(), split, proves, budget.spent)
    summary = _contradiction(item, counted, kept[proof].tolist())
    summary += f" ({NOT_SMALLEST})" if budget.spent() else ""
    return Finding(KIND, summary, kept[proof].tolist())


def _stuck(target: Rows, invoke: Rows, ret: Rows) -> int:
    """Return the first read at whose completion no order is left; -1 for none."""
    n = len(target)
    certain = np.flatnonzero(ret != NEVER_COMPLETES)
    by_ret = certain[np.argsort(ret[certain])]
    code = turns.count_up(target, invoke, ret, by_ret, np.empty(n, np.int64), np.full(n, -1, np.int64))
    return int(code) - turns.STUCK if code != turns.FITS else -1


def _contradiction(item: Object, counted: _Counted, proof: Sequence[int]) -> str:
    said = []
    for at, value in zip(counted.reads.tolist(), counted.sums.tolist(), strict=True):
        if at in proof:
            row = int(item.rows[at])
            times = seconds(began(item.history, row), returned(item.history, row))
            said.append(f"read of {value} by {process(item.history, row)} ({times[0]} to {times[1]})")
    adds = len(proof) - len(said)
    with_adds = f" with {adds} {'addition' if adds == 1 else 'additions'} that had returned" if adds else ""
    return f"no order of the additions explains {' and '.join(said)}{with_adds}"
