"""Facet "lock" on Consul: a session with a time to live, and an entry that it holds.

The fencing token is the entry's LockIndex, which counts how often it was locked; the transaction that locks returns
it. The entry stays when the session ends, so that the count goes on.

Consul promises to keep a session at least for its time to live after its creation or last renewal, and ends it after
at most twice that time. The session is tied to nothing else: by default it would end too when the node's gossip fails.
"""

from __future__ import annotations

import asyncio
from typing import Final

from clusters.consul.calls import get_entry, path_of
from clusters.consul.holding import Held, Holding
from harness.errors import Definite
from harness.facets import Grant

RETRY_S: Final = 0.05
_SPACE: Final = "lock"


class ConsulLock(Holding):
    """Facet "lock" on one Consul server. A grant's id is its session, and what it lives."""

    async def acquire(self, key: str, ttl_s: float) -> Grant:
        """Try until the lock is granted; the session is kept alive by nothing meanwhile, so it is made anew."""
        while True:
            try:
                return await self.try_acquire(key, ttl_s)
            except Held:
                await asyncio.sleep(RETRY_S)

    async def try_acquire(self, key: str, ttl_s: float) -> Grant:
        """Begin a session, and take the lock with it if it is free."""
        session = await self.begin(ttl_s)
        try:
            entry = await self.take(_SPACE, key, b"", session)
        except Held:
            await self.end(session)
            raise
        return Grant(key, {"session": session, "ttl_s": ttl_s}, entry.lock_index)

    async def extend(self, grant: Grant, ttl_s: float) -> bool:
        """Renew the session."""
        if ttl_s != grant.id["ttl_s"]:
            raise Definite("a session keeps the time to live that it was made with")
        return await self.prolong(grant.id["session"])

    async def release(self, grant: Grant) -> bool:
        """Unlock the entry, and end the session."""
        return await self.give_back(_SPACE, grant.key, grant.id["session"])

    async def is_held(self, grant: Grant) -> bool:
        """Ask, by a consistent read, whether the session still holds the entry."""
        entry = await get_entry(self._connection, path_of(_SPACE, grant.key), "consistent")
        return entry is not None and entry.session == grant.id["session"] and entry.lock_index == grant.token
