"""When each member came and went, and when each list was true, as narrow as the history says; and where that is never.

Places are rows of events. A member comes once and goes once, for whoever comes again has another id. Each list was
true at one moment, which lies between two bounds; so do the coming and the going of each member. A list that shows a
member was true after it came and before it went. One that does not was true before it came or after it went, and where
one of these is impossible it was the other. Every such conclusion narrows a bound, and has its reason: the operations
that it follows from. Where no moment is left for a list, the reasons of its two bounds prove that together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Bound = Literal["itself", "shown", "not shown", "same node"]

FOREVER: Final = 1 << 60
"""The place of what never happens; that of an event is its row in History.events."""

ROUNDS_MAX: Final = 50
"""Narrowing may end at any time: what was concluded so far is true."""


class Why(NamedTuple):
    """Why a bound is where it is.

    Attributes:
        bound: the list's own invocation or completion; that a member is shown, or is not; another list of its node.
        id: number of that member; None for "itself".
        rows: of the operations that it follows from, in History.columns.
    """

    bound: Bound
    id: int | None
    rows: frozenset[int]


ITSELF: Final = Why("itself", None, frozenset())


@dataclass(slots=True)
class Moment:
    """When something happened: after `low` and before `high`, with the operations that say so."""

    low: int
    high: int
    low_rows: frozenset[int] = frozenset()
    high_rows: frozenset[int] = frozenset()


@dataclass(slots=True)
class Life:
    """When a member came, and when it went."""

    id: int
    came: Moment
    went: Moment


class Impossible(NamedTuple):
    """A list that was true at no moment: its place among the looks, and the reasons of its two bounds."""

    look: int
    low: Why
    high: Why


def _first(which: NDArray[np.bool_], ret: NDArray[np.int64]) -> int | None:
    """Return which of these lists was complete first."""
    return int(np.argmin(np.where(which, ret, FOREVER + 1))) if which.any() else None


class Looks:
    """Lists that were shown, and the bounds of their moments.

    Args:
        rows: int64[n], of the operations, in History.columns.
        low, high: int64[n], places of their moments' first bounds.
        shown: int64[n], numbers of the lists.
        lists: bool[ids, lists], who is in which.
        nodes: for each node whose own lists go back never, the places of these in `rows`, with their invocations and
            completions.
    """

    def __init__(
        self,
        rows: NDArray[np.int64],
        low: NDArray[np.int64],
        high: NDArray[np.int64],
        shown: NDArray[np.int64],
        lists: NDArray[np.bool_],
        nodes: Sequence[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]],
    ) -> None:
        self._rows, self._shown, self._lists, self._nodes = rows, shown, lists, nodes
        self._itself = (low, high)
        self._low, self._high = low.copy(), high.copy()
        self._whys = [ITSELF]
        self._low_why, self._high_why = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
        self._narrowed = False

    def narrow(self, lives: Sequence[Life]) -> Impossible | None:
        """Narrow all bounds, those of the lives too, until nothing follows any more; return the first list without one.

        Args:
            lives: of the members that are to be considered; changed.
        """
        for _ in range(ROUNDS_MAX):
            self._narrowed = False
            for life in lives:
                self._hold(life)
                if found := self._impossible():
                    return found
                self._shows(life)
                self._lacks(life)
                for node in self._nodes:
                    self._went_from(life, *node)
            for node in self._nodes:
                self._in_order(*node)
            if found := self._impossible():
                return found
            if not self._narrowed:
                return None
        return None

    def _hold(self, life: Life) -> None:
        """A list that shows a member was true between its coming and its going."""
        shows = self._lists[life.id][self._shown]
        self._after(shows, life.came.low, Why("shown", life.id, life.came.low_rows))
        self._before(shows, life.went.high, Why("shown", life.id, life.went.high_rows))

    def _shows(self, life: Life) -> None:
        """So a member came before the lists that show it, and went after them."""
        shows = self._lists[life.id][self._shown]
        if shows.any():
            self._came_before(life.came, shows)
            self._came_after(life.went, shows)

    def _lacks(self, life: Life) -> None:
        """A list that does not show it was true before its coming, or after its going."""
        lacks = ~self._lists[life.id][self._shown]
        gone = lacks & (self._low >= life.came.high)
        if gone.any():
            why = Why("not shown", life.id, life.came.high_rows | life.went.low_rows)
            self._after(gone, life.went.low, why, with_low=True)
            self._came_before(life.went, gone, life.came.high_rows, with_low=True)
        early = lacks & (self._high <= life.went.low)
        if early.any():
            why = Why("not shown", life.id, life.went.low_rows | life.came.high_rows)
            self._before(early, life.came.high, why, with_high=True)
            self._came_after(life.came, early, life.went.low_rows, with_high=True)

    def _went_from(
        self, life: Life, looks: NDArray[np.int64], invoke: NDArray[np.int64], ret: NDArray[np.int64]
    ) -> None:
        """Who was on a node's own list, and is there no more, has gone: it is on no later one, and it went before that.

        That holds wherever these lists' moments are, which bounds alone do not say of lists that may be of the past.
        """
        shows = self._lists[life.id][self._shown[looks]]
        first = _first(shows, ret)
        if first is None or shows.all():
            return
        gone = ~shows & (invoke > ret[first])
        if not gone.any():
            return
        which = np.zeros(len(self._rows), np.bool_)
        which[looks[gone]] = True
        rows = frozenset((int(self._rows[looks[first]]),))
        self._after(which, life.went.low, Why("same node", life.id, rows | life.went.low_rows))
        self._came_before(life.went, which, rows)
        end = _first(gone, ret)
        again = shows & (invoke > ret[end])
        if again.any():
            which[:] = False
            which[looks[again]] = True
            self._after(which, FOREVER, Why("same node", life.id, rows | {int(self._rows[looks[end]])}))

    def _in_order(self, looks: NDArray[np.int64], invoke: NDArray[np.int64], ret: NDArray[np.int64]) -> None:
        """A node's own list was true no earlier than one that it had shown before."""
        order = np.argsort(ret)
        low = self._low[looks][order]
        running = np.maximum.accumulate(low)
        newest = np.maximum.accumulate(np.where(low == running, np.arange(len(low)), 0))
        before = np.searchsorted(ret[order], invoke) - 1
        sources = looks[order[newest[np.maximum(before, 0)]]]
        for at in np.flatnonzero((before >= 0) & (self._low[sources] > self._low[looks])).tolist():
            why = self._reason(self._low_why, int(sources[at]))
            self._low_why[looks[at]] = self._add(why._replace(bound="same node"))
            self._low[looks[at]] = self._low[sources[at]]
            self._narrowed = True

    def _after(self, which: NDArray[np.bool_], low: int, why: Why, *, with_low: bool = False) -> None:
        """These lists were true after `low`; `with_low`: that follows from their own lower bounds, too."""
        which = which & (self._low < low)
        for at, number in self._reasons(which, why, self._low_why if with_low else None):
            self._low_why[at] = number
        self._low[which] = low

    def _before(self, which: NDArray[np.bool_], high: int, why: Why, *, with_high: bool = False) -> None:
        which = which & (self._high > high)
        for at, number in self._reasons(which, why, self._high_why if with_high else None):
            self._high_why[at] = number
        self._high[which] = high

    def _reasons(self, which: NDArray[np.bool_], why: Why, also: NDArray[np.int64] | None) -> Iterator[tuple[Any, int]]:
        """Yield which lists have which reason now: `why`, and each one's own of `also`."""
        if not which.any():
            return
        self._narrowed = True
        if also is None:
            yield which, self._add(why)
            return
        own = also.copy()
        for number in np.unique(own[which]).tolist():
            yield which & (own == number), self._add(why._replace(rows=why.rows | self._whys[number].rows))

    def _came_before(
        self, moment: Moment, which: NDArray[np.bool_], rows: frozenset[int] = frozenset(), *, with_low: bool = False
    ) -> None:
        """What came was there by the earliest of these lists' upper bounds."""
        at = int(np.argmin(np.where(which, self._high, np.iinfo(np.int64).max)))
        if self._high[at] < moment.high:
            also = self._reason(self._low_why, at).rows if with_low else frozenset()
            moment.high, moment.high_rows = int(self._high[at]), self._reason(self._high_why, at).rows | rows | also
            self._narrowed = True

    def _came_after(
        self, moment: Moment, which: NDArray[np.bool_], rows: frozenset[int] = frozenset(), *, with_high: bool = False
    ) -> None:
        """It was not yet there at the latest of their lower bounds."""
        at = int(np.argmax(np.where(which, self._low, np.iinfo(np.int64).min)))
        if self._low[at] > moment.low:
            also = self._reason(self._high_why, at).rows if with_high else frozenset()
            moment.low, moment.low_rows = int(self._low[at]), self._reason(self._low_why, at).rows | rows | also
            self._narrowed = True

    def _reason(self, whys: NDArray[np.int64], at: int) -> Why:
        """Return the reason of a bound of one list, with that list itself."""
        why = self._whys[int(whys[at])]
        return why._replace(rows=why.rows | {int(self._rows[at])})

    def _add(self, why: Why) -> int:
        self._whys.append(why)
        return len(self._whys) - 1

    def _impossible(self) -> Impossible | None:
        never = np.flatnonzero(self._low >= self._high)
        if not len(never):
            return None
        at = int(never[np.argmin(self._rows[never])])
        low, high = self._reason(self._low_why, at), self._reason(self._high_why, at)
        itself = ITSELF._replace(rows=frozenset((int(self._rows[at]),)))
        if self._itself[0][at] >= self._high[at]:  # one reason is enough
            low = itself
        elif self._low[at] >= self._itself[1][at]:
            high = itself
        return Impossible(at, low, high)
