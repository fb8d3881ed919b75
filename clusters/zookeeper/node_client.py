"""What the facets on ZooKeeper share: a connection of their own, paths, and a read that a majority stands behind."""

from __future__ import annotations

import asyncio
from typing import Any, Final
from urllib.parse import quote

import msgspec
from kazoo.protocol.serialization import CheckVersion, GetData, Transaction
from kazoo.protocol.states import ZnodeStat

from clusters.zookeeper.connection import Connection, Refused
from clusters.zookeeper.outcomes import NO_NODE
from harness.errors import Definite

SESSION_S: Final = 10.0

# Values are compared as bytes, so one JSON value must have one encoding.
encode: Final = msgspec.json.Encoder(order="deterministic").encode
decode: Final = msgspec.json.decode

BARRIER: Final = Transaction([CheckVersion("/", -1)])
"""A transaction without any effect, which a majority must agree to all the same."""


def path_of(key: Any, space: str = "") -> str:
    """Return the path of the node that stands for a key (any JSON); `space` keeps facets apart."""
    return f"/{space}{quote(encode(key), safe='')}"


class OnNode:
    """A client of one node.

    Args:
        address: "ip:port" of the node's client port.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection = Connection()

    async def open(self) -> None:
        """Begin a session.

        Raises:
            OSError: no session in time.
        """
        self._connection = Connection()
        await self._connection.open(self._address, SESSION_S)

    async def close(self) -> None:
        """Drop the connection; what is under way is cut off."""
        self._connection.abort()

    async def connected(self) -> Connection:
        """Return the connection; make a new one where it was lost, before anything is sent."""
        if self._connection.lost:
            try:
                await self.open()
            except OSError as error:
                raise Definite(f"no connection: {error}") from None
        return self._connection

    async def get(self, path: str, *before: Any) -> tuple[bytes, ZnodeStat] | None:
        """Return a node's data and state, None where it is not there; `before` are requests that come first.

        Raises:
            Definite: always, where it does not succeed: none of this has an effect.
        """
        connection = await self.connected()
        replies = await asyncio.gather(
            *[connection.send(request) for request in [*before, GetData(path, None)]], return_exceptions=True
        )
        for reply in replies[:-1]:
            if isinstance(reply, BaseException) or reply not in ([True], path):
                raise Definite(f"before the read: {reply}")
        found = replies[-1]
        if isinstance(found, Refused) and found.code == NO_NODE:
            return None
        if isinstance(found, BaseException):
            raise Definite(str(found))
        return found[0], found[1]
