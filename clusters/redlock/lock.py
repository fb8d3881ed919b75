"""Facet "lock" by the algorithm Redlock: a key on most of several independent Redis servers.

It is safe only while servers keep what they granted and clocks run alike. Here the servers keep nothing over a restart,
as the algorithm's own text warns of: a lock that was granted by three of five is granted a second time when one of the
three has been restarted. There is no fencing token.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from typing import Any, Final

from clusters.redis.connection import Connection
from clusters.redis.locks import EXTEND, RELEASE, Held, insist, milliseconds, name_of
from harness.errors import Definite, Indefinite, OpError
from harness.facets import Grant

SERVER_TIMEOUT_S: Final = 0.1
DRIFT_RATIO: Final = 0.01
DRIFT_MIN_S: Final = 0.002


class RedlockLock:
    """Facet "lock" on all servers at once: a client of Redlock belongs to no node.

    Args:
        servers: (ip, port) of each.
    """

    def __init__(self, servers: Sequence[tuple[str, int]]) -> None:
        self._connections = [Connection(host, port) for host, port in servers]
        self._majority = len(servers) // 2 + 1

    async def open(self) -> None:
        """Connect to the servers.

        Raises:
            OSError: no connection to a majority of them in time.
        """
        opened = await asyncio.gather(*(each.open() for each in self._connections), return_exceptions=True)
        failed = [error for error in opened if error is not None]
        if len(opened) - len(failed) < self._majority:
            raise ConnectionError(f"no connection to a majority: {failed[0]}")

    async def close(self) -> None:
        """Disconnect; keys live on until their time is over."""
        await asyncio.gather(*(each.close() for each in self._connections))

    async def acquire(self, key: str, ttl_s: float) -> Grant:
        """Try until the lock is granted."""
        return await insist(self.try_acquire, key, ttl_s)

    async def try_acquire(self, key: str, ttl_s: float) -> Grant:
        """Set the key on every server; a majority grants it, with time left. Else it is taken back, and not granted."""
        number, started = secrets.token_hex(8), time.monotonic()
        replies = await self._ask("SET", name_of(key), number, "NX", "PX", milliseconds(ttl_s))
        granted = sum(reply == b"OK" for reply in replies)
        left_s = ttl_s * (1 - DRIFT_RATIO) - DRIFT_MIN_S - (time.monotonic() - started)
        if granted >= self._majority and left_s > 0:
            return Grant(key, number)
        await self._ask("EVAL", RELEASE, 1, name_of(key), number)
        raise Held(f"{granted} of {len(replies)} granted it")

    async def extend(self, grant: Grant, ttl_s: float) -> bool:
        """Give the key a new time to live, where it is still this grant's."""
        started = time.monotonic()
        replies = await self._ask("EVAL", EXTEND, 1, name_of(grant.key), grant.id, milliseconds(ttl_s))
        if time.monotonic() - started >= ttl_s * (1 - DRIFT_RATIO) - DRIFT_MIN_S:
            raise Indefinite("the extension was over before a majority had said so")
        return self._decide(replies)

    async def release(self, grant: Grant) -> bool:
        """Delete the key, where it is still this grant's."""
        return self._decide(await self._ask("EVAL", RELEASE, 1, name_of(grant.key), grant.id))

    async def is_held(self, grant: Grant) -> bool:
        """Ask whether a majority of the servers still has this grant's key."""
        replies = await self._ask("GET", name_of(grant.key))
        try:
            return self._decide([reply if reply is _UNKNOWN else reply == grant.id.encode() for reply in replies])
        except Indefinite as error:
            raise Definite(error.error) from None

    def _decide(self, replies: Sequence[Any]) -> bool:
        """Return what a majority said, yes or no; Indefinite where silent servers could tip it."""
        known = [bool(reply) for reply in replies if reply is not _UNKNOWN]
        if sum(known) >= self._majority:
            return True
        if len(replies) - known.count(False) < self._majority:
            return False
        raise Indefinite(f"{sum(known)} of {len(replies)} said yes, {len(replies) - len(known)} nothing")

    async def _ask(self, *words: str | bytes | int) -> list[Any]:
        """Send a command to every server, once, and return what each replied; _UNKNOWN for a silent one."""
        return await asyncio.gather(*(self._ask_one(connection, words) for connection in self._connections))

    async def _ask_one(self, connection: Connection, words: Sequence[str | bytes | int]) -> Any:
        try:
            async with asyncio.timeout(SERVER_TIMEOUT_S):
                return await connection.command(*words)
        except (OpError, TimeoutError):
            return _UNKNOWN


_UNKNOWN: Final = object()
