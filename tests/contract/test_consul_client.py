"""Consul's clients against a real Consul: they never resend, stay on their node, and mean what they say."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import at_most_once
import pytest
from at_most_once import Subject
from local_node import LocalNode, booted
from proxy import Proxy

from clusters.consul import Consul
from clusters.consul import system as consul_system
from clusters.consul.calls import path_of
from clusters.consul.lock import ConsulLock
from clusters.consul.register import ConsulRegister
from clusters.consul.system import HTTP_PORT, LOG, READS
from harness.errors import Definite, Indefinite
from harness.facets import Lock, Register


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNode]:
    """A real Consul of one server, which logs every request."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(consul_system._CONFIGURATION, "log_level", "debug")
        with booted(Consul(), tmp_path_factory.mktemp("consul")) as local:
            yield local


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key that no other test uses."""
    return str(request.node.name)


async def arrivals(node: LocalNode, key: str) -> int:
    """Return how often a change of a key arrived, by Consul's own log of requests."""
    lines = Path(node.folder, LOG).read_text().splitlines()
    return sum("method=PUT" in line and path_of("register", key) in line for line in lines)


@asynccontextmanager
async def opened(node: LocalNode, facet: str = "register", **options: Any) -> AsyncIterator[Any]:
    made = Consul.facets[facet](node, options)  # type: ignore[arg-type]
    await made.open()
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def behind_proxy(
    node: LocalNode, connect: Callable[[str], Register] = ConsulRegister, *, spare: int = 0
) -> AsyncIterator[Subject]:
    proxy = Proxy(node.ip, HTTP_PORT)
    proxy.spare = spare
    await proxy.start()
    try:
        yield Subject(proxy, connect, lambda key: arrivals(node, key))
    finally:
        await proxy.stop()


async def write(register: Register, key: str) -> None:
    await register.write(key, 1)


async def cas(register: Register, key: str) -> None:
    await register.cas(key, None, 1)


@pytest.mark.parametrize("invoke", [write, cas])
@pytest.mark.parametrize("check", at_most_once.CHECKS, ids=lambda check: check.__name__)
def test_one_invoke_is_at_most_one_arrival(
    node: LocalNode, key: str, check: Callable[..., Awaitable[None]], invoke: at_most_once.Invoke
) -> None:
    """Whatever is lost, a write arrives at most once and never later; of a cas it is its change that counts."""

    async def main() -> None:
        async with behind_proxy(node, spare=int(invoke is cas)) as subject:
            await check(subject, invoke, key)

    asyncio.run(main())


class Resending(ConsulRegister):
    """A client with the fault that the contract is about."""

    async def write(self, key: Any, value: Any) -> None:
        try:
            await super().write(key, value)
        except Indefinite:
            await asyncio.sleep(0.05)
            await super().write(key, value)
            raise


def test_the_contract_finds_a_client_that_resends(node: LocalNode, key: str) -> None:
    """The positive control: a client that tries again arrives twice, and the check sees it."""

    async def main() -> None:
        async with behind_proxy(node, Resending) as subject:
            with pytest.raises(AssertionError):
                await at_most_once.reply_lost_then_cut(subject, write, key)

    asyncio.run(main())


@pytest.mark.parametrize("reads", READS)
@pytest.mark.parametrize("value", [0, 1.5, True, "", "ü", [], [1, [2]], {"b": 1, "a": None}, "x" * 100_000])
def test_any_json_is_read_back_as_it_was_written(node: LocalNode, key: str, value: Any, reads: str) -> None:
    """Values keep their type, and a key's JSON names it."""

    async def main() -> None:
        async with opened(node, reads=reads) as register:
            for name in (key, [key, 1], {"k": key}, f"{key}/../é?a=%20b"):
                assert await register.read(name) is None
                await register.write(name, value)
                seen = await register.read(name)
                assert (seen, type(seen)) == (value, type(value))

    asyncio.run(main())


def test_a_cas_sets_where_the_value_is_the_old_one(node: LocalNode, key: str) -> None:
    """From nothing, from a value, to None and from it; else it is definite, and tells what a consistent read saw."""

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


def test_a_cas_after_a_change_neither_happens_nor_observes(node: LocalNode, key: str) -> None:
    """Where the value changed between the read and the set, the cas fails and tells of no value."""

    async def main() -> None:
        async with opened(node) as register, opened(node) as other:
            await other.write(key, 1)
            request = register._connection.request

            async def late(method: str, path: str, body: bytes = b"") -> Any:
                if method == "PUT":
                    await other.write(key, 2)
                    await other.write(key, 1)  # the value of before, at another index
                return await request(method, path, body)

            register._connection.request = late
            with pytest.raises(Definite, match="changed meanwhile") as caught:
                await register.cas(key, 1, 9)
            assert not isinstance(caught.value.observed, int)
            assert await other.read(key) == 1

    asyncio.run(main())


def test_a_value_that_is_too_large_is_definite(node: LocalNode, key: str) -> None:
    """Consul refuses it before it hands it on."""

    async def main() -> None:
        async with opened(node) as register:
            with pytest.raises(Definite):
                await register.write(key, "x" * 600_000)
            assert await register.read(key) is None

    asyncio.run(main())


def test_a_cut_off_request_takes_its_connection_with_it(node: LocalNode, key: str) -> None:
    """The reply to what was cancelled is never taken for the next request's."""

    async def main() -> None:
        async with opened(node) as register:
            await register.write(key, 1)
            await node.signal(signal.SIGSTOP)
            try:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(register.read(key), 0.1)
            finally:
                await node.signal(signal.SIGCONT)
            assert await register.read(f"{key}-never-written") is None

    asyncio.run(main())


def test_a_lock_is_exclusive_and_its_tokens_grow(node: LocalNode, key: str) -> None:
    """Held by one until it is released, extended while it lives, and each grant has a greater token."""

    async def main() -> None:
        async with opened(node, "lock") as first, opened(node, "lock") as second:
            grant = await first.try_acquire(key, 5.0)
            assert await second.is_held(grant)
            with pytest.raises(Definite):
                await second.try_acquire(key, 5.0)
            assert await first.extend(grant, 5.0)
            with pytest.raises(Definite, match="time to live"):
                await first.extend(grant, 6.0)
            waiting = asyncio.create_task(second.acquire(key, 5.0))
            assert await first.release(grant)
            after = await asyncio.wait_for(waiting, 5)
            assert after.token > grant.token
            assert (await first.is_held(grant), await second.is_held(after)) == (False, True)
            assert (await first.release(grant), await first.extend(grant, 5.0)) == (False, False)
            assert await second.release(after)

    asyncio.run(main())


def test_a_grant_whose_reply_is_lost_is_indefinite(node: LocalNode, key: str) -> None:
    """The session is there, the lock was asked for: nobody knows; a session whose reply is lost locks nothing."""

    async def main() -> None:
        for spare, kind in ((0, Definite), (1, Indefinite)):
            proxy = Proxy(node.ip, HTTP_PORT)
            proxy.spare = spare
            await proxy.start()
            lock: Lock = ConsulLock(proxy.address)
            await lock.open()
            proxy.lose(replies=True)
            pending = asyncio.ensure_future(lock.try_acquire(f"{key}-{spare}", 5.0))
            await asyncio.wait_for(proxy.replies.wait(), 5)
            await proxy.cut()
            with pytest.raises(kind):
                await pending
            await lock.close()
            await proxy.stop()

    asyncio.run(main())
