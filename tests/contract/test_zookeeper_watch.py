"""ZooKeeper's watches against a real ZooKeeper: what they deliver, what they refuse, and that nothing is sent twice."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import at_most_once
import pytest
from at_most_once import Subject
from kazoo.protocol.serialization import GetData
from local_node import LocalNode, open_patiently
from msgspec import UNSET
from proxy import Proxy

from clusters.zookeeper import ZooKeeper
from clusters.zookeeper.connection import Connection
from clusters.zookeeper.system import CLIENT_PORT
from clusters.zookeeper.watches import ZooKeeperWatch, key_path
from harness.errors import Definite
from harness.facets import FROM_NOW, Change

PATIENCE_S = 10.0


@pytest.fixture
def node(zookeeper: LocalNode) -> LocalNode:
    """A real ZooKeeper."""
    return zookeeper


@asynccontextmanager
async def opened(node: LocalNode, count: int = 1) -> AsyncIterator[list[Any]]:
    made: list[Any] = [ZooKeeper.facets["watch"](node, {}) for _ in range(count)]  # type: ignore[arg-type]
    await asyncio.gather(*map(open_patiently, made))
    try:
        yield made
    finally:
        await asyncio.gather(*(each.close() for each in made))


async def begun(facet: Any, prefix: str, writer: Any) -> AsyncIterator[Change]:
    """Return a watch that has been set, and has delivered a change of the key "…begun" or of one that came later."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            watching: AsyncIterator[Change] = facet.watch(prefix)
            first = asyncio.ensure_future(anext(watching))  # type: ignore[arg-type]
            while not first.done():
                await writer.put(f"{prefix}begun", 1)
            if not str(first.exception() or "").startswith("no connection"):  # a busy host has no session in time
                break
    first.result()
    last = await writer.put(f"{prefix}begun", 2)
    while (await anext(watching)).revision < last:
        pass
    return watching


async def take(watching: AsyncIterator[Change], count: int) -> list[Change]:
    """Return the next changes of a watch."""
    async with asyncio.timeout(PATIENCE_S):
        return [await anext(watching) for _ in range(count)]


def test_a_watch_delivers_every_change_of_its_prefix_from_now_on(node: LocalNode, key: str) -> None:
    """Sets, deletions and creations come at the revisions that were acknowledged, in order, without their values."""

    async def main() -> None:
        async with opened(node, 2) as (writer, watcher):
            watching = await begun(watcher, f"{key}/", writer)
            one = await writer.put(f"{key}/1", {"a": 1})
            await writer.put(f"other {key}/1", 0)
            two = await writer.put(f"{key}/deep/er", [2])
            gone = await writer.delete(f"{key}/1")
            assert await writer.delete(f"{key}/1") is None
            back = await writer.put(f"{key}/1", 3)
            again = await writer.put(f"{key}/1", 4)
            assert one < two < gone < back < again < await writer.revision()
            assert await take(watching, 5) == [
                Change(f"{key}/1", one, UNSET), Change(f"{key}/deep/er", two, UNSET), Change(f"{key}/1", gone, None),
                Change(f"{key}/1", back, UNSET), Change(f"{key}/1", again, UNSET),
            ]  # fmt: skip

    asyncio.run(main())


def test_a_prefix_need_not_end_with_a_slash(node: LocalNode, key: str) -> None:
    """What is below the same folder and has another prefix is left out."""

    async def main() -> None:
        async with opened(node, 2) as (writer, watcher):
            watching = await begun(watcher, f"{key}/a", writer)
            await writer.put(f"{key}/b", 1)
            wanted = await writer.put(f"{key}/a%/ü", 1)
            assert await take(watching, 1) == [Change(f"{key}/a%/ü", wanted, UNSET)]

    asyncio.run(main())


def test_a_watch_from_a_revision_is_refused(node: LocalNode, key: str) -> None:
    """ZooKeeper keeps no changes: it says that a watch begins now, and compacts nothing."""

    async def main() -> None:
        async with opened(node) as (facet,):
            start = await facet.put(f"{key}/1", 1)
            for wanted in (start, start + 100):
                with pytest.raises(Definite) as caught:
                    await anext(facet.watch(f"{key}/", wanted))
                assert caught.value.observed == FROM_NOW
            with pytest.raises(Definite):
                await facet.compact(start)

    asyncio.run(main())


def test_after_a_cancel_nothing_comes_and_the_client_goes_on(node: LocalNode, key: str) -> None:
    """The server confirms the end, also of a watch that nobody iterates any more; a second cancel does nothing."""

    async def main() -> None:
        async with opened(node, 2) as (writer, watcher):
            assert await watcher.cancel() == []
            for _ in range(2):
                await begun(watcher, f"{key}/", writer)
                for _ in range(2):
                    assert await asyncio.wait_for(watcher.cancel(), PATIENCE_S) == []
                await writer.put(f"{key}/1", 1)

    asyncio.run(main())


def test_a_watch_ends_with_its_connection(node: LocalNode, key: str) -> None:
    """It says so, and is not set anew behind its reader's back: there would be a gap."""

    async def main() -> None:
        proxy = Proxy(node.ip, CLIENT_PORT)
        await proxy.start()
        watcher = ZooKeeperWatch(proxy.address)
        await open_patiently(watcher)
        async with opened(node) as (writer,):
            watching = await begun(watcher, f"{key}/", writer)
            await proxy.cut()
            with pytest.raises(Definite, match="ended with its connection"):
                await take(watching, 1)
            assert await watcher.cancel() == []
            await take(await begun(watcher, f"{key}/", writer), 0)
            await node.signal(signal.SIGSTOP)
            try:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(watcher.cancel(), 0.2)
            finally:
                await node.signal(signal.SIGCONT)
        await watcher.close()
        await proxy.stop()

    asyncio.run(main())


class Through(ZooKeeperWatch):
    """A facet by way of the proxy, in the shape that the contract asks for."""

    async def read(self, key: Any) -> Any:
        return await self.revision()

    async def write(self, key: Any, value: Any) -> None: ...

    async def cas(self, key: Any, old: Any, new: Any) -> None: ...


async def arrivals(node: LocalNode, key: str) -> int:
    """Return ZooKeeper's own count of the sets of a key's node since it was created."""
    connection = Connection()
    await connection.open(f"{node.ip}:{CLIENT_PORT}", 5)
    _, stat = await connection.call(GetData(key_path(key), None))
    connection.abort()
    return int(stat.version)


async def put(through: Any, key: str) -> None:
    await through.put(key, 1)


@pytest.mark.parametrize("check", at_most_once.CHECKS, ids=lambda check: check.__name__)
def test_one_put_is_at_most_one_arrival(node: LocalNode, key: str, check: Callable[..., Awaitable[None]]) -> None:
    """Whatever is lost, a set arrives at most once and never later, and its outcome is not overstated."""

    async def main() -> None:
        async with opened(node) as (facet,):
            await facet.put(key, 0)
        proxy = Proxy(node.ip, CLIENT_PORT)
        await proxy.start()
        try:
            await check(Subject(proxy, Through, lambda key: arrivals(node, key)), put, key)
        finally:
            await proxy.stop()

    asyncio.run(main())
