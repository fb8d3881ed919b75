"""Sessions as leases: each has a connection of its own, and lives from what its holder asks for, and from nothing else.

A session is renewed by taking it up again on a new connection: that asks the leader, who says whether it still lives.
A ping would be answered by the node alone, which tells the leader later: a session could then end although its renewal
was acknowledged.
"""

from __future__ import annotations

from typing import Any

from clusters.zookeeper.connection import Connection, SessionEnded
from harness.errors import Definite, Indefinite

Id = dict[str, Any]
"""A session's number, its password, and how long it lives: JSON, so that any client can take it up."""


class Sessions:
    """The sessions that a client began, or took up.

    Args:
        address: "ip:port" of the node's client port.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._connections: dict[int, Connection] = {}

    def drop(self) -> None:
        """Drop all connections; the sessions live on until their time is over."""
        for connection in self._connections.values():
            connection.abort()
        self._connections.clear()

    async def begin(self, ttl_s: float) -> tuple[Id, Connection]:
        """Begin a session.

        Raises:
            Definite: there is none, or not of this time to live; nothing is tied to a session that nobody knows.
        """
        connection = Connection()
        try:
            await connection.open(self._address, ttl_s)
        except OSError as error:
            raise Definite(f"no session: {error}") from None
        number, password = connection.session
        if abs(connection.timeout_s - ttl_s) > 0.001:
            connection.abort()
            raise Definite(f"ZooKeeper gives a session {connection.timeout_s:g} s to live, not {ttl_s:g} s")
        self._connections[number] = connection
        return {"session": number, "password": password.hex(), "ttl_s": ttl_s}, connection

    async def renew(self, session: Id, ttl_s: float) -> bool:
        """Take a session up again, which gives it `ttl_s` from now; False: it has ended.

        Raises:
            Indefinite: there was no answer; it may have been renewed.
        """
        number = session["session"]
        before = self._connections.pop(number, None)
        if before is not None:
            before.abort()
        connection = Connection()
        try:
            await connection.open(self._address, ttl_s, (number, bytes.fromhex(session["password"])))
        except SessionEnded:
            return False
        except OSError as error:
            raise Indefinite(f"no answer: {error}") from None
        self._connections[number] = connection
        return True

    async def connection(self, session: Id) -> Connection | None:
        """Return the session's connection; where there is none, take it up again; None: it has ended."""
        connection = self._connections.get(session["session"])
        if connection is None or connection.lost:
            if not await self.renew(session, session["ttl_s"]):
                return None
            connection = self._connections[session["session"]]
        return connection

    async def end(self, session: Id) -> bool:
        """End a session, with what is tied to it; False: it had ended already.

        It is taken up again first, so that a session that has ended is told apart from a connection that was lost.

        Raises:
            Indefinite: it may live on, or have ended.
        """
        if not await self.renew(session, session["ttl_s"]):
            return False
        connection = self._connections.pop(session["session"])
        try:
            await connection.end()
        except Definite as error:
            raise Indefinite(error.error) from None
        finally:
            connection.abort()
        return True
