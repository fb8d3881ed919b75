"""NATS's client against a real JetStream: it never resends, stays on its node, and means what it says."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import at_most_once
import pytest
from at_most_once import Subject
from local_node import LocalNode, booted
from proxy import Proxy

from clusters.nats import Nats
from clusters.nats.bucket import STREAM, subject_of
from clusters.nats.connection import Connection
from clusters.nats.register import NatsRegister
from clusters.nats.system import CLIENT_PORT, READS
from harness.errors import Definite, Indefinite
from harness.facets import Register


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNode]:
    """A real JetStream of one server, whose bucket allows direct gets and keeps every message."""
    with pytest.MonkeyPatch.context() as patch:
        call = Connection.call

        async def keeping_all(self: Connection, subject: str, question: Any) -> Any:
            if "STREAM.CREATE" in subject:
                question["max_msgs_per_subject"] = 64
            return await call(self, subject, question)

        patch.setattr(Connection, "call", keeping_all)
        with booted(Nats("", {"reads": "direct"}), tmp_path_factory.mktemp("nats")) as local:
            yield local


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key that no other test uses."""
    return str(request.node.name)


async def arrivals(node: LocalNode, key: str) -> int:
    """Return JetStream's own count of the messages of a key's subject."""
    connection = Connection(f"{node.ip}:{CLIENT_PORT}")
    try:
        state = await connection.call(f"$JS.API.STREAM.INFO.{STREAM}", {"subjects_filter": subject_of("register", key)})
        return int((state["state"].get("subjects") or {}).get(subject_of("register", key), 0))
    finally:
        await connection.close()


@asynccontextmanager
async def opened(node: LocalNode, **options: Any) -> AsyncIterator[Any]:
    register: Any = Nats().facets["register"](node, options)  # type: ignore[arg-type]
    await register.open()
    try:
        yield register
    finally:
        await register.close()


@asynccontextmanager
async def behind_proxy(
    node: LocalNode, connect: Callable[[str], Register] = NatsRegister, *, spare: int = 0
) -> AsyncIterator[Subject]:
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
    """Whatever is lost, a write arrives at most once and never later; of a cas it is its message that counts."""

    async def main() -> None:
        async with behind_proxy(node, spare=int(invoke is cas)) as subject:
            await check(subject, invoke, key)

    asyncio.run(main())


class Resending(NatsRegister):
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
            for name in (key, [key, 1], {"k": key}, f"{key}.*.>/../é "):
                assert await register.read(name) is None
                await register.write(name, value)
                seen = await register.read(name)
                assert (seen, type(seen)) == (value, type(value))

    asyncio.run(main())


@pytest.mark.parametrize("reads", READS)
def test_a_cas_sets_where_the_value_is_the_old_one(node: LocalNode, key: str, reads: str) -> None:
    """From nothing, from a value, to None and from it; else it is definite, and observed nothing by promise."""

    async def main() -> None:
        async with opened(node, reads=reads) as register:
            await register.cas(key, None, {"a": 1, "b": 2})
            await register.cas(key, {"b": 2, "a": 1}, 7)
            await register.cas(key, 7, None)
            await register.cas(key, None, 8)
            for old in (7, None, "8", True):
                with pytest.raises(Definite) as caught:
                    await register.cas(key, old, 9)
                assert not isinstance(caught.value.observed, int)
            assert await register.read(key) == 8

    asyncio.run(main())


def test_a_cas_after_a_change_does_not_happen(node: LocalNode, key: str) -> None:
    """Where the key was written between the read and the set, even with the same value, JetStream refuses."""

    async def main() -> None:
        async with opened(node) as register, opened(node) as other:
            await other.write(key, 1)
            publish = register._connection.publish

            async def late(*words: Any) -> Any:
                await other.write(key, 1)
                return await publish(*words)

            register._connection.publish = late
            with pytest.raises(Definite, match="wrong last sequence"):
                await register.cas(key, 1, 9)
            assert await other.read(key) == 1

    asyncio.run(main())


def test_a_subject_that_nobody_takes_is_definite(node: LocalNode) -> None:
    """The server hands the message to nobody, and says so."""

    async def main() -> None:
        connection = Connection(f"{node.ip}:{CLIENT_PORT}")
        with pytest.raises(Definite, match="nobody takes"):
            await connection.publish("$KV.other.key", b"1")
        await connection.close()

    asyncio.run(main())


def test_opening_on_a_dead_node_fails_in_bounded_time_and_can_be_closed() -> None:
    """No connection is an error within the bound, and close after it is fine."""

    async def main() -> None:
        register = NatsRegister("127.0.0.1:1")
        with pytest.raises(ConnectionError, match="no connection"):
            await asyncio.wait_for(register.open(), 5)
        await register.close()
        await register.close()

    asyncio.run(main())


def test_a_paused_server_costs_bounded_time(node: LocalNode, key: str) -> None:
    """A read hangs until it is cancelled, opening ends within its bound, and all works after the server resumes."""

    async def main() -> None:
        async with opened(node) as register:
            await register.write(key, 1)
            await node.signal(signal.SIGSTOP)
            try:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(register.read(key), 0.2)
                with pytest.raises(ConnectionError, match="not in time"):
                    await NatsRegister(f"{node.ip}:{CLIENT_PORT}").open()
            finally:
                await node.signal(signal.SIGCONT)
            assert await register.read(key) == 1

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
            with pytest.raises(Indefinite):
                await asyncio.wait_for(pending, 5)

    asyncio.run(main())


@pytest.mark.parametrize("turn", ["released", "expired"])
def test_a_lock_is_exclusive_and_its_tokens_grow(node: LocalNode, key: str, turn: str) -> None:
    """Held by one until it is released or its time is over; the next grant's token is greater than all before."""

    async def main() -> None:
        make: Any = Nats().facets["lock"]
        first, second = make(node, {}), make(node, {})
        await asyncio.gather(first.open(), second.open())
        ttl_s = 5.0 if turn == "released" else 1.0
        grant = await first.try_acquire(key, ttl_s)
        with pytest.raises(Definite):
            await second.try_acquire(key, ttl_s)
        assert await first.extend(grant, ttl_s)
        assert await second.is_held(grant)
        waiting = asyncio.create_task(second.acquire(key, ttl_s))
        if turn == "released":
            assert await first.release(grant)
        after = await asyncio.wait_for(waiting, 10)
        assert after.token > grant.token
        assert not await first.is_held(grant)
        assert not await first.extend(grant, ttl_s)
        assert not await first.release(grant)
        await asyncio.gather(first.close(), second.close())

    asyncio.run(main())


def test_a_version_without_times_to_live_has_no_lock() -> None:
    """A lock that never ends by itself would be none."""
    assert "lock" in Nats("2.15.1").facets
    assert not any("lock" in Nats(version).facets for version in ("2.9.10", "2.10.27"))
