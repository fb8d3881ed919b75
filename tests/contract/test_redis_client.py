"""Redis's clients against a real Redis: they never resend, follow no one but their Sentinel, and mean what they say."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import at_most_once
import pytest
from at_most_once import Subject
from local_node import LocalNode, booted
from proxy import Proxy

from clusters.redis import Redis
from clusters.redis import system as redis_system
from clusters.redis.connection import Connection
from clusters.redis.facets import RedisRegister
from clusters.redis.locks import RELEASE
from clusters.redis.system import PORT, SENTINEL_PORT
from clusters.redlock.lock import RedlockLock
from harness.errors import Definite, Indefinite
from harness.facets import Register


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNode]:
    """A real Redis with its Sentinel."""
    with booted(Redis(), tmp_path_factory.mktemp("redis")) as local:
        yield local


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key that no other test uses."""
    return str(request.node.name)


class Direct(RedisRegister):
    """The register, whose Sentinel names a proxy as the master."""

    def __init__(self, address: str) -> None:
        super().__init__("127.0.0.1", 0)
        host, _, port = address.rpartition(":")
        self._proxied = Connection(host, int(port))

    async def open(self) -> None:
        await self.close()
        await self._proxied.open()
        self._master = self._proxied


class Counting(Direct):
    """A register whose write is a count: what arrives twice counts twice, by the server's own arithmetic."""

    async def write(self, key: Any, value: Any) -> None:
        await self.command("INCRBY", f"count:{key}", value)


class Resending(Counting):
    """A client with the fault that the contract is about."""

    async def write(self, key: Any, value: Any) -> None:
        try:
            await super().write(key, value)
        except Indefinite:
            await asyncio.sleep(0.05)
            await super().write(key, value)
            raise


async def arrivals(node: LocalNode, key: str) -> int:
    """Return how often a key's count was raised."""
    connection = Connection(node.ip, PORT)
    try:
        return int(await connection.command("GET", f"count:{key}") or 0)
    finally:
        await connection.close()


@asynccontextmanager
async def behind_proxy(node: LocalNode, connect: Callable[[str], Register]) -> AsyncIterator[Subject]:
    proxy = Proxy(node.ip, PORT)
    await proxy.start()
    try:
        yield Subject(proxy, connect, lambda key: arrivals(node, key))
    finally:
        await proxy.stop()


@asynccontextmanager
async def opened(node: LocalNode, facet: str = "register") -> AsyncIterator[Any]:
    made = Redis.facets[facet](node, {})  # type: ignore[arg-type]
    await made.open()
    try:
        yield made
    finally:
        await made.close()


async def write(register: Register, key: str) -> None:
    await register.write(key, 1)


@pytest.mark.parametrize("check", at_most_once.CHECKS, ids=lambda check: check.__name__)
def test_one_invoke_is_at_most_one_arrival(node: LocalNode, key: str, check: Callable[..., Awaitable[None]]) -> None:
    """Whatever is lost, a command arrives at most once and never later, and its outcome is not overstated."""

    async def main() -> None:
        async with behind_proxy(node, Counting) as subject:
            await check(subject, write, key)

    asyncio.run(main())


def test_the_contract_finds_a_client_that_resends(node: LocalNode, key: str) -> None:
    """The positive control: a client that tries again arrives twice, and the check sees it."""

    async def main() -> None:
        async with behind_proxy(node, Resending) as subject:
            with pytest.raises(AssertionError):
                await at_most_once.reply_lost_then_cut(subject, write, key)

    asyncio.run(main())


@pytest.mark.parametrize("invoke", ["write", "cas"])
def test_an_effect_whose_reply_is_lost_is_indefinite(node: LocalNode, key: str, invoke: str) -> None:
    """The value is there, and the client cannot know."""

    async def main() -> None:
        async with behind_proxy(node, Direct) as subject, opened(node) as observer:
            register = await subject.open()
            subject.proxy.lose(replies=True)
            call = register.write(key, 1) if invoke == "write" else register.cas(key, None, 1)
            pending = asyncio.ensure_future(call)
            async with asyncio.timeout(5):
                while await observer.read(key) is None:
                    await asyncio.sleep(0.005)
            await subject.proxy.cut()
            with pytest.raises(Indefinite):
                await pending
            await register.close()

    asyncio.run(main())


@pytest.mark.parametrize("value", [0, 1.5, True, "", "ü", [], [1, [2]], {"b": 1, "a": None}, "x" * 100_000])
def test_any_json_is_read_back_as_it_was_written(node: LocalNode, key: str, value: Any) -> None:
    """Values keep their type, and a key's JSON names it."""

    async def main() -> None:
        async with opened(node) as register:
            for name in (key, [key, 1], {"k": key}):
                assert await register.read(name) is None
                await register.write(name, value)
                seen = await register.read(name)
                assert (seen, type(seen)) == (value, type(value))

    asyncio.run(main())


def test_a_cas_is_one_step_and_tells_what_it_saw(node: LocalNode, key: str) -> None:
    """From nothing, from a value, to None and from it; else it is definite, with the value of the same script."""

    async def main() -> None:
        async with opened(node) as register:
            await register.cas(key, None, {"a": 1, "b": 2})
            await register.cas(key, {"b": 2, "a": 1}, 7)
            await register.cas(key, 7, None)
            await register.cas(key, None, 8)
            for old in (7, None, "8", True):
                with pytest.raises(Definite) as caught:
                    await register.cas(key, old, 9)
                assert caught.value.observed == 8
            assert await register.read(key) == 8

    asyncio.run(main())


def test_a_replica_refuses_definitely(node: LocalNode, key: str) -> None:
    """READONLY comes before the command runs, in a script too, and the client asks its Sentinel anew."""

    async def main() -> None:
        admin = Connection(node.ip, PORT)
        async with opened(node) as register:
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


def test_a_paused_server_costs_bounded_time(node: LocalNode, key: str) -> None:
    """A read hangs until it is cancelled, opening ends within its bound, and all works after the server resumes."""

    async def main() -> None:
        connection = Connection(node.ip, PORT)
        await connection.command("SET", key, "1")
        await node.signal(signal.SIGSTOP)
        try:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(connection.command("GET", key), 0.2)
        finally:
            await node.signal(signal.SIGCONT)
        assert await connection.command("GET", f"{key}-never-set") is None, "the reply to what was cut off is gone"
        await connection.close()

    asyncio.run(main())


def test_a_lock_is_exclusive(node: LocalNode, key: str) -> None:
    """Held by one until it is released, and what another one's id asks changes nothing."""

    async def main() -> None:
        async with opened(node, "lock") as first, opened(node, "lock") as second:
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
    proxies = [Proxy(node.ip, PORT) for _ in range(5)]
    for proxy in proxies:
        await proxy.start()
    try:
        yield Redlocks(proxies)
    finally:
        for proxy in proxies:
            await proxy.stop()


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
        register = RedisRegister("127.0.0.1", 1)
        with pytest.raises(ConnectionError):
            await register.open()
        with pytest.raises(Definite, match="no connection"):
            await register.write(key, secrets.token_hex(2))
        await register.close()

    asyncio.run(main())
