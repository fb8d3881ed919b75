"""ZooKeeper's leases against real servers: kept alive through any node, honest, and nothing is resent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from local_node import LocalNode, open_patiently
from proxy import Proxy

from clusters.zookeeper import ZooKeeper
from clusters.zookeeper.leases import ZooKeeperLeases
from clusters.zookeeper.system import CLIENT_PORT
from harness.errors import Definite, Indefinite

TTL_S = 1.0


@pytest.fixture
def node(zookeeper: LocalNode) -> LocalNode:
    """A real ZooKeeper."""
    return zookeeper


@asynccontextmanager
async def opened(node: LocalNode, count: int = 2) -> AsyncIterator[list[Any]]:
    made: list[Any] = [ZooKeeper.facets["leases"](node, {}) for _ in range(count)]  # type: ignore[arg-type]
    await asyncio.gather(*map(open_patiently, made))
    try:
        yield made
    finally:
        await asyncio.gather(*(each.close() for each in made))


def test_a_key_vanishes_with_its_lease(node: LocalNode, key: str) -> None:
    """Any client keeps a lease alive, ties keys to it and revokes it; then its keys are gone and it has ended."""

    async def main() -> None:
        async with opened(node) as (first, second):
            lease, other = await first.grant(5.0), await first.grant(5.0)
            assert lease.ttl_s == 5.0
            await first.attach(key, {"a": None}, lease.id)
            assert await second.read(key) == {"a": None}
            assert await second.keep_alive(lease.id)
            await second.attach(f"{key}-second", 2, lease.id)
            await first.attach(key, "another lease's", other.id)
            assert await second.revoke(lease.id)
            assert [await first.read(key), await first.read(f"{key}-second")] == ["another lease's", None]
            assert [await first.keep_alive(lease.id), await first.revoke(lease.id)] == [False, False]
            with pytest.raises(Definite, match="ended"):
                await first.attach(key, 3, lease.id)
            assert await first.revoke(other.id)
            assert await second.read(key) is None

    asyncio.run(main())


def test_a_lease_ends_by_itself_and_is_kept_by_keeping_it_alive_only(node: LocalNode, key: str) -> None:
    """Nobody's lease ends no sooner than its time; a client that is closed ends none; one kept alive lives beyond."""

    async def main() -> None:
        async with opened(node, 3) as (gone, keeper, reader):
            silent, kept = await gone.grant(TTL_S), await gone.grant(TTL_S)
            started = asyncio.get_running_loop().time()
            await gone.attach(key, 1, silent.id)
            await gone.attach(f"{key}-kept", 2, kept.id)
            await gone.close()
            while await reader.read(key) is not None:
                assert await keeper.keep_alive(kept.id)
                await asyncio.sleep(0.1)
            assert asyncio.get_running_loop().time() - started >= TTL_S
            assert await keeper.keep_alive(silent.id) is False
            assert await reader.read(f"{key}-kept") == 2

    asyncio.run(main())


def test_one_attach_is_at_most_one_arrival(node: LocalNode, key: str) -> None:
    """Whose reply is lost may have happened, and is not sent again: the key's node was created once."""

    async def main() -> None:
        proxy = Proxy(node.ip, CLIENT_PORT)
        await proxy.start()
        leases = ZooKeeperLeases(proxy.address)
        await open_patiently(leases)
        lease = await leases.grant(5.0)
        proxy.lose(replies=True)
        pending = asyncio.ensure_future(leases.attach(key, 1, lease.id))
        await asyncio.wait_for(proxy.replies.wait(), 5)
        proxy.lose()
        await proxy.cut()
        with pytest.raises(Indefinite):
            await pending
        async with opened(node, 1) as (other,):
            assert await other.read(key) == 1
            assert await other.revoke(lease.id)
            assert [await leases.read(key), await leases.keep_alive(lease.id)] == [None, False]
        await leases.close()
        await proxy.stop()

    asyncio.run(main())


@pytest.mark.parametrize("spare", [0, 1])
def test_a_renewal_that_no_majority_stands_behind_is_indefinite(node: LocalNode, spare: int) -> None:
    """The server's word that the session lives is not enough: what a majority must agree to has to be answered, too."""

    async def main() -> None:
        proxy = Proxy(node.ip, CLIENT_PORT)
        proxy.spare = spare
        await proxy.start()
        leases = ZooKeeperLeases(proxy.address)
        await open_patiently(leases)
        lease = await leases.grant(5.0)
        proxy.lose(replies=True)
        pending = asyncio.ensure_future(leases.keep_alive(lease.id))
        await asyncio.wait_for(proxy.replies.wait(), 5)
        proxy.lose()
        await proxy.cut()
        with pytest.raises(Indefinite):
            await pending
        assert await leases.revoke(lease.id)
        await leases.close()
        await proxy.stop()

    asyncio.run(main())
