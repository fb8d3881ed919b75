"""The system Redis with Sentinel: a master, its replicas, and a Sentinel beside each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from clusters.choices import chosen_version
from clusters.clients import Clients
from clusters.redis.ask import ask
from clusters.redis.install import VERSIONS, install
from clusters.waiting import until_all
from harness.errors import InternalError
from harness.protocols import FacetFactory, Node, NodeStatus

PORT: Final = 6379
SENTINEL_PORT: Final = 26379
MASTER: Final = "kingslayer"

DOWN_AFTER_MS: Final = 1000
FAILOVER_TIMEOUT_MS: Final = 3000

LOG: Final = "server.log"
SERVING_TIMEOUT_S: Final = 30.0


CLIENTS: Final = Clients("Redis", "clusters.redis", "redis", SENTINEL_PORT)


class Redis:
    """Redis with Sentinel, every command synced to disk. Kill and pause act on a node's Redis and Sentinel together.

    Args:
        version: one of `versions`; "" is the newest.
        options: of the run; none of its own.

    Raises:
        UsageError: an unknown version.
    """

    name: ClassVar[str] = "redis"
    backends: Sequence[str] = ("docker", "netns")
    summary: ClassVar[str] = "Redis with Sentinel: asynchronous replication, so acknowledged writes may be lost"
    versions: ClassVar[tuple[str, ...]] = VERSIONS
    facets: ClassVar[Mapping[str, FacetFactory]] = {
        "register": CLIENTS.facet("facets", "RedisRegister"),
        "lock": CLIENTS.facet("facets", "RedisLock"),
    }
    logs: ClassVar[Sequence[str]] = (LOG,)

    def __init__(self, version: str = "", options: Mapping[str, Any] = {}) -> None:
        self.version = chosen_version(version, VERSIONS, "Redis")
        self._names: dict[str, str] = {}

    async def install(self) -> Sequence[Path]:
        """See System; like etcd's, it leaves no thread behind."""
        return (install(self.version).folder,)

    async def boot(self, nodes: Sequence[Node]) -> None:
        """See System. The first node begins as the master; all start at once."""
        self._names = {node.ip: node.name for node in nodes}
        await asyncio.gather(*(_configure(node, nodes) for node in nodes))
        await asyncio.gather(*(self.start(node) for node in nodes))
        server = f"Redis {self.version}"

        async def whole(node: Node) -> bool:
            return await self.ready(node) and await _knows(node, len(nodes) - 1)

        await until_all(nodes, whole, server=server, what="find the others", timeout_s=SERVING_TIMEOUT_S, log=LOG)

    async def start(self, node: Node) -> None:
        """See System. The Sentinel is a child of the server, so that they live and die together."""
        installed = install(self.version)
        script = '"$1" "$2/sentinel.conf" --sentinel & exec "$1" "$2/redis.conf"'
        argv = ["sh", "-c", script, "sh", str(installed.server), node.folder]
        await node.start(argv, env={"LD_LIBRARY_PATH": installed.libraries}, log=LOG)

    async def ready(self, node: Node) -> bool:
        """Say whether the node's Redis is a master, or in touch with one, and its Sentinel answers."""
        try:
            said = await ask(node.ip, PORT, "INFO replication")
            await ask(node.ip, SENTINEL_PORT, "INFO sentinel")
        except OSError:
            return False
        return said.get("role") == "master" or said.get("master_link_status") == "up"

    async def status(self, node: Node) -> NodeStatus:
        """Ask the node's Redis for its role. No term: an epoch is Sentinel's, of another moment than this role.

        Raises:
            OSError: it does not answer in time.
        """
        said = await ask(node.ip, PORT, "INFO replication")
        if said.get("role") == "master":
            return NodeStatus("leader", None, node.name, int(said["master_repl_offset"]))
        leader = self._names.get(said.get("master_host", ""))
        return NodeStatus("follower", None, leader, int(said["slave_repl_offset"]))


async def _knows(node: Node, others: int) -> bool:
    """Say whether a node's Sentinel has found every replica and every other Sentinel."""
    try:
        said = await ask(node.ip, SENTINEL_PORT, "INFO sentinel")
    except OSError:
        return False
    return f"slaves={others},sentinels={others + 1}" in said.get("master0", "")


async def _configure(node: Node, nodes: Sequence[Node]) -> None:
    """Write the node's two configurations; both programs rewrite theirs when roles change."""
    first = nodes[0]
    redis = [
        f"bind {node.ip}",
        f"port {PORT}",
        f"dir {node.folder}",
        "protected-mode no",
        "appendonly yes",
        "appendfsync always",
        'save ""',
        "repl-diskless-sync-delay 0",
        "repl-ping-replica-period 1",
    ]
    if node.name != first.name:
        redis.append(f"replicaof {first.ip} {PORT}")
    sentinel = [
        f"bind {node.ip}",
        f"port {SENTINEL_PORT}",
        f"dir {node.folder}",
        "protected-mode no",
        f"sentinel monitor {MASTER} {first.ip} {PORT} {len(nodes) // 2 + 1}",
        f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}",
        f"sentinel failover-timeout {MASTER} {FAILOVER_TIMEOUT_MS}",
        # It would ask the master for its replicas when it starts, before there are any, and again ten seconds later.
        *(f"sentinel known-replica {MASTER} {node.ip} {PORT}" for node in nodes[1:]),
    ]
    script = 'cd "$1" && printf %s "$2" > redis.conf && printf %s "$3" > sentinel.conf'
    texts = ["\n".join([*lines, ""]) for lines in (redis, sentinel)]
    code, output = await node.run(["sh", "-c", script, "sh", node.folder, *texts])
    if code:
        raise InternalError(f"{node.name}: its configuration cannot be written: {output.strip()}")
