"""Which checker decides for a model's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from checkers.append import Append
from checkers.counter import Counter, CounterBounds
from checkers.fifo_queue import FifoQueue
from checkers.grow_set import GrowingSet
from checkers.mutex import Mutex
from checkers.owner_mutex import FencedMutex, OwnerMutex
from checkers.unique_ids import UniqueIds
from harness.protocols import Checker

NEAR_LINEAR: Final[Mapping[str, Callable[..., Checker]]] = {
    "mutex": lambda **_: Mutex(),
    "owner-mutex": OwnerMutex,
    "fenced-mutex": FencedMutex,
    "set": lambda **_: GrowingSet(),
    "append": Append,
    "fifo-queue": FifoQueue,
    "unique-ids": lambda **_: UniqueIds(),
    "growing-ids": lambda **_: UniqueIds(growing=True),
    "counter": Counter,
    "counter-bounds": lambda **_: CounterBounds(),
}
"""Checkers that need no search, or hardly ever; what they are given are limits of the search."""
