"""ZooKeeper's locks and elections against a real one: sessions live from what is asked, and tokens grow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from local_node import LocalNode, open_patiently
from proxy import Proxy

from clusters.zookeeper import ZooKeeper
from clusters.zookeeper.lock import ZooKeeperLock
from clusters.zookeeper.system import CLIENT_PORT
from harness.errors import Definite, Indefinite
from harness.facets import Leadership

TTL_S = 1.0


@pytest.fixture
def node(zookeeper: LocalNode) -> LocalNode:
    """A real ZooKeeper."""
    return zookeeper


@asynccontextmanager
async def opened(node: LocalNode, facet: str = "lock", count: int = 2) -> AsyncIterator[list[Any]]:
    made: list[Any] = [ZooKeeper.facets[facet](node, {}) for _ in range(count)]  # type: ignore[arg-type]
    await asyncio.gather(*map(open_patiently, made))
    try:
        yield made
    finally:
        await asyncio.gather(*(each.close() for each in made))


def test_a_lock_is_exclusive_and_its_tokens_grow(node: LocalNode, key: str) -> None:
    """Held by one until it is released, seen by the other, and the next grant has a greater token."""

    async def main() -> None:
        async with opened(node) as (first, second):
            grant = await first.try_acquire(key, 5.0)
            with pytest.raises(Definite):
                await second.try_acquire(key, 5.0)
            assert (await second.is_held(grant), await first.extend(grant, 4.0)) == (True, True)
            waiting = asyncio.create_task(second.acquire(key, 5.0))
            await asyncio.sleep(0)
            assert await first.release(grant)
            after = await asyncio.wait_for(waiting, 5)
            assert after.token > grant.token
            assert (await first.is_held(grant), await second.is_held(after)) == (False, True)
            assert (await first.release(grant), await first.extend(grant, 5.0)) == (False, False)
            assert await first.extend(after, 5.0), "any client may take a session up"
            assert await second.release(after)

    asyncio.run(main())


def test_a_lock_ends_by_itself_and_is_kept_by_extending_only(node: LocalNode, key: str) -> None:
    """A silent holder loses it no sooner than its time to live; one that extends keeps it beyond that."""

    async def main() -> None:
        async with opened(node) as (first, second):
            silent, kept = await first.try_acquire(key, TTL_S), await first.try_acquire(f"{key}-kept", TTL_S)
            started = asyncio.get_running_loop().time()
            waiting = asyncio.create_task(second.acquire(key, TTL_S))
            while not waiting.done():
                assert await first.extend(kept, TTL_S)
                await asyncio.sleep(0.2)
            assert asyncio.get_running_loop().time() - started >= TTL_S
            assert waiting.result().token > silent.token
            assert await first.extend(silent, TTL_S) is False
            assert await first.is_held(kept)

    asyncio.run(main())


def test_a_client_that_is_closed_still_holds_what_it_held(node: LocalNode, key: str) -> None:
    """A client that dies ends nothing: its lock is there until its time is over."""

    async def main() -> None:
        async with opened(node) as (first, second):
            grant = await first.try_acquire(key, 5.0)
            await first.close()
            assert await second.is_held(grant)
            with pytest.raises(Definite):
                await second.try_acquire(key, 5.0)
            assert await second.release(grant)

    asyncio.run(main())


def test_a_time_to_live_that_zookeeper_does_not_give_is_refused(node: LocalNode, key: str) -> None:
    """Its sessions live from two to twenty ticks; nothing else is taken for what was asked."""

    async def main() -> None:
        async with opened(node) as (lock, other):
            for ttl_s in (0.1, 3600.0):
                with pytest.raises(Definite, match="to live"):
                    await lock.try_acquire(key, ttl_s)
            assert (await other.try_acquire(key, 5.0)).token

    asyncio.run(main())


def test_a_grant_whose_reply_is_lost_is_indefinite(node: LocalNode, key: str) -> None:
    """The session is there, the creation was sent: nobody knows. A session whose reply is lost holds nothing."""

    async def main() -> None:
        for spare, kind in ((0, Definite), (1, Indefinite)):
            proxy = Proxy(node.ip, CLIENT_PORT)
            proxy.spare = spare
            await proxy.start()
            lock = ZooKeeperLock(proxy.address)
            await open_patiently(lock)
            proxy.lose(replies=True)
            pending = asyncio.ensure_future(lock.try_acquire(f"{key}-{spare}", 5.0))
            await asyncio.wait_for(proxy.replies.wait(), 5)
            await proxy.cut()
            with pytest.raises(kind):
                await pending
            await lock.close()
            await proxy.stop()

    asyncio.run(main())


def test_one_candidate_leads_and_terms_grow(node: LocalNode, key: str) -> None:
    """The next one leads when the leader resigns, at a greater term, and an observer is told."""

    async def main() -> None:
        async with opened(node, "election", 3) as (first, second, observer):
            assert await observer.leader(key) is None
            leading = await first.campaign(key, "a", 5.0)
            told = observer.watch(key)
            assert (await anext(told)).leadership == leading == await second.leader(key)
            waiting = asyncio.create_task(second.campaign(key, "b", 5.0))
            assert await first.renew(key, leading)
            with pytest.raises(Definite, match="another client"):
                await second.renew(key, leading)
            assert await first.resign(key, leading)
            after = await asyncio.wait_for(waiting, 5)
            assert (after.id, after.term > leading.term) == ("b", True)
            kinds = [await anext(told)]
            while kinds[-1].leadership != after:
                kinds.append(await anext(told))
            assert isinstance(kinds[-1].leadership, Leadership)
            assert await first.renew(key, leading) is False
            await told.aclose()

    asyncio.run(main())
