"""The system Consul: servers that find each other by gossip, and their raft's state."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec

from clusters.choices import chosen_reads, chosen_version
from clusters.consul.elections import ConsulElection
from clusters.consul.install import VERSIONS, install
from clusters.consul.lock import ConsulLock
from clusters.consul.register import ConsulRegister
from clusters.http import get
from clusters.waiting import until_all
from harness.errors import InternalError
from harness.facets import Facet
from harness.protocols import FacetFactory, Node, NodeStatus

HTTP_PORT: Final = 8500
RAFT_PORT: Final = 8300

LOG: Final = "server.log"

HEALTHY_TIMEOUT_S: Final = 40.0
ASK_TIMEOUT_S: Final = 0.4
STATUS_TRIES_MAX: Final = 3

READS: Final = ("consistent", "default", "stale")

_CONFIGURATION: Final = {
    "server": True,
    "data_dir": "data",
    "performance": {"raft_multiplier": 1},  # as its makers advise for production
    "session_ttl_min": "500ms",  # it would refuse a time to live below ten seconds
    "ports": {"dns": -1, "serf_wan": -1},
    "disable_update_check": True,
    "disable_host_node_id": True,
    "leave_on_terminate": False,
    # A server that is down for a while must not be taken out of the cluster.
    "autopilot": {"cleanup_dead_servers": False},
}
_ROLES: Final = {"Leader": "leader", "Follower": "follower", "Candidate": "candidate"}


class _Raft(msgspec.Struct):
    state: str
    term: str
    applied_index: str


class _Known(msgspec.Struct):
    leader_addr: str = ""


class _Stats(msgspec.Struct):
    raft: _Raft
    consul: _Known


class _Self(msgspec.Struct):
    stats: _Stats = msgspec.field(name="Stats")


def register(node: Node, options: Mapping[str, Any]) -> Facet:
    """Make the facet "register" on one node.

    Args:
        options: "reads" is "consistent" (the default), "default" or "stale".

    Raises:
        UsageError: another value of "reads".
    """
    return ConsulRegister(f"{node.ip}:{HTTP_PORT}", reads=chosen_reads(options, READS, "Consul"))


def lock(node: Node, options: Mapping[str, Any]) -> Facet:
    """Make the facet "lock" on one node."""
    return ConsulLock(f"{node.ip}:{HTTP_PORT}")


def election(node: Node, options: Mapping[str, Any]) -> Facet:
    """Make the facet "election" on one node."""
    return ConsulElection(f"{node.ip}:{HTTP_PORT}")


class Consul:
    """Consul, as its makers ship it: every node is a server, fsync on.

    Args:
        version: one of `versions`; "" is the newest.
        options: of the run.

    Raises:
        UsageError: an unknown version, or a wrong option.
    """

    name: ClassVar[str] = "consul"
    backends: Sequence[str] = ("docker", "netns")
    summary: ClassVar[str] = "Consul: key-value store and sessions on Raft; reads by choice"
    versions: ClassVar[tuple[str, ...]] = VERSIONS
    options: ClassVar[Mapping[str, Sequence[str]]] = {"reads": READS}
    facets: ClassVar[Mapping[str, FacetFactory]] = {"register": register, "lock": lock, "election": election}
    logs: ClassVar[Sequence[str]] = (LOG,)

    def __init__(self, version: str = "", options: Mapping[str, Any] = {}) -> None:
        self.version = chosen_version(version, VERSIONS, "Consul")
        chosen_reads(options, READS, "Consul")
        self._argv: dict[str, list[str]] = {}
        self._names: dict[str, str] = {}
        self._terms: dict[str, int] = {}

    async def install(self) -> Sequence[Path]:
        """See System; like etcd's, it leaves no thread behind."""
        return (install(self.version).parent,)

    async def boot(self, nodes: Sequence[Node]) -> None:
        """See System. The servers wait for each other: all start at once."""
        binary = str(install(self.version))
        self._argv = {node.name: _argv(binary, node, nodes) for node in nodes}
        self._names = {f"{node.ip}:{RAFT_PORT}": node.name for node in nodes}
        self._terms = {}
        await asyncio.gather(*(self.start(node) for node in nodes))
        server = f"Consul {self.version}"
        await until_all(nodes, self.ready, server=server, what="get healthy", timeout_s=HEALTHY_TIMEOUT_S, log=LOG)

    async def start(self, node: Node) -> None:
        """See System."""
        if node.name not in self._argv:
            raise InternalError(f"{node.name}: started before the cluster was booted")
        await node.start(self._argv[node.name], log=LOG)

    async def ready(self, node: Node) -> bool:
        """Say whether the node has just done a consistent read."""
        try:
            await get(node.ip, HTTP_PORT, "/v1/session/list?consistent", timeout_s=ASK_TIMEOUT_S)
        except OSError:
            return False
        return True

    async def status(self, node: Node) -> NodeStatus:
        """Ask the node's raft for its role, term, leader and applied index.

        Consul reads them one after another, the term last, so that an election may come between. Whatever raft says of
        role and leader, it takes back before its term grows. So they belong to the term where the answer before, of
        this call or an earlier one, had the same term.

        Raises:
            OSError: it does not answer in time, or elections come all the time.
        """
        for _ in range(STATUS_TRIES_MAX):
            before = self._terms.get(node.name)  # as of now: what others are told meanwhile may be newer than the role
            reply = await get(node.ip, HTTP_PORT, "/v1/agent/self", timeout_s=ASK_TIMEOUT_S)
            stats = msgspec.json.decode(reply, type=_Self).stats
            term = int(stats.raft.term)
            self._terms[node.name] = term
            if before == term:
                return NodeStatus(
                    role=_ROLES.get(stats.raft.state, "candidate"),
                    term=term,
                    leader=self._names.get(stats.consul.leader_addr),
                    revision=int(stats.raft.applied_index),
                    atomic=True,
                )
        raise OSError(f"{node.name}: its term changes all the time")


def _argv(binary: str, node: Node, nodes: Sequence[Node]) -> list[str]:
    configuration = _CONFIGURATION | {
        "node_name": node.name,
        "data_dir": f"{node.folder}/data",
        "bind_addr": node.ip,
        "client_addr": node.ip,
        "bootstrap_expect": len(nodes),
        "retry_join": [other.ip for other in nodes],
        "retry_interval": "500ms",
    }
    # It wants its configuration from a file with a name that it knows, or in pieces of HCL, of which JSON is one.
    text = msgspec.json.encode(configuration).decode()
    return [binary, "agent", "-hcl", text]
