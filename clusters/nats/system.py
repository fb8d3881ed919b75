"""The system NATS: a JetStream cluster with one bucket that every node keeps a replica of."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec

from clusters.choices import chosen_reads, chosen_version
from clusters.clients import Clients
from clusters.http import get
from clusters.nats.bucket import STREAM, SUBJECTS
from clusters.nats.install import VERSIONS, install
from clusters.waiting import until_all
from harness.errors import ClusterError, InternalError, OpError
from harness.protocols import FacetFactory, Node, NodeStatus

CLIENT_PORT: Final = 4222
PEER_PORT: Final = 6222
HTTP_PORT: Final = 8222

LOG: Final = "server.log"

HEALTHY_TIMEOUT_S: Final = 40.0
ASK_TIMEOUT_S: Final = 0.4
POLL_S: Final = 0.05
REPLICAS_MAX: Final = 5

FOUNDINGS_MAX: Final = 3
FOUNDING_TIMEOUT_S: Final = 30.0
"""Usually it takes one or two seconds; where the first leader is lost meanwhile, an election more (4 to 9)."""

READS: Final = ("leader", "direct")
CLIENTS: Final = Clients("NATS", "clusters.nats", "nats", CLIENT_PORT)

_ROLES: Final = {"LEADER": "leader", "FOLLOWER": "follower", "CANDIDATE": "candidate"}
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class _Group(msgspec.Struct):
    """A raft group, at one moment (the fields that we use)."""

    state: str
    leader: str = ""
    term: int = 0
    applied: int = 0


class _Cluster(msgspec.Struct):
    leader: str = ""


class _Stream(msgspec.Struct):
    name: str
    cluster: _Cluster | None = None


class _Account(msgspec.Struct):
    streams: list[_Stream] = msgspec.field(name="stream_detail", default_factory=list)


class _JetStream(msgspec.Struct):
    accounts: list[_Account] = msgspec.field(name="account_details", default_factory=list)


class Nats:
    """NATS JetStream with one bucket, replicated on every node; every write is synced to disk from 2.10 on.

    Args:
        version: one of `versions`; "" is the newest.
        options: of the run; "reads" decides whether the bucket allows direct gets.

    Raises:
        UsageError: an unknown version, or a wrong option.
    """

    name: ClassVar[str] = "nats"
    backends: Sequence[str] = ("docker", "netns")
    summary: ClassVar[str] = "NATS JetStream: key-value buckets on Raft; reads from the leader or any replica"
    versions: ClassVar[tuple[str, ...]] = VERSIONS
    options: ClassVar[Mapping[str, Sequence[str]]] = {"reads": READS}
    logs: ClassVar[Sequence[str]] = (LOG,)

    def __init__(self, version: str = "", options: Mapping[str, Any] = {}) -> None:
        self.version = chosen_version(version, VERSIONS, "NATS")
        self._locks = self._is_at_least(2, 11)
        self.facets: Mapping[str, FacetFactory] = {"register": CLIENTS.facet("register", "NatsRegister", READS)}
        if self._locks:
            self.facets |= {"lock": CLIENTS.facet("lock", "NatsLock")}
        self._direct = chosen_reads(options, READS, "NATS") == "direct"
        self._argv: dict[str, list[str]] = {}
        self._names: dict[str, str] = {}

    async def install(self) -> Sequence[Path]:
        """See System; like etcd's, it leaves no thread behind."""
        return (install(self.version).parent,)

    async def boot(self, nodes: Sequence[Node]) -> None:
        """See System. The servers look for each other, so all start at once; then the bucket is made.

        A founding may fail for good, with every server alive (seen of 2.10.27; the list of peers is in its raft.go).
        Each server begins with itself as the only peer of the cluster's raft, and the first leader's list of peers,
        itself alone, replaces the followers' own; it then adds whoever answers. Where it loses its lead before it has
        added all (a starved processor or a slow disk for 4 s are enough), the next leader

        - may not be in its own list: it never answers itself, so it never adds itself, and has one peer too few for
          the bucket ("no suitable peers for placement"), while every server calls itself healthy;
        - or counts two peers and is content with them, while the third stays a candidate of a higher term.

        What was founded so has taken no operation yet, so it may be founded again. A server that ended is an error at
        once, and the last founding has the longer patience, and says what it waits for.
        """
        binary = str(install(self.version))
        self._argv = {node.name: [binary, "-c", f"{node.folder}/nats.conf"] for node in nodes}
        self._names = {_peer_id(node.name): node.name for node in nodes}
        for _ in range(FOUNDINGS_MAX - 1):
            try:
                async with asyncio.timeout(FOUNDING_TIMEOUT_S):
                    await self._found(nodes)
                return
            except TimeoutError:
                await asyncio.gather(*(node.wipe() for node in nodes))
        await self._found(nodes)

    async def _found(self, nodes: Sequence[Node]) -> None:
        """Make a cluster with a bucket out of wiped nodes."""
        await asyncio.gather(*(self._configure(node, nodes) for node in nodes))
        await asyncio.gather(*(self.start(node) for node in nodes))
        await self._wait(nodes, "start")
        await self._make_bucket(nodes)
        await self._wait(nodes, "get healthy")

    async def start(self, node: Node) -> None:
        """See System."""
        if node.name not in self._argv:
            raise InternalError(f"{node.name}: started before the cluster was booted")
        await node.start(self._argv[node.name], log=LOG)

    async def ready(self, node: Node) -> bool:
        """Say whether the server calls itself healthy: it has the cluster's state, and the stream is caught up."""
        try:
            await get(node.ip, HTTP_PORT, "/healthz", timeout_s=ASK_TIMEOUT_S)
        except OSError:
            return False
        return True

    async def status(self, node: Node) -> NodeStatus:
        """Ask the stream's raft for its role, term, leader and applied index, which it reads under one lock.

        They are not said to be atomic: servers up to 2.10 change their term before their role when they step down, and
        their candidates may go back to an older term; of the later ones we are not certain.

        Versions without this question tell the leader only, and no term.

        Raises:
            OSError: it does not answer in time, or has no replica of the stream yet.
        """
        if not self._is_at_least(2, 10, 20):
            return await self._status_without_term(node)
        reply = await get(node.ip, HTTP_PORT, "/raftz?acc=$G", timeout_s=ASK_TIMEOUT_S)
        accounts = msgspec.json.decode(reply, type=dict[str, dict[str, _Group]])
        groups = [group for account in accounts.values() for name, group in account.items() if name.startswith("S-")]
        if len(groups) != 1:
            raise OSError(f"{node.name}: {len(groups)} streams")
        group = groups[0]
        role = _ROLES.get(group.state, "candidate")
        return NodeStatus(role, group.term, self._names.get(group.leader), group.applied)

    async def _status_without_term(self, node: Node) -> NodeStatus:
        reply = await get(node.ip, HTTP_PORT, "/jsz?streams=true&raft=true", timeout_s=ASK_TIMEOUT_S)
        details = msgspec.json.decode(reply, type=_JetStream)
        streams = [stream for account in details.accounts for stream in account.streams if stream.name == STREAM]
        if not streams:
            raise OSError(f"{node.name}: has no replica of the stream yet")
        leader = streams[0].cluster.leader if streams[0].cluster else node.name
        return NodeStatus("leader" if leader == node.name else "follower", None, leader or None)

    def _is_at_least(self, *numbers: int) -> bool:
        return tuple(map(int, self.version.split("."))) >= numbers

    async def _configure(self, node: Node, nodes: Sequence[Node]) -> None:
        """Write a server's configuration."""
        routes = ", ".join(f"nats-route://{peer.ip}:{PEER_PORT}" for peer in nodes)
        # Before 2.10 it syncs in the background only: what a kill of the process leaves is in the page cache.
        sync = "sync_interval: always" if self.version != "2.9.10" else ""
        lines = [
            f"server_name: {node.name}",
            f"listen: {node.ip}:{CLIENT_PORT}",
            f"http: {node.ip}:{HTTP_PORT}",
            f"jetstream {{ store_dir: {node.folder}/data, max_mem: 64MB, max_file: 1GB, {sync} }}",
        ]
        if len(nodes) > 1:
            lines.append(f"cluster {{ name: kingslayer, listen: {node.ip}:{PEER_PORT}, routes: [{routes}] }}")
        script = 'printf %s "$1" > "$2/nats.conf"'
        code, output = await node.run(["sh", "-c", script, "sh", "\n".join([*lines, ""]), node.folder])
        if code:
            raise InternalError(f"{node.name}: its configuration cannot be written: {output.strip()}")

    async def _wait(self, nodes: Sequence[Node], what: str) -> None:
        server = f"NATS {self.version}"
        await until_all(nodes, self.ready, server=server, what=what, timeout_s=HEALTHY_TIMEOUT_S, log=LOG)

    async def _make_bucket(self, nodes: Sequence[Node]) -> None:
        """Make the bucket, and wait until it takes a message: there is a leader then."""
        stream: dict[str, Any] = {
            "name": STREAM, "subjects": [SUBJECTS], "max_msgs_per_subject": 1, "discard": "new",
            "storage": "file", "num_replicas": min(len(nodes), REPLICAS_MAX), "retention": "limits",
            "allow_direct": self._direct, "allow_rollup_hdrs": True, "deny_delete": True, "max_consumers": -1,
            "max_msgs": -1, "max_bytes": -1, "max_age": 0, "duplicate_window": 120_000_000_000,
        }  # fmt: skip
        if self._locks:
            stream["allow_msg_ttl"] = True
        connection = CLIENTS.load("connection", "Connection")(CLIENTS.address(nodes[0]))
        last = "it does not answer"
        try:
            async with asyncio.timeout(HEALTHY_TIMEOUT_S):
                while True:
                    try:
                        async with asyncio.timeout(2):
                            await connection.call(f"$JS.API.STREAM.CREATE.{STREAM}", stream)
                            await connection.publish(SUBJECTS.replace(">", "boot"), b"null")
                        return
                    except (OpError, TimeoutError) as error:
                        last = str(error) or last
                        await asyncio.sleep(POLL_S)
        except TimeoutError:
            what = f"NATS {self.version}: no bucket within {HEALTHY_TIMEOUT_S:g} s: {last}"
            raise ClusterError(what, "see the servers' logs") from None
        finally:
            await connection.close()


def _peer_id(name: str) -> str:
    """Return what NATS makes of a server's name to tell peers of its raft apart."""
    return "".join(_DIGITS[byte % len(_DIGITS)] for byte in hashlib.sha256(name.encode()).digest()[:8])
