"""Facet "leases" on ZooKeeper: a lease is a session, and its keys are the ephemeral nodes of that session."""

from __future__ import annotations

from typing import Any

from kazoo.protocol.serialization import Create, Delete, Transaction
from kazoo.security import OPEN_ACL_UNSAFE

from clusters.zookeeper.connection import Refused
from clusters.zookeeper.lock import EPHEMERAL, Holding
from clusters.zookeeper.node_client import BARRIER, decode, encode, path_of
from clusters.zookeeper.outcomes import NODE_EXISTS
from harness.errors import Definite, Indefinite
from harness.facets import Lease


class ZooKeeperLeases(Holding):
    """Leases by way of one node; a lease's id has all that a client needs to take its session up."""

    async def grant(self, ttl_s: float) -> Lease:
        """Begin a session; one whose reply is lost has no key, and nobody ever will tie one to it."""
        session, _ = await self._sessions.begin(ttl_s)
        return Lease(session, ttl_s)

    async def keep_alive(self, lease: Any) -> bool:
        """Take the session up at this node."""
        return await self._sessions.renew(lease, lease["ttl_s"])

    async def revoke(self, lease: Any) -> bool:
        """End the session."""
        return await self._sessions.end(lease)

    async def attach(self, key: str, value: Any, lease: Any) -> None:
        """Create the key's node in the session; where there is one, it is replaced in one transaction."""
        connection = await self._sessions.connection(lease)
        if connection is None:
            raise Definite("the lease has ended")
        path = _path(key)
        create = Create(path, encode(value), OPEN_ACL_UNSAFE, EPHEMERAL)
        try:
            await connection.call(create)
        except Refused as refused:
            if refused.code != NODE_EXISTS:
                raise
            replies = await connection.call(Transaction([Delete(path, -1), create]))
            if replies != [True, path]:
                raise Indefinite(f"the key's node was not replaced: {replies}") from None

    async def read(self, key: str) -> Any:
        """Return the value, by a read that a majority stands behind."""
        found = await self.get(_path(key), BARRIER)
        return None if found is None else decode(found[0])


def _path(key: str) -> str:
    return path_of(key, "leased-")
