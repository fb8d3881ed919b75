"""The system `memory`: the replicated register of replicas.py behind the protocols of a System and its facets."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from random import Random
from types import coroutine
from typing import Any, ClassVar

from clusters.memory.bugs import BUGS
from clusters.memory.node import MemoryNode
from clusters.memory.replicas import Replica, Replicas
from harness.errors import ClusterError, Definite, Indefinite, UsageError
from harness.op import freeze
from harness.protocols import FacetFactory, Node, NodeStatus

ARGV = ("memory-register",)
"""What the nodes' logs show as the command."""


class Memory:
    """A linearizable register without any I/O, or one with a bug.

    Args:
        version: "" or "1".
        options: `bug`, one of BUGS; `seed` of its random choices (0).

    Raises:
        UsageError: there is no such version or bug.
    """

    name = "memory"
    summary = "a replicated register in this process, correct or with a bug (--option bug=NAME): no cluster needed"
    versions: ClassVar = ("1",)
    backends: Sequence[str] = ("memory",)
    options: ClassVar[Mapping[str, Sequence[str]]] = {"bug": tuple(BUGS)}
    bugs: ClassVar[Mapping[str, str]] = {name: bug.summary for name, bug in BUGS.items()}
    logs: Sequence[str] = ("server.log",)

    def __init__(self, version: str = "", options: Mapping[str, Any] | None = None) -> None:
        options = options or {}
        check_version(self.name, version, self.versions)
        bug = str(options.get("bug", ""))
        if bug and bug not in BUGS:
            raise UsageError(f"memory has no bug {bug!r}", f"choose one of {', '.join(BUGS)}")
        self.version = version or self.versions[0]
        self.facets: Mapping[str, FacetFactory] = {"register": self._register}
        self._kind = BUGS[bug].replicas if bug else Replicas
        self._random = Random(f"memory {options.get('seed', 0)}")  # noqa: S311 (choices to replay, not secrets)
        self._replicas: Replicas | None = None

    async def install(self) -> Sequence[Path]:
        return ()

    async def boot(self, nodes: Sequence[Node]) -> None:
        self._replicas = self._kind([in_memory(self.name, node) for node in nodes], self._random)
        for node in nodes:
            await self.start(node)

    async def start(self, node: Node) -> None:
        await node.start(ARGV)

    async def ready(self, node: Node) -> bool:
        return self._replica(node).group is not None

    async def status(self, node: Node) -> NodeStatus:
        replica = self._replica(node)
        if not replica.node.running:
            raise ClusterError(f"{node.name} does not answer: its server is {await node.state()}")
        return replica.status()

    def _replica(self, node: Node) -> Replica:
        assert self._replicas is not None, "booted before it is used"
        return self._replicas[node.name]

    def _register(self, node: Node, options: Mapping[str, Any]) -> MemoryRegister:
        assert self._replicas is not None, "booted before it is used"
        return MemoryRegister(self._replicas, self._replicas[node.name])


class MemoryRegister:
    """Facet "register". Every operation takes effect at one instant, with a turn of the event loop before and after."""

    def __init__(self, replicas: Replicas, replica: Replica) -> None:
        self._replicas = replicas
        self._replica = replica
        self._node = replica.node

    async def open(self) -> None:
        if self._node.dead():
            raise ConnectionRefusedError(f"{self._node.name}: its server is dead")

    async def close(self) -> None:
        """Nothing is held."""

    async def read(self, key: Any) -> Any:
        await turn()
        if self._replica.group is None:
            await self._served()
        value = self._replicas.read(self._replica, _name(key))
        await turn()
        if not self._node.running:
            await self._answered()
        return value

    async def write(self, key: Any, value: Any) -> None:
        await turn()
        if self._replica.group is None:
            await self._served()
        self._replicas.write(self._replica, _name(key), value)
        await turn()
        if not self._node.running:
            await self._answered()

    async def cas(self, key: Any, old: Any, new: Any) -> None:
        await turn()
        if self._replica.group is None:
            await self._served()
        self._replicas.cas(self._replica, _name(key), old, new)
        await turn()
        if not self._node.running:
            await self._answered()

    async def _served(self) -> None:
        """Hang until the node is in a group; a dead one refuses."""
        while self._replica.group is None:
            if self._node.dead():
                raise Definite(f"connection refused: the server of {self._node.name} is dead")
            await self._replicas.network.change()

    async def _answered(self) -> None:
        """Hang while the node is paused; one that died cannot answer any more."""
        while not self._node.running:
            if self._node.dead():
                raise Indefinite(f"connection lost: the server of {self._node.name} died")
            await self._replicas.network.change()


@coroutine
def turn() -> Generator[None]:
    """Give way to the event loop once; half the price of asyncio.sleep(0)."""
    yield


def check_version(system: str, version: str, versions: Sequence[str]) -> None:
    """Raise UsageError unless `version` is one of `versions` or empty."""
    if version and version not in versions:
        raise UsageError(f"{system} has no version {version!r}", f"choose {' or '.join(versions)}, or leave it out")


def in_memory(system: str, node: Node) -> MemoryNode:
    """Return `node`, which must be of the backend `memory`."""
    if not isinstance(node, MemoryNode):
        raise UsageError(f"{system} runs on the backend memory only", "leave --backend out or say --backend memory")
    return node


def _name(key: Any) -> Any:
    return key if type(key) in (int, str) else freeze(key)
