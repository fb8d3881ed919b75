"""etcd's client against a real etcd: it never resends, stays on its node, and means what it says."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import at_most_once
import pytest
from at_most_once import Subject
from local_etcd import version
from local_node import LocalNode, booted
from proxy import Proxy

from clusters.etcd import Etcd
from clusters.etcd.client import EtcdRegister
from clusters.etcd.system import CLIENT_PORT
from harness.errors import Definite, Indefinite
from harness.facets import Register


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNode]:
    """A real etcd of one member."""
    with booted(Etcd(), tmp_path_factory.mktemp("etcd")) as local:
        yield local


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key that no other test uses."""
    return str(request.node.name)


async def arrivals(node: LocalNode, key: str) -> int:
    """Return etcd's own count of the writes to a key."""
    return await version(node, json.dumps(key).encode())


@asynccontextmanager
async def behind_proxy(node: LocalNode, connect: Callable[[str], Register] = EtcdRegister) -> AsyncIterator[Subject]:
    proxy = Proxy(node.ip, CLIENT_PORT)
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
    """Whatever is lost, a write arrives at most once and never later, and its outcome is not overstated."""

    async def main() -> None:
        async with behind_proxy(node) as subject:
            await check(subject, invoke, key)

    asyncio.run(main())


def test_a_sent_request_is_never_taken_for_one_that_did_not_leave(node: LocalNode, key: str) -> None:
    """The race between a broken connection and a refused one, many times over: always indefinite."""

    async def main() -> None:
        async with behind_proxy(node) as subject:
            for turn in range(20):
                await at_most_once.reply_lost_then_gone(subject, write, f"{key}-{turn}")

    asyncio.run(main())


class Resending(EtcdRegister):
    """A client with the fault that the contract is about."""

    async def write(self, key: Any, value: Any) -> None:
        try:
            await super().write(key, value)
        except Indefinite:
            await asyncio.sleep(0.2)  # time to reconnect, as client libraries take it
            await super().write(key, value)
            raise


def test_the_contract_finds_a_client_that_resends(node: LocalNode, key: str) -> None:
    """The positive control: a client that tries again arrives twice, and the check sees it."""

    async def main() -> None:
        async with behind_proxy(node, Resending) as subject:
            with pytest.raises(AssertionError):
                await at_most_once.reply_lost_then_cut(subject, write, key)

    asyncio.run(main())


@asynccontextmanager
async def opened(node: LocalNode, **options: Any) -> AsyncIterator[Register]:
    register: Register = Etcd.facets["register"](node, options)  # type: ignore[arg-type, assignment]
    await register.open()
    try:
        yield register
    finally:
        await register.close()


@pytest.mark.parametrize("reads", ["linearizable", "serializable"])
@pytest.mark.parametrize("value", [0, -1, 2**53, 1.5, True, "", "ü", [], [1, [2]], {"b": 1, "a": None}, "x" * 100_000])
def test_any_json_is_read_back_as_it_was_written(node: LocalNode, key: str, value: Any, reads: str) -> None:
    """Values keep their type, and a key's JSON names it."""

    async def main() -> None:
        async with opened(node, reads=reads) as register:
            for name in (key, [key, 1], {"k": key}):
                assert await register.read(name) is None
                await register.write(name, value)
                seen = await register.read(name)
                assert (seen, type(seen)) == (value, type(value))

    asyncio.run(main())


def test_a_cas_sets_where_the_value_is_the_old_one(node: LocalNode, key: str) -> None:
    """From None, from a value, and to None, with equality of JSON and not of text."""

    async def main() -> None:
        async with opened(node) as register:
            await register.cas(key, None, {"a": 1, "b": 2})
            await register.cas(key, {"b": 2, "a": 1}, 7)
            assert await register.read(key) == 7
            await register.cas(key, 7, None)
            assert await register.read(key) is None
            await register.cas(key, None, None)

    asyncio.run(main())


@pytest.mark.parametrize(("before", "old"), [(3, 4), (3, None), (None, 4), (1, True), ("1", 1)])
def test_a_failed_cas_is_definite_and_tells_what_it_saw(node: LocalNode, key: str, before: Any, old: Any) -> None:
    """The observed value is that of the same transaction; the value stays."""

    async def main() -> None:
        async with opened(node) as register:
            await register.write(key, before)
            with pytest.raises(Definite) as caught:
                await register.cas(key, old, 9)
            assert (caught.value.observed, type(caught.value.observed)) == (before, type(before))
            assert await register.read(key) == before

    asyncio.run(main())


def test_a_request_that_is_too_large_is_definite(node: LocalNode, key: str) -> None:
    """etcd refuses it before it proposes it, and the value stays."""

    async def main() -> None:
        async with opened(node) as register:
            await register.write(key, 1)
            with pytest.raises(Definite, match="too large"):
                await register.write(key, "x" * 1_900_000)
            assert await register.read(key) == 1

    asyncio.run(main())


def test_opening_on_a_dead_node_fails_in_bounded_time_and_can_be_closed() -> None:
    """No connection is an error within the bound, and close after it is fine."""

    async def main() -> None:
        register = EtcdRegister("127.0.0.1:1")
        with pytest.raises(ConnectionError, match=r"no connection within 0\.5 s"):
            await asyncio.wait_for(register.open(), 5)
        await register.close()
        await register.close()

    asyncio.run(main())


def test_a_read_of_a_stopped_server_can_be_cancelled_and_an_error_of_a_read_is_definite(
    node: LocalNode, key: str
) -> None:
    """A paused server lets a read hang until the worker cancels it; a node that is gone makes it fail, definitely."""

    async def main() -> None:
        async with behind_proxy(node) as subject:
            register = await subject.open()
            await node.signal(signal.SIGSTOP)
            try:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(register.read(key), 0.2)
            finally:
                await node.signal(signal.SIGCONT)
            await subject.proxy.stop()
            with pytest.raises(Definite):
                await register.read(key)
            await register.close()

    asyncio.run(main())


def test_close_in_the_middle_of_an_invoke_ends_it(node: LocalNode, key: str) -> None:
    """A client that is closed while it waits does not keep its invoke hanging."""

    async def main() -> None:
        async with behind_proxy(node) as subject:
            register = await subject.open()
            subject.proxy.lose(replies=True)
            pending = asyncio.ensure_future(register.write(key, 1))
            await asyncio.wait_for(subject.proxy.requests.wait(), 5)
            await register.close()
            done, _ = await asyncio.wait([pending], timeout=5)
            assert done
            with pytest.raises((Indefinite, asyncio.CancelledError)):
                pending.result()

    asyncio.run(main())
