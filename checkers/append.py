"""The checker of lists to which distinct elements are appended, and which are read as a whole: linear and exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from checkers.linearizability import Linearizable
from checkers.near_linear import Finding, NotEligible, Object, Rows, judge, objects
from checkers.object_models import APPEND
from checkers.words import began, process, returned, seconds, show
from harness.errors import HistoryError
from harness.history import History
from harness.op import freeze
from harness.verdict import Verdict

ENGINE: Final = "list of distinct elements"
FS: Final = ("append", "read")


class Append:
    """Linearizability of lists that only grow, at their end; each key is a list, empty at first.

    Operations: `append` with an element (any JSON); `read`, whose ok completion has the whole list (null is the empty
    one). A read of unknown outcome says nothing.

    Detects: every history that no such list explains. Kinds: "element never appended" (or not before it was read),
    "duplicate element", "inconsistent order" (two reads differ in what both show, or the list is not in the order in
    which its elements were appended), "stale read" (it lacks what had been appended before it began, and others show),
    "lost append" (no read shows it).

    Cannot detect: the loss of an element after the last read.

    Cost: O(n log n) in operations, and linear in the elements of different reads, each of which is looked at once.
    Where an element was appended twice the method is not eligible, and the general engine decides.

    Why it is sound, and exact. Every read of an explanation shows a prefix of the final list, so the reads are
    prefixes of the longest one, and that gives the order: the append of its first element, the reads of that one
    alone, the append of its second, and so on; last come the appends that no read shows (they are left out where
    their outcome is unknown). Operations in such blocks can take place in the order of the blocks iff none returned
    before one of an earlier block was invoked. Every way to break that names the one or two operations that break it.

    Args:
        limits: of the general engine, for histories that are not eligible: see Linearizable.
    """

    name = "linearizable"

    def __init__(self, **limits: Any) -> None:
        self._general = Linearizable(APPEND, **limits)

    def check(self, history: History) -> Verdict:
        """Decide every list; report the first anomaly of each.

        Raises:
            UsageError: an operation that is not a list's.
            HistoryError: a read did not return a list, or the history's events do not pair.
        """
        found = objects(history, FS, "append")
        return judge(history, found, decide, checker=self.name, engine=ENGINE, otherwise=self._general.check)


@dataclass(frozen=True, slots=True)
class _Read:
    """The reads that returned one list.

    Attributes:
        names: of its elements, equal for equal ones.
        at: positions of the reads, that which returned first at the front.
    """

    names: list[Any]
    at: Rows


def decide(item: Object) -> Finding | None:
    """Return an anomaly of a list, or None.

    Raises:
        NotEligible: an element was appended twice.
        HistoryError: a read did not return a list.
    """
    values = item.history.columns.values
    appends = item.of("append")
    names = [_name(values[asked]) for asked in item.asked[appends].tolist()]
    append_of = dict(zip(names, appends.tolist(), strict=True))
    if len(append_of) < len(names):
        raise NotEligible("an element was appended twice")
    reads = _reads(item)
    return _unfounded(item, append_of, reads) or _disagreement(item, reads) or _misplaced(item, names, appends, reads)


def _name(element: Any) -> Any:
    return element if type(element) is int or type(element) is str else freeze(element)


def _reads(item: Object) -> list[_Read]:
    """Return the different lists that were read, the shortest first."""
    at = item.of("read", certain=True)
    order = at[np.lexsort((item.ret[at], item.answered[at]))]
    ids, starts = np.unique(item.answered[order], return_index=True)
    reads = []
    for number, positions in zip(ids.tolist(), np.split(order, starts[1:]), strict=bool(len(ids))):
        value = item.history.columns.values[number]
        if value is not None and not isinstance(value, list | tuple):
            event = item.history.events[int(item.ret[positions[0]])].index
            message = f"{item.history.source}: event {event}: the value of a read is {show(value)} and not a list"
            raise HistoryError(message, "a read of a list returns all its elements: was it another workload?")
        reads.append(_Read(list(map(_name, value or ())), positions))
    return sorted(reads, key=lambda read: len(read.names))


def _unfounded(item: Object, append_of: dict[Any, int], reads: list[_Read]) -> Finding | None:
    """Look for a read that shows an element twice, or one whose append had not begun by then."""
    for read in reads:
        first = int(read.at[0])
        end = int(item.ret[first])
        seen = set()
        for place, name in enumerate(read.names):
            append = append_of.get(name)
            if append is not None and item.invoke[append] < end and name not in seen:
                seen.add(name)
                continue
            element = _element(item, first, place)
            ended = _returned(item, first)
            if name in seen:
                summary = f"{_by(item, first)} showed {element} twice (it returned at {seconds(ended)[0]})"
                return Finding("duplicate element", f"{summary}, but it was appended once", (first,))
            what = f"{_by(item, first)} showed {element}"
            if append is None:
                summary = f"{what} (it returned at {seconds(ended)[0]}), but no append of it succeeded or may have"
            else:
                times = seconds(ended, _began(item, append))
                summary = f"{what} and returned at {times[0]}, before {_by(item, append)} began at {times[1]}"
            return Finding("element never appended", summary, (first,))
    return None


def _disagreement(item: Object, reads: list[_Read]) -> Finding | None:
    """Look for a read that is no prefix of the longest."""
    for read in reads:
        longest = reads[-1].names
        if longest[: len(read.names)] == read.names:
            continue
        place = next(n for n, (one, other) in enumerate(zip(read.names, longest, strict=False)) if one != other)
        early, late = sorted((int(read.at[0]), int(reads[-1].at[0])), key=lambda at: int(item.invoke[at]))
        summary = (
            f"{_by(item, early)} showed {_element(item, early, place)} as element number {place + 1}, but "
            f"{_by(item, late)} showed {_element(item, late, place)} there"
        )
        return Finding("inconsistent order", summary, (early, late))
    return None


def _misplaced(item: Object, names: list[Any], appends: Rows, reads: list[_Read]) -> Finding | None:
    """Look for an operation that returned before one of an earlier block was invoked."""
    longest = reads[-1].names if reads else []
    place_of = {name: place for place, name in enumerate(longest)}
    places = np.array([place_of.get(name, len(longest)) for name in names], np.int64)
    positions = np.concatenate([appends, *(read.at for read in reads)])
    lengths = [np.full(len(read.at), 2 * len(read.names)) for read in reads]
    block = np.concatenate([2 * places + 1, *lengths])  # odd: appends, even: reads
    latest = np.full(2 * len(longest) + 3, -1)
    np.maximum.at(latest, block + 1, item.invoke[positions])
    latest = np.maximum.accumulate(latest)
    bad = np.flatnonzero(item.ret[positions] < latest[block])
    if not len(bad):
        return None
    worst = int(bad[np.argmin(item.ret[positions[bad]])])
    earlier = np.flatnonzero((block < block[worst]) & (item.invoke[positions] == latest[block[worst]]))[0]
    early, late = int(positions[worst]), int(positions[earlier])
    times = seconds(_returned(item, early), _began(item, late))
    if block[worst] % 2 == 0:
        missing = _element(item, early, int(block[earlier]) // 2)
        summary = (
            f"{_by(item, early)} showed {missing} and returned at {times[0]}, but {_by(item, late)}, which began at "
            f"{times[1]}, did not show it"
        )
        return Finding("stale read", summary, (early, late))
    lost = block[worst] == 2 * len(longest) + 1
    what = f"{_by(item, early)} had returned at {times[0]}"
    if block[earlier] % 2 == 0:
        summary = f"{_by(item, late)} began at {times[1]}, after {what}, but did not show that element"
        if lost:
            summary += ", and neither did any other read"
        return Finding("lost append" if lost else "stale read", summary, (early, late))
    reader = int(next(read for read in reads if len(read.names) > block[earlier] // 2).at[0])
    shows = "showed only the latter" if lost else "showed the latter first, or alone"
    summary = f"{what}, before {_by(item, late)} began at {times[1]}, but {_by(item, reader)} {shows}"
    return Finding("lost append" if lost else "inconsistent order", summary, (early, reader))


def _element(item: Object, read: int, place: int) -> str:
    value = item.history.columns.values[int(item.answered[read])]
    return show(value[place])


def _by(item: Object, at: int) -> str:
    invocation = item.history.invocation(int(item.rows[at]))
    what = "read" if invocation.f == "read" else f"append of {show(invocation.value)}"
    return f"{what} by {process(item.history, int(item.rows[at]))}"


def _began(item: Object, at: int) -> int:
    return began(item.history, int(item.rows[at]))


def _returned(item: Object, at: int) -> int:
    return returned(item.history, int(item.rows[at]))
