"""The system `memory`: what replicas.py keeps, behind the protocols of a System and its facets."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any, ClassVar, Final

from clusters.memory.bugs import BUGS, summary
from clusters.memory.elections import Elections, MemoryElection
from clusters.memory.leases import Leases, MemoryLeases
from clusters.memory.locks import Locks, MemoryLock
from clusters.memory.memberships import Memberships, MemoryMembership
from clusters.memory.node import MemoryNode
from clusters.memory.register import MemoryRegister
from clusters.memory.replicas import Replica, Replicas
from clusters.memory.tasks import MemoryTasks, TaskService
from clusters.memory.watches import MemoryWatch, Watches
from harness.errors import ClusterError, UsageError
from harness.facets import Facet
from harness.protocols import FacetFactory, Node, NodeDigest, NodeStatus

ARGV = ("memory-register",)
"""What the nodes' logs show as the command."""

PARTS: Final[Mapping[str, tuple[Any, Any]]] = {
    "register": (Replicas, MemoryRegister),
    "lock": (Locks, MemoryLock),
    "election": (Elections, MemoryElection),
    "tasks": (TaskService, MemoryTasks),
    "watch": (Watches, MemoryWatch),
    "leases": (Leases, MemoryLeases),
    "membership": (Memberships, MemoryMembership),
}
"""Of each facet what keeps its state, made as state(replicas), and its client, made as client(state, replica).

The register's state is the replicas themselves; that of any other facet lives in them, below keys of its own.
"""


class Memory:
    """A coordinator without any I/O, correct or with a bug: every facet that there is.

    Args:
        version: "" or "1".
        options: `bug`, one of BUGS; `seed` of its random choices (0).

    Raises:
        UsageError: there is no such version or bug.
    """

    name = "memory"
    summary = "a coordinator in this process, correct or with a bug (--option bug=NAME): no cluster needed"
    versions: ClassVar = ("1",)
    backends: Sequence[str] = ("memory",)
    options: ClassVar[Mapping[str, Sequence[str]]] = {"bug": tuple(BUGS)}
    bugs: ClassVar[Mapping[str, str]] = {name: summary(bug) for name, bug in BUGS.items()}
    logs: Sequence[str] = ("server.log",)
    log_patterns: Mapping[str, str] = MappingProxyType({"panic": "^panic: "})

    def __init__(self, version: str = "", options: Mapping[str, Any] | None = None) -> None:
        options = options or {}
        check_version(self.name, version, self.versions)
        bug = str(options.get("bug", ""))
        if bug and bug not in BUGS:
            raise UsageError(f"memory has no bug {bug!r}", f"choose one of {', '.join(BUGS)}")
        self.version = version or self.versions[0]
        self.facets: Mapping[str, FacetFactory] = {name: partial(self._facet, name) for name in PARTS}
        self._bug = BUGS[bug] if bug else object
        self._random = Random(f"memory {options.get('seed', 0)}")  # noqa: S311 (choices to replay, not secrets)
        self._replicas: Replicas | None = None
        self._states: dict[str, Any] = {}

    async def install(self) -> Sequence[Path]:
        return ()

    async def boot(self, nodes: Sequence[Node]) -> None:
        machines = [in_memory(self.name, node) for node in nodes]
        replicas = self._replicas = self._class(Replicas)(machines, self._random)
        self._states = {
            name: replicas if state is Replicas else self._class(state)(replicas) for name, (state, _) in PARTS.items()
        }
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

    async def digest(self, node: Node, at: Any) -> NodeDigest:
        replica = self._replica(node)
        if replica.group is None:
            raise ClusterError(f"{node.name} does not serve")
        state = [replica.synced, replica.group.revision]
        data = sorted(f"{key!r}: {value!r}" for key, value in replica.data.items())
        return NodeDigest(at=state, digest=hashlib.sha256("\n".join(data).encode()).hexdigest()[:16])

    def _replica(self, node: Node) -> Replica:
        assert self._replicas is not None, "booted before it is used"
        return self._replicas[node.name]

    def _class(self, correct: type) -> Any:
        """Return the class that does it, or does it wrong."""
        return self._bug if issubclass(self._bug, correct) else correct

    def _facet(self, name: str, node: Node, options: Mapping[str, Any]) -> Facet:
        facet: Facet = PARTS[name][1](self._states[name], self._replica(node))
        return facet


def check_version(system: str, version: str, versions: Sequence[str]) -> None:
    """Raise UsageError unless `version` is one of `versions` or empty."""
    if version and version not in versions:
        raise UsageError(f"{system} has no version {version!r}", f"choose {' or '.join(versions)}, or leave it out")


def in_memory(system: str, node: Node) -> MemoryNode:
    """Return `node`, which must be of the backend `memory`."""
    if not isinstance(node, MemoryNode):
        raise UsageError(f"{system} runs on the backend memory only", "leave --backend out or say --backend memory")
    return node
