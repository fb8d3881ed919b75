"""What watches delivered, as columns: one row a change, and one *place* for each key at a revision.

There may be twenty times as many deliveries as operations, since every watch of a prefix delivers every change. So
whatever looks at each of them is done on columns, and says only which watches deserve a second look.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.int64]

_ROOM = 1 << 62
_TABLE = 4
"""A table may have so many times as many places as there are deliveries."""


@dataclass(frozen=True)
class Flat:
    """The changes of all watches, in the order of the watches, and of each in the order of their arrival.

    Attributes:
        counts: int64[watches], how many changes each delivered; each one at least.
        watch: int64[n], whose change it is.
        revision, key, name: int64[n], the change; `key` is the place of its key in `keys`, `name` its value's number.
        keys: in their order; there may be some that were never delivered.
    """

    counts: Column
    watch: Column
    revision: Column
    key: Column
    name: Column
    keys: Sequence[str]

    @classmethod
    def of(
        cls, counts: Sequence[int], keys: Sequence[str], columns: Sequence[Column], name: Column | Sequence[int]
    ) -> Flat:
        """Join what was taken apart.

        Args:
            counts: how many changes each watch delivered.
            keys: by their numbers.
            columns: revision, and number of the key, of each change.
            name: number of its value.
        """
        revision, key = columns or (np.empty(0, np.int64), np.empty(0, np.int64))
        ordered = sorted(range(len(keys)), key=keys.__getitem__)
        rank = np.empty(len(keys), np.int64)
        rank[ordered] = np.arange(len(keys))
        each = np.array(counts, np.int64)
        watch = np.repeat(np.arange(len(each)), each)
        return cls(each, watch, revision, rank[key], np.asarray(name, np.int64), [keys[at] for at in ordered])

    @cached_property
    def begins(self) -> Column:
        """Where the changes of each watch begin."""
        return np.cumsum(self.counts) - self.counts

    def spread(self, of_watches: Column | Sequence[int]) -> Column:
        """Return for each delivery what is given for its watch."""
        return np.repeat(np.asarray(of_watches, np.int64), self.counts)

    def keys_of(self, prefix: str) -> tuple[int, int]:
        """Return where the keys with this prefix begin and end in `keys`."""
        begin = bisect_left(self.keys, prefix)
        return begin, bisect_left(self.keys, True, begin, key=lambda key: not key.startswith(prefix))

    @cached_property
    def oldest(self) -> Column:
        """The least revision of each watch."""
        return np.minimum.reduceat(self.revision, self.begins) if len(self.counts) else self.counts

    @cached_property
    def newest(self) -> Column:
        """The greatest revision of each watch."""
        return np.maximum.reduceat(self.revision, self.begins) if len(self.counts) else self.counts

    @cached_property
    def disordered(self) -> Column:
        """The watches of which some change does not come after the one before it."""
        wrong = self.code[1:] <= self.code[:-1]
        wrong[self.begins[1:] - 1] = False
        return np.unique(self.watch[1:][wrong])

    def outside(self, begins: Column, ends: Column) -> Column:
        """Return the watches that delivered a key outside of a range of `keys`, which is given for each watch."""
        if not len(self.counts):
            return self.counts
        least, greatest = (each.reduceat(self.key, self.begins) for each in (np.minimum, np.maximum))
        return np.flatnonzero((least < begins) | (greatest >= ends))

    def count(self, chosen: NDArray[np.bool_]) -> Column:
        """Return how many deliveries of each watch are chosen."""
        sums = np.concatenate(([0], np.cumsum(chosen)))
        found: Column = sums[self.begins + self.counts] - sums[self.begins]
        return found

    @cached_property
    def firsts(self) -> Column:
        """The number of the first delivery of each place, in the order of revisions and keys."""
        return self._grouped[0]

    @cached_property
    def place(self) -> Column:
        """The place of each delivery: which of `firsts` is of the same key at the same revision."""
        return self._grouped[1]

    @cached_property
    def code(self) -> Column:
        """A number for each delivery, in the order of revisions and keys; equal ones have the same place."""
        if not len(self.counts):
            return self.revision
        low, high = int(self.oldest.min()), int(self.newest.max())
        if (high - low + 1) * len(self.keys) < _ROOM:
            return (self.revision - low) * len(self.keys) + self.key
        rank = np.unique(self.revision, return_inverse=True)[1]
        return rank * len(self.keys) + self.key

    @cached_property
    def _grouped(self) -> tuple[Column, Column]:
        """`firsts` and `place`: by a table of all codes where these are dense, for that takes no sorting."""
        if len(self.code) and self.code.min() >= 0 and self.code.max() < _TABLE * len(self.code):
            first = np.full(self.code.max() + 1, -1)
            first[self.code[::-1]] = np.arange(len(self.code))[::-1]  # of equal ones the last that is put there stays
            there = first >= 0
            return first[there], (np.cumsum(there) - 1)[self.code]
        order = np.argsort(self.code, kind="stable")
        code = self.code[order]
        new = np.ones(len(order), bool)
        new[1:] = code[1:] != code[:-1]
        place = np.empty(len(order), np.int64)
        place[order] = np.cumsum(new) - 1
        return order[new], place  # the order is stable: the first one of a place was delivered first
