"""NATS's client against a real JetStream: it never resends, stays on its node, and means what it says."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest
from local_node import LocalNode, opened

from clusters.nats import Nats
from clusters.nats.connection import Connection
from clusters.nats.register import NatsRegister
from clusters.nats.system import CLIENT_PORT
from harness.errors import Definite


@pytest.fixture
def node(nats: LocalNode) -> LocalNode:
    """A real JetStream."""
    return nats


def test_a_cas_after_a_change_does_not_happen(node: LocalNode, key: str) -> None:
    """Where the key was written between the read and the set, even with the same value, JetStream refuses."""

    async def main() -> None:
        async with opened(Nats(), node, "register", 2) as (register, other):
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


def test_opening_on_a_paused_server_ends_within_its_bound(node: LocalNode) -> None:
    """It accepts connections, and says nothing on them."""

    async def main() -> None:
        await node.signal(signal.SIGSTOP)
        try:
            with pytest.raises(ConnectionError, match="not in time"):
                await NatsRegister(f"{node.ip}:{CLIENT_PORT}").open()
        finally:
            await node.signal(signal.SIGCONT)

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
