"""Facets on Redis behind Sentinel: what a client of one node does, who asks its own Sentinel for the master.

Redis promises no linearizability: replication is asynchronous, so what a master acknowledged before it was replaced may
be lost, and for a while there may be two. It is the control that a checker must find out.
"""

from __future__ import annotations

import secrets
from typing import Any, Final

import msgspec

from clusters.redis.connection import Connection
from clusters.redis.locks import EXTEND, RELEASE, Held, insist, milliseconds, name_of
from harness.errors import Definite, Indefinite, OpError
from harness.facets import Grant

MASTER: Final = "kingslayer"

_encode: Final = msgspec.json.Encoder(order="deterministic").encode

_CAS: Final = """
local seen = redis.call('GET', KEYS[1]) or 'null'
if seen == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2]) return {1, seen} end
return {0, seen}
"""


class _OnMaster:
    """A connection to the master that a node's Sentinel names; asked anew whenever there is none.

    Args:
        address: "ip:port" of the node's Sentinel.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._sentinel = Connection(host, int(port))
        self._master: Connection | None = None

    async def open(self) -> None:
        """Ask for the master, and connect to it.

        Raises:
            OSError: no connection in time, or Sentinel knows of no master.
        """
        await self.close()
        await self._sentinel.open()
        try:
            found = await self._sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        except OpError as error:
            raise ConnectionError(f"Sentinel does not answer: {error.error}") from None
        finally:
            await self._sentinel.close()
        if not found:
            raise ConnectionError("Sentinel knows of no master")
        host, port = (part.decode() if isinstance(part, bytes) else str(part) for part in found)
        master = Connection(host, int(port))
        await master.open()
        self._master = master

    async def close(self) -> None:
        """Disconnect; what is under way fails."""
        await self._sentinel.close()
        master, self._master = self._master, None
        if master is not None:
            await master.close()

    async def command(self, *words: str | bytes | int) -> Any:
        """Send one command to the master, once; after any error the master is asked for anew.

        Raises:
            Definite, Indefinite: see Connection.command.
        """
        if self._master is None:
            try:
                await self.open()
            except OSError as error:
                raise Definite(f"no connection: {error or 'not in time'}") from None
        assert self._master is not None
        done = False
        try:
            reply = await self._master.command(*words)
            done = True
        finally:
            if not done:
                await self.close()
        return reply


class RedisRegister(_OnMaster):
    """Facet "register": a string a key, and a script for a cas. None is kept as JSON's null."""

    async def read(self, key: Any) -> Any:
        """Return the value; an error is definite, since a read has no effect."""
        try:
            data = await self.command("GET", _encode(key))
        except Indefinite as error:
            raise Definite(error.error) from None
        return None if data is None else msgspec.json.decode(data)

    async def write(self, key: Any, value: Any) -> None:
        """Set the value."""
        await self.command("SET", _encode(key), _encode(value))

    async def cas(self, key: Any, old: Any, new: Any) -> None:
        """Set `new` where the value is `old`; the same script tells what it is."""
        done, seen = await self.command("EVAL", _CAS, 1, _encode(key), _encode(old), _encode(new))
        if not done:
            raise Definite("the value differs", observed=msgspec.json.decode(seen))


class RedisLock(_OnMaster):
    """Facet "lock": SET NX PX of a random id, and scripts that compare it. There is no fencing token."""

    async def acquire(self, key: str, ttl_s: float) -> Grant:
        """Try until the lock is granted."""
        return await insist(self.try_acquire, key, ttl_s)

    async def try_acquire(self, key: str, ttl_s: float) -> Grant:
        """Take the lock if it is free."""
        number = secrets.token_hex(8)
        if await self.command("SET", name_of(key), number, "NX", "PX", milliseconds(ttl_s)) is None:
            raise Held("another one holds it")
        return Grant(key, number)

    async def extend(self, grant: Grant, ttl_s: float) -> bool:
        """Give it a new time to live, where it is still this grant's."""
        return bool(await self.command("EVAL", EXTEND, 1, name_of(grant.key), grant.id, milliseconds(ttl_s)))

    async def release(self, grant: Grant) -> bool:
        """Delete it, where it is still this grant's."""
        return bool(await self.command("EVAL", RELEASE, 1, name_of(grant.key), grant.id))

    async def is_held(self, grant: Grant) -> bool:
        """Ask the master whether it is still this grant's."""
        try:
            return bool(await self.command("GET", name_of(grant.key)) == grant.id.encode())
        except Indefinite as error:
            raise Definite(error.error) from None
