"""A cluster: a system on the machines of a backend. Machines stand for several runs; each run boots afresh."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from harness.config import RunConfig
from harness.errors import UsageError
from harness.facets import Facet
from harness.hosts import Hosts
from harness.protocols import (
    Backend,
    ClientProcess,
    Endpoint,
    HasFiles,
    HasMembership,
    HasStatus,
    Node,
    NodeStatus,
    Right,
    System,
)

STATUS_S: Final = 0.5
READY_POLL_S: Final = 0.05


class Cluster:
    """What faults and the runner act on; implements protocols.Cluster.

    Args:
        backend: where the nodes live; `enter` was called.
        system: what runs on them; `install` was called.
        names: of the nodes.
    """

    def __init__(self, backend: Backend, system: System, names: list[str]) -> None:
        self.backend = backend
        self.system = system
        self.names = names
        self.nodes: Mapping[str, Node] = {}
        self.clients: Mapping[str, ClientProcess] = {}
        self.rights: Collection[Right] = ()
        self._hosts = Hosts()

    async def up(self, paths: Sequence[Path], rights: Collection[Right] = ()) -> None:
        """Bring up the machines; every node can read `paths`, which System.install returned, and has these rights.

        Raises:
            ClusterError: with what to do; nothing is left behind.
        """
        try:
            nodes = await self.backend.up(self.names, paths, rights)
        except BaseException:
            await self.backend.down()
            raise
        self.nodes = {node.name: node for node in nodes}
        self.rights = rights

    async def boot(self) -> None:
        """Start the system afresh, on wiped nodes, and wait until it serves.

        Where the power may fail, all of it is on the disks then: a cluster that loses its very founding does not
        answer any more, and would not show that it loses what it acknowledges later.

        Raises:
            ClusterError: it never got healthy.
        """
        await asyncio.gather(*(node.wipe() for node in self.nodes.values()))
        await self.system.boot(list(self.nodes.values()))
        if Right.VOLUME in self.rights:
            await asyncio.gather(*(node.run(["sync", "-f", node.folder]) for node in self.nodes.values()))

    async def down(self) -> None:
        """Stop everything and remove the machines."""
        self.nodes = {}
        await self.backend.down()

    async def start_clients(self, count: int, config: RunConfig) -> None:
        """Let the facets that are asked for from now on live in `count` processes of their own.

        Raises:
            ClusterError: one does not start.
        """
        await self._hosts.start(count, config, list(self.nodes.values()))
        self.clients = self._hosts.hosts

    async def end_clients(self) -> None:
        """End these processes."""
        self.clients = {}
        await self._hosts.end()

    def facet(self, name: str, node: str, options: Mapping[str, Any]) -> Facet:
        """Return an unopened facet of a node.

        Raises:
            UsageError: the system has no such facet.
        """
        try:
            make = self.system.facets[name]
        except KeyError:
            known = ", ".join(self.system.facets) or "none"
            raise UsageError(f"{self.system.name} has no facet {name!r}", f"its facets: {known}") from None
        return self._hosts.facet(name, node) if self.clients else make(self.nodes[node], options)

    async def restart(self, name: str) -> None:
        """Start the server of a node again, with its data."""
        await self.system.start(self.nodes[name])

    @property
    def membership(self) -> HasMembership | None:
        """How nodes leave and join; None where the system cannot do that."""
        return self.system if isinstance(self.system, HasMembership) else None

    @property
    def harness(self) -> Endpoint | None:
        """The clients' end of their links to the nodes; None where there are no such links."""
        return self.backend.harness

    @property
    def files(self) -> Mapping[str, Sequence[str]]:
        """What files the system has in a node's folder, by kind; none where it does not tell."""
        return self.system.files if isinstance(self.system, HasFiles) else {}

    @property
    def has_status(self) -> bool:
        """Whether nodes tell their role, term and leader."""
        return isinstance(self.system, HasStatus)

    async def status(self, name: str) -> NodeStatus:
        """Ask a node what it is.

        Raises:
            Exception: it does not answer within STATUS_S.
        """
        assert isinstance(self.system, HasStatus)
        async with asyncio.timeout(STATUS_S):  # wait_for can lose a cancellation before Python 3.12
            return await self.system.status(self.nodes[name])

    async def leader(self) -> str | None:
        """Return the leader that most nodes know in the newest term; None where no node knows one."""
        if not self.has_status:
            return None
        answers = await asyncio.gather(*(self.status(name) for name in self.names), return_exceptions=True)
        known = [status for status in answers if isinstance(status, NodeStatus) and status.leader]
        if not known:
            return None
        newest = max(status.term or 0 for status in known)
        votes = Counter(status.leader for status in known if (status.term or 0) == newest)
        return votes.most_common(1)[0][0]

    async def recover(self, limit_s: float) -> list[str]:
        """Wait until every node serves again, at most `limit_s`; return the names of those that do not."""
        try:
            async with asyncio.timeout(limit_s):
                await asyncio.gather(*(self._ready(name) for name in self.names))
        except TimeoutError:
            ready = await asyncio.gather(*(self.system.ready(node) for node in self.nodes.values()))
            return [name for name, good in zip(self.names, ready, strict=True) if not good]
        return []

    async def _ready(self, name: str) -> None:
        while not await self.system.ready(self.nodes[name]):
            await asyncio.sleep(READY_POLL_S)
