"""A TCP proxy between a client and a real server, in which requests or replies get lost.

Of a contract test: what a client does when the reply is lost is decided here, and what arrived is asked of the server.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Proxy:
    """Forwards connections, and loses what it is told to lose.

    Attributes:
        address: "ip:port" to connect to; the same after `stop` and `start`.
        lose_replies: bytes from the server are read and dropped.
        lose_requests: bytes from the client are read and dropped.
        spare: how many pieces (a request, a reply) still get through whenever losing begins: for an operation that
            reads before it writes.
        requests: set when bytes of a client went to the server, or were lost.
        replies: set when bytes of the server came, also when they were dropped.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._port = 0
        self.lose_replies = self.lose_requests = False
        self.spare = self._passing = 0
        self.requests, self.replies = asyncio.Event(), asyncio.Event()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop to listen and cut every connection: from now on connecting is refused."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.cut()

    async def cut(self) -> None:
        """Reset every connection, towards the client and towards the server."""
        for writer in list(self._writers):
            with suppress(OSError):
                # Linger 0: a reset, which throws away what is still on its way.
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def lose(self, *, requests: bool = False, replies: bool = False) -> None:
        """Lose these from now on, and forget what was seen so far."""
        self.lose_requests, self.lose_replies = requests, replies
        self._passing = self.spare
        self.requests.clear()
        self.replies.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        upstream_writer: asyncio.StreamWriter | None = None
        try:
            upstream, upstream_writer = await asyncio.open_connection(*self._target)
            self._writers.add(upstream_writer)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._forward(reader, upstream_writer, from_server=False))
                group.create_task(self._forward(upstream, writer, from_server=True))
        except* OSError:
            pass
        finally:
            self._tasks.discard(task)
            for end in (writer, upstream_writer):
                if end is not None:
                    self._writers.discard(end)
                    end.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_server: bool) -> None:
        while data := await reader.read(1 << 16):
            lost = self.lose_replies if from_server else self.lose_requests
            if lost and self._passing:
                self._passing -= 1
                writer.write(data)
                continue
            if not lost:
                writer.write(data)
                await writer.drain()
            (self.replies if from_server else self.requests).set()
        writer.transport.abort()


@asynccontextmanager
async def proxied(host: str, port: int, *, spare: int = 0) -> AsyncIterator[Proxy]:
    """A proxy in front of a server for a while."""
    proxy = Proxy(host, port)
    proxy.spare = spare
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
