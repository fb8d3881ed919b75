"""The system ZooKeeper: starts an ensemble, and asks its servers what they are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from clusters.choices import chosen_reads, chosen_version
from clusters.clients import Clients
from clusters.waiting import until_all
from clusters.zookeeper.install import VERSIONS, Installed, install
from harness.errors import InternalError
from harness.protocols import FacetFactory, Node, NodeDigest, NodeStatus

CLIENT_PORT: Final = 2181
PEER_PORT: Final = 2888
ELECTION_PORT: Final = 3888

TICK_MS: Final = 500
INIT_TICKS: Final = 10
SYNC_TICKS: Final = 4
ELECTION_CONNECT_MS: Final = 500

LOG: Final = "server.log"
EPOCH_FILE: Final = "data/version-2/currentEpoch"

SERVING_TIMEOUT_S: Final = 60.0
ASK_TIMEOUT_S: Final = 0.4
STATUS_TRIES_MAX: Final = 3
REPLY_BYTES_MAX: Final = 1 << 16

_UNSTAMPED_WATCHES: Final = ("3.8.0",)
"""Versions before 3.9: no event of a watch tells its transaction, so that nothing could be held against one."""

READS: Final = ("quorum", "sync", "plain")

_JVM: Final = ("-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
_ROLES: Final = {"leader": "leader", "follower": "follower", "standalone": "leader", "observer": "learner"}
_NOT_SERVING: Final = "not currently serving"


CLIENTS: Final = Clients("ZooKeeper", "clusters.zookeeper", "zookeeper", CLIENT_PORT)
FACETS: Final[Mapping[str, FacetFactory]] = {
    "register": CLIENTS.facet("register", "ZooKeeperRegister", READS),
    "lock": CLIENTS.facet("lock", "ZooKeeperLock"),
    "election": CLIENTS.facet("lock", "ZooKeeperElection"),
    "leases": CLIENTS.facet("leases", "ZooKeeperLeases"),
    "watch": CLIENTS.facet("watches", "ZooKeeperWatch"),
}
"""By name; each raises UsageError where kazoo is not installed."""


class ZooKeeper:
    """ZooKeeper, as its makers ship it: explicit time-outs, fsync on, one server a node.

    Args:
        version: one of `versions`; "" is the newest.
        options: of the run.

    Raises:
        UsageError: an unknown version, or a wrong option.
    """

    name: ClassVar[str] = "zookeeper"
    backends: Sequence[str] = ("docker", "netns")
    summary: ClassVar[str] = "ZooKeeper: tree of nodes on Zab; linearizable writes, reads by choice"
    versions: ClassVar[tuple[str, ...]] = VERSIONS
    options: ClassVar[Mapping[str, Sequence[str]]] = {"reads": READS}
    facets: Mapping[str, FacetFactory] = FACETS
    logs: ClassVar[Sequence[str]] = (LOG,)

    def __init__(self, version: str = "", options: Mapping[str, Any] = {}) -> None:
        self.version = chosen_version(version, VERSIONS, "ZooKeeper")
        chosen_reads(options, READS, "ZooKeeper")
        if self.version in _UNSTAMPED_WATCHES:
            self.facets = {name: make for name, make in self.facets.items() if name != "watch"}

    async def install(self) -> Sequence[Path]:
        """See System; like etcd's, it leaves no thread behind."""
        return install(self.version).folders

    async def boot(self, nodes: Sequence[Node]) -> None:
        """See System. Servers of an ensemble look for each other until a majority is there: all start at once."""
        await asyncio.gather(*(_configure(node, number, nodes) for number, node in enumerate(nodes, 1)))
        await asyncio.gather(*(self.start(node) for node in nodes))
        server = f"ZooKeeper {self.version}"
        await until_all(nodes, self.ready, server=server, what="serve", timeout_s=SERVING_TIMEOUT_S, log=LOG)

    async def start(self, node: Node) -> None:
        """See System."""
        installed = install(self.version)
        await node.start(_argv(installed, node), env={"LD_LIBRARY_PATH": installed.libraries}, log=LOG)

    async def ready(self, node: Node) -> bool:
        """Say whether the server serves clients: it does while it leads, or follows a leader."""
        try:
            return _mode(await _ask(node.ip, "srvr")) is not None
        except OSError:
            return False

    async def status(self, node: Node) -> NodeStatus:
        """Ask the server for its role and its last transaction, and its disk for its epoch.

        The epoch cannot be taken from the last transaction's id: a new follower's last transaction is of an earlier
        epoch, and one that was never agreed to is taken back. The file is written before a server leads or follows in
        the epoch, and only ever grows. So where it is the same before and after the answer, the role is of that epoch:
        a server that had led in an earlier one had stopped to before the file changed.

        Raises:
            OSError: it does not answer in time, or an election came between.
        """
        epoch = await _epoch(node)
        for _ in range(STATUS_TRIES_MAX):
            reply = await _ask(node.ip, "srvr")
            after = await _epoch(node)
            if after == epoch:
                mode = _mode(reply)
                role = "candidate" if mode is None else _ROLES[mode]
                leader = node.name if role == "leader" else None
                return NodeStatus(role, epoch, leader, _last_transaction(reply), atomic=True)
            epoch = after
        raise OSError(f"{node.name}: its epoch changes all the time")

    async def digest(self, node: Node, at: Any) -> NodeDigest:
        """Ask the server for the digest of its tree after a transaction, the newest or `at`.

        Every server notes its tree's digest after each 128th transaction of an epoch, and none while it still replays
        what a snapshot may hold already: where the transaction is the same, the trees must be.

        Raises:
            OSError: it does not answer, or has not noted that digest.
        """
        noted = dict(line.split(": ") for line in (await _hear(node.ip, "hash")).splitlines() if ": " in line)
        zxid = at["zxid"] if at is not None else next(reversed(noted), None)
        if zxid not in noted:
            raise OSError(f"{node.name}: no digest of its tree after transaction {zxid}")
        return NodeDigest(at={"zxid": zxid}, digest=noted[zxid])


async def _configure(node: Node, number: int, nodes: Sequence[Node]) -> None:
    """Write a server's number and configuration."""
    lines = [
        f"tickTime={TICK_MS}",
        f"initLimit={INIT_TICKS}",
        f"syncLimit={SYNC_TICKS}",
        f"dataDir={node.folder}/data",
        f"clientPort={CLIENT_PORT}",
        f"clientPortAddress={node.ip}",
        "maxClientCnxns=0",
        "admin.enableServer=false",
        "4lw.commands.whitelist=srvr,hash",
        *(f"server.{other}={peer.ip}:{PEER_PORT}:{ELECTION_PORT}" for other, peer in enumerate(nodes, 1)),
    ]
    script = 'cd "$1" && mkdir -p data && printf %s "$2" > data/myid && printf %s "$3" > zoo.cfg'
    argv = ["sh", "-c", script, "sh", node.folder, str(number), "\n".join([*lines, ""])]
    code, output = await node.run(argv)
    if code:
        raise InternalError(f"{node.name}: its configuration cannot be written: {output.strip()}")


def _argv(installed: Installed, node: Node) -> list[str]:
    properties = {
        "zookeeper.cnxTimeout": ELECTION_CONNECT_MS,
        "zookeeper.preAllocSize": 4096,  # KB; its 64 MB would take longer to make than an ensemble lives
        "org.slf4j.simpleLogger.showDateTime": "true",
        "org.slf4j.simpleLogger.dateTimeFormat": "yyyy-MM-dd HH:mm:ss.SSS",
        "java.io.tmpdir": node.folder,
    }
    argv = [str(installed.java), *_JVM, *(f"-D{name}={value}" for name, value in properties.items())]
    main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
    return [*argv, "-cp", installed.classpath, main, f"{node.folder}/zoo.cfg"]


async def _ask(ip: str, word: str) -> str:
    """Return a server's answer to one of its four-letter words.

    Raises:
        OSError: no whole answer in time.
    """
    async with asyncio.timeout(ASK_TIMEOUT_S):
        reader, writer = await asyncio.open_connection(ip, CLIENT_PORT)
        try:
            writer.write(word.encode())
            reply = (await reader.read(REPLY_BYTES_MAX)).decode(errors="replace")
            while not reply.endswith("\n") or (_NOT_SERVING not in reply and "Mode:" not in reply):
                more = await reader.read(REPLY_BYTES_MAX)
                if not more:
                    raise OSError(f"{ip}: {word}: a cut answer: {reply[:100]!r}")
                reply += more.decode(errors="replace")
            return reply
        finally:
            writer.close()


async def _hear(ip: str, word: str) -> str:
    """Return all that a server says to one of its four-letter words, until it closes the connection.

    Raises:
        OSError: no end in time.
    """
    async with asyncio.timeout(ASK_TIMEOUT_S):
        reader, writer = await asyncio.open_connection(ip, CLIENT_PORT)
        try:
            writer.write(word.encode())
            return (await reader.read()).decode(errors="replace")
        finally:
            writer.close()


def _field(reply: str, name: str) -> str | None:
    return next((line.partition(": ")[2].strip() for line in reply.splitlines() if line.startswith(f"{name}: ")), None)


def _mode(reply: str) -> str | None:
    """Return what a server is that serves; None for one that does not."""
    return None if _NOT_SERVING in reply else _field(reply, "Mode")


def _last_transaction(reply: str) -> int | None:
    zxid = _field(reply, "Zxid")
    return None if zxid is None else int(zxid, 16)


async def _epoch(node: Node) -> int | None:
    """Return the epoch that a server was last in; None for one that stands alone or was in none yet."""
    text = (await node.read(EPOCH_FILE)).strip()
    return int(text) if text else None
