"""Redis's clients against a real Redis: they never resend, follow no one but their Sentinel, and mean what they say."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from local_node import LocalNode, opened
from proxy import Proxy, proxied
from registers import DirectRedis

from clusters.redis import Redis
from clusters.redis import system as redis_system
from clusters.redis.connection import Connection
from clusters.redis.facets import RedisRegister
from clusters.redis.locks import RELEASE
from clusters.redis.system import PORT, SENTINEL_PORT
from clusters.redlock.lock import RedlockLock
from harness.errors import Definite, Indefinite


@pytest.fixture
def node(redis: LocalNode) -> LocalNode:
    """A real Redis."""
    return redis


@pytest.mark.parametrize("invoke", ["write", "cas"])
def test_an_effect_whose_reply_is_lost_is_indefinite(node: LocalNode, key: str, invoke: str) -> None:
    """The value is there, and the client cannot know."""

    async def main() -> None:
        async with proxied(node.ip, PORT) as proxy, opened(Redis(), node, "register") as (observer,):
            register = DirectRedis(proxy.address)
            await register.open()
            proxy.lose(replies=True)
            call = register.write(key, 1) if invoke == "write" else register.cas(key, None, 1)
            pending = asyncio.ensure_future(call)
            async with asyncio.timeout(5):
                while await observer.read(key) is None:
                    await asyncio.sleep(0.005)
            await proxy.cut()
            with pytest.raises(Indefinite):
                await pending
            await register.close()

    asyncio.run(main())


def test_a_replica_refuses_definitely(node: LocalNode, key: str) -> None:
    """READONLY comes before the command runs, in a script too, and the client asks its Sentinel anew."""

    async def main() -> None:
        admin = Connection(node.ip, PORT)
        async with opened(Redis(), node, "register") as (register,):
            await admin.command("REPLICAOF", "127.0.0.1", 1)
            try:
                for call in (register.write(key, 1), register.cas(key, None, 1)):
                    with pytest.raises(Definite):
                        await call
            finally:
                await admin.command("REPLICAOF", "NO", "ONE")
            assert await register.read(key) is None
        await admin.close()

    asyncio.run(main())


def test_a_lock_is_exclusive(node: LocalNode, key: str) -> None:
    """Held by one until it is released, and what another one's id asks changes nothing."""

    async def main() -> None:
        async with opened(Redis(), node, "lock", 2) as (first, second):
            grant = await first.try_acquire(key, 5.0)
            assert grant.token is None
            with pytest.raises(Definite):
                await second.try_acquire(key, 5.0)
            assert (await second.is_held(grant), await first.extend(grant, 5.0)) == (True, True)
            waiting = asyncio.create_task(second.acquire(key, 5.0))
            assert await first.release(grant)
            after = await asyncio.wait_for(waiting, 5)
            assert (await first.is_held(grant), await second.is_held(after)) == (False, True)
            assert (await first.release(grant), await first.extend(grant, 5.0)) == (False, False)
            assert await second.release(after)

    asyncio.run(main())


class Redlocks:
    """Redlock on five proxies in front of one Redis: its keys are told apart by database, servers by their proxy."""

    def __init__(self, proxies: list[Proxy]) -> None:
        self.proxies = proxies

    async def lock(self) -> RedlockLock:
        lock = RedlockLock([("127.0.0.1", int(proxy.address.rpartition(":")[2])) for proxy in self.proxies])
        await lock.open()
        for number, connection in enumerate(lock._connections):
            await connection.command("SELECT", number)
        return lock


@asynccontextmanager
async def redlocks(node: LocalNode) -> AsyncIterator[Redlocks]:
    async with AsyncExitStack() as stack:
        yield Redlocks([await stack.enter_async_context(proxied(node.ip, PORT)) for _ in range(5)])


def test_redlock_is_granted_by_a_majority(node: LocalNode, key: str) -> None:
    """Two silent servers of five do not matter; with three, nothing is granted, and what was set is taken back."""

    async def main() -> None:
        async with redlocks(node) as servers:
            first, second = await servers.lock(), await servers.lock()
            for proxy in servers.proxies[:2]:
                proxy.lose(requests=True)
            grant = await first.try_acquire(key, 5.0)
            with pytest.raises(Definite, match="0 of 5"):
                await second.try_acquire(key, 5.0)
            assert await second.is_held(grant)
            assert await first.release(grant)
            assert not await second.is_held(grant)
            servers.proxies[2].lose(requests=True)
            with pytest.raises(Definite, match="2 of 5"):
                await second.try_acquire(key, 5.0)
            for question in (first.release, first.extend):
                with pytest.raises(Indefinite):
                    await (question(grant) if question == first.release else question(grant, 5.0))  # type: ignore[call-arg, arg-type]
            await first.close()
            await second.close()

    asyncio.run(main())


def test_redlock_is_granted_twice_when_a_server_forgets(node: LocalNode, key: str) -> None:
    """The algorithm's own weakness, which the harness is to find: three of five grant, one of them forgets."""

    async def main() -> None:
        async with redlocks(node) as servers:
            first, second = await servers.lock(), await servers.lock()
            for proxy in servers.proxies[:2]:
                proxy.lose(requests=True)
            grant = await first.try_acquire(key, 5.0)
            for proxy in servers.proxies[:2]:
                proxy.lose()
                await proxy.cut()
            await second._connections[2].command("EVAL", RELEASE, 1, f"lock:{key}", grant.id)
            await second.close()
            second = await servers.lock()
            assert (await second.try_acquire(key, 5.0)).id != grant.id
            await first.close()
            await second.close()

    asyncio.run(main())


def test_where_sentinel_is_silent_nothing_is_sent(node: LocalNode, key: str) -> None:
    """Opening fails in bounded time, and a command is definite."""

    async def main() -> None:
        assert redis_system.SENTINEL_PORT == SENTINEL_PORT
        register = RedisRegister("127.0.0.1:1")
        with pytest.raises(ConnectionError):
            await register.open()
        with pytest.raises(Definite, match="no connection"):
            await register.write(key, secrets.token_hex(2))
        await register.close()

    asyncio.run(main())
