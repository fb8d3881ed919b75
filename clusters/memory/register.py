"""Facet "register" of the system `memory`, on the replicated register of replicas.py."""

from __future__ import annotations

from typing import Any

from clusters.memory.facet import MemoryFacet, turn
from clusters.memory.replicas import Replica, Replicas
from harness.op import freeze


class MemoryRegister(MemoryFacet):
    """Every operation takes effect at one instant; spelled out, for this path is measured."""

    def __init__(self, replicas: Replicas, replica: Replica) -> None:
        super().__init__(replica)
        self._replicas = replicas

    async def read(self, key: Any) -> Any:
        await turn()
        if self._replica.group is None:
            await self._served()
        value = self._replicas.read(self._replica, _name(key))
        await turn()
        if not self._node.running:
            await self._answered()
        return value

    async def write(self, key: Any, value: Any) -> None:
        await turn()
        if self._replica.group is None:
            await self._served()
        self._replicas.write(self._replica, _name(key), value)
        await turn()
        if not self._node.running:
            await self._answered()

    async def cas(self, key: Any, old: Any, new: Any) -> None:
        await turn()
        if self._replica.group is None:
            await self._served()
        self._replicas.cas(self._replica, _name(key), old, new)
        await turn()
        if not self._node.running:
            await self._answered()


def _name(key: Any) -> Any:
    return key if type(key) in (int, str) else freeze(key)
