"""Sessions as leases: each has a connection of its own, and lives from what its holder asks for, and from nothing else.

A session is renewed by taking it up again on a new connection: that asks the leader, who says whether it still lives.
A ping would be answered by the node alone, which tells the leader later: a session could then end although its renewal
was acknowledged.

The leader answers from its memory, and may lead no more without knowing it: frozen for a while, it would renew what
others have ended, and not know what others began. So a majority is asked too, by something that it must agree to.
"""

from __future__ import annotations

from typing import Any

from clusters.zookeeper.connection import Connection, SessionEnded
from clusters.zookeeper.node_client import BARRIER, SESSION_S
from harness.errors import Definite, Indefinite, OpError

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

        A majority agrees to something of the session's afterwards: whoever leads by then has taken it up, or has begun
        to lead meanwhile, and a new leader gives every session its whole time.

        Raises:
            Indefinite: there was no answer; it may have been renewed.
        """
        connection = await self._take_up(session, ttl_s)
        if connection is None:
            return False
        try:
            agreed = await connection.call(BARRIER)
        except Definite as error:
            raise Indefinite(error.error) from None
        if agreed != [True]:
            raise Indefinite(f"no majority stands behind it: {agreed}")
        return True

    async def connection(self, session: Id) -> Connection | None:
        """Return the session's connection; where there is none, take it up again; None: it has ended."""
        connection = self._connections.get(session["session"])
        if connection is None or connection.lost:
            connection = await self._take_up(session, session["ttl_s"])
        return connection

    async def end(self, session: Id) -> bool:
        """End a session, with what is tied to it; False: it had ended already.

        It is taken up again first, so that a session that has ended is told apart from a connection that was lost.

        Raises:
            Indefinite: it may live on, or have ended.
        """
        connection = await self._take_up(session, session["ttl_s"])
        if connection is None:
            return False
        del self._connections[session["session"]]
        try:
            await connection.end()
        except Definite as error:
            raise Indefinite(error.error) from None
        finally:
            connection.abort()
        return True

    async def _take_up(self, session: Id, ttl_s: float) -> Connection | None:
        """Take a session up on a new connection; None: it has ended.

        That it has is asked a second time, when the node has caught up with a majority: whatever was begun before is
        known there by then.

        Raises:
            Indefinite: there was no answer; it may have been taken up.
        """
        number = session["session"]
        before = self._connections.pop(number, None)
        if before is not None:
            before.abort()
        for turn in range(2):
            connection = Connection()
            try:
                await connection.open(self._address, ttl_s, (number, bytes.fromhex(session["password"])))
            except SessionEnded:
                if not turn:
                    await self._catch_up()
                continue
            except OSError as error:
                raise Indefinite(f"no answer: {error}") from None
            self._connections[number] = connection
            return connection
        return None

    async def _catch_up(self) -> None:
        """Return when the node has what a majority had agreed to at the call: it begins a session, and ends it.

        Raises:
            Indefinite: there was no answer.
        """
        connection = Connection()
        try:
            await connection.open(self._address, SESSION_S)
            await connection.end()
        except (OSError, OpError) as error:
            raise Indefinite(f"no answer: {error}") from None
        finally:
            connection.abort()
