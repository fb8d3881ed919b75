"""The checkers of a mutex that knows its owner, with and without fencing tokens: near-linear and exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from checkers.linearizability import Linearizable
from checkers.models import NEVER_COMPLETES
from checkers.near_linear import Finding, NotEligible, Object, Rows, judge, objects
from checkers.object_models import FENCED_MUTEX, OWNER_MUTEX, token_of
from checkers.words import process, returned, seconds
from harness.history import History
from harness.verdict import Verdict

ENGINE: Final = "tenures of a mutex"
FS: Final = ("acquire", "release")


class OwnerMutex:
    """Linearizability of mutexes whose owner is the process that acquired, each key a mutex of its own.

    Operations: `acquire` and `release`; values are not looked at. It is not reentrant. What failed says nothing.

    Detects: every history that no such mutex explains. Kinds: "double grant" (to another process, or to the same one
    again), "released without holding".

    Cannot detect: a lease that ran out, and whatever else frees a lock without a release.

    Cost: O(n log n), sorting. Where a process went on after an operation of unknown outcome the method is not
    eligible (kingslayer retires such a process), and the general engine decides.

    Why it is sound, and exact. A process does one operation after another, so its acquires and releases that happened
    must take turns, and each pair of them is a tenure. An acquire of unknown outcome is its process's last operation:
    it would only be in the way. A release of unknown outcome may have happened. So a process holds the mutex at
    least from an acquire's return to its release's invocation, or for ever; two such times that overlap have no
    explanation, and if none do, each acquire takes place right before it returns and each release right after it
    was invoked.

    Args:
        limits: of the general engine, for histories that are not eligible: see Linearizable.
    """

    name = "linearizable"

    def __init__(self, **limits: Any) -> None:
        self._general = Linearizable(OWNER_MUTEX, **limits)

    def check(self, history: History) -> Verdict:
        """Decide every mutex; report the first anomaly of each.

        Raises:
            UsageError: an operation that is not a mutex's.
            HistoryError: the history's events do not pair.
        """
        found = objects(history, FS, "owner-mutex")
        return judge(history, found, decide, checker=self.name, engine=ENGINE, otherwise=self._general.check)


class FencedMutex:
    """An owner-mutex each of whose acquires gives a fencing token, an integer greater than all before.

    Operations: `acquire`, whose ok completion has the token; `release`, whose value is not looked at.

    Detects: what OwnerMutex does, and "tokens went back": a token that is not greater than one that was given before.

    Cannot detect: a resource that accepts a stale token; a lease that ran out.

    Cost: O(n log n), sorting; not eligible, and then decided by the general engine, is what is not so for OwnerMutex.

    Why it is sound, and exact. As for OwnerMutex; and since tenures do not overlap, there is one order of them, so that
    the tokens must grow in it. An acquire of unknown outcome is left out, with its token: it would be the last one.

    Args:
        limits: of the general engine, for histories that are not eligible: see Linearizable.
    """

    name = "linearizable"

    def __init__(self, **limits: Any) -> None:
        self._general = Linearizable(FENCED_MUTEX, **limits)

    def check(self, history: History) -> Verdict:
        """Decide every mutex; report the first anomaly of each.

        Raises:
            UsageError: an operation that is not a mutex's.
            HistoryError: a token is not an integer, or the history's events do not pair.
        """
        found = objects(history, FS, "fenced-mutex")
        general = self._general.check
        return judge(history, found, decide_fenced, checker=self.name, engine=ENGINE, otherwise=general)


@dataclass(frozen=True, slots=True)
class _Tenures:
    """Times in which the mutex was held for certain, in the order of their begin; and what contradicts itself.

    Attributes:
        acquire: positions of the acquires.
        begin: where these returned.
        end: where the releases were invoked; NEVER_COMPLETES where there is none.
        unheld: position of the first release by a process that did not hold it; -1: none.
    """

    acquire: Rows
    begin: Rows
    end: Rows
    unheld: int


def decide(lock: Object) -> Finding | None:
    """Return the first anomaly of a mutex with an owner, or None.

    Raises:
        NotEligible: a process went on after an operation of unknown outcome.
    """
    return _first_anomaly(lock, _tenures(lock), None)


def decide_fenced(lock: Object) -> Finding | None:
    """Return the first anomaly of a mutex with an owner and fencing tokens, or None.

    Raises:
        NotEligible: a process went on after an operation of unknown outcome.
        HistoryError: a token is not an integer.
    """
    tenures = _tenures(lock)
    return _first_anomaly(lock, tenures, _tokens(lock, tenures))


def _tenures(lock: Object) -> _Tenures:
    owner = _owner(lock)
    order = np.lexsort((lock.invoke, owner))
    follows = np.append(owner[order][1:] == owner[order][:-1], False)
    if np.any(follows & (lock.ret[order] == NEVER_COMPLETES)):
        raise NotEligible("a process went on after an operation of unknown outcome")
    releases = np.zeros(len(order), bool)
    releases[lock.of("release")] = True
    is_release, certain = releases[order], lock.ret[order] != NEVER_COMPLETES
    held_before = np.append(False, (follows & ~is_release)[:-1])
    unheld = order[is_release & certain & ~held_before]
    holds = np.flatnonzero(~is_release & certain)
    after = np.minimum(holds + 1, len(order) - 1)
    released = follows[holds] & is_release[after]
    end = np.where(released, lock.invoke[order[after]], NEVER_COMPLETES)
    acquire = order[holds]
    by_begin = np.argsort(lock.ret[acquire])
    first = int(unheld[np.argmin(lock.ret[unheld])]) if len(unheld) else -1
    return _Tenures(acquire[by_begin], lock.ret[acquire[by_begin]], end[by_begin], first)


def _owner(lock: Object) -> Rows:
    owner: Rows = lock.history.columns.process[lock.rows]
    return owner


def _first_anomaly(lock: Object, tenures: _Tenures, tokens: Sequence[int] | None) -> Finding | None:
    begin = tenures.begin
    overlaps = np.flatnonzero(begin[1:] < np.maximum.accumulate(tenures.end)[:-1]) + 1
    clash = int(overlaps[0]) if len(overlaps) else len(begin)
    back = _back(tokens) if tokens else len(begin)
    rows = [*begin.tolist(), NEVER_COMPLETES]
    if tenures.unheld >= 0 and lock.ret[tenures.unheld] < rows[min(clash, back, len(begin))]:
        return _unheld(lock, tenures.unheld)
    if tokens and back <= clash and back < len(begin):
        earlier = np.flatnonzero(begin[:back] < lock.invoke[tenures.acquire[back]]).tolist()
        over = [at for at in earlier if tokens[at] >= tokens[back]]
        if over or back < clash:  # by two tokens alone; or else by tokens and time
            return _went_back(lock, tenures, tokens, over[-1] if over else back - 1, back)
    if clash == len(begin):
        return None
    holder = int(np.argmax(tenures.end[:clash]))
    return _double_grant(lock, tenures, tokens, holder, clash)


def _earlier_releases(lock: Object, at: int) -> Rows:
    """Return the certain releases of the same process before an operation.

    Left out of a witness, each of them might take effect later than it did, and so end a tenure that it did not end.
    """
    releases = lock.of("release", certain=True)
    owner = _owner(lock)
    chosen: Rows = releases[(owner[releases] == owner[at]) & (lock.invoke[releases] < lock.invoke[at])]
    return chosen


def _proof(lock: Object, tenures: _Tenures, tokens: Sequence[int] | None, first: int, second: int) -> list[int]:
    """Return what proves that two tenures, in the order of their begin, cannot follow each other in any order.

    They could by an earlier release that came late, unless their tokens forbid that order, or time does.
    """
    one, other = int(tenures.acquire[first]), int(tenures.acquire[second])
    pins = []
    if tokens is None or tokens[first] < tokens[second]:
        pins.append(_earlier_releases(lock, one))
    if lock.invoke[other] < lock.ret[one] and (tokens is None or tokens[second] < tokens[first]):
        pins.append(_earlier_releases(lock, other))
    return sorted({one, other, *(int(at) for part in pins for at in part)})


def _double_grant(lock: Object, tenures: _Tenures, tokens: Sequence[int] | None, holder: int, second: int) -> Finding:
    rows = [int(lock.rows[tenures.acquire[at]]) for at in (holder, second)]
    times = seconds(*(returned(lock.history, row) for row in rows))
    names = [process(lock.history, row) for row in rows]
    again = " again" if names[0] == names[1] else ""
    summary = (
        f"acquire by {names[0]} returned at {times[0]}, and acquire by {names[1]} returned{again} at {times[1]}, "
        f"before {names[0]} had asked for a release"
    )
    return Finding("double grant", summary, _proof(lock, tenures, tokens, holder, second))


def _unheld(lock: Object, release: int) -> Finding:
    row = int(lock.rows[release])
    name, (end,) = process(lock.history, row), seconds(returned(lock.history, row))
    earlier = _earlier_releases(lock, release)
    why = f"{name} had not acquired it" + (" since its last release" if len(earlier) else "")
    summary = f"release by {name} returned at {end}, although {why}"
    return Finding("released without holding", summary, [*earlier.tolist(), release])


def _tokens(lock: Object, tenures: _Tenures) -> list[int]:
    """Return the token of each tenure."""
    values = lock.history.columns.values
    tokens = list(map(values.__getitem__, lock.answered[tenures.acquire].tolist()))
    if not {int}.issuperset(map(type, tokens)):
        for at in tenures.acquire.tolist():
            token_of(lock.history.events[int(lock.ret[at])])
    return tokens


def _back(tokens: Sequence[int]) -> int:
    """Return the number of the first token that is not greater than the one before; that of tokens for none."""
    pairs = zip(tokens[1:], tokens, strict=False)
    return next((at for at, (token, before) in enumerate(pairs, 1) if token <= before), len(tokens))


def _went_back(lock: Object, tenures: _Tenures, tokens: Sequence[int], first: int, second: int) -> Finding:
    rows = [int(lock.rows[tenures.acquire[at]]) for at in (first, second)]
    times = seconds(*(returned(lock.history, row) for row in rows))
    summary = (
        f"acquire by {process(lock.history, rows[0])} returned token {tokens[first]} at {times[0]}, and a later one, "
        f"by {process(lock.history, rows[1])}, token {tokens[second]} at {times[1]}, which is not greater"
    )
    return Finding("tokens went back", summary, _proof(lock, tenures, tokens, first, second))
