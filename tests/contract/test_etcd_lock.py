"""etcd's locks against a real etcd: both varieties mean what they say, and never resend."""

from __future__ import annotations

import asyncio
import re
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import at_most_once
import pytest
from at_most_once import Subject
from local_node import LocalNode, booted
from proxy import Proxy

from clusters.etcd import Etcd, wire
from clusters.etcd.facets import CLIENT_PORT
from clusters.etcd.locks import EtcdLock
from harness.errors import Definite, Indefinite
from harness.facets import Grant

VARIETIES = ("native", "recipe")
NOBODYS = Grant(key="warm", id={"lease": 1, "key": "warm"}, token=1)


@pytest.fixture
def node(etcd: LocalNode) -> LocalNode:
    """A real etcd."""
    return etcd


class Through:
    """A lock by way of the proxy, in the shape that the contract asks for."""

    def __init__(self, variety: str, address: str) -> None:
        self.lock = made(variety, address)
        self.open, self.close = self.lock.open, self.lock.close

    async def read(self, key: Any) -> Any:
        return await self.lock.is_held(NOBODYS)


def made(variety: str, address: str) -> Any:
    """Return an unopened lock on the server at an address."""
    lock: Any = Etcd.facets[f"lock={variety}"](LocalNode(Path()), {})  # type: ignore[arg-type]
    lock._address = address
    return lock


@asynccontextmanager
async def opened(node: LocalNode, variety: str) -> AsyncIterator[EtcdLock]:
    lock = made(variety, f"{node.ip}:{CLIENT_PORT}")
    await lock.open()
    try:
        yield lock
    finally:
        await lock.close()


async def started(node: LocalNode, method: str) -> int:
    """Return etcd's own count of the requests of a method that have arrived."""

    def ask() -> str:
        with urllib.request.urlopen(f"http://{node.ip}:{CLIENT_PORT}/metrics", timeout=5) as reply:
            text: str = reply.read().decode()
        return text

    found = re.search(
        rf'^grpc_server_started_total{{grpc_method="{method}",.*}} (\d+)', await asyncio.to_thread(ask), re.M
    )
    return int(found[1]) if found else 0


Act = Callable[[Any, Grant, str], Awaitable[Any]]


async def take(lock: Any, grant: Grant, key: str) -> None:
    """Take another lock, with the lease of the grant: the one request that has an effect on it."""

    async def lease(ttl_s: float) -> tuple[int, int]:
        return grant.id["lease"], 60

    lock._lease = lease
    await lock.acquire(f"other {key}", 60)


async def release(lock: Any, grant: Grant, key: str) -> None:
    await lock.release(grant)


async def extend(lock: Any, grant: Grant, key: str) -> None:
    await lock.extend(grant, 60)


ACTS: tuple[tuple[str, Act, str], ...] = (
    ("native", take, "Lock"),
    ("native", release, "Unlock"),
    ("native", extend, "LeaseKeepAlive"),
    ("recipe", take, "Txn"),
    ("recipe", release, "Txn"),
)


@pytest.mark.parametrize(("variety", "act", "method"), ACTS, ids=lambda part: getattr(part, "__name__", part))
@pytest.mark.parametrize("check", at_most_once.CHECKS, ids=lambda check: check.__name__)
def test_one_invoke_is_at_most_one_arrival(
    node: LocalNode, key: str, check: Callable[..., Awaitable[None]], variety: str, act: Act, method: str
) -> None:
    """Whatever is lost, a request arrives at most once and never later, and its outcome is not overstated."""

    async def main() -> None:
        async with opened(node, variety) as direct:
            grant = await direct.acquire(key, 60)
        before = await started(node, method)
        proxy = Proxy(node.ip, CLIENT_PORT)
        await proxy.start()

        async def arrivals(_: str) -> int:
            return await started(node, method) - before

        try:
            subject = Subject(proxy, lambda address: Through(variety, address), arrivals)  # type: ignore[arg-type, return-value]
            await check(subject, lambda through, key: act(through.lock, grant, key), key)
        finally:
            await proxy.stop()

    asyncio.run(main())


@pytest.mark.parametrize("variety", VARIETIES)
def test_without_a_lease_the_lock_is_certainly_not_taken(node: LocalNode, key: str, variety: str) -> None:
    """Where the reply to the request for a lease is lost, nothing was asked of the lock: it fails, and stays free."""

    async def main() -> None:
        before = await started(node, "LeaseGrant")
        proxy = Proxy(node.ip, CLIENT_PORT)
        await proxy.start()
        through = made(variety, proxy.address)
        await through.open()
        assert await through.is_held(NOBODYS) is False
        proxy.lose(replies=True)
        pending = asyncio.ensure_future(through.acquire(key, 2))
        while await started(node, "LeaseGrant") == before:
            await asyncio.sleep(0.01)
        await proxy.stop()
        with pytest.raises(Definite):
            await pending
        await through.close()
        async with opened(node, variety) as lock:
            await lock.try_acquire(key, 2)

    asyncio.run(main())


@pytest.mark.parametrize("variety", VARIETIES)
def test_a_lock_is_one_holders_until_it_gives_it_back(node: LocalNode, key: str, variety: str) -> None:
    """Another one is refused and told the holder's token; who waits gets it next, with a greater token."""

    async def main() -> None:
        async with opened(node, variety) as one, opened(node, variety) as two:
            first = await one.try_acquire(key, 60)
            assert (first.key, first.ttl_s, await one.is_held(first)) == (key, 60, True)
            with pytest.raises(Definite) as refused:
                await two.try_acquire(key, 60)
            assert refused.value.observed == {"token": first.token}
            waiting = asyncio.ensure_future(two.acquire(key, 60))
            assert await one.extend(first, 60)
            assert not waiting.done()
            assert await one.release(first)
            second = await asyncio.wait_for(waiting, 5)
            assert first.token is not None
            assert second.token is not None
            assert first.token < second.token
            assert (await one.is_held(first), await two.is_held(second)) == (False, True)
            with pytest.raises(Definite, match="and no longer"):
                await two.extend(second, 61)

    asyncio.run(main())


@pytest.mark.parametrize("variety", VARIETIES)
def test_a_lock_ends_with_its_lease(node: LocalNode, key: str, variety: str) -> None:
    """Its TTL is in whole seconds, and no less than etcd's least; afterwards everybody is told of the end."""

    async def main() -> None:
        async with opened(node, variety) as one, opened(node, variety) as two:
            first = await one.acquire(key, 0.5)
            assert first.ttl_s == 2
            second = await asyncio.wait_for(two.acquire(key, 60), 10)
            assert (await one.extend(first, 2), await one.is_held(first)) == (False, False)
            if variety == "recipe":
                assert not await one.release(first)
            assert await two.is_held(second)
            with pytest.raises((Definite, Indefinite)):
                await asyncio.wait_for(take(one, first, key), 5)

    asyncio.run(main())


def test_a_grant_that_had_ended_when_it_was_made_says_so(tmp_path: Path, key: str) -> None:
    """An old lock service grants a lock to who waited for longer than its TTL; the lock's key was gone by then."""

    async def main(node: LocalNode) -> None:
        async with opened(node, "native") as one, opened(node, "native") as two:
            first = await one.acquire(key, 60)
            waiting = asyncio.ensure_future(two.acquire(key, 2))
            while await keys_of(one, key) < 2:
                await asyncio.sleep(0.01)
            while await keys_of(one, key) == 2:
                await asyncio.sleep(0.05)
            assert not waiting.done()
            assert await one.release(first)
            grant = await asyncio.wait_for(waiting, 5)
            assert (grant.ended, grant.token) == (True, None)
            assert not await two.is_held(grant)

    with booted(Etcd("3.4.23"), tmp_path, network=128) as node:
        asyncio.run(main(node))


async def keys_of(lock: EtcdLock, key: str) -> int:
    """Return how many stand in the queue of a lock, with its holder."""
    prefix = f"lock {key}/".encode()
    reply = await lock._range(wire.field(1, prefix) + wire.field(2, prefix[:-1] + b"0"))
    return sum(number == 2 for number, _ in wire.fields(reply))
