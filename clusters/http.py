"""HTTP for talking to nodes: one bounded GET, and a connection that sends each request once. No dependency."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

from harness.errors import Definite, Indefinite

REPLY_BYTES_MAX: Final = 1 << 20
OPEN_TIMEOUT_S: Final = 0.5


class Reply(NamedTuple):
    """What came back.

    Attributes:
        status: such as 200.
        reason: the words after it.
        last: the server closes the connection after it.
    """

    status: int
    reason: str
    body: bytes
    last: bool


async def get(address: str, port: int, path: str, *, timeout_s: float) -> bytes:
    """Return the body of a 200 reply.

    The body is read by its length or its chunks and we close the connection: Go's servers would hold it open for half
    a second if they were asked to close it.

    Args:
        address: IP of the node.
        timeout_s: for everything, from connecting to the last byte.

    Raises:
        OSError: no connection, cut off, too long or malformed a reply, another status than 200; TimeoutError (a kind
            of OSError) when not within the time.
    """
    where = f"{address}:{port}{path}"
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection(address, port)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {address}:{port}\r\n\r\n".encode())
            reply = await _read_reply(reader, where)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            raise OSError(f"{where}: not a whole HTTP reply: {error}") from error
        finally:
            writer.close()
    if reply.status != 200:
        raise OSError(f"{where}: {reply.status} {reply.reason}: {reply.body[:100].decode(errors='replace')}")
    return reply.body


class HttpConnection:
    """A client's connection to one node: kept open, made anew before a request where it is gone, never in one.

    One request at a time. A request that is cut off takes the connection with it, or its reply would be the next one's.

    Args:
        address: "ip:port".
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open(self) -> None:
        """Connect.

        Raises:
            OSError: no connection within OPEN_TIMEOUT_S.
        """
        await self.close()
        host, _, port = self._address.rpartition(":")
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            self._streams = await asyncio.open_connection(host, int(port))

    async def close(self) -> None:
        """Disconnect; what is under way fails."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].transport.abort()

    async def request(self, method: str, path: str, body: bytes = b"") -> Reply:
        """Send one request, once.

        Raises:
            Definite: there is no connection, so nothing was sent.
            Indefinite: there was no whole reply.
        """
        if self._streams is None or self._streams[0].at_eof() or self._streams[1].is_closing():
            try:
                await self.open()
            except OSError as error:
                raise Definite(f"no connection: {error or 'not in time'}") from None
        assert self._streams is not None
        reader, writer = self._streams
        usable = False
        try:
            head = f"{method} {path} HTTP/1.1\r\nHost: {self._address}\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            reply = await _read_reply(reader, self._address)
            usable = not reply.last
        except (OSError, EOFError, asyncio.LimitOverrunError, ValueError) as error:
            raise Indefinite(f"no whole reply: {error}") from None
        finally:
            if not usable:
                await self.close()
        return reply


async def _read_reply(reader: asyncio.StreamReader, where: str) -> Reply:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status, _, reason = head[0].partition(" ")[2].partition(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    if headers.get("transfer-encoding") == "chunked":
        body = bytearray()
        while size := int(await reader.readuntil(b"\r\n"), 16):
            _require_bounded(len(body) + size, where)
            body += (await reader.readexactly(size + 2))[:-2]
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass  # trailers; what is left of one reply would begin the next one
    else:
        size = int(headers.get("content-length", "0"))
        _require_bounded(size, where)
        body = bytearray(await reader.readexactly(size))
    return Reply(int(status), reason, bytes(body), headers.get("connection", "").lower() == "close")


def _require_bounded(size: int, where: str) -> None:
    if size > REPLY_BYTES_MAX:
        raise OSError(f"{where}: the reply has more than {REPLY_BYTES_MAX} bytes")
