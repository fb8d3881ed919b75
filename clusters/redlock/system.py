"""The system Redlock: Redis servers that know nothing of each other, and keep nothing over a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from clusters.choices import chosen_version
from clusters.clients import Clients
from clusters.redis.ask import ask
from clusters.redis.install import VERSIONS, install
from clusters.redis.system import LOG, PORT
from clusters.waiting import until_all
from harness.errors import InternalError
from harness.facets import Facet
from harness.protocols import FacetFactory, Node

SERVING_TIMEOUT_S: Final = 20.0
CLIENTS: Final = Clients("Redlock", "clusters.redlock", "redis", PORT)


class Redlock:
    """Independent Redis servers, as the algorithm Redlock wants them; five are usual.

    Args:
        version: of Redis, one of `versions`; "" is the newest.
        options: of the run; none of its own.

    Raises:
        UsageError: an unknown version.
    """

    name: ClassVar[str] = "redlock"
    backends: Sequence[str] = ("docker", "netns")
    summary: ClassVar[str] = "Redlock: locks that a majority of independent Redis servers grants, in memory only"
    versions: ClassVar[tuple[str, ...]] = VERSIONS
    logs: ClassVar[Sequence[str]] = (LOG,)

    def __init__(self, version: str = "", options: Mapping[str, Any] = {}) -> None:
        self.version = chosen_version(version, VERSIONS, "Redis")
        self.facets: Mapping[str, FacetFactory] = {"lock": self._lock}
        self._servers: list[tuple[str, int]] = []

    async def install(self) -> Sequence[Path]:
        """See System; like etcd's, it leaves no thread behind."""
        return (install(self.version).folder,)

    async def boot(self, nodes: Sequence[Node]) -> None:
        """See System."""
        self._servers = [(node.ip, PORT) for node in nodes]
        await asyncio.gather(*(self.start(node) for node in nodes))
        server = f"Redis {self.version}"
        await until_all(nodes, self.ready, server=server, what="serve", timeout_s=SERVING_TIMEOUT_S, log=LOG)

    async def start(self, node: Node) -> None:
        """See System."""
        installed = install(self.version)
        flags = {"bind": node.ip, "port": PORT, "protected-mode": "no", "save": "", "appendonly": "no"}
        argv = [str(installed.server), *(word for name, value in flags.items() for word in (f"--{name}", str(value)))]
        await node.start(argv, env={"LD_LIBRARY_PATH": installed.libraries}, log=LOG)

    async def ready(self, node: Node) -> bool:
        """Say whether the server answers."""
        try:
            await ask(node.ip, PORT, "INFO server")
        except OSError:
            return False
        return True

    def _lock(self, node: Node, options: Mapping[str, Any]) -> Facet:
        """Make the facet "lock", on all servers; raise UsageError where redis-py is not installed."""
        if not self._servers:
            raise InternalError("Redlock: its servers are not known before the cluster was booted")
        lock: Facet = CLIENTS.load("lock", "RedlockLock")(self._servers)
        return lock
