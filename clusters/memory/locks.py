"""Facet "lock" of the system `memory`: locks with a time to live and fencing tokens, kept in the replicas."""

from __future__ import annotations

import asyncio
from typing import Any, Final, NamedTuple

from clusters.memory.facet import MemoryFacet
from clusters.memory.replicas import Replica, Replicas
from harness.errors import Definite
from harness.facets import Grant

POLL_S: Final = 0.01
"""How often a waiting acquire looks again."""


class Held(NamedTuple):
    """The last grant of a lock.

    Attributes:
        token: of that grant.
        until_s: when it ends, by the clock of the event loop; 0 once it was released.
    """

    token: int = 0
    until_s: float = 0.0


class Locks:
    """All locks; every method is one step at one instant, on a replica that is in a group.

    Time is the event loop's, so that who brings a loop with a clock of its own brings the service's clock, too.

    Args:
        replicas: that hold the locks.
    """

    def __init__(self, replicas: Replicas) -> None:
        self.replicas = replicas

    def now_s(self) -> float:
        """Return the service's time."""
        return asyncio.get_running_loop().time()

    def last(self, replica: Replica, key: str) -> Held:
        """Return the last grant of a lock, which may have ended."""
        found: Held | None = self.replicas.read(replica, ("lock", key))
        return found or Held()

    def keep(self, replica: Replica, key: str, held: Held) -> None:
        """Write down the last grant of a lock."""
        self.replicas.write(replica, ("lock", key), held)

    def stands(self, replica: Replica, grant: Grant) -> bool:
        """Say whether this grant is the last one of its lock, and has not ended."""
        last = self.last(replica, grant.key)
        return last.token == grant.token and self.now_s() < last.until_s

    def take(self, replica: Replica, key: str, ttl_s: float) -> Grant:
        """Grant the lock where no grant of it stands.

        Raises:
            Definite: one does; `observed` tells its token.
        """
        last = self.last(replica, key)
        if self.now_s() < last.until_s:
            raise Definite("another one holds it", observed={"token": last.token})
        return self.grant(replica, key, last.token + 1, ttl_s)

    def grant(self, replica: Replica, key: str, token: int, ttl_s: float) -> Grant:
        """Grant the lock, whoever holds it."""
        self.keep(replica, key, Held(token, self.now_s() + ttl_s))
        return Grant(key=key, id=token, token=token)

    def extend(self, replica: Replica, grant: Grant, ttl_s: float) -> bool:
        """Let a grant that stands live for its whole time again."""
        if not self.stands(replica, grant):
            return False
        self.keep(replica, grant.key, Held(self.last(replica, grant.key).token, self.now_s() + ttl_s))
        return True

    def release(self, replica: Replica, grant: Grant) -> bool:
        """End a grant that stands."""
        if not self.stands(replica, grant):
            return False
        self.keep(replica, grant.key, Held(self.last(replica, grant.key).token))
        return True

    def is_held(self, replica: Replica, grant: Grant) -> bool:
        """Answer whether a grant stands."""
        return self.stands(replica, grant)


class MemoryLock(MemoryFacet):
    """Locks, by way of one node.

    Args:
        locks: of the system.
        replica: the node's.
    """

    def __init__(self, locks: Locks, replica: Replica) -> None:
        super().__init__(replica)
        self._locks = locks

    async def acquire(self, key: str, ttl_s: float) -> Grant:
        while True:
            try:
                return await self.try_acquire(key, ttl_s)
            except Definite as refusal:
                if not _held(refusal):
                    raise
            await asyncio.sleep(POLL_S)

    async def try_acquire(self, key: str, ttl_s: float) -> Grant:
        return await self._at_once(lambda: self._locks.take(self._replica, key, ttl_s))

    async def extend(self, grant: Grant, ttl_s: float) -> bool:
        return await self._at_once(lambda: self._locks.extend(self._replica, grant, ttl_s))

    async def release(self, grant: Grant) -> bool:
        return await self._at_once(lambda: self._locks.release(self._replica, grant))

    async def is_held(self, grant: Grant) -> bool:
        return await self._at_once(lambda: self._locks.is_held(self._replica, grant))


def _held(refusal: Definite) -> bool:
    observed: Any = refusal.observed
    return isinstance(observed, dict)
