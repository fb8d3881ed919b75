"""Real servers for the contract tests, each booted once by a process that asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from local_node import LocalNode, booted
from registers import REGISTERS

Factory = pytest.TempPathFactory


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key (a lock, an election, a task) that no other test uses."""
    return str(request.node.name)


@pytest.fixture(scope="session")
def etcd(tmp_path_factory: Factory) -> Iterator[LocalNode]:
    """A real etcd of one member."""
    yield from _serve("etcd", tmp_path_factory)


@pytest.fixture(scope="session")
def zookeeper(tmp_path_factory: Factory) -> Iterator[LocalNode]:
    """A real ZooKeeper that stands alone."""
    yield from _serve("zookeeper", tmp_path_factory)


@pytest.fixture(scope="session")
def consul(tmp_path_factory: Factory) -> Iterator[LocalNode]:
    """A real Consul of one server, which logs every request."""
    yield from _serve("consul", tmp_path_factory)


@pytest.fixture(scope="session")
def nats(tmp_path_factory: Factory) -> Iterator[LocalNode]:
    """A real JetStream of one server, whose bucket allows direct gets and keeps every message."""
    yield from _serve("nats", tmp_path_factory)


@pytest.fixture(scope="session")
def redis(tmp_path_factory: Factory) -> Iterator[LocalNode]:
    """A real Redis with its Sentinel."""
    yield from _serve("redis", tmp_path_factory)


def _serve(name: str, folders: Factory) -> Iterator[LocalNode]:
    contract = REGISTERS[name]
    with booted(contract.system(), folders.mktemp(name), configured=contract.configured) as local:
        yield local
