"""What locks and elections on Consul share: a session with a time to live, and an entry that it holds.

The entry stays when the session ends, so that its LockIndex, which counts how often it was locked, goes on.
"""

from __future__ import annotations

import base64

import msgspec

from clusters.consul.calls import Entry, TransactionReply, describe, effect, encode, name_of
from clusters.http import HttpConnection
from harness.errors import Definite, Indefinite, OpError


class Held(Definite):
    """Another one holds the entry, or the session has ended."""


class _Session(msgspec.Struct):
    id: str = msgspec.field(name="ID")


class Holding:
    """A client that holds entries.

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

    async def begin(self, ttl_s: float) -> str:
        """Begin a session; whatever goes wrong is definite: a session that nobody knows holds nothing."""
        wanted = {"TTL": f"{round(ttl_s * 1000)}ms", "LockDelay": "0s", "Checks": [], "NodeChecks": []}
        try:
            reply = await effect(self._connection, "/v1/session/create", encode(wanted))
        except Indefinite as error:
            raise Definite(f"no session: {error.error}") from None
        return msgspec.json.decode(reply.body, type=_Session).id

    async def take(self, space: str, key: str, data: bytes, session: str) -> Entry:
        """Lock an entry with a session, and set its value.

        Raises:
            Held: the transaction was refused as a whole.
        """
        value = base64.b64encode(data).decode()
        lock = {"Verb": "lock", "Key": name_of(space, key), "Value": value, "Session": session}
        reply = await effect(self._connection, "/v1/txn", encode([{"KV": lock}]), also=(409,))
        if reply.status == 409:
            raise Held(describe(reply))
        (result,) = msgspec.json.decode(reply.body, type=TransactionReply).results
        return result.entry

    async def prolong(self, session: str) -> bool:
        """Renew a session; False: it has ended."""
        reply = await effect(self._connection, f"/v1/session/renew/{session}", also=(404,))
        return reply.status == 200

    async def give_back(self, space: str, key: str, session: str) -> bool:
        """Unlock an entry, and end the session; False: it did not hold the entry any more."""
        unlock = {"Verb": "unlock", "Key": name_of(space, key), "Value": "", "Session": session}
        reply = await effect(self._connection, "/v1/txn", encode([{"KV": unlock}]), also=(409,))
        await self.end(session)
        return reply.status == 200

    async def end(self, session: str) -> None:
        """End a session that holds nothing any more; where that fails its time ends it."""
        try:
            await effect(self._connection, f"/v1/session/destroy/{session}")
        except OpError:
            return
