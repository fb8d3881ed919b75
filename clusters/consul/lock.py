"""Facet "lock" on Consul: a session with a time to live, and an entry that it holds.

The fencing token is the entry's LockIndex, which counts how often it was locked; the transaction that locks returns
it. The entry stays when the session ends, so that the count goes on.

Consul promises to keep a session at least for its time to live after its creation or last renewal, and ends it after
at most twice that time. The session is tied to nothing else: by default it would end too when the node's gossip fails.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from clusters.consul.calls import TransactionReply, describe, effect, encode, get_entry, name_of, path_of
from clusters.http import HttpConnection
from harness.errors import Definite, Indefinite, OpError
from harness.facets import Grant

RETRY_S: Final = 0.05
_SPACE: Final = "lock"


class _Session(msgspec.Struct):
    id: str = msgspec.field(name="ID")


class ConsulLock:
    """Facet "lock" on one Consul server. A grant's id is its session, and what it lives.

    Args:
        address: "ip:port" of the node's HTTP port.
    """

    def __init__(self, address: str) -> None:
        self._connection = HttpConnection(address)

    async def open(self) -> None:
        """Connect.

        Raises:
            OSError: no connection in time.
        """
        await self._connection.open()

    async def close(self) -> None:
        """Disconnect; sessions live on until their time is over."""
        await self._connection.close()

    async def acquire(self, key: str, ttl_s: float) -> Grant:
        """Try until the lock is granted; the session is kept alive by nothing meanwhile, so it is made anew."""
        while True:
            try:
                return await self.try_acquire(key, ttl_s)
            except _Held:
                await asyncio.sleep(RETRY_S)

    async def try_acquire(self, key: str, ttl_s: float) -> Grant:
        """Begin a session, and take the lock with it if it is free."""
        session = await self._begin(ttl_s)
        entry = {"Verb": "lock", "Key": name_of(_SPACE, key), "Value": "", "Session": session}
        reply = await effect(self._connection, "/v1/txn", encode([{"KV": entry}]), also=(409,))
        if reply.status == 409:
            await self._end(session)
            raise _Held(describe(reply))
        (result,) = msgspec.json.decode(reply.body, type=TransactionReply).results
        return Grant(key, {"session": session, "ttl_s": ttl_s}, result.entry.lock_index)

    async def extend(self, grant: Grant, ttl_s: float) -> bool:
        """Renew the session."""
        if ttl_s != grant.id["ttl_s"]:
            raise Definite("a session keeps the time to live that it was made with")
        reply = await effect(self._connection, f"/v1/session/renew/{grant.id['session']}", also=(404,))
        return reply.status == 200

    async def release(self, grant: Grant) -> bool:
        """Unlock the entry, and end the session."""
        session = grant.id["session"]
        entry = {"Verb": "unlock", "Key": name_of(_SPACE, grant.key), "Value": "", "Session": session}
        reply = await effect(self._connection, "/v1/txn", encode([{"KV": entry}]), also=(409,))
        await self._end(session)
        return reply.status == 200

    async def is_held(self, grant: Grant) -> bool:
        """Ask, by a consistent read, whether the session still holds the entry."""
        entry = await get_entry(self._connection, path_of(_SPACE, grant.key), "consistent")
        return entry is not None and entry.session == grant.id["session"] and entry.lock_index == grant.token

    async def _begin(self, ttl_s: float) -> str:
        """Begin a session; whatever goes wrong, it locks nothing, so that the grant certainly did not happen."""
        wanted = {"TTL": f"{round(ttl_s * 1000)}ms", "LockDelay": "0s", "Checks": [], "NodeChecks": []}
        try:
            reply = await effect(self._connection, "/v1/session/create", encode(wanted))
        except Indefinite as error:
            raise Definite(f"no session: {error.error}") from None
        return msgspec.json.decode(reply.body, type=_Session).id

    async def _end(self, session: str) -> None:
        """End a session that holds nothing any more; where that fails its time ends it."""
        try:
            await effect(self._connection, f"/v1/session/destroy/{session}")
        except OpError:
            return


class _Held(Definite):
    """Another one holds the lock."""
