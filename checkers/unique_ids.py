"""The checker of unique ids: none is given twice, and, where they are said to, they grow."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from checkers.near_linear import Finding, Object, Rows, judge, objects
from checkers.words import began, process, returned, seconds, show
from harness.errors import HistoryError
from harness.history import History
from harness.verdict import Verdict

ENGINE: Final = "distinct ids"
FS: Final = ("generate",)


class UniqueIds:
    """No id is given twice; each key is a source of ids.

    Operations: `generate`, whose ok completion has the id (any JSON). One of unknown outcome took an id that nobody
    has seen, so it says nothing.

    Detects: "id given twice"; with `growing`, also "ids went back": an id that is not greater than one that had been
    returned before it was asked for.

    Cannot detect: ids that were given to nobody who recorded them.

    Cost: O(n log n), sorting.

    Why it is sound, and exact. Without `growing` it is the promise itself. With it: a source that gives growing ids
    gives them in the order of their values, and distinct operations in a given order can take place in it iff none
    returned before one that is earlier in the order was invoked.

    Args:
        growing: ids are integers, or strings, and each is greater than all that were given before.
    """

    name = "unique ids"

    def __init__(self, *, growing: bool = False) -> None:
        self._growing = growing

    def check(self, history: History) -> Verdict:
        """Decide every source; report the first anomaly of each.

        Raises:
            UsageError: an operation that is not a generate.
            HistoryError: ids that are said to grow cannot be compared, or the history's events do not pair.
        """
        found = objects(history, FS, "growing-ids" if self._growing else "unique-ids")
        return judge(history, found, self._decide, checker=self.name, engine=ENGINE)

    def _decide(self, item: Object) -> Finding | None:
        at = item.of("generate", certain=True)
        return _twice(item, at) or (_went_back(item, at) if self._growing else None)


def _twice(item: Object, at: Rows) -> Finding | None:
    at = at[np.argsort(item.ret[at])]
    ids = item.answered[at]
    order = np.argsort(ids, kind="stable")
    repeated = order[1:][ids[order[1:]] == ids[order[:-1]]]
    if not len(repeated):
        return None
    second = int(repeated.min())
    first = int(np.flatnonzero(ids == ids[second])[0])
    one, other = (int(item.rows[at[number]]) for number in (first, second))
    times = seconds(returned(item.history, one), returned(item.history, other))
    value = show(_id(item, int(at[first])))
    summary = (
        f"id {value} was given to {process(item.history, one)} (returned at {times[0]}) and again to "
        f"{process(item.history, other)} (returned at {times[1]})"
    )
    return Finding("id given twice", summary, (int(at[first]), int(at[second])))


def _went_back(item: Object, at: Rows) -> Finding | None:
    at = at[np.argsort(_ranks(item, at))]
    latest = np.maximum.accumulate(item.invoke[at])
    bad = np.flatnonzero(item.ret[at] < latest)
    if not len(bad):
        return None
    larger = int(bad[np.argmin(item.ret[at[bad]])])
    smaller = int(np.argmax(item.invoke[at[:larger]]))
    early, late = int(at[larger]), int(at[smaller])
    one, other = int(item.rows[early]), int(item.rows[late])
    times = seconds(returned(item.history, one), began(item.history, other))
    summary = (
        f"id {show(_id(item, early))} was returned to {process(item.history, one)} at {times[0]}, but "
        f"{process(item.history, other)}, which asked at {times[1]}, got {show(_id(item, late))}, which is not greater"
    )
    return Finding("ids went back", summary, (early, late))


def _ranks(item: Object, at: Rows) -> Rows:
    """Return the rank of each id among all."""
    ids: list[Any] = [_id(item, position) for position in at.tolist()]
    kinds = {type(value) for value in ids}
    if len(kinds) > 1 or not kinds <= {int, str}:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        message = f"{item.history.source}: key {item.key!r}: ids that are said to grow are of type {names}"
        raise HistoryError(message, "only integers, or only strings, can be compared; or choose --model unique-ids")
    rank = {value: number for number, value in enumerate(sorted(ids))}
    return np.fromiter((rank[value] for value in ids), np.int64, len(ids))


def _id(item: Object, at: int) -> Any:
    return item.history.columns.values[int(item.answered[at])]
