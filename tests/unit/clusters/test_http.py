"""Asking a node by HTTP: bodies by length and by chunks, errors as OSError, always in bounded time."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from clusters import http


def ask(reply: bytes, *, hang: bool = False, timeout_s: float = 5.0) -> bytes:
    """Return what `get` makes of a server that sends these bytes, and then closes or hangs."""

    async def main() -> bytes:
        ended = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(reply)
            with contextlib.suppress(ConnectionError):
                if hang:
                    await reader.read()
            writer.close()
            ended.set()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            try:
                return await http.get("127.0.0.1", port, "/x", timeout_s=timeout_s)
            finally:
                await ended.wait()

    return asyncio.run(main())


def test_a_body_by_its_length() -> None:
    """As many bytes as announced are the body, and the connection need not end."""
    assert ask(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", hang=True) == b"hello"


def test_a_body_in_chunks() -> None:
    """Chunks are joined."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert ask(head + b"5\r\nhello\r\na\r\n, sunshine\r\n0\r\n\r\n", hang=True) == b"hello, sunshine"


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
        b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 18\r\n\r\n" + b'{"health":"false"}',
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n",
        b"no http at all\r\n\r\n",
    ],
)
def test_anything_else_is_an_oserror(reply: bytes) -> None:
    """Cut off, malformed, too long, or not 200: one kind of error."""
    with pytest.raises(OSError, match=r"127\.0\.0\.1"):
        ask(reply)


def test_silence_ends_within_the_time() -> None:
    """A server that never answers costs the time-out and no more."""
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        ask(b"", hang=True, timeout_s=0.1)
    assert time.monotonic() - start < 2


def test_nobody_listens() -> None:
    """A refused connection is an OSError too."""
    with pytest.raises(OSError, match="Errno 111"):
        asyncio.run(http.get("127.0.0.1", 1, "/x", timeout_s=1))
