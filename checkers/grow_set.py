"""The checker of sets that only grow and are read as a whole: near-linear and exact."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, cast

import numpy as np

from checkers.models import NEVER_COMPLETES
from checkers.near_linear import Finding, Object, Rows, judge, objects
from checkers.words import began, process, returned, seconds, show
from harness.errors import HistoryError
from harness.history import History
from harness.op import freeze
from harness.verdict import Verdict

ENGINE: Final = "growing set"
FS: Final = ("add", "read")
_PLAIN: Final = frozenset({int, str})  # what is its own name


class GrowingSet:
    """Linearizability of sets to which elements are added, and which are read as a whole; each key is a set.

    Operations: `add` with an element (any JSON; adding it again changes nothing); `read`, whose ok completion has the
    list of all elements, in any order (twice the same counts once; null is the empty set). A read of unknown outcome
    says nothing.

    Detects: every history that no such set explains. Kinds: "element never added" (or not before it was read), "lost
    element" (its add had returned before a read that lacks it began), "element vanished" (one read shows it, a later
    one does not), "reads disagree" (each of two reads lacks what the other shows).

    Cannot detect: the loss of an element after the last read; the order of elements in a read.

    Cost: O(n log n) in operations, and linear in the elements of different reads, each of which is looked at once.

    Why it is sound, and exact. The reads of an explanation grow, so they are a chain C1 < C2 < … of sets, and an
    explanation takes place in blocks: the elements of C1 are added, C1 is read, those of C2 without C1 are added, and
    so on; last come the elements that no read shows (they are left out where their add is of unknown outcome). Of
    several adds of one element, that with the earliest invocation may be the one of its block (whatever stands where
    another one does, it can stand there too, since the other may be later); the others can be anywhere behind it. Such
    blocks can take place iff no operation returned before one of an earlier block was invoked. Every way to break
    that names the one or two operations that break it.
    """

    name = "linearizable"

    def check(self, history: History) -> Verdict:
        """Decide every set; report the first anomaly of each.

        Raises:
            UsageError: an operation that is not a set's.
            HistoryError: a read did not return a list, or the history's events do not pair.
        """
        return judge(history, objects(history, FS, "set"), decide, checker=self.name, engine=ENGINE)


@dataclass(frozen=True, slots=True)
class _Read:
    """The reads that show one set.

    Attributes:
        elements: by their codes.
        at: positions of the reads.
    """

    elements: frozenset[int]
    at: Rows


class _Elements:
    """Codes for elements, equal for equal ones."""

    def __init__(self) -> None:
        self._codes: dict[Any, int] = {}
        self._elements: list[Any] = []

    def code(self, element: Any) -> int:
        name = element if type(element) is int or type(element) is str else freeze(element)
        code = self._codes.setdefault(name, len(self._elements))
        if code == len(self._elements):
            self._elements.append(element)
        return code

    def known(self, elements: Sequence[Any]) -> Sequence[int]:
        """Return the codes of the elements of a long list, most of which have one already."""
        if _PLAIN.issuperset(map(type, elements)):
            codes = list(map(self._codes.get, elements))
            if None not in codes:
                return cast("list[int]", codes)
        return list(map(self.code, elements))

    def show(self, code: int) -> str:
        return show(self._elements[code])

    def __len__(self) -> int:
        return len(self._elements)


def decide(item: Object) -> Finding | None:
    """Return an anomaly of a set, or None.

    Raises:
        HistoryError: a read did not return a list.
    """
    elements = _Elements()
    values = item.history.columns.values
    adds = item.of("add")
    added = np.fromiter((elements.code(values[asked]) for asked in item.asked[adds].tolist()), np.int64, len(adds))
    reads = _reads(item, elements)
    begin = np.full(len(elements), NEVER_COMPLETES)  # the earliest invocation of an add of each element
    begin[added[::-1]] = item.invoke[adds[::-1]]  # the earlier ones are assigned last
    finding = _unfounded(item, elements, adds, added, reads, begin) or _disagreement(item, elements, reads)
    if finding is not None:
        return finding
    return _misplaced(item, elements, adds, added, reads, begin)


def _reads(item: Object, elements: _Elements) -> list[_Read]:
    """Return the different sets that were read, the smallest first."""
    at = item.of("read", certain=True)
    order = at[np.argsort(item.answered[at], kind="stable")]
    ids, starts = np.unique(item.answered[order], return_index=True)
    found: dict[frozenset[int], list[Rows]] = {}
    for number, positions in zip(ids.tolist(), np.split(order, starts[1:]), strict=bool(len(ids))):
        value = item.history.columns.values[number]
        if value is not None and not isinstance(value, list | tuple):
            event = item.history.events[int(item.ret[positions[0]])].index
            message = f"{item.history.source}: event {event}: the value of a read is {show(value)} and not a list"
            raise HistoryError(message, "a read of a set returns all its elements: was it another workload?")
        found.setdefault(frozenset(elements.known(value or ())), []).append(positions)
    reads = [_Read(shown, np.concatenate(parts)) for shown, parts in found.items()]
    return sorted(reads, key=lambda read: len(read.elements))


def _unfounded(
    item: Object, elements: _Elements, adds: Rows, added: Rows, reads: Iterable[_Read], begin: Rows
) -> Finding | None:
    """Look for a read that shows an element of which no add had begun by then."""
    found: list[tuple[int, int, int]] = []
    for read in reads:
        if not read.elements:
            continue
        codes = np.fromiter(read.elements, np.int64, len(read.elements))
        worst = int(codes[np.argmax(begin[codes])])
        first = int(read.at[np.argmin(item.ret[read.at])])
        if begin[worst] > item.ret[first]:
            found.append((int(item.ret[first]), first, worst))
    if not found:
        return None
    _, read_at, worst = min(found)
    what = f"read by {_by(item, read_at)} showed {elements.show(worst)}"
    ret = _returned(item, read_at)
    if begin[worst] == NEVER_COMPLETES:
        summary = f"{what} (it returned at {seconds(ret)[0]}), but no add of it succeeded or may have"
    else:
        add = int(adds[np.flatnonzero(added == worst)[0]])
        times = seconds(ret, _began(item, add))
        summary = (
            f"{what} and returned at {times[0]}, before the first add of it, by {_by(item, add)}, began at {times[1]}"
        )
    return Finding("element never added", summary, (read_at,))


def _disagreement(item: Object, elements: _Elements, reads: list[_Read]) -> Finding | None:
    """Look for two reads of which neither shows all that the other does."""
    for small, large in pairwise(reads):
        only_small = small.elements - large.elements
        if not only_small:
            continue
        one, other = int(small.at[0]), int(large.at[0])
        only_large = large.elements - small.elements
        early, late = sorted(((one, only_small), (other, only_large)), key=lambda read: int(item.invoke[read[0]]))
        if item.ret[early[0]] < item.invoke[late[0]]:
            return _vanished(item, early[0], late[0], elements.show(min(early[1])))
        summary = (
            f"read by {_by(item, one)} showed {elements.show(min(only_small))} but not "
            f"{elements.show(min(only_large))}, while read by {_by(item, other)} showed "
            f"{elements.show(min(only_large))} but not {elements.show(min(only_small))}: neither was added first"
        )
        return Finding("reads disagree", summary, (one, other))
    return None


def _vanished(item: Object, before: int, after: int, element: str) -> Finding:
    times = seconds(_returned(item, before), _began(item, after))
    summary = (
        f"read by {_by(item, before)} showed {element} and returned at {times[0]}, but read by {_by(item, after)}, "
        f"which began at {times[1]}, did not show it"
    )
    return Finding("element vanished", summary, (before, after))


def _misplaced(
    item: Object, elements: _Elements, adds: Rows, added: Rows, reads: list[_Read], begin: Rows
) -> Finding | None:
    """Look for an operation that returned before one of an earlier block was invoked."""
    block_of = np.full(len(elements), 2 * len(reads), np.int64)  # even: adds, odd: reads; of no read: the last
    shown: frozenset[int] = frozenset()
    for number, read in enumerate(reads):
        fresh = read.elements - shown
        block_of[np.fromiter(fresh, np.int64, len(fresh))] = 2 * number
        shown = read.elements
    counts = [len(read.at) for read in reads]
    positions = np.concatenate([adds, *(read.at for read in reads)])
    block = np.concatenate([block_of[added], np.repeat(2 * np.arange(len(reads)) + 1, counts)])
    pushes = np.where(begin[added] == item.invoke[adds], item.invoke[adds], -1)
    pushes = np.concatenate([pushes, item.invoke[positions[len(adds) :]]])
    latest = np.full(2 * len(reads) + 2, -1)
    np.maximum.at(latest, block + 1, pushes)
    latest = np.maximum.accumulate(latest)
    bad = np.flatnonzero(item.ret[positions] < latest[block])
    if not len(bad):
        return None
    worst = int(bad[np.argmin(item.ret[positions[bad]])])
    earlier = np.flatnonzero((block < block[worst]) & (pushes == latest[block[worst]]))
    early, late = int(positions[worst]), int(positions[earlier[0]])
    was_read, is_read = block[worst] % 2 == 1, block[earlier[0]] % 2 == 1
    if was_read:
        missing = reads[block[worst] // 2].elements - reads[block[earlier[0]] // 2].elements
        return _vanished(item, early, late, elements.show(min(missing)))
    element = elements.show(int(added[worst]))
    what = f"add of {element} by {_by(item, early)} had returned"
    if is_read:
        times = seconds(_returned(item, early), _began(item, late))
        summary = (
            f"read by {_by(item, late)} did not show {element}: it began at {times[1]}, after {what} at {times[0]}"
        )
        return Finding("lost element", summary, (early, late))
    read_at = int(reads[block[earlier[0]] // 2].at[0])
    other = elements.show(int(added[earlier[0]]))
    times = seconds(_returned(item, early), _began(item, late))
    summary = (
        f"read by {_by(item, read_at)} did not show {element}, but {other}: {what} at {times[0]}, "
        f"before the first add of {other} began at {times[1]}"
    )
    return Finding("lost element", summary, (early, read_at))


def _by(item: Object, at: int) -> str:
    return process(item.history, int(item.rows[at]))


def _began(item: Object, at: int) -> int:
    return began(item.history, int(item.rows[at]))


def _returned(item: Object, at: int) -> int:
    return returned(item.history, int(item.rows[at]))
