"""Facets on ephemeral nodes: locks and leadership, each held by a session of its own.

Whoever creates the node holds it, until the session ends. The fencing token, or term, is the id of the transaction that
created the node, which grows with every change of the whole tree.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from kazoo.protocol.serialization import Create2, Exists
from kazoo.security import OPEN_ACL_UNSAFE

from clusters.observing import change
from clusters.zookeeper.connection import Connection, Refused
from clusters.zookeeper.node_client import BARRIER, OnNode, decode, encode, path_of
from clusters.zookeeper.outcomes import NO_NODE, NODE_EXISTS
from clusters.zookeeper.sessions import Id, Sessions
from harness.errors import Definite, OpError
from harness.facets import ElectionEvent, Grant, Leadership

EPHEMERAL: Final = 1
PINGS_PER_TTL: Final = 3
POLL_S: Final = 0.05


class Held(Definite):
    """Another one holds the node."""


class Holding(OnNode):
    """A client that holds ephemeral nodes."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self._sessions = Sessions(address)

    async def close(self) -> None:
        """Drop the connections; what is held is held until its time is over."""
        self._sessions.drop()
        await super().close()

    async def take(self, path: str, data: bytes, ttl_s: float, *, wait: bool) -> tuple[Id, int]:
        """Create a node in a session of its own; return the session and the creating transaction's id.

        Raises:
            Held: it is there, and we are not to wait.
        """
        session, connection = await self._sessions.begin(ttl_s)
        try:
            while True:
                try:
                    _, stat = await connection.call(Create2(path, data, OPEN_ACL_UNSAFE, EPHEMERAL))
                    return session, stat.czxid
                except Refused as refused:
                    if refused.code != NODE_EXISTS:
                        raise
                    if not wait:
                        raise Held("another one holds it") from None
                await _gone(connection, path, ttl_s / PINGS_PER_TTL)
        except Definite:
            await self._forget(session)
            raise

    async def _forget(self, session: Id) -> None:
        """End a session that holds nothing; where that fails its time ends it."""
        try:
            await self._sessions.end(session)
        except OpError:
            return


async def _gone(connection: Connection, path: str, ping_s: float) -> None:
    """Wait until a node may have gone, and keep the session alive meanwhile: the call that waits is under way.

    Raises:
        Definite: the connection was lost; nothing with an effect was sent.
    """
    try:
        await connection.call(Exists(path, True))
    except Refused as refused:
        if refused.code == NO_NODE:
            return
        raise
    except OpError as error:
        raise Definite(f"lost while it waited: {error.error}") from None
    while True:
        try:
            async with asyncio.timeout(ping_s):
                event = await connection.events.get()
        except TimeoutError:
            try:
                await connection.ping()
            except OpError as error:
                raise Definite(f"lost while it waited: {error.error}") from None
            continue
        if event is None:
            raise Definite(f"lost while it waited: {connection.lost}")
        return


class ZooKeeperLock(Holding):
    """Facet "lock". A grant's id is its session."""

    async def acquire(self, key: str, ttl_s: float) -> Grant:
        """Wait until the lock's node can be created."""
        return Grant(key, *await self.take(path_of(key, "lock-"), b"", ttl_s, wait=True))

    async def try_acquire(self, key: str, ttl_s: float) -> Grant:
        """Create the lock's node, if it is not there."""
        return Grant(key, *await self.take(path_of(key, "lock-"), b"", ttl_s, wait=False))

    async def extend(self, grant: Grant, ttl_s: float) -> bool:
        """Renew the session."""
        return await self._sessions.renew(grant.id, ttl_s)

    async def release(self, grant: Grant) -> bool:
        """End the session."""
        return await self._sessions.end(grant.id)

    async def is_held(self, grant: Grant) -> bool:
        """Ask whether the node is still the one that was created."""
        found = await self.get(path_of(grant.key, "lock-"), BARRIER)
        return found is not None and bool(found[1].czxid == grant.token)


class ZooKeeperElection(Holding):
    """Facet "election": the leader's node holds its name; the term is the id of the transaction that created it."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self._led: dict[tuple[str, int], Id] = {}

    async def campaign(self, election: str, candidate: str, ttl_s: float) -> Leadership:
        """Wait until the leader's node can be created."""
        session, term = await self.take(path_of(election, "election-"), encode(candidate), ttl_s, wait=True)
        self._led[election, term] = session
        return Leadership(candidate, term)

    async def renew(self, election: str, leadership: Leadership) -> bool:
        """Renew the session."""
        session = self._session(election, leadership)
        return await self._sessions.renew(session, session["ttl_s"])

    async def resign(self, election: str, leadership: Leadership) -> bool:
        """End the session."""
        return await self._sessions.end(self._session(election, leadership))

    async def leader(self, election: str) -> Leadership | None:
        """Return who leads, by a read that a majority stands behind."""
        found = await self.get(path_of(election, "election-"), BARRIER)
        return None if found is None else Leadership(decode(found[0]), found[1].czxid)

    async def watch(self, election: str) -> AsyncIterator[ElectionEvent]:
        """Yield who leads now, and every change that is seen; two changes between two looks are seen as one."""
        last: Any = ()
        while True:
            leadership = await self.leader(election)
            if leadership != last:
                yield change(last, leadership)
                last = leadership
            await asyncio.sleep(POLL_S)

    def _session(self, election: str, leadership: Leadership) -> Id:
        try:
            return self._led[election, leadership.term]
        except KeyError:
            raise Definite("this leadership was won by another client") from None
