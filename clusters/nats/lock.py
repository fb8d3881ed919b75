"""Facet "lock" on a key-value bucket of JetStream, whose messages have a time to live each (2.11 and later).

A lock is a message on the key's subject, stored only where the last one is gone, or says that it was released. The
fencing token is its revision, which grows with every message of the bucket. An extension is a message that takes its
place. Whether a grant stands is asked of the stream's leader, who answers without asking others.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Final

from clusters.nats.bucket import subject_of
from clusters.nats.connection import Connection, Refused
from clusters.nats.outcomes import WRONG_LAST_SEQUENCES
from clusters.nats.register import EXPECTED, last_message
from harness.errors import Definite, OpError
from harness.facets import Grant

RETRY_S: Final = 0.05
TTL_MIN_S: Final = 1.0
TTL: Final = "Nats-TTL"
_RELEASED: Final = b""


class Held(Definite):
    """Another one holds the lock."""


class NatsLock:
    """Facet "lock" on one NATS server. A grant's id is random.

    Args:
        address: "ip:port" of the node's client port.
    """

    def __init__(self, address: str) -> None:
        self._connection = Connection(address)

    async def open(self) -> None:
        """Connect.

        Raises:
            OSError: no connection in time.
        """
        await self._connection.open()

    async def close(self) -> None:
        """Disconnect; what is held is held until its time is over."""
        await self._connection.close()

    async def acquire(self, key: str, ttl_s: float) -> Grant:
        """Try until the lock is granted; each try is a request of its own that certainly took nothing."""
        while True:
            try:
                return await self.try_acquire(key, ttl_s)
            except Held:
                await asyncio.sleep(RETRY_S)

    async def try_acquire(self, key: str, ttl_s: float) -> Grant:
        """Store a message where there is none, or one that says that the lock was released."""
        data, revision = await self._read(key)
        if data:
            raise Held("another one holds it")
        number = secrets.token_hex(8)
        try:
            token = await self._store(key, number.encode(), revision, ttl_s)
        except Refused as refused:
            if refused.code in WRONG_LAST_SEQUENCES:
                raise Held("another one was faster") from None
            raise
        return Grant(key, number, token)

    async def extend(self, grant: Grant, ttl_s: float) -> bool:
        """Store the grant anew, in place of its last message."""
        return await self._replace(grant, grant.id.encode(), ttl_s)

    async def release(self, grant: Grant) -> bool:
        """Store a message that says so, in place of the grant's."""
        return await self._replace(grant, _RELEASED, TTL_MIN_S)

    async def is_held(self, grant: Grant) -> bool:
        """Ask whether the key's last message is the grant's."""
        data, _ = await self._read(grant.key)
        return data is not None and bool(data.decode() == grant.id)

    async def _replace(self, grant: Grant, data: bytes, ttl_s: float) -> bool:
        """Store a message in place of the grant's; False: its message is gone, or another's."""
        found, revision = await self._read(grant.key)
        if found is None or found.decode() != grant.id:
            return False
        try:
            await self._store(grant.key, data, revision, ttl_s)
        except Refused as refused:
            if refused.code not in WRONG_LAST_SEQUENCES:
                raise
            return False
        return True

    async def _store(self, key: str, data: bytes, revision: int, ttl_s: float) -> int:
        if ttl_s < TTL_MIN_S:
            raise Definite(f"NATS gives a message at least {TTL_MIN_S:g} s to live, not {ttl_s:g} s")
        headers = {EXPECTED: str(revision), TTL: f"{round(ttl_s * 1000)}ms"}
        return await self._connection.publish(subject_of("lock", key), data, headers)

    async def _read(self, key: str) -> tuple[bytes | None, int]:
        """Return a key's last message and its revision; an error is definite, for a read has no effect."""
        try:
            return await last_message(self._connection, subject_of("lock", key))
        except OpError as error:
            raise Definite(f"only a read was sent: {error.error}") from None
