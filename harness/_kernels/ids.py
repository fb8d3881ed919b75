"""Numbers for what the lines of a history hold: a hash table of (kind, one, two). Types stand in ids.pxd.

Equal things get one number, and so do only those, but for things of kind OTHER: these are known by their spelling.
"""

from __future__ import annotations

from typing import Any

import cython
import numpy as np

ROOM = 8
"""Ids that one line may need."""

_ROOM = cython.declare(cython.int, ROOM)
_TEXT = cython.declare(cython.int, 4)  # of this kind and the next one the numbers are begin and end in the data
_OTHER = cython.declare(cython.int, 5)
_FACTOR = cython.declare(cython.ulonglong, 0x9E3779B97F4A7C15)
_BASIS = cython.declare(cython.ulonglong, 0xCBF29CE484222325)
_PRIME = cython.declare(cython.ulonglong, 0x100000001B3)
_WIDE = cython.declare(cython.ulonglong, 0xFFFFFFFFFFFFFFFF)


def column(code: str, length: int, fill: int = 0) -> Any:
    """Return an array for the loops: plain Python is faster on lists."""
    return np.full(length, fill, code) if cython.compiled else [fill] * length


@cython.cclass
class Ids:
    """Numbers for what a line holds: a hash table of (kind, one, two)."""

    def __init__(self, data: Any) -> None:
        self.data = data
        self.count = 0
        self._room(1 << 12)

    def _room(self, room: int) -> None:
        self.kinds, self.ones, self.twos = column("b", room), column("q", room), column("q", room)
        self.limit = room
        self.mask = 4 * room - 1
        self.slots = column("i", 4 * room, -1)

    def make_room(self) -> None:
        """Double the room if it is short."""
        if self.count + _ROOM <= self.limit:
            return
        kinds, ones, twos = self.kinds, self.ones, self.twos
        self._room(2 * self.limit)
        self.kinds[: self.count] = kinds[: self.count]
        self.ones[: self.count] = ones[: self.count]
        self.twos[: self.count] = twos[: self.count]
        number: cython.int
        for number in range(self.count):
            self.place(number)

    def place(self, number):
        slot: cython.ulonglong = self.digest(self.kinds[number], self.ones[number], self.twos[number]) & self.mask
        while self.slots[slot] >= 0:
            slot = (slot + 1) & self.mask
        self.slots[slot] = number
        return 1

    def digest(self, kind, one, two):
        mixed: cython.ulonglong
        at: cython.longlong
        if kind in (_TEXT, _OTHER):
            mixed = _BASIS
            for at in range(one, two):
                mixed = ((mixed ^ self.data[at]) * _PRIME) & _WIDE
        else:
            mixed = (cython.cast(cython.ulonglong, one) & _WIDE) ^ ((cython.cast(cython.ulonglong, two) << 32) & _WIDE)
        mixed = ((mixed + kind) * _FACTOR) & _WIDE
        return mixed ^ (mixed >> 29)

    def same(self, number, kind, one, two):
        at: cython.longlong
        begin: cython.longlong = self.ones[number]
        if self.kinds[number] != kind:
            return False
        if kind not in (_TEXT, _OTHER):
            return begin == one and self.twos[number] == two
        if self.twos[number] - begin != two - one:
            return False
        at = one
        while at < two and self.data[begin] == self.data[at]:
            begin += 1
            at += 1
        return at == two

    def find(self, kind, one, two):
        """Return the number of a thing, a new one where it was not seen before."""
        slot: cython.ulonglong = self.digest(kind, one, two) & self.mask
        number: cython.int
        while True:
            number = self.slots[slot]
            if number < 0:
                break
            if self.same(number, kind, one, two):
                return number
            slot = (slot + 1) & self.mask
        number = self.count
        self.count = number + 1
        self.slots[slot] = number
        self.kinds[number] = kind
        self.ones[number] = one
        self.twos[number] = two
        return number
