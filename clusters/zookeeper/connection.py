"""One session of ZooKeeper on one connection, over kazoo's wire format: nothing is resent, nothing goes on behind it.

Not kazoo's own client: that one reconnects by itself, holds requests back while it is disconnected, sends them later,
and pings from a thread of its own, so that a client that freezes would not fall silent. Here a session lives from what
its caller sends, and a connection that is lost stays lost.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Any, Final

from kazoo.exceptions import EXCEPTIONS
from kazoo.protocol.serialization import Close, Connect, Ping, ReplyHeader, Watch

from clusters.zookeeper.outcomes import DEFINITE, is_definite
from clusters.zookeeper.watch_wire import Event
from harness.errors import Definite, Indefinite, OpError

OPEN_TIMEOUT_S: Final = 0.8
REPLY_BYTES_MAX: Final = 4 << 20

_EVENT_XID: Final = -1
_PING_XID: Final = -2
_LENGTH: Final = struct.Struct("!i")
_REQUEST: Final = struct.Struct("!iii")  # length, xid, type


class Refused(Definite):
    """ZooKeeper answered with an error of the table: the request changed nothing and never will.

    Attributes:
        code: of the error.
    """

    def __init__(self, code: int) -> None:
        super().__init__(DEFINITE[code])
        self.code = code


class SessionEnded(Exception):
    """The session that was to be taken up again is not there any more."""


class Connection(asyncio.Protocol):
    """A session, from `open` until it is closed or its connection is lost.

    Attributes:
        session: its id and password, to take it up again on another connection.
        timeout_s: after which it ends when nothing is heard of it, as the server decided.
        lost: why there is no connection; "" while there is one.
        events: what its watches told; None when the connection is lost.
    """

    def __init__(self) -> None:
        self.session: tuple[int, bytes] = (0, bytes(16))
        self.timeout_s = 0.0
        self.lost = "not connected yet"
        self.events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._greeting: asyncio.Future[bytes] | None = None
        self._pending: dict[int, tuple[Any, asyncio.Future[Any], bool]] = {}
        self._pings: list[asyncio.Future[Any]] = []
        self._xid = 0

    async def open(self, address: str, timeout_s: float, session: tuple[int, bytes] | None = None) -> None:
        """Connect, and begin a session or take one up again.

        Args:
            address: "ip:port" of the node.
            timeout_s: of the session; the server may bound it.

        Raises:
            OSError: no connection or no session within OPEN_TIMEOUT_S.
            SessionEnded: the session to take up has expired.
        """
        host, _, port = address.rpartition(":")
        loop = asyncio.get_running_loop()
        self._greeting = loop.create_future()
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await loop.create_connection(lambda: self, host, int(port))
                number, password = session or self.session
                self._send(bytes(Connect(0, 0, round(timeout_s * 1000), number, password, False).serialize()))
                reply, _ = Connect.deserialize(await self._greeting, 0)
        except BaseException as error:
            self._greeting.cancel()
            self._lose("no session")
            if isinstance(error, TimeoutError):
                raise ConnectionError(f"{address}: no session within {OPEN_TIMEOUT_S:g} s") from None
            raise
        if reply.time_out <= 0:
            self._lose("the session has expired")
            raise SessionEnded
        self.session, self.timeout_s, self.lost = (reply.session_id, reply.passwd), reply.time_out / 1000, ""

    async def call(self, request: Any) -> Any:
        """Send one request, once, and return what its reply holds.

        Raises:
            Definite: there is no connection, so nothing was sent; or Refused.
            Indefinite: the connection broke, or ZooKeeper answered with another error.
        """
        return await self.send(request)

    async def stamped(self, request: Any) -> tuple[Any, int]:
        """Do as `call`; return also the last transaction that the server knew of: its own, of what changes anything."""
        reply: tuple[Any, int] = await self.send(request, stamped=True)
        return reply

    def send(self, request: Any, *, stamped: bool = False) -> asyncio.Future[Any]:
        """Send one request at once, and return the future reply; requests of one session are served in order.

        Args:
            request: of kazoo's kind.
            stamped: the reply comes with the transaction that its header names.
        """
        if self.lost:
            raise Definite(f"nothing was sent: {self.lost}")
        self._xid += 1
        body = bytes(request.serialize())
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending[self._xid] = (request, future, stamped)
        self._write(_REQUEST.pack(len(body) + 8, self._xid, request.type) + body)
        return future

    async def ping(self) -> None:
        """Keep the session alive, and return when the server has heard it.

        Raises:
            Definite, Indefinite: see `call`.
        """
        if self.lost:
            raise Definite(f"nothing was sent: {self.lost}")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pings.append(future)
        self._write(_REQUEST.pack(8, _PING_XID, Ping.type))
        await future

    async def end(self) -> None:
        """End the session, with what is tied to it, and the connection; the session is gone when this returns.

        Raises:
            Definite, Indefinite: see `call`.
        """
        await self.send(Close())

    def abort(self) -> None:
        """Drop the connection; the session lives on until its time is over."""
        self._lose("closed")

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(f"connection lost: {exc or 'closed by the server'}")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if not 0 <= length <= REPLY_BYTES_MAX:
                self._lose(f"a reply of {length} bytes")
                return
            if len(self._buffer) < _LENGTH.size + length:
                return
            frame = bytes(self._buffer[_LENGTH.size : _LENGTH.size + length])
            del self._buffer[: _LENGTH.size + length]
            self._take(frame)

    def _take(self, frame: bytes) -> None:
        """Give a frame to whom it belongs."""
        if self._greeting is not None and not self._greeting.done():
            self._greeting.set_result(frame)
            return
        header, offset = ReplyHeader.deserialize(frame, 0)
        if header.xid == _EVENT_XID:
            watch, _ = Watch.deserialize(frame, offset)
            self.events.put_nowait(Event(watch.type, watch.path, header.zxid))
            return
        if header.xid == _PING_XID:
            if self._pings:
                _settle(self._pings.pop(0), None)
            return
        request, future, stamped = self._pending.pop(header.xid)
        if header.err:
            _settle(future, _error(header.err))
        else:
            decode = getattr(request, "deserialize", None)
            value = decode(frame, offset) if decode else None
            _settle(future, (value, header.zxid) if stamped else value)

    def _send(self, body: bytes) -> None:
        self._write(_LENGTH.pack(len(body)) + body)

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    def _lose(self, why: str) -> None:
        """Give up the connection: what is under way may have happened."""
        if not self.lost or self.lost == "not connected yet":
            self.lost = why
        if self._transport is not None:
            self._transport.abort()
        if self._greeting is not None and not self._greeting.done():
            self._greeting.set_exception(ConnectionError(why))
        waiting = [future for _, future, _ in self._pending.values()] + self._pings
        self._pending.clear()
        self._pings.clear()
        for future in waiting:
            _settle(future, Indefinite(why))
        self.events.put_nowait(None)


def _settle(future: asyncio.Future[Any], result: Any) -> None:
    if future.done():  # its caller was cut off
        return
    if isinstance(result, OpError):
        future.set_exception(result)
    else:
        future.set_result(result)


def _error(code: int) -> OpError:
    return Refused(code) if is_definite(code) else Indefinite(EXCEPTIONS[code].__name__)
