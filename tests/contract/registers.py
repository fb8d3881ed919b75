"""What is particular to each system's register, for the contract that all of them keep (test_registers.py)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from at_most_once import Subject
from kazoo.protocol.serialization import GetData
from local_etcd import version
from local_node import LocalNode, opened
from proxy import proxied

from clusters.consul import Consul
from clusters.consul import system as consul_system
from clusters.consul.calls import path_of as consul_path
from clusters.consul.register import ConsulRegister
from clusters.etcd import Etcd
from clusters.etcd.client import EtcdRegister
from clusters.nats import Nats
from clusters.nats.bucket import STREAM, subject_of
from clusters.nats.connection import Connection as NatsConnection
from clusters.nats.register import NatsRegister
from clusters.nats.system import READS as NATS_READS
from clusters.redis import Redis
from clusters.redis.connection import Connection as RedisConnection
from clusters.redis.facets import RedisRegister
from clusters.zookeeper import ZooKeeper
from clusters.zookeeper import system as zookeeper_system
from clusters.zookeeper.connection import Connection as ZooKeeperConnection
from clusters.zookeeper.node_client import path_of as zookeeper_path
from clusters.zookeeper.register import ZooKeeperRegister
from harness.errors import Indefinite
from harness.facets import Register
from harness.protocols import System

NOBODY = "127.0.0.1:1"
"""An address where nothing listens."""


@dataclass(frozen=True)
class Contract:
    """A system's register behind the contract.

    Attributes:
        system: makes the system whose server is booted.
        port: of its server that clients speak to.
        connect: makes a register, not opened yet, that talks to an address ("ip:port").
        arrivals: returns how often a change of a key arrived, by the server's own count.
        unreachable: makes a register that has nobody to talk to.
        reads: the ways to read.
        spare_of_cas: replies of a cas that come before the one that counts: it reads first. None where the server
            does not count a cas.
        observes: whether a failed cas tells what it saw.
        prepared: whether a key must have been written for its changes to be counted.
        configured: how the server is to be set up so that it counts.
    """

    system: Callable[[], System]
    port: int
    connect: Callable[[str], Register]
    arrivals: Callable[[LocalNode, str], Awaitable[int]]
    unreachable: Callable[[], Register]
    reads: Sequence[str] = ()
    spare_of_cas: int | None = 1
    observes: bool = True
    prepared: bool = False
    configured: Callable[[], AbstractContextManager[None]] = nullcontext


async def etcd_arrivals(node: LocalNode, key: str) -> int:
    """Return etcd's own count of the writes to a key."""
    return await version(node, json.dumps(key).encode())


async def zookeeper_arrivals(node: LocalNode, key: str) -> int:
    """Return ZooKeeper's own count of the sets of a key's node since it was created."""
    connection = ZooKeeperConnection()
    await connection.open(f"{node.ip}:{zookeeper_system.CLIENT_PORT}", 5)
    _, stat = await connection.call(GetData(zookeeper_path(key), None))
    connection.abort()
    return int(stat.version)


async def consul_arrivals(node: LocalNode, key: str) -> int:
    """Return how often a change of a key arrived, by Consul's own log of requests."""
    return consul_requests(node, consul_path("register", key))


def consul_requests(node: LocalNode, path: str) -> int:
    """Return how many changes of a path arrived, by Consul's own log of requests."""
    lines = Path(node.folder, consul_system.LOG).read_text().splitlines()
    return sum("method=PUT" in line and path in line for line in lines)


@contextmanager
def consul_logs_requests() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(consul_system._CONFIGURATION, "log_level", "debug")
        yield


async def nats_arrivals(node: LocalNode, key: str) -> int:
    """Return JetStream's own count of the messages of a key's subject."""
    subject = subject_of("register", key)
    connection = NatsConnection(f"{node.ip}:{REGISTERS['nats'].port}")
    try:
        state = await connection.call(f"$JS.API.STREAM.INFO.{STREAM}", {"subjects_filter": subject})
        return int((state["state"].get("subjects") or {}).get(subject, 0))
    finally:
        await connection.close()


@contextmanager
def nats_keeps_all() -> Iterator[None]:
    call = NatsConnection.call

    async def keeping_all(self: NatsConnection, subject: str, question: Any) -> Any:
        if "STREAM.CREATE" in subject:
            question["max_msgs_per_subject"] = 64
        return await call(self, subject, question)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NatsConnection, "call", keeping_all)
        yield


class DirectRedis(RedisRegister):
    """The register, whose Sentinel names a proxy as the master."""

    def __init__(self, address: str) -> None:
        super().__init__("127.0.0.1:0")
        host, _, port = address.rpartition(":")
        self._proxied = RedisConnection(host, int(port))

    async def open(self) -> None:
        await self.close()
        await self._proxied.open()
        self._master = self._proxied


class CountingRedis(DirectRedis):
    """A register whose write is a count: what arrives twice counts twice, by the server's own arithmetic."""

    async def write(self, key: Any, value: Any) -> None:
        await self.command("INCRBY", f"count:{key}", value)


async def redis_arrivals(node: LocalNode, key: str) -> int:
    """Return how often a key's count was raised."""
    connection = RedisConnection(node.ip, REGISTERS["redis"].port)
    try:
        return int(await connection.command("GET", f"count:{key}") or 0)
    finally:
        await connection.close()


REGISTERS = {
    "etcd": Contract(
        Etcd, 2379, EtcdRegister, etcd_arrivals, lambda: EtcdRegister(NOBODY),
        reads=("linearizable", "serializable"), spare_of_cas=0,
    ),
    "zookeeper": Contract(
        ZooKeeper, zookeeper_system.CLIENT_PORT, ZooKeeperRegister, zookeeper_arrivals,
        lambda: ZooKeeperRegister(NOBODY), reads=zookeeper_system.READS, prepared=True,
    ),
    "consul": Contract(
        Consul, consul_system.HTTP_PORT, ConsulRegister, consul_arrivals, lambda: ConsulRegister(NOBODY),
        reads=consul_system.READS, configured=consul_logs_requests,
    ),
    "nats": Contract(
        lambda: Nats("", {"reads": "direct"}), 4222, NatsRegister, nats_arrivals, lambda: NatsRegister(NOBODY),
        reads=NATS_READS, observes=False, configured=nats_keeps_all,
    ),
    "redis": Contract(
        Redis, 6379, CountingRedis, redis_arrivals, lambda: RedisRegister("127.0.0.1:1"), spare_of_cas=None
    ),
}  # fmt: skip


@asynccontextmanager
async def behind_proxy(
    contract: Contract, node: LocalNode, key: str, *, resend: bool = False, spare: int = 0
) -> AsyncIterator[Subject]:
    """A client's register by way of a proxy; one that resends is the fault that the contract is about."""
    if contract.prepared:
        async with opened(contract.system(), node, "register") as (register,):
            await register.write(key, None)
    async with proxied(node.ip, contract.port, spare=spare) as proxy:
        connect = resending(contract.connect) if resend else contract.connect
        yield Subject(proxy, connect, lambda key: contract.arrivals(node, key))


def resending(connect: Callable[[str], Register]) -> Callable[[str], Register]:
    """Return a maker of registers that write again where they do not know."""

    def make(address: str) -> Register:
        register = connect(address)
        write = register.write

        async def write_twice(key: Any, value: Any) -> None:
            try:
                await write(key, value)
            except Indefinite:
                await asyncio.sleep(0.2)  # time to reconnect, as client libraries take it
                await write(key, value)
                raise

        register.write = write_twice  # type: ignore[method-assign]
        return register

    return make
