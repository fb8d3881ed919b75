"""The checker of FIFO queues of distinct values: near-linear and exact, empty and unknown dequeues included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from checkers.linearizability import Linearizable
from checkers.models import NEVER_COMPLETES
from checkers.near_linear import Finding, NotEligible, Object, Rows, compact, judge, objects
from checkers.object_models import FIFO_QUEUE
from checkers.queue_findings import lost, missed, never_enqueued, overtaken, twice
from harness.columns import NULL
from harness.errors import HistoryError
from harness.history import History
from harness.verdict import Verdict

ENGINE: Final = "queue of distinct values"
FS: Final = ("enqueue", "dequeue")


class FifoQueue:
    """Linearizability of FIFO queues, each key a queue of its own, empty at first.

    Operations: `enqueue` with a value (any JSON but null); `dequeue`, whose ok completion has the value that it took,
    or null where it found the queue empty. A dequeue of unknown outcome may have taken any value, or none.

    Detects: every history that no FIFO queue explains. Kinds: "never enqueued" (or not before it came out), "dequeued
    twice", "dequeued out of order", "lost element" (a later one came out, and nothing can have taken it), "element
    missed" (a dequeue found the queue empty, although it never was).

    Cannot detect: what no client saw, such as a value that is lost after the last dequeue.

    Cost: O(n log n), all of it sorting. Where a value was enqueued twice the method is not eligible, and the general
    engine decides.

    Why it is sound, and exact. Let ie, re and id, rd be the rows of a value's enqueue and dequeue, re = min(re, rd)
    and id = max(id, ie), which changes no explanation; an enqueue of unknown outcome counts if its value came out.
    Suppose that each value came out at most once, and after ie.

    *Order.* The values a1, a2, … are in the order of an explanation iff all enqueues and all dequeues can take place
    in that order; greedily, they can iff never re_a < ie_b, nor rd_a < id_b, for an `a` that is after b. Both
    relations are interval orders, and if the union of two has a cycle it has one of length 2: steps of one order that
    meet are one step, and of two steps a < b, c < d of one order that are apart, a < d or c < b makes a shortcut. So
    *no pair with re_a < ie_b and rd_b < id_a* is the whole condition (the pattern of Henzinger, Sezgin and Vafeiadis
    2013 and of Bouajjani, Emmi, Enea and Hamza 2015, whose proofs Abdulla and others, PLDI 2025, mend).

    *Empty dequeues.* At a moment t that no zone (re_a, id_a) covers, put all values with id_a < t before t and the
    others after it: these have re_a > t. Of an `a` after t and a < b, b is after t too: t < re_a < ie_b <= id_b, or
    t < id_a <= rd_a < id_b. So each empty dequeue may choose any uncovered moment by itself, and must have one.

    *Dequeues of unknown outcome.* A value that nobody is known to have taken may be taken by one of these, with no rd
    and id = max(i, ie), i being its invocation. It must be out by the first rd_b of a b with re_a < ie_b, and by the
    moment of each empty dequeue after re_a. A value with an earlier re_a never has the later deadline; so if any
    matching of values and unknown dequeues works, that of the first with the first, the second with the second works
    (exchange). At a moment t with k unknown dequeues invoked, a matching leaves no value inside iff at most k of those
    values have re_a < t, and that holds iff the zones of this matching do not cover t; so moments are still
    chosen one by one.

    Args:
        limits: of the general engine, for histories that are not eligible: see Linearizable.
    """

    name = "linearizable"

    def __init__(self, **limits: Any) -> None:
        self._general = Linearizable(FIFO_QUEUE, **limits)

    def check(self, history: History) -> Verdict:
        """Decide every queue; report the first anomaly of each.

        Raises:
            UsageError: an operation that is not a queue's.
            HistoryError: a null was enqueued, or the history's events do not pair.
        """
        found = objects(history, FS, "fifo-queue")
        return judge(history, found, decide, checker=self.name, engine=ENGINE, otherwise=self._general.check)


@dataclass(frozen=True, slots=True)
class Values:
    """Values that were in the queue for certain, one row each.

    Attributes:
        enqueue, dequeue: positions of the operations; -1 where no dequeue is known.
        ie, re, id, rd: as in FifoQueue; NEVER_COMPLETES where no dequeue is known.
    """

    enqueue: Rows
    dequeue: Rows
    ie: Rows
    re: Rows
    id: Rows
    rd: Rows

    def only(self, chosen: Rows) -> Values:
        """Return some of the values."""
        return Values(*(getattr(self, name)[chosen] for name in self.__slots__))

    def __len__(self) -> int:
        return len(self.enqueue)


def decide(queue: Object) -> Finding | None:
    """Return an anomaly of a queue, or None.

    Raises:
        NotEligible: a value was enqueued twice.
        HistoryError: a null was enqueued.
    """
    enqueues = queue.of("enqueue")
    answers = queue.of("dequeue", certain=True)
    empty = queue.answered[answers] == NULL
    empties, dequeues = answers[empty], answers[~empty]
    unknown = queue.invoke[queue.of("dequeue", certain=False)]
    if np.any(queue.asked[enqueues] == NULL):
        message = f"{queue.history.source}: key {queue.key!r}: null was enqueued"
        raise HistoryError(message, "a dequeue that answers null found the queue empty: enqueue other values")
    codes, size = compact(np.concatenate([queue.asked[enqueues], queue.answered[dequeues]]))
    taken = codes[len(enqueues) :]
    enqueue_of = np.full(size, -1, np.int64)
    enqueue_of[codes[: len(enqueues)]] = enqueues
    if np.count_nonzero(enqueue_of >= 0) < len(enqueues):
        raise NotEligible("a value was enqueued twice")
    source = enqueue_of[taken]
    unfounded = (source < 0) | (queue.invoke[source] > queue.ret[dequeues]) if len(taken) else np.empty(0, bool)
    if np.any(unfounded):
        at = _first(queue, dequeues[unfounded])
        return never_enqueued(queue, at, int(enqueue_of[taken[dequeues == at][0]]))
    dequeue_of = np.full(size, -1, np.int64)
    dequeue_of[taken] = dequeues
    again = np.flatnonzero(dequeue_of[taken] != dequeues)
    if len(again):
        other = int(dequeues[again[0]])
        return twice(queue, other, int(dequeue_of[taken[again[0]]]))
    return _order(queue, _values(queue, enqueue_of, dequeue_of), empties, unknown)


def _first(queue: Object, positions: Rows) -> int:
    return int(positions[np.argmin(queue.ret[positions])])


def _values(queue: Object, enqueue_of: Rows, dequeue_of: Rows) -> Values:
    inside = enqueue_of >= 0
    inside[inside] = (queue.ret[enqueue_of[inside]] != NEVER_COMPLETES) | (dequeue_of[inside] >= 0)
    enqueue, dequeue = enqueue_of[inside], dequeue_of[inside]
    out = dequeue >= 0
    ie, re = queue.invoke[enqueue], queue.ret[enqueue]
    id_ = np.where(out, np.maximum(queue.invoke[dequeue], ie), NEVER_COMPLETES) if len(queue.rows) else ie
    rd = np.where(out, queue.ret[dequeue], NEVER_COMPLETES) if len(queue.rows) else ie
    return Values(enqueue, dequeue, ie, np.minimum(re, rd), id_, rd)


def _order(queue: Object, values: Values, empties: Rows, unknown: Rows) -> Finding | None:
    out = values.only(np.flatnonzero(values.dequeue >= 0))
    left = values.only(np.flatnonzero(values.dequeue < 0))
    left = left.only(np.argsort(left.re))
    by_enqueue = np.argsort(out.re)
    starts, latest = out.re[by_enqueue], np.maximum.accumulate(out.id[by_enqueue])
    before = np.searchsorted(starts, out.ie)  # how many were enqueued for certain before each began to be
    wrong = before > 0
    wrong[wrong] = latest[before[wrong] - 1] > out.rd[wrong]
    if np.any(wrong):
        second = int(np.flatnonzero(wrong)[np.argmin(out.rd[wrong])])
        ahead = by_enqueue[: before[second]]
        first = int(ahead[np.argmax(out.id[ahead])])
        return overtaken(
            queue, unknown, *(int(pair[at]) for at in (first, second) for pair in (out.enqueue, out.dequeue))
        )
    zone_end = np.full(len(left), NEVER_COMPLETES)
    matched = min(len(left), len(unknown))
    zone_end[:matched] = unknown[:matched]
    by_begin = np.argsort(out.ie)
    soonest = np.append(np.minimum.accumulate(out.rd[by_begin][::-1])[::-1], NEVER_COMPLETES)
    later = np.searchsorted(out.ie[by_begin], left.re)
    late = np.flatnonzero((zone_end > soonest[later]) & (soonest[later] < NEVER_COMPLETES))
    if len(late):
        count = int(late[0]) + 1
        behind = by_begin[later[late[0]] :]
        passing = int(behind[np.argmin(out.rd[behind])])
        return lost(queue, left.enqueue[:count].tolist(), int(out.enqueue[passing]), int(out.dequeue[passing]))
    return _emptiness(queue, out, left, zone_end, empties)


def _emptiness(queue: Object, out: Values, left: Values, zone_end: Rows, empties: Rows) -> Finding | None:
    """Look for an empty dequeue all of whose moments are covered by zones."""
    start, end = np.concatenate([out.re, left.re]), np.concatenate([out.id, zone_end])
    number = np.concatenate([np.full(len(out), -1), np.arange(len(left))])
    covering = np.flatnonzero(start < end)
    covering = covering[np.argsort(start[covering])]
    if not len(covering) or not len(empties):
        return None
    reach = np.maximum.accumulate(end[covering])
    breaks = np.append(np.flatnonzero(start[covering][1:] > reach[:-1]), len(covering) - 1)
    place = np.searchsorted(start[covering], queue.invoke[empties]) - 1
    stretch = reach[breaks[np.searchsorted(breaks, np.maximum(place, 0))]]
    bad = np.flatnonzero((place >= 0) & (stretch > queue.ret[empties]))
    if not len(bad):
        return None
    empty = _first(queue, empties[bad])
    chain = _chain(start[covering], end[covering], int(queue.invoke[empty]), int(queue.ret[empty]))
    chosen = covering[chain]
    taken = chosen[number[chosen] < 0]
    unmatched = int(number[chosen].max()) + 1
    ops = [*left.enqueue[:unmatched].tolist(), *out.enqueue[taken].tolist(), *out.dequeue[taken].tolist()]
    return missed(queue, empty, ops)


def _chain(start: Rows, end: Rows, begin: int, until: int) -> Sequence[int]:
    """Return the fewest zones, sorted by start, that together cover everything from `begin` to `until`."""
    chain: list[int] = []
    reached, place = begin, 0
    while reached < until:
        stop = int(np.searchsorted(start, reached, side="right"))
        place = place + int(np.argmax(end[place:stop]))
        chain.append(place)
        reached = int(end[place])
    return chain
