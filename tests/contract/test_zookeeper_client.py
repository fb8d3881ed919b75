"""ZooKeeper's client against a real ZooKeeper: it never resends, stays on its node, and means what it says."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import at_most_once
import pytest
from at_most_once import Subject
from kazoo.protocol.serialization import Exists, GetData
from local_node import LocalNode, booted
from proxy import Proxy

from clusters.zookeeper import ZooKeeper
from clusters.zookeeper.connection import Connection
from clusters.zookeeper.node_client import path_of
from clusters.zookeeper.register import ZooKeeperRegister
from clusters.zookeeper.system import CLIENT_PORT, READS
from harness.errors import Definite, Indefinite
from harness.facets import Register


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNode]:
    """A real ZooKeeper that stands alone."""
    with booted(ZooKeeper(), tmp_path_factory.mktemp("zookeeper")) as local:
        yield local


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key that no other test uses."""
    return str(request.node.name)


async def arrivals(node: LocalNode, key: str) -> int:
    """Return ZooKeeper's own count of the sets of a key's node since it was created."""
    connection = Connection()
    await connection.open(f"{node.ip}:{CLIENT_PORT}", 5)
    _, stat = await connection.call(GetData(path_of(key), None))
    connection.abort()
    return int(stat.version)


@asynccontextmanager
async def opened(node: LocalNode, **options: Any) -> AsyncIterator[Register]:
    register: Register = ZooKeeper.facets["register"](node, options)  # type: ignore[arg-type, assignment]
    await register.open()
    try:
        yield register
    finally:
        await register.close()


@asynccontextmanager
async def behind_proxy(
    node: LocalNode, key: str, connect: Callable[[str], Register] = ZooKeeperRegister, *, spare: int = 0
) -> AsyncIterator[Subject]:
    """A register behind a proxy, and a node of the tree for the key: what is counted is its sets."""
    async with opened(node) as register:
        await register.write(key, None)
    proxy = Proxy(node.ip, CLIENT_PORT)
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
    """Whatever is lost, a write arrives at most once and never later; of a cas it is its set that counts."""

    async def main() -> None:
        async with behind_proxy(node, key, spare=int(invoke is cas)) as subject:
            await check(subject, invoke, key)

    asyncio.run(main())


class Resending(ZooKeeperRegister):
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
        async with behind_proxy(node, key, Resending) as subject:
            with pytest.raises(AssertionError):
                await at_most_once.reply_lost_then_cut(subject, write, key)

    asyncio.run(main())


def test_a_creation_whose_reply_is_lost_is_indefinite(node: LocalNode, key: str) -> None:
    """A first write asks for a set, is refused, and creates: when the creation's reply is lost, nobody knows."""

    async def main() -> None:
        async with behind_proxy(node, "other", spare=1) as subject:
            register = await subject.open()
            subject.proxy.lose(replies=True)
            pending = asyncio.ensure_future(register.write(key, 1))
            async with asyncio.timeout(5), opened(node) as observer:
                while await observer.read(key) is None:
                    await asyncio.sleep(0.005)
            await subject.proxy.cut()
            with pytest.raises(Indefinite):
                await pending
            await register.close()
            assert await arrivals(node, key) == 0, "created once, and not set after that"

    asyncio.run(main())


@pytest.mark.parametrize("reads", READS)
@pytest.mark.parametrize("value", [0, -1, 2**53, 1.5, True, "", "ü", [], [1, [2]], {"b": 1, "a": None}, "x" * 100_000])
def test_any_json_is_read_back_as_it_was_written(node: LocalNode, key: str, value: Any, reads: str) -> None:
    """Values keep their type, and a key's JSON names it."""

    async def main() -> None:
        async with opened(node, reads=reads) as register:
            for name in (key, [key, 1], {"k": key}, f"{key}/../é"):
                assert await register.read(name) is None
                await register.write(name, value)
                seen = await register.read(name)
                assert (seen, type(seen)) == (value, type(value))

    asyncio.run(main())


def test_a_cas_sets_where_the_value_is_the_old_one(node: LocalNode, key: str) -> None:
    """From no node, from a value, to None and from it, with equality of JSON and not of text."""

    async def main() -> None:
        async with opened(node) as register:
            await register.cas(key, None, {"a": 1, "b": 2})
            await register.cas(key, {"b": 2, "a": 1}, 7)
            assert await register.read(key) == 7
            await register.cas(key, 7, None)
            assert await register.read(key) is None
            await register.cas(key, None, 8)

    asyncio.run(main())


@pytest.mark.parametrize(("before", "old"), [(3, 4), (3, None), (None, 4), (1, True), ("1", 1)])
def test_a_failed_cas_is_definite_and_tells_what_was_confirmed(
    node: LocalNode, key: str, before: Any, old: Any
) -> None:
    """The observed value is the one whose version a transaction confirmed; the value stays."""

    async def main() -> None:
        async with opened(node) as register:
            await register.write(key, before)
            with pytest.raises(Definite) as caught:
                await register.cas(key, old, 9)
            assert (caught.value.observed, type(caught.value.observed)) == (before, type(before))
            assert await register.read(key) == before

    asyncio.run(main())


def test_a_cas_on_a_stale_read_neither_happens_nor_observes(node: LocalNode, key: str) -> None:
    """Where the value changed between the read and what follows it, the cas fails and tells of no value."""

    async def main() -> None:
        async with opened(node) as register, opened(node) as other:
            await register.write(key, 1)
            connection = register._connection  # type: ignore[attr-defined]
            call = connection.call

            async def late(request: Any) -> Any:
                reply = await call(request)
                if isinstance(request, GetData):
                    await other.write(key, 2)
                return reply

            connection.call = late
            for old in (1, 5):
                await other.write(key, 1)
                with pytest.raises(Definite) as caught:
                    await register.cas(key, old, 9)
                assert not isinstance(caught.value.observed, int)
                assert await other.read(key) == 2

    asyncio.run(main())


def test_a_digest_is_of_one_transaction(node: LocalNode, key: str) -> None:
    """The tree's digest after a transaction stays the same, another transaction's differs, and none is made up."""

    async def main() -> None:
        system: Any = ZooKeeper()
        async with opened(node) as register:

            async def write_on() -> None:
                for value in range(130):  # a digest is noted after each 128th transaction
                    await register.write(key, value)

            await write_on()
            first = await system.digest(node, None)
            await write_on()
            second = await system.digest(node, None)
            assert await system.digest(node, first.at) == first
            assert (first.at != second.at, first.digest != second.digest) == (True, True)
            with pytest.raises(OSError, match="no digest"):
                await system.digest(node, {"zxid": "7f00000080"})

    asyncio.run(main())


def test_opening_on_a_dead_node_fails_in_bounded_time_and_can_be_closed() -> None:
    """No connection is an error within the bound, and close after it is fine."""

    async def main() -> None:
        register = ZooKeeperRegister("127.0.0.1:1")
        with pytest.raises(OSError):  # noqa: PT011 - the message is the system's
            await asyncio.wait_for(register.open(), 5)
        await register.close()
        await register.close()

    asyncio.run(main())


def test_a_paused_server_costs_bounded_time(node: LocalNode, key: str) -> None:
    """A client cannot open on it, and a read hangs until the worker cancels it; both work after it resumes."""

    async def main() -> None:
        async with opened(node) as register:
            await register.write(key, 1)
            await node.signal(signal.SIGSTOP)
            try:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(register.read(key), 0.2)
                with pytest.raises(ConnectionError, match="no session within"):
                    await ZooKeeperRegister(f"{node.ip}:{CLIENT_PORT}").open()
            finally:
                await node.signal(signal.SIGCONT)
            assert await register.read(key) == 1

    asyncio.run(main())


def test_a_connection_answers_in_order_and_ends_its_session(node: LocalNode, key: str) -> None:
    """Pings and requests may be under way together, and after the end nothing can be sent."""

    async def main() -> None:
        connection = Connection()
        await connection.open(f"{node.ip}:{CLIENT_PORT}", 5)
        await asyncio.gather(connection.ping(), connection.ping(), connection.call(Exists("/", None)))
        await connection.end()
        connection.abort()
        with pytest.raises(Definite, match="nothing was sent"):
            await connection.ping()

    asyncio.run(main())
