"""Facet "register" on Consul: one entry a key, and its ModifyIndex to compare.

An entry is never removed, so its ModifyIndex names one value for ever. None is kept as JSON's null, and is what a key
without an entry reads as.
"""

from __future__ import annotations

from typing import Any

from clusters.consul.calls import effect, encode, get_entry, path_of
from clusters.http import HttpConnection
from harness.errors import Definite

_SPACE = "register"


class ConsulRegister:
    """Facet "register" on one Consul server.

    Args:
        address: "ip:port" of the node's HTTP port.
        reads: mode of consistency: "consistent" asks a majority whether the leader still leads; "default" is the word
            of whoever takes itself for the leader, "stale" that of the node itself.
    """

    def __init__(self, address: str, *, reads: str = "consistent") -> None:
        self._connection = HttpConnection(address)
        self._reads = reads

    async def open(self) -> None:
        """Connect.

        Raises:
            OSError: no connection in time.
        """
        await self._connection.open()

    async def close(self) -> None:
        """Disconnect; what is under way is cut off."""
        await self._connection.close()

    async def read(self, key: Any) -> Any:
        """Return the value."""
        entry = await get_entry(self._connection, path_of(_SPACE, key), self._reads)
        return None if entry is None else entry.value

    async def write(self, key: Any, value: Any) -> None:
        """Set the value."""
        await effect(self._connection, path_of(_SPACE, key), encode(value))

    async def cas(self, key: Any, old: Any, new: Any) -> None:
        """Set `new` where the value is `old`, by the ModifyIndex of a consistent read.

        Consul sets only at the index that was read, whose value is `old`: one step. A read that gave another value is
        linearizable, whatever mode `read` uses, so that value counts as observed.
        """
        path = path_of(_SPACE, key)
        entry = await get_entry(self._connection, path, "consistent")
        value = None if entry is None else entry.value
        if encode(value) != encode(old):
            raise Definite("the value differs", observed=value)
        index = 0 if entry is None else entry.modify_index
        reply = await effect(self._connection, f"{path}?cas={index}", encode(new))
        if reply.body.strip() != b"true":
            raise Definite("the value was changed meanwhile")
