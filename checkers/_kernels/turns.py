"""Locks and counters whose operations of a kind are all alike: one forward pass that does only what it must.

Operations are linearized at completions only, and only what the completing one needs (checkers/forward.py has the
argument). Of equal open operations the one that completes first goes first (exchange); one of unknown outcome goes
only where there is no other: whatever the certain one is kept for, the unknown one can do later, for it stays open for
ever, and it need not. So there is one choice at each step, the best one, and the pass is exact.

*Taking turns* (a mutex). The lock is free or held. An operation that does not fit needs exactly one of the other kind
before it: a longer detour (acquire, release, …) could as well come after it, by exchange of equal operations.

*Counting* (a counter with equal steps). The count is kept as low as it can be, which leaves every higher one within
reach. A read of less than the count at its invocation is wrong; one of more than the count takes open additions. On
its way up the count passes each value, so that reads of these that are open have their moment.
"""

from __future__ import annotations

import cython

FITS = 1
"""What both functions return where nothing is wrong."""

STUCK = 2
"""Plus the number of an operation: the first completion that nothing explains."""

_NEVER = cython.declare(cython.longlong, 2**63 - 1)  # ret of an unknown outcome


@cython.cfunc
@cython.exceptval(-2, check=True)
def _soonest(
    opened: cython.longlong[::1], first: cython.longlong, size: cython.longlong, ret: cython.const[cython.longlong][::1]
) -> cython.longlong:
    """Return the place, of `size` in `opened` from `first` on, of the operation that completes first."""
    best: cython.longlong = first
    place: cython.longlong
    for place in range(first + 1, first + size):
        if ret[opened[place]] < ret[opened[best]]:
            best = place
    return best


def take_turns(
    kind: cython.const[cython.schar][::1],
    invoke: cython.const[cython.longlong][::1],
    ret: cython.const[cython.longlong][::1],
    by_ret: cython.const[cython.longlong][::1],
    opened: cython.longlong[::1],
    place: cython.longlong[::1],
) -> cython.longlong:
    """Decide whether operations on a lock that is free at first can take turns.

    Args:
        kind: 0 acquire, 1 release; in order of invocation.
        invoke, ret: rows of events.
        by_ret: numbers of the certain operations, in order of ret.
        opened, place: 2 n and n numbers to work with.

    Returns:
        FITS, or STUCK + the number of an operation.
    """
    n: cython.longlong = len(invoke)
    certain: cython.longlong = len(by_ret)
    if not cython.compiled:
        kind, invoke, ret, by_ret = kind.tolist(), invoke.tolist(), ret.tolist(), by_ret.tolist()
        opened, place = opened.tolist(), place.tolist()
    size = cython.declare(cython.longlong[2], [0, 0])
    spare = cython.declare(cython.longlong[2], [0, 0])
    held: cython.longlong = 0
    number: cython.longlong = 0
    done: cython.longlong = 0
    at: cython.longlong
    here: cython.longlong
    other: cython.longlong
    step: cython.longlong
    while done < certain:
        if number < n and invoke[number] < ret[by_ret[done]]:
            here = kind[number]
            if ret[number] == _NEVER:
                spare[here] += 1
            else:
                place[number] = here * n + size[here]
                opened[place[number]] = number
                size[here] += 1
            number += 1
            continue
        at = by_ret[done]
        done += 1
        if place[at] < 0:
            continue
        for step in range(2):  # first, where it does not fit, one of the other kind; then the operation itself
            if step == 0:
                if kind[at] == held:
                    continue
                other = 1 - kind[at]
                if size[other] == 0:
                    if spare[other] == 0:
                        return STUCK + at
                    spare[other] -= 1
                    continue
                here = _soonest(opened, other * n, size[other], ret)
            else:
                other = kind[at]
                here = place[at]
            place[opened[here]] = -1
            size[other] -= 1
            if here != other * n + size[other]:
                opened[here] = opened[other * n + size[other]]
                place[opened[here]] = here
        held = 1 - kind[at]
    return FITS


def count_up(
    target: cython.const[cython.longlong][::1],
    invoke: cython.const[cython.longlong][::1],
    ret: cython.const[cython.longlong][::1],
    by_ret: cython.const[cython.longlong][::1],
    opened: cython.longlong[::1],
    place: cython.longlong[::1],
) -> cython.longlong:
    """Decide whether reads of a counter saw what it may have held.

    Args:
        target: the count that a read saw, -1 for an addition; in order of invocation.
        invoke, ret: rows of events; reads are certain.
        by_ret: numbers of the certain operations, in order of ret.
        opened, place: n numbers each to work with.

    Returns:
        FITS, or STUCK + the number of an operation, which is a read.
    """
    n: cython.longlong = len(invoke)
    certain: cython.longlong = len(by_ret)
    if not cython.compiled:
        target, invoke, ret, by_ret = target.tolist(), invoke.tolist(), ret.tolist(), by_ret.tolist()
        opened, place = opened.tolist(), place.tolist()
    size: cython.longlong = 0
    spare: cython.longlong = 0
    count: cython.longlong = 0
    number: cython.longlong = 0
    done: cython.longlong = 0
    at: cython.longlong
    here: cython.longlong
    while done < certain:
        if number < n and invoke[number] < ret[by_ret[done]]:
            if target[number] != -1:
                place[number] = count  # of a read: the count at its invocation
            elif ret[number] == _NEVER:
                spare += 1
            else:
                place[number] = size
                opened[size] = number
                size += 1
            number += 1
            continue
        at = by_ret[done]
        done += 1
        if target[at] == -1 and place[at] < 0:
            continue
        if target[at] != -1 and target[at] < place[at]:
            return STUCK + at
        while target[at] == -1 or count < target[at]:
            if target[at] == -1:
                here = place[at]
            elif size:
                here = _soonest(opened, 0, size, ret)
            elif spare:
                spare -= 1
                count += 1
                continue
            else:
                return STUCK + at
            count += 1
            place[opened[here]] = -1
            size -= 1
            if here != size:
                opened[here] = opened[size]
                place[opened[here]] = here
            if target[at] == -1:
                break
    return FITS
