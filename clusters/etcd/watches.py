"""Facet "watch" of etcd: each watch is a stream of its own, whose revisions are etcd's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

import grpc.aio
import msgspec

from clusters.etcd import watch_wire, wire
from clusters.etcd.connection import Connection, Method, describe, effect, look
from harness.errors import Definite
from harness.facets import Change

_FAR: Final = 1 << 62
"""A revision that never comes."""

Stream = Callable[[], Any]


class EtcdWatch(Connection):
    """Puts, deletes, and one watch at a time, on one etcd node; keys are text, as they are."""

    _watching: _Watching | None = None

    def _use(self, channel: grpc.aio.Channel) -> None:
        self._range: Method = channel.unary_unary("/etcdserverpb.KV/Range")
        self._put: Method = channel.unary_unary("/etcdserverpb.KV/Put")
        self._delete: Method = channel.unary_unary("/etcdserverpb.KV/DeleteRange")
        self._compact: Method = channel.unary_unary("/etcdserverpb.KV/Compact")
        self._watch: Stream = channel.stream_stream("/etcdserverpb.Watch/Watch")

    async def put(self, key: str, value: Any) -> int:
        reply = await effect(self._put, wire.put_request(key.encode(), msgspec.json.encode(value)))
        return watch_wire.revision_of(reply)

    async def delete(self, key: str) -> int | None:
        reply = await effect(self._delete, wire.delete_request(key.encode()))
        return watch_wire.revision_of(reply) if watch_wire.deleted(reply) else None

    async def revision(self) -> int:
        """Read any key, linearizably: the reply tells the revision that it saw."""
        return watch_wire.revision_of(await look(self._range, wire.range_request(b"revision")))

    async def compact(self, revision: int) -> None:
        await effect(self._compact, watch_wire.compact_request(revision))

    async def watch(self, prefix: str, start: int | None = None) -> AsyncIterator[Change]:
        self._let_go()
        watching = self._watching = _Watching(self._watch, prefix, start)
        async for change in watching.changes():
            yield change

    async def cancel(self) -> Sequence[Change]:
        watching = self._watching
        return [] if watching is None else await watching.cancel()

    async def close(self) -> None:
        self._let_go()
        await super().close()

    def _let_go(self) -> None:
        if self._watching is not None:
            self._watching.end()


class _Watching:
    """One watch on a stream of its own, read as it comes, whether or not anybody asks for the next change.

    Reading is not left to whoever iterates: grpc ends a stream of which a read is given up.

    Args:
        method: makes a stream.
        prefix, start: what to watch.
    """

    def __init__(self, method: Stream, prefix: str, start: int | None) -> None:
        self._method = method
        self._request = watch_wire.create_request(prefix.encode(), start)
        self._replies: asyncio.Queue[watch_wire.WatchReply | Definite] = asyncio.Queue()
        self._call: Any = None
        self._reader: asyncio.Task[None] | None = None
        self._id = 0

    async def changes(self) -> AsyncIterator[Change]:
        """Yield them as they come."""
        self._call = self._method()
        self._reader = asyncio.create_task(self._read(self._call))
        await self._write(self._request)
        while True:
            reply = await self._next()
            if reply.created:
                self._id = reply.watch
            for change in _changes(reply):
                yield change
            if reply.canceled:
                self.end()
                if reply.compacted:
                    message = f"compacted: revisions before {reply.compacted} are kept no more"
                    raise Definite(message, observed=reply.compacted)
                raise Definite(f"the server ended the watch: {reply.reason}")

    async def cancel(self) -> Sequence[Change]:
        """Cancel, wait for the server's word, and then for its answer to another request on the same stream."""
        late: list[Change] = []
        if self._call is None or self._call.done():
            return late
        try:
            await self._write(watch_wire.cancel_request(self._id))
            while not (await self._next()).canceled:
                pass
            await self._write(watch_wire.create_request(b"none", _FAR))
            while not (reply := await self._next()).created:
                late += _changes(reply)
        finally:
            self.end()
        return late

    async def _write(self, request: bytes) -> None:
        try:
            await self._call.write(request)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
            raise Definite(f"the stream is broken: {error}") from None

    async def _next(self) -> watch_wire.WatchReply:
        reply = await self._replies.get()
        if isinstance(reply, Definite):
            self.end()
            raise reply
        return reply

    async def _read(self, call: Any) -> None:
        """Put every reply into the queue, and at the end why there are no more."""
        try:
            while (data := await call.read()) is not grpc.aio.EOF:
                self._replies.put_nowait(watch_wire.watch_reply(data))
            self._replies.put_nowait(Definite("the server ended the stream"))
        except grpc.aio.AioRpcError as error:
            self._replies.put_nowait(Definite(describe(error)))
        except wire.WireError as error:
            self._replies.put_nowait(Definite(f"the server sent what is no reply: {error}"))

    def end(self) -> None:
        """Let go of the stream."""
        if self._call is not None:
            self._call.cancel()
        if self._reader is not None:
            self._reader.cancel()


def _changes(reply: watch_wire.WatchReply) -> list[Change]:
    return [
        Change(event.key.decode(), event.revision, None if event.value is None else msgspec.json.decode(event.value))
        for event in reply.events
    ]
