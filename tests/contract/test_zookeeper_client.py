"""ZooKeeper's client against a real ZooKeeper: it never resends, stays on its node, and means what it says."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest
from kazoo.protocol.serialization import Exists, GetData
from local_node import LocalNode, opened
from registers import REGISTERS, behind_proxy, zookeeper_arrivals

from clusters.zookeeper import ZooKeeper
from clusters.zookeeper.connection import Connection
from clusters.zookeeper.register import ZooKeeperRegister
from clusters.zookeeper.system import CLIENT_PORT
from harness.errors import Definite, Indefinite


@pytest.fixture
def node(zookeeper: LocalNode) -> LocalNode:
    """A real ZooKeeper."""
    return zookeeper


def test_a_creation_whose_reply_is_lost_is_indefinite(node: LocalNode, key: str) -> None:
    """A first write asks for a set, is refused, and creates: when the creation's reply is lost, nobody knows."""

    async def main() -> None:
        async with behind_proxy(REGISTERS["zookeeper"], node, "other", spare=1) as subject:
            register = await subject.open()
            subject.proxy.lose(replies=True)
            pending = asyncio.ensure_future(register.write(key, 1))
            async with asyncio.timeout(5), opened(ZooKeeper(), node, "register") as (observer,):
                while await observer.read(key) is None:
                    await asyncio.sleep(0.005)
            await subject.proxy.cut()
            with pytest.raises(Indefinite):
                await pending
            await register.close()
            assert await zookeeper_arrivals(node, key) == 0, "created once, and not set after that"

    asyncio.run(main())


def test_a_cas_on_a_stale_read_neither_happens_nor_observes(node: LocalNode, key: str) -> None:
    """Where the value changed between the read and what follows it, the cas fails and tells of no value."""

    async def main() -> None:
        async with opened(ZooKeeper(), node, "register", 2) as (register, other):
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
        async with opened(ZooKeeper(), node, "register") as (register,):

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


def test_opening_on_a_paused_server_ends_within_its_bound(node: LocalNode) -> None:
    """It accepts connections, and says nothing on them."""

    async def main() -> None:
        await node.signal(signal.SIGSTOP)
        try:
            with pytest.raises(ConnectionError, match="no session within"):
                await ZooKeeperRegister(f"{node.ip}:{CLIENT_PORT}").open()
        finally:
            await node.signal(signal.SIGCONT)

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
