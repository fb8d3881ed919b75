"""One HTTP GET, for asking nodes: bounded in time, no connection kept, no dependency."""

from __future__ import annotations

import asyncio
from typing import Final

REPLY_BYTES_MAX: Final = 1 << 20


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
            return await _read_reply(reader, where)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            raise OSError(f"{where}: not a whole HTTP reply: {error}") from error
        finally:
            writer.close()


async def _read_reply(reader: asyncio.StreamReader, where: str) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = head[0].split(" ", 2)[1:]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    if headers.get("transfer-encoding") == "chunked":
        body = bytearray()
        while size := int(await reader.readuntil(b"\r\n"), 16):
            _require_bounded(len(body) + size, where)
            body += (await reader.readexactly(size + 2))[:-2]
    else:
        size = int(headers.get("content-length", "0"))
        _require_bounded(size, where)
        body = bytearray(await reader.readexactly(size))
    if status[:1] != ["200"]:
        raise OSError(f"{where}: {' '.join(status)}: {body[:100].decode(errors='replace')}")
    return bytes(body)


def _require_bounded(size: int, where: str) -> None:
    if size > REPLY_BYTES_MAX:
        raise OSError(f"{where}: the reply has more than {REPLY_BYTES_MAX} bytes")
