"""etcd's watches and leases against a real etcd: what they deliver and answer, and that nothing is ever sent twice."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import at_most_once
import pytest
from at_most_once import Subject
from proxy import Proxy
from test_etcd_client import LocalNode

from clusters.etcd.leases import EtcdLeases
from clusters.etcd.system import CLIENT_PORT
from clusters.etcd.watches import EtcdWatch
from harness.errors import Definite
from harness.facets import Change

PATIENCE_S = 5.0


@pytest.fixture
def node(etcd: LocalNode) -> LocalNode:
    """A real etcd."""
    return etcd


@asynccontextmanager
async def watches(node: LocalNode) -> AsyncIterator[EtcdWatch]:
    facet = EtcdWatch(f"{node.ip}:{CLIENT_PORT}")
    await facet.open()
    try:
        yield facet
    finally:
        await facet.close()


@asynccontextmanager
async def leases(node: LocalNode) -> AsyncIterator[EtcdLeases]:
    facet = EtcdLeases(f"{node.ip}:{CLIENT_PORT}")
    await facet.open()
    try:
        yield facet
    finally:
        await facet.close()


async def take(watching: AsyncIterator[Change], count: int) -> list[Change]:
    """Return the next changes of a watch."""
    found: list[Change] = []
    async with asyncio.timeout(PATIENCE_S):
        async for change in watching:
            found.append(change)
            if len(found) == count:
                break
    return found


def test_a_watch_from_an_old_revision_delivers_every_change_of_its_prefix(node: LocalNode, key: str) -> None:
    """Puts and deletes come with the revisions that were acknowledged, in order, and those of other keys do not."""

    async def main() -> None:
        async with watches(node) as facet:
            one = await facet.put(f"{key}/1", {"a": 1})
            await facet.put(f"other {key}", 0)
            two = await facet.put(f"{key}/2", [2])
            gone = await facet.delete(f"{key}/1")
            assert gone is not None
            assert await facet.delete(f"{key}/1") is None
            assert one < two < gone <= await facet.revision()
            expected = [Change(f"{key}/1", one, {"a": 1}), Change(f"{key}/2", two, [2]), Change(f"{key}/1", gone)]
            assert await take(facet.watch(f"{key}/", one), 3) == expected
            assert await take(facet.watch(f"{key}/", one + 1), 2) == expected[1:]

    asyncio.run(main())


def test_a_watch_from_a_revision_to_come_delivers_nothing_before_it(node: LocalNode, key: str) -> None:
    """It waits for that revision."""

    async def main() -> None:
        async with watches(node) as facet:
            before = await facet.put(f"{key}/0", 0)
            coming = asyncio.ensure_future(take(facet.watch(f"{key}/", before + 2), 1))
            numbers = [await facet.put(f"{key}/{number}", number) for number in (1, 2, 3)]
            assert numbers == [before + 1, before + 2, before + 3]
            assert await coming == [Change(f"{key}/2", before + 2, 2)]

    asyncio.run(main())


def test_a_watch_from_now_delivers_all_that_comes_after_its_first_change(node: LocalNode, key: str) -> None:
    """Of what is written beside it, it delivers an end without a gap."""

    async def main() -> None:
        async with watches(node) as facet:
            seen = asyncio.ensure_future(take(facet.watch(f"{key}/"), 3))
            written = []
            while not seen.done():
                written.append(Change(f"{key}/{len(written)}", await facet.put(f"{key}/{len(written)}", 1), 1))
            first = written.index(seen.result()[0])
            assert seen.result() == written[first : first + 3]

    asyncio.run(main())


def test_a_compacted_start_is_refused_and_tells_the_first_that_is_kept(node: LocalNode, key: str) -> None:
    """The first revision that is kept can be asked for; so it can after a compaction at a deletion."""

    async def main() -> None:
        async with watches(node) as facet:
            old = await facet.put(f"{key}/1", 1)
            await facet.put(f"{key}/1", 2)
            gone = await facet.delete(f"{key}/1")
            assert gone is not None
            await facet.compact(gone)
            with pytest.raises(Definite) as caught:
                await take(facet.watch(f"{key}/", old), 1)
            assert caught.value.observed == gone
            assert await take(facet.watch(f"{key}/", gone), 1) == [Change(f"{key}/1", gone)]

    asyncio.run(main())


def test_after_a_cancel_nothing_comes_and_the_client_goes_on(node: LocalNode, key: str) -> None:
    """The server confirms the end; a client without a watch can cancel, and so can one whose watch has ended."""

    async def main() -> None:
        async with watches(node) as facet:
            assert await facet.cancel() == []
            start = await facet.put(f"{key}/1", 1)
            for _ in range(2):
                assert await take(facet.watch(f"{key}/", start), 1) == [Change(f"{key}/1", start, 1)]
                for _ in range(2):
                    assert await asyncio.wait_for(facet.cancel(), PATIENCE_S) == []

    asyncio.run(main())


def test_a_watch_of_a_server_that_is_gone_is_definite(node: LocalNode, key: str) -> None:
    """A watch has no effect; one on a paused server can be given up, and one whose connection breaks says so."""

    async def main() -> None:
        proxy = Proxy(node.ip, CLIENT_PORT)
        await proxy.start()
        facet = EtcdWatch(proxy.address)
        await facet.open()
        await take(facet.watch(f"{key}/", await facet.put(f"{key}/1", 1)), 1)
        await node.signal(signal.SIGSTOP)
        try:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(facet.cancel(), 0.2)
        finally:
            await node.signal(signal.SIGCONT)
        proxy.requests.clear()
        broken = asyncio.ensure_future(take(facet.watch(f"{key}/"), 1))
        await asyncio.wait_for(proxy.requests.wait(), PATIENCE_S)
        await proxy.stop()
        with pytest.raises(Definite):
            await broken
        await facet.close()

    asyncio.run(main())


def test_a_key_is_there_as_long_as_its_lease(node: LocalNode, key: str) -> None:
    """A revoke removes it; a lease that has ended cannot be renewed, revoked or given a key."""

    async def main() -> None:
        async with leases(node) as facet:
            lease = await facet.grant(1.5)
            assert lease.ttl_s >= 2
            assert await facet.read(key) is None
            await facet.attach(key, [1], lease.id)
            assert await facet.read(key) == [1]
            assert await facet.keep_alive(lease.id) is True
            assert await facet.revoke(lease.id) is True
            assert await facet.read(key) is None
            assert await facet.keep_alive(lease.id) is False
            assert await facet.revoke(lease.id) is False
            with pytest.raises(Definite, match="lease not found"):
                await facet.attach(key, 2, lease.id)

    asyncio.run(main())


class Through:
    """A facet by way of the proxy, in the shape that the contract asks for."""

    def __init__(self, facet: EtcdWatch | EtcdLeases) -> None:
        self.facet = facet
        self.open, self.close = facet.open, facet.close

    async def read(self, key: Any) -> Any:
        return await (self.facet.revision() if isinstance(self.facet, EtcdWatch) else self.facet.read("warm"))


async def version(node: LocalNode, key: str) -> int:
    """Return etcd's own count of the writes to a key, by the JSON gateway."""
    body = json.dumps({"key": base64.b64encode(key.encode()).decode()}).encode()

    def ask() -> int:
        with urllib.request.urlopen(f"http://{node.ip}:{CLIENT_PORT}/v3/kv/range", body, timeout=5) as reply:
            pairs = json.load(reply).get("kvs", [])
        return int(pairs[0]["version"]) if pairs else 0

    return await asyncio.to_thread(ask)


async def put(through: Any, key: str) -> None:
    await through.facet.put(key, 1)


async def attach(through: Any, key: str) -> None:
    await through.facet.attach(key, 1, through.lease)


@pytest.mark.parametrize("invoke", [put, attach])
@pytest.mark.parametrize("check", at_most_once.CHECKS, ids=lambda check: check.__name__)
def test_one_invoke_is_at_most_one_arrival(
    node: LocalNode, key: str, check: Callable[..., Awaitable[None]], invoke: at_most_once.Invoke
) -> None:
    """Whatever is lost, a write arrives at most once and never later, and its outcome is not overstated."""

    async def main() -> None:
        async with leases(node) as own:
            lease = (await own.grant(60)).id

        def connect(address: str) -> Any:
            through: Any = Through(EtcdWatch(address) if invoke is put else EtcdLeases(address))
            through.lease = lease
            return through

        proxy = Proxy(node.ip, CLIENT_PORT)
        await proxy.start()
        try:
            await check(Subject(proxy, connect, lambda key: version(node, key)), invoke, key)
        finally:
            await proxy.stop()

    asyncio.run(main())
