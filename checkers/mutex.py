"""The checker of a mutex that does not know who holds it: near-linear and exact."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from checkers._kernels import turns
from checkers.models import NEVER_COMPLETES
from checkers.near_linear import Finding, Object, Rows, judge, objects
from checkers.shrink import narrow, smallest
from checkers.words import NOT_SMALLEST, began, process, returned, seconds
from harness.history import History
from harness.verdict import Verdict

ENGINE: Final = "mutex in turns"
FS: Final = ("acquire", "release")
_WITNESS_TIME_S: Final = 2.0
_WITNESSES_TIME_S: Final = 20.0  # of all keys together
_MAX_LISTED: Final = 8

Kinds = NDArray[np.int8]
"""0 acquire, 1 release."""


class Mutex:
    """Linearizability of mutexes without owners, each key a mutex of its own, free at first.

    Operations: `acquire` and `release`, by whomever; values are not looked at. An acquire that failed (it was held)
    and a release that failed say nothing.

    Detects: every history in which acquires and releases cannot have taken turns. Kinds: "double grant", "released
    while free".

    Cannot detect: that somebody released what another one holds; `owner-mutex` does.

    Cost: O(n c) for c clients; for a witness up to a hundred times as much. It is long where many releases came
    before the anomaly: if one of them were left out, it may have come late and explain it.

    Why it is sound, and exact: checkers/_kernels/turns.py.

    Args:
        clock: seconds, monotonic; a witness gets two of them, those of all keys twenty, and may be larger than need be
            if these do not do.
    """

    name = "linearizable"

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock

    def check(self, history: History) -> Verdict:
        """Decide every mutex; report the first anomaly of each.

        Raises:
            UsageError: an operation that is not a mutex's.
            HistoryError: the history's events do not pair.
        """
        found = objects(history, FS, "mutex")
        decide = partial(self._decide, self._clock() + _WITNESSES_TIME_S)
        return judge(history, found, decide, checker=self.name, engine=ENGINE)

    def _decide(self, latest_s: float, lock: Object) -> Finding | None:
        kind = np.zeros(len(lock.rows), np.int8)
        kind[lock.of("release")] = 1
        stuck = _stuck(kind, lock.invoke, lock.ret)
        if stuck < 0:
            return None
        deadline = min(self._clock() + _WITNESS_TIME_S, latest_s)
        end = lock.ret[stuck]
        before = int(np.searchsorted(lock.invoke, end))
        kind, invoke, known = kind[:before], lock.invoke[:before], lock.ret[:before]

        def proves(kept: Sequence[int]) -> bool:
            at = np.array(kept, np.int64)
            ret = np.full(before, NEVER_COMPLETES)
            ret[at] = known[at]
            return _stuck(kind, invoke, ret) >= 0

        def spent() -> bool:
            return self._clock() >= deadline

        certain = np.flatnonzero(known <= end)
        lock_turns = _Turns(kind, invoke, known)
        proof = narrow(certain[np.argsort(-known[certain])].tolist(), lock_turns.kinds, proves, spent)
        proof = smallest(proof, lock_turns.split, proves, spent)
        return _finding(lock, kind, stuck, proof, smallest=not spent())


@dataclass(frozen=True, slots=True)
class _Turns:
    """What was done to a mutex, for splitting proofs.

    Let z be a certain operation of a proof, and let all certain ones of the other kind have been invoked after z had
    returned. Then those of z's kind that returned before z was invoked are alike. Take an explanation with x known and
    y left out. Before z all of the other kind are of unknown outcome, and each may come as late as it is needed. So let
    y have the place that it has where everything is explained up to the anomaly; there are enough of the other kind,
    since x made one free. Let x come late where y did: it was invoked before z was, too.
    """

    kind: Kinds
    invoke: Rows
    ret: Rows

    def kinds(self, old: Sequence[int]) -> list[list[int]]:
        """Return the acquires, and the releases."""
        at = np.array(old, np.int64)
        return [at[self.kind[at] == kind].tolist() for kind in (0, 1)]

    def split(self, proof: Sequence[int]) -> tuple[list[list[int]], list[int]]:
        """Split a proof into groups of operations that are alike, and the rest, with the acquires first."""
        at = np.array(proof, np.int64)
        at = at[np.argsort(self.kind[at], kind="stable")]
        grouped = np.zeros(len(at), bool)
        groups = []
        for kind in (0, 1):
            same = self.kind[at] == kind
            telling = self.invoke[at[~same]].min(initial=NEVER_COMPLETES)
            begin = self.invoke[at[same & (self.ret[at] < telling)]].max(initial=-1)  # of z
            alike = same & (self.ret[at] < begin)
            groups.append(at[alike].tolist())
            grouped |= alike
        return groups, at[~grouped].tolist()


def _stuck(kind: Kinds, invoke: Rows, ret: Rows) -> int:
    """Return the first operation at whose completion no order is left; -1 for none."""
    n = len(kind)
    certain = np.flatnonzero(ret != NEVER_COMPLETES)
    by_ret = certain[np.argsort(ret[certain])]
    code = turns.take_turns(kind, invoke, ret, by_ret, np.empty(2 * n, np.int64), np.full(n, -1, np.int64))
    return int(code) - turns.STUCK if code != turns.FITS else -1


def _finding(lock: Object, kind: Kinds, stuck: int, proof: Sequence[int], *, smallest: bool) -> Finding:
    acquires = [at for at in proof if kind[at] == 0 and at != stuck]
    acquired = kind[stuck] == 0
    (end,) = seconds(returned(lock.history, int(lock.rows[stuck])))
    if acquired and len(acquires) == 1:
        other = acquires[0]
        times = seconds(*(returned(lock.history, int(lock.rows[at])) for at in (stuck, other)))
        summary = (
            f"{_name(lock, stuck)} returned at {times[0]}, but {_name(lock, other)} had returned at {times[1]}, and no "
            "release can have come between them"
        )
    elif acquired:
        summary = f"{_name(lock, stuck)} returned at {end} while the lock was held: no order of turns explains "
        summary += _listed(lock, proof)
    elif len(proof) == 1:
        summary = f"{_name(lock, stuck)} returned at {end}, but no acquire had been asked for"
    else:
        summary = f"{_name(lock, stuck)} returned at {end} while the lock was free: no order of turns explains "
        summary += _listed(lock, proof)
    summary += "" if smallest else f" ({NOT_SMALLEST})"
    return Finding("double grant" if acquired else "released while free", summary, proof)


def _name(lock: Object, at: int) -> str:
    row = int(lock.rows[at])
    return f"{lock.history.invocation(row).f} by {process(lock.history, row)}"


def _listed(lock: Object, proof: Sequence[int]) -> str:
    listed = []
    for at in proof[-_MAX_LISTED:]:
        row = int(lock.rows[at])
        times = seconds(began(lock.history, row), returned(lock.history, row))
        listed.append(f"{_name(lock, at)} ({times[0]} to {times[1]})")
    more = len(proof) - len(listed)
    return (f"{more} operations before, and " if more else "") + "; ".join(listed)
