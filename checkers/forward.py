"""Whether the operations on one object have an order that explains them: the general engine, for any model.

A *configuration* says what is left to choose after the events so far: the state; which open operations are `usable`
(they may still change the state once, before they return); which are `owed` (they have to happen, and have not yet);
and how many of unknown outcome were `used`, of each kind. The engine walks a key's events in order with a set of
configurations that holds every one that may be the true one. An invocation makes an operation usable and owed. A
completion demands that its operation is not owed any more: each configuration in which it is gets taken through every
sequence of usable operations that ends with it (just-in-time linearization, Lowe 2017; it is enough to linearize at
completions, since in an order that explains the history whatever precedes the completing operation was invoked before
that completion). No configuration left: the history up to this completion is not linearizable.

Each shortcut keeps this: wherever a configuration can be completed to an explanation, one of those that are kept can.

1. *What changes nothing is not owed.* An open operation whose step leaves the state as it is can happen now, at no
   cost, and it stays usable. For reads that is all that there is to them.
2. *Lazy absorption.* When a blind operation (the same state follows, whatever the state was) happens, every other open
   blind one is not owed any more: it may have happened right before, which nothing can see. It stays usable until it
   returns; then it vanishes or happens last.
3. *Equal open operations: the earliest return first.* Let x and y be usable and equal, y returning first. Instead of x
   take y, where y is owed or x is not: exchange the two in any explanation that uses x now; whatever y did later x
   can do then, and if y never did anything, no more is left open by it than by x. Likewise an open operation is taken
   before an equal one of unknown outcome, which can wait.
4. *Nothing happens for nothing.* If an operation that is blind, or not owed, made nothing else cease to be owed, no
   blind operation comes right after it: without it, or with it absorbed, the same configuration or a better one
   follows.
5. *Dominance.* Of two configurations with one state, that which may use more, owes less and has used less can do all
   that the other can. Equal operations of unknown outcome differ in nothing, so that counts of them are enough.
6. *Unknown outcomes that nobody can see any more are forgotten*, from the row that the model names
   (Model.useful_until).
7. *A beam.* Only the best few configurations are kept; the narrowest uses an unknown outcome only where nothing goes
   on without, and none but the widest keeps two that differ in `used` alone: with many unknown outcomes it would hold
   nothing else. Whatever was found is an order, so "valid" is exact. "Invalid" counts only if nothing was dropped.
8. *Covers.* To show that there is no order, configurations that the beam has no room for are not dropped but joined:
   one that may use what either may, and owes only what both do, can do all that each of them can (5). If even that
   set dies out, the history is not linearizable, at the latest by that row.
9. *Covers that begin afresh.* Where all states are known (a closed table), a cover can begin anywhere: with one
   configuration of each state, that may use whatever is open and whatever of unknown outcome was invoked, and owes
   nothing. By 5 each of them can do all that any of its state can, so that no proof needs to go far back.

10. *Unknown outcomes that never run out are not counted* (in a closed table). Take a shortest explanation that begins
    with a configuration. Between two certain operations it visits no state twice, else what lies between could be left
    out; so it uses each kind there at most as often as there are states to which that kind leads. And after the last
    certain operation it uses none. Where that many are there for each operation that has not completed, the count of
    those that were used is put back to nothing: there still are enough, and will be.

5, 8 and 9 rest on this: rules 1 to 4 hold for every configuration, also for one that no history leads to, because each
of them compares ways to complete it and not ways to have come there. The brute-force oracle in tests/unit/checkers
holds all of them, together, for every model.

A short key is first walked through by a narrow beam to which a few operations of unknown outcome are open to the end
and never owed: nothing demands them, and as usable ones rules 1 to 5 hold for them as for any that returns last.
Where a beam loses every configuration, the walk goes back to a mark (there is one every 256 operations) and tries a
wider one; where it gets past, the narrow one goes on from there. In between, covers try to prove that nothing
gets past, first those that begin afresh. At the end stands the walk that drops nothing, and its limits.

Cost: 3 to 15 µs an operation with 5 to 50 clients on a register of few values, unknown outcomes included
(benchmarks/forward.py). Exponential at worst in the operations that are open at once; then a limit says `unknown`.

Entry points: `decide_keys(model, keys, budget)` for many objects, `search(model, ops, budget)` for one.
"""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from checkers._kernels import forward as kernel
from checkers.budget import Budget, Outcome
from checkers.models import NEVER_COMPLETES, Interval, Model, ModelOp
from checkers.tables import Tables

ENGINE: Final = "forward search"
_HOLDS: Final = Outcome("valid")
_BEAM: Final = 8
_LEVELS: Final = ((16, 128, 4), (64, 512, 16), (512, 2048, 64), (4096, 8192, 512))
"""Of each attempt to get past a loss: the beam, how many operations it goes back, the beam of the cover."""
_VAGUE_LEVELS: Final = (_LEVELS[0], (64, 512, 32), *_LEVELS[2:])
"""Where most operations are of unknown outcome: beams are dear there, and what there is least of decides."""
_NEAR: Final = 16384  # operations from the last mark of a cover up to which a cover is tried before a wider beam
_MARK_EVERY: Final = 256  # operations between two marks of a walk
_AHEAD: Final = 256  # operations that an attempt must get beyond the loss
_COVER_WORK: Final = 128  # configurations that a cover may hold, for each of its beam
_LONG: Final = 256  # operations of a key that is worth marks of its own from the start
_OPEN: Final = 4  # unknown outcomes of a key up to which a narrow beam is tried that knows each by itself
_ALONE_BELOW: Final = 100_000  # operations; for fewer, a second thread costs more than it gives
_MANY: Final = 256  # operations of a key with unknown outcomes from which it pays to ask how long they are useful


def search(model: Model, ops: Sequence[Interval], budget: Budget) -> Outcome:
    """Decide whether `ops`, all on one object, are linearizable.

    Returns:
        The outcome; unknown only where the budget did not suffice.
    """
    return decide_keys(model, [ops], budget)[0]


def decide_keys(model: Model, keys: Sequence[Sequence[Interval]], budget: Budget) -> list[Outcome]:
    """Decide of each object whether the operations on it are linearizable.

    A hard key gets its share of the time, and what the others leave when they are done.

    Args:
        model: of every object.
        keys: the operations on each object, in the order of their invocations.
        budget: for all of them; the limit of configurations is for each.

    Returns:
        The outcomes, in the order of `keys`; unknown only where the budget did not suffice.
    """
    return decide_encoded(model, encode(model, keys), budget)


def decide_encoded(model: Model, encoded: Encoded, budget: Budget) -> list[Outcome]:
    """Decide as `decide_keys` does, for whoever has numbers and no objects."""
    tables = Tables(model, encoded.kinds, len(encoded.kind))
    engines = [Engine(model, encoded, budget, tables=tables)]
    outcomes = engines[0].decide_easy()
    pending = [number for number, outcome in enumerate(outcomes) if outcome is None]
    if tables.closed and len(encoded.kind) >= _ALONE_BELOW:  # a table that is not closed would grow under two threads
        more = min(len(pending), len(os.sched_getaffinity(0))) - 1
        engines += [Engine(model, encoded, budget, tables=tables) for _ in range(more)]
    least = 1e-3  # seconds for a key, below which it is not worth beginning anew
    while pending and (left := budget.deadline_s - budget.clock()) >= least:
        tried = pending[: max(1, int(left / least))]
        least = 2 * left / len(tried)
        found = _round(engines, tried, budget)
        outcomes = [found.get(number, outcome) for number, outcome in enumerate(outcomes)]
        pending = [number for number in pending if number not in found or found[number].limit == "time"]
    return [outcome or Outcome("unknown", limit="time") for outcome in outcomes]


def _round(engines: Sequence[Engine], pending: Sequence[int], budget: Budget) -> dict[int, Outcome]:
    """Decide keys, each in its share of the time, with a thread for each engine."""
    waiting = iter(enumerate(pending))
    found: dict[int, Outcome] = {}

    def work(engine: Engine) -> None:
        for at, number in waiting:
            now = budget.clock()
            share = max(budget.deadline_s - now, 0.0) / math.ceil((len(pending) - at) / len(engines))
            found[number] = engine.decide(number, now + share)

    if len(engines) == 1:
        work(engines[0])
    else:
        from concurrent.futures import ThreadPoolExecutor  # late: most commands need none, and it brings logging

        with ThreadPoolExecutor(len(engines)) as pool:
            list(pool.map(work, engines))
    return found


@dataclass(frozen=True, slots=True)
class Encoded:
    """The operations on some objects of one model: those of a key adjacent and sorted by invocation.

    Attributes:
        kinds: the different operations.
        kind: int32[n], indexes into `kinds`.
        invoke, ret: int64[n], rows of events; `ret` is NEVER_COMPLETES for an unknown outcome.
        useful: int64[n], for an unknown outcome the last row at which it can be of use.
        offsets: int64[keys + 1], where each key begins.
    """

    kinds: Sequence[ModelOp]
    kind: NDArray[np.int32]
    invoke: NDArray[np.int64]
    ret: NDArray[np.int64]
    useful: NDArray[np.int64]
    offsets: NDArray[np.int64]


def encode(model: Model, keys: Sequence[Sequence[Interval]]) -> Encoded:
    """Number the operations on some objects; those of unknown outcome that nobody can ever see are left out."""
    numbers: dict[ModelOp, int] = {}
    kept: list[Interval] = []
    useful: list[int] = []
    offsets = [0]
    for ops in keys:
        if len(ops) >= _MANY and any(item.complete == NEVER_COMPLETES for item in ops):
            for item, until in zip(ops, model.useful_until(ops), strict=True):
                if item.complete != NEVER_COMPLETES or until > item.invoke:
                    kept.append(item)
                    useful.append(until)
        else:
            kept += ops
            useful += [NEVER_COMPLETES] * len(ops)
        offsets.append(len(kept))
    return Encoded(
        kind=np.array([numbers.setdefault(item.op, len(numbers)) for item in kept], np.int32),
        kinds=tuple(numbers),
        invoke=np.array([item.invoke for item in kept], np.int64),
        ret=np.array([item.complete for item in kept], np.int64),
        useful=np.array(useful, np.int64),
        offsets=np.array(offsets, np.int64),
    )


class Engine:
    """Decides the keys of one encoding, with one table of the model's steps.

    Args:
        model: of every object.
        encoded: what was done to them.
        budget: for all of them.
        module: the kernel, checkers._kernels.forward or its plain form.
        tables: of the model's steps on these kinds, where there are some already.
    """

    def __init__(
        self, model: Model, encoded: Encoded, budget: Budget, module: Any = kernel, tables: Tables | None = None
    ) -> None:
        self._tables = tables or Tables(model, encoded.kinds, len(encoded.kind))
        self._encoded = encoded
        self._module = module
        self._most = budget.max_configurations
        columns: tuple[Any, ...] = (encoded.kind, encoded.invoke, encoded.ret)
        if not module.COMPILED:
            columns = tuple(column.tolist() for column in columns)
        self._walk = module.Forward(
            (*columns, NEVER_COMPLETES),
            (len(encoded.kinds), self._tables.pure, self._tables.blind, self._tables.targets, self._tables.closed),
            self._tables.ask,
            budget.clock,
            budget.deadline_s,
        )
        self._walk.mark_every = _MARK_EVERY
        self._unknown = np.flatnonzero(encoded.ret == NEVER_COMPLETES)
        self._unknown_from = np.searchsorted(self._unknown, encoded.offsets)
        self._enter: tuple[Any, ...] = ()
        self._vague = False
        self._under: list[Any] = []
        self._covers: list[Any] = []

    def decide_easy(self) -> list[Outcome | None]:
        """Decide, in one native loop, the keys that a narrow beam does for; None for the others."""
        encoded, module = self._encoded, self._module
        count = len(encoded.offsets) - 1
        skipped = (np.diff(self._unknown_from) > _OPEN) | (np.diff(encoded.offsets) > _LONG)
        codes = array("i", (skipped * module.LOST).tolist())
        rows = array("q", bytes(8 * count))
        self._walk.most = self._most
        self._walk.run_keys(array("q", encoded.offsets.tolist()), codes, rows, _BEAM)
        return [
            Outcome("invalid", row) if code == module.INVALID else _HOLDS if code == module.VALID else None
            for code, row in zip(codes, rows, strict=True)
        ]

    def decide(self, number: int, deadline_s: float) -> Outcome:
        """Decide one key, by that time."""
        lo, hi = self._encoded.offsets[number : number + 2].tolist()
        unknown = self._unknown[slice(*self._unknown_from[number : number + 2].tolist())]
        self._walk.deadline = deadline_s
        self._vague = 2 * len(unknown) > hi - lo
        lanes = self._lanes(unknown)
        code, words = self._module.NARROW, 0
        while code == self._module.NARROW:
            words += 1
            self._enter = (lo, hi, words, *lanes, self._most)
            code = self._decide(hi)
        if code == self._module.VALID:
            return _HOLDS
        if code == self._module.INVALID:
            return Outcome("invalid", self._walk.row)
        limit = "time" if code == self._module.TIME else "memory"
        return Outcome("unknown", self._walk.row, self._walk.since, limit)

    def _decide(self, hi: int) -> int:
        self._under, self._covers = [], []
        self._walk.enter(*self._enter)
        code: int = self._walk.run(_BEAM, False, hi + 1, self._under)
        while code == self._module.LOST:
            code = self._widen(self._walk.at + _AHEAD)
            if code == self._module.STOPPED:
                code = self._walk.run(_BEAM, False, hi + 1, self._under)
        return code

    def _widen(self, until: int) -> int:
        """Get past where every configuration was lost, or show that none can; STOPPED at `until` if it did."""
        for beam, back, cover in _VAGUE_LEVELS if self._vague else _LEVELS:
            if self._dies_afresh(until - back + _AHEAD // 2, cover, until):
                return int(self._module.INVALID)
            walks = [(self._under, beam, False), (self._covers, cover, True)]
            begin = self._covers[-1][0][0] if self._covers else self._enter[0]
            if self._vague or (until - begin < _NEAR and not self._tables.closed):
                walks.reverse()
            for marks, width, is_cover in walks:
                code = self._from(marks, until - back, width, is_cover, until)
                done = code not in (self._module.LOST, self._module.MEMORY)
                if done and not (is_cover and code in (self._module.VALID, self._module.STOPPED)):
                    return code
        self._walk.enter(*self._enter)
        self._under.clear()
        code = self._walk.run(max(self._most, _BEAM + 1), False, self._enter[1] + 1, self._under)
        return int(self._module.MEMORY if code == self._module.LOST else code)

    def _dies_afresh(self, at: int, beam: int, until: int) -> bool:
        """Whether a cover dies out that knows nothing of what was before the newest mark that is not behind `at`."""
        marks = [mark for mark in self._under if self._enter[0] < mark[0][0] <= at]
        if not self._tables.closed or not marks:
            return False
        self._walk.enter(*self._enter)
        self._walk.resume_afresh(marks[-1])
        self._walk.most = min(self._most, _COVER_WORK * beam)
        code: int = self._walk.run(beam, True, until, [])
        self._walk.most = self._most
        return code == int(self._module.INVALID)

    def _from(self, marks: list[Any], at: int, beam: int, cover: bool, until: int) -> int:
        """Walk from the newest mark that is not behind `at`."""
        while len(marks) > 1 and marks[-1][0][0] > at:
            marks.pop()
        self._walk.enter(*self._enter)
        if marks:
            self._walk.resume(marks[-1])
        self._walk.most = min(self._most, _COVER_WORK * beam) if cover else self._most
        code: int = self._walk.run(beam, cover, until, marks)
        self._walk.most = self._most
        return code

    def _lanes(self, unknown: NDArray[np.intp]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the kinds of a key's unknown outcomes, and the last row at which each can be of use."""
        ends: dict[int, int] = {}
        kinds, useful = self._encoded.kind[unknown].tolist(), self._encoded.useful[unknown].tolist()
        for kind, until in zip(kinds, useful, strict=True):
            if not self._tables.pure[kind]:
                ends[kind] = max(until, ends.get(kind, until))
        return tuple(ends), tuple(ends.values())
