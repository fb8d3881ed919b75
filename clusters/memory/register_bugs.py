"""Bugs of the replicated register: each must be found by the harness."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from random import Random
from typing import Any

from clusters.memory.node import MemoryNode
from clusters.memory.replicas import Replica, Replicas
from harness.errors import Definite
from harness.op import freeze

LAG_WRITES = 8
"""By how many writes the followers' copies lag under the bug stale-reads."""

MISHAP = 0.02
"""How often a write goes wrong under the bugs lost-writes and dirty-reads."""


class StaleReads(Replicas):
    """Followers serve reads from a copy that lags by a few writes."""

    def __init__(self, nodes: Sequence[MemoryNode], random: Random) -> None:
        super().__init__(nodes, random)
        self._replaced: deque[tuple[Any, Any]] = deque(maxlen=LAG_WRITES)

    def read(self, replica: Replica, key: Any) -> Any:
        if replica.role != "leader":
            for written, before in self._replaced:
                if written == key:
                    return before
        return super().read(replica, key)

    def write(self, replica: Replica, key: Any, value: Any) -> None:
        self._replaced.append((key, super().read(replica, key)))
        super().write(replica, key, value)


class LostWrites(Replicas):
    """Now and then an acknowledged write is not kept."""

    def write(self, replica: Replica, key: Any, value: Any) -> None:
        if self.random.random() >= MISHAP:
            super().write(replica, key, value)


class SplitBrain(Replicas):
    """Every side of a partition goes on serving, and one side's writes are dropped after."""

    def __init__(self, nodes: Sequence[MemoryNode], random: Random) -> None:
        super().__init__(nodes, random)
        self.quorum = 1


class DirtyReads(Replicas):
    """Readers see writes that were refused, until the next one."""

    def __init__(self, nodes: Sequence[MemoryNode], random: Random) -> None:
        super().__init__(nodes, random)
        self._refused: dict[Any, Any] = {}

    def read(self, replica: Replica, key: Any) -> Any:
        return self._refused[key] if key in self._refused else super().read(replica, key)

    def write(self, replica: Replica, key: Any, value: Any) -> None:
        if self.random.random() < MISHAP:
            self._refused[key] = value
            raise Definite("refused")
        self._refused.pop(key, None)
        super().write(replica, key, value)


class NonAtomicCas(Replicas):
    """A cas compares and sets in two steps."""

    def cas(self, replica: Replica, key: Any, old: Any, new: Any) -> None:
        value = replica.data.get(key)
        if freeze(value) != freeze(old):
            raise Definite("the value is another", observed=value)
        asyncio.get_running_loop().call_soon(self._set_late, replica, key, new)

    def _set_late(self, replica: Replica, key: Any, new: Any) -> None:
        if replica.group is not None:
            self.write(replica, key, new)


REGISTER_BUGS = {
    "stale-reads": StaleReads,
    "lost-writes": LostWrites,
    "split-brain": SplitBrain,
    "dirty-reads": DirtyReads,
    "non-atomic-cas": NonAtomicCas,
}
