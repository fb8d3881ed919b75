"""Sets of rows of machine words: what the forward kernel keeps its configurations in."""

from array import array

import cython

_WIDE = cython.declare(cython.ulonglong, 0xFFFFFFFFFFFFFFFF)
_FACTOR = cython.declare(cython.ulonglong, 0x9E3779B97F4A7C15)
_ROOM = 64


@cython.cclass
class Configs:
    """Rows of `stride` words in the order in which they were added; a hash index keeps them different.

    They differ in the first `keyed` words. `merged` tells that a row was not added which differed in a later one.
    Whoever only uses `append` gets a list: such rows are not indexed.
    """

    def __init__(self, stride: cython.int) -> None:
        self.stride = self.keyed = stride
        self.room = _ROOM
        self.words = array("Q", bytes(8 * _ROOM * stride))
        self.mask = 4 * _ROOM - 1
        self.index = array("i", bytes(16 * _ROOM))
        self.stamps = array("i", bytes(16 * _ROOM))
        self.stamp = 1
        self.count = 0
        self.merged = False

    def clear(self):
        """Forget all rows."""
        self.count = 0
        self.merged = False
        self.stamp += 1
        return 1

    def grow(self):
        """Double the room for rows, and index them anew."""
        wider: cython.ulonglong[::1] = array("Q", bytes(16 * self.room * self.stride))
        at: cython.Py_ssize_t
        for at in range(self.count * self.stride):
            wider[at] = self.words[at]
        self.room *= 2
        self.words = wider
        self.mask = 4 * self.room - 1
        self.index = array("i", bytes(16 * self.room))
        self.stamps = array("i", bytes(16 * self.room))
        self.stamp = 1
        row: cython.int
        for row in range(self.count):
            self.place(row)
        return 1

    @cython.locals(base=cython.Py_ssize_t, other=cython.Py_ssize_t, word=cython.int)
    @cython.locals(mixed=cython.ulonglong, at=cython.int, same=cython.bint)
    def place(self, row):
        """Index a row; 1, or 2 where an equal one is there already."""
        base = cython.cast(cython.Py_ssize_t, row) * self.stride
        mixed = 0
        for word in range(self.keyed):
            mixed = ((mixed ^ self.words[base + word]) * _FACTOR) & _WIDE
            mixed = mixed ^ (mixed >> 29)
        at = cython.cast(cython.int, mixed & cython.cast(cython.ulonglong, self.mask))
        while self.stamps[at] == self.stamp:
            other = cython.cast(cython.Py_ssize_t, self.index[at]) * self.stride
            same = True
            for word in range(self.keyed):
                if self.words[base + word] != self.words[other + word]:
                    same = False
                    break
            if same:
                for word in range(self.keyed, self.stride):
                    if self.words[base + word] != self.words[other + word]:
                        self.merged = True
                return 2
            at = (at + 1) & self.mask
        self.stamps[at] = self.stamp
        self.index[at] = row
        return 1

    def add(self, row):
        """Add a row; 1, or 2 where an equal one is there already."""
        self.append(row)
        self.count -= 1
        if self.place(self.count) == 2:
            return 2
        self.count += 1
        return 1

    @cython.locals(base=cython.Py_ssize_t, word=cython.int)
    def append(self, row):
        """Add a row, unindexed."""
        if self.count == self.room:
            with cython.gil:
                self.grow()
        base = cython.cast(cython.Py_ssize_t, self.count) * self.stride
        for word in range(self.stride):
            self.words[base + word] = row[word]
        self.count += 1
        return 1
