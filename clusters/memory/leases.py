"""Facet "leases" of the system `memory`: keys that are there as long as their lease stands, kept in the replicas."""

from __future__ import annotations

import asyncio
from typing import Any, Final, NamedTuple

from clusters.memory.facet import MemoryFacet
from clusters.memory.replicas import Replica, Replicas
from harness.errors import Definite
from harness.facets import Lease

_COUNT: Final = ("lease", "count")


class Standing(NamedTuple):
    """A lease that was granted.

    Attributes:
        ttl_s: its time to live.
        until_s: when it ends, by the clock of the event loop; 0 once it was revoked.
    """

    ttl_s: float
    until_s: float


class Leases:
    """All leases and their keys; every method is one step at one instant, on a replica that is in a group.

    Args:
        replicas: that hold them.
    """

    def __init__(self, replicas: Replicas) -> None:
        self.replicas = replicas

    def now_s(self) -> float:
        """Return the service's time, which is the event loop's."""
        return asyncio.get_running_loop().time()

    def find(self, replica: Replica, lease: int) -> Standing:
        """Return what is known of a lease."""
        found: Standing | None = self.replicas.read(replica, ("lease", lease))
        return found or Standing(0.0, 0.0)

    def keep(self, replica: Replica, lease: int, standing: Standing) -> None:
        """Write down a lease."""
        self.replicas.write(replica, ("lease", lease), standing)

    def stands(self, replica: Replica, lease: int) -> bool:
        """Say whether a lease has not ended."""
        return self.now_s() < self.find(replica, lease).until_s

    def grant(self, replica: Replica, ttl_s: float) -> Lease:
        """Make a lease."""
        number = (self.replicas.read(replica, _COUNT) or 0) + 1
        self.replicas.write(replica, _COUNT, number)
        self.keep(replica, number, Standing(ttl_s, self.now_s() + ttl_s))
        return Lease(number, ttl_s)

    def keep_alive(self, replica: Replica, lease: int) -> bool:
        """Let a lease that stands live for its whole time again."""
        if not self.stands(replica, lease):
            return False
        ttl_s = self.find(replica, lease).ttl_s
        self.keep(replica, lease, Standing(ttl_s, self.now_s() + ttl_s))
        return True

    def revoke(self, replica: Replica, lease: int) -> bool:
        """End a lease that stands."""
        if not self.stands(replica, lease):
            return False
        self.keep(replica, lease, Standing(0.0, 0.0))
        return True

    def attach(self, replica: Replica, key: str, value: Any, lease: int) -> None:
        """Set a key that is there as long as the lease stands.

        Raises:
            Definite: it does not.
        """
        if not self.stands(replica, lease):
            raise Definite("the lease has ended")
        self.replicas.write(replica, ("lease", "key", key), (value, lease))

    def read(self, replica: Replica, key: str) -> Any:
        """Return the value, None where the key's lease has ended."""
        value, lease = self.replicas.read(replica, ("lease", "key", key)) or (None, 0)
        return value if self.stands(replica, lease) else None


class MemoryLeases(MemoryFacet):
    """Leases, by way of one node.

    Args:
        leases: of the system.
        replica: the node's.
    """

    def __init__(self, leases: Leases, replica: Replica) -> None:
        super().__init__(replica)
        self._leases = leases

    async def grant(self, ttl_s: float) -> Lease:
        return await self._at_once(lambda: self._leases.grant(self._replica, ttl_s))

    async def keep_alive(self, lease: Any) -> bool:
        return await self._at_once(lambda: self._leases.keep_alive(self._replica, lease))

    async def revoke(self, lease: Any) -> bool:
        return await self._at_once(lambda: self._leases.revoke(self._replica, lease))

    async def attach(self, key: str, value: Any, lease: Any) -> None:
        await self._at_once(lambda: self._leases.attach(self._replica, key, value, lease))

    async def read(self, key: str) -> Any:
        return await self._at_once(lambda: self._leases.read(self._replica, key))
