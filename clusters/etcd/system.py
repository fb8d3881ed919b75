"""The system etcd: starts members one after another, and asks them for their health and their raft's state."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import msgspec

from clusters.choices import chosen_reads, chosen_version
from clusters.etcd.changes import change, is_member
from clusters.etcd.facets import CLIENT_PORT, FACETS, PEER_PORT, READS
from clusters.etcd.install import VERSIONS, install
from clusters.http import HttpConnection, get
from clusters.waiting import until
from harness.errors import ClusterError, InternalError, UsageError
from harness.protocols import FacetFactory, Node, NodeDigest, NodeStatus

HEARTBEAT_MS: Final = 100
ELECTION_TIMEOUT_MS: Final = 1000

LOG: Final = "server.log"
DATA: Final = "data"

MEMBER_UP_TIMEOUT_S: Final = 10.0
HEALTHY_TIMEOUT_S: Final = 30.0
END_TIMEOUT_S: Final = 3.0
JOIN_TRIES: Final = 5
ASK_TIMEOUT_S: Final = 0.5
MEMBERS_TIMEOUT_S: Final = 2.0
POLL_S: Final = 0.02

FILES: Final[Mapping[str, Sequence[str]]] = {
    "log": (f"{DATA}/member/wal/*.wal",),
    "database": (f"{DATA}/member/snap/db",),
}

FSYNC: Final = ("on", "off")
SINCE_NO_FSYNC: Final = (3, 5)

_SURROUNDINGS: Final = (
    "no space left|read-only file system|input/output error|too many open files|cannot allocate memory|"
    "out of memory|newosproc|address already in use|error validating peerURLs"
)
"""What ends a server for a reason that is not its own; the last: it was told other members than there are by now."""

LOG_PATTERNS: Final[Mapping[str, str]] = {
    "panic": rf'^(?!.*({_SURROUNDINGS}))(panic: |fatal error: |.*"level":"(panic|dpanic)")',
    "fatal error": rf'^(?!.*({_SURROUNDINGS})).*"level":"fatal"',
    "corruption": r'"alarm":"CORRUPT"|"msg":"found (data inconsistency with peers|hash mismatch)',
}


class _RaftStatus(msgspec.Struct):
    """What raft itself says, at one moment (the fields that we use)."""

    id: str
    term: int
    lead: str
    applied: int
    raft_state: str = msgspec.field(name="raftState")


class _Vars(msgspec.Struct):
    raft: _RaftStatus | None = msgspec.field(name="raft.status", default=None)


class _Member(msgspec.Struct):
    id: int
    peer_urls: list[str] = msgspec.field(name="peerURLs")

    @property
    def ip(self) -> str:
        return urlsplit(self.peer_urls[0]).hostname or ""


class _Header(msgspec.Struct):
    revision: str = "0"


class _Hash(msgspec.Struct):
    """What the maintenance API says of the key-value store, as its JSON gateway writes it."""

    header: _Header
    hash: int = 0
    compact_revision: str = "0"


class _Health(msgspec.Struct):
    health: str = ""


_ROLES: Final = {
    "StateLeader": "leader",
    "StateFollower": "follower",
    "StateCandidate": "candidate",
    "StatePreCandidate": "candidate",
}


class Etcd:
    """etcd, as its makers ship it: explicit time-outs, one member a node, and fsync on unless it is asked for without.

    Args:
        version: one of `versions`; "" is the newest.
        options: of the run; the register's "reads" is checked here already, before anything is started. "fsync" is "on"
            or "off": then members flush nothing (--unsafe-no-fsync), and lose what they acknowledged with their power.

    Raises:
        UsageError: an unknown version, or a wrong option.
    """

    name: ClassVar[str] = "etcd"
    backends: Sequence[str] = ("docker", "netns")
    summary: ClassVar[str] = "etcd: key-value store on Raft; linearizable reads, transactions, leases, locks, elections"
    versions: ClassVar[tuple[str, ...]] = VERSIONS
    options: ClassVar[Mapping[str, Sequence[str]]] = {"reads": READS, "fsync": FSYNC}
    facets: ClassVar[Mapping[str, FacetFactory]] = FACETS
    logs: ClassVar[Sequence[str]] = (LOG,)
    log_patterns: ClassVar[Mapping[str, str]] = LOG_PATTERNS
    files: Mapping[str, Sequence[str]] = FILES

    def __init__(self, version: str = "", options: Mapping[str, Any] = {}) -> None:
        self.version = chosen_version(version, VERSIONS, "etcd")
        chosen_reads(options, READS, "etcd")
        self._flags = _flags(self.version, options)
        self._argv: dict[str, list[str]] = {}
        self._nodes: Sequence[Node] = ()
        self._names: dict[str, str] = {}

    async def install(self) -> Sequence[Path]:
        """See System.

        It blocks and leaves no thread behind, so that a process may enter the netns backend after it.
        """
        return (install(self.version).parent,)

    async def boot(self, nodes: Sequence[Node]) -> None:
        """See System."""
        binary = str(install(self.version))
        self._nodes = nodes
        # Members of another run that still sends to these addresses must not be taken for our own.
        token = secrets.token_hex(8)
        members = {node.name: node.ip for node in nodes}
        self._argv = {node.name: [*_argv(binary, node, members, token), *self._flags] for node in nodes}
        for node in nodes:
            await self.start(node)
            # A member that starts while another does asks it for its peers, and blocks for four seconds.
            await self._wait(node, _answers_peers, "start", MEMBER_UP_TIMEOUT_S)
        await asyncio.gather(*(self._wait(node, self.ready, "get healthy", HEALTHY_TIMEOUT_S) for node in nodes))
        self._names = _names(await _members(nodes[0]), nodes)

    async def start(self, node: Node) -> None:
        """See System."""
        if node.name not in self._argv:
            raise InternalError(f"{node.name}: started before the cluster was booted")
        await node.start(self._argv[node.name], log=LOG)

    async def ready(self, node: Node) -> bool:
        """Say whether the node has just done a linearizable read: that is what etcd's /health does."""
        try:
            reply = await get(node.ip, CLIENT_PORT, "/health", timeout_s=ASK_TIMEOUT_S)
            return msgspec.json.decode(reply, type=_Health).health == "true"
        except (OSError, msgspec.DecodeError):
            return False

    async def status(self, node: Node) -> NodeStatus:
        """Ask the node's raft for its role, term, leader and applied index, all of one moment.

        Not by the Status call of the gRPC API: that one pairs the leader of now with the term of the last *applied*
        entry, so that for some milliseconds after an election it shows a second leader in the old term.

        Raises:
            OSError: it does not answer in time, or not yet with a state of raft.
        """
        reply = await get(node.ip, CLIENT_PORT, "/debug/vars", timeout_s=ASK_TIMEOUT_S)
        raft = msgspec.json.decode(reply, type=_Vars).raft
        if raft is None:
            raise OSError(f"{node.name}: raft has not started yet")
        return NodeStatus(
            role=_ROLES[raft.raft_state],
            term=raft.term,
            leader=self._names.get(raft.lead),
            revision=raft.applied,
            atomic=True,
        )

    async def digest(self, node: Node, at: Any) -> NodeDigest:
        """Ask for the hash of all keys at a revision.

        Raises:
            OSError: it does not have that revision; or something was compacted, after which nodes that are the same may
                have different hashes (etcd's issue 18337).
            OpError: it does not answer.
        """
        wanted = 0 if at is None else at["revision"]
        body = msgspec.json.encode({"revision": str(wanted)})
        connection = HttpConnection(f"{node.ip}:{CLIENT_PORT}")
        try:
            reply = await connection.request("POST", "/v3/maintenance/hash", body)
        finally:
            await connection.close()
        if reply.status != 200:
            raise OSError(f"{node.name}: {reply.status}: {reply.body[:100].decode(errors='replace')}")
        found = msgspec.json.decode(reply.body, type=_Hash)
        if int(found.compact_revision) > 0:
            raise OSError(f"{node.name}: compacted at revision {found.compact_revision}, so its hash proves nothing")
        return NodeDigest(at={"revision": wanted or int(found.header.revision)}, digest=f"{found.hash:08x}")

    async def remove(self, node: Node) -> None:
        """See HasMembership.

        A member that learns that it was removed ends by itself; what it answers until then is held against it, too.
        """
        await change(node, self._others(node), member=False)
        await self._end(node)

    async def add(self, node: Node) -> None:
        """See HasMembership."""
        others = self._others(node)
        if not await is_member(node, others):
            await self._end(node)
            await change(node, others, member=True)
        for left in reversed(range(JOIN_TRIES)):
            if await node.state() == "dead":
                await self._start_as_new(node, others)
            try:
                await self._wait(node, self.ready, "serve as a new member", HEALTHY_TIMEOUT_S)
                return
            except ClusterError:
                # Its server ends where the members are others by now than it was told a moment ago.
                if not left or await node.state() != "dead":
                    raise

    async def _start_as_new(self, node: Node, others: Sequence[Node]) -> None:
        """Start a node that the others have as a member, with an empty disk."""
        await self._end(node)
        addresses = await self._members_of_any(others)
        names = {each.ip: each.name for each in self._nodes}
        # those that are no nodes were added by clients, and have to be told, too
        members = {names.get(address, f"member-{address}"): address for address in (*addresses, node.ip)}
        self._argv[node.name] = [*_argv(str(install(self.version)), node, members), *self._flags]
        await self.start(node)

    async def members(self, node: Node) -> frozenset[str]:
        """Ask for the members that this node has applied; it asks nobody for them.

        Raises:
            ClusterError: it does not answer.
        """
        names = _names(await _members(node), self._nodes)
        self._names |= names  # ids of members that were removed stay known: nodes that are behind may tell them
        return frozenset(names.values())

    def _others(self, node: Node) -> list[Node]:
        return [each for each in self._nodes if each.name != node.name]

    async def _members_of_any(self, nodes: Sequence[Node]) -> frozenset[str]:
        """Return the members' addresses, as the first of these nodes that answers has them."""
        for node in nodes[:-1]:
            try:
                return frozenset(member.ip for member in await _members(node))
            except ClusterError:
                continue
        return frozenset(member.ip for member in await _members(nodes[-1]))

    async def _end(self, node: Node) -> None:
        """Give a server that was removed its time to end, kill it if need be, and delete its data."""
        if not await _dies(node):
            await node.signal(signal.SIGKILL)
            if not await _dies(node):
                raise ClusterError(f"{node.name}: its server outlived SIGKILL", "see what it is waiting for")
        code, said = await node.run(["rm", "-rf", f"{node.folder}/{DATA}"])
        if code:
            raise ClusterError(f"{node.name}: its data cannot be deleted: {said.strip()}", "see the folder's rights")

    async def _wait(self, node: Node, reached: Callable[[Node], Awaitable[bool]], what: str, timeout_s: float) -> None:
        await until(node, reached, server=f"etcd {self.version}", what=what, timeout_s=timeout_s, log=LOG)


async def _dies(node: Node) -> bool:
    try:
        async with asyncio.timeout(END_TIMEOUT_S):
            while await node.state() != "dead":
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        return False
    return True


async def _answers_peers(node: Node) -> bool:
    try:
        await get(node.ip, PEER_PORT, "/version", timeout_s=ASK_TIMEOUT_S)
    except OSError:
        return False
    return True


def _names(members: Sequence[_Member], nodes: Sequence[Node]) -> dict[str, str]:
    """Return the names of the members that are nodes by their ids, written as raft writes them."""
    names = {node.ip: node.name for node in nodes}
    return {f"{member.id:x}": names[member.ip] for member in members if member.ip in names}


async def _members(asked: Node) -> list[_Member]:
    """Return the members, as one node knows them."""
    try:
        reply = await get(asked.ip, PEER_PORT, "/members", timeout_s=MEMBERS_TIMEOUT_S)
        return msgspec.json.decode(reply, type=list[_Member])
    except (OSError, msgspec.DecodeError) as error:
        raise ClusterError(
            f"{asked.name}: etcd does not tell its members: {error}", "run again; see its log if it stays so"
        ) from error


def _flags(version: str, options: Mapping[str, Any]) -> list[str]:
    """Return the flags that options ask for.

    Raises:
        UsageError: there is no such value, or this version does not have the flag.
    """
    fsync = options.get("fsync", FSYNC[0])
    if fsync not in FSYNC:
        raise UsageError(f"fsync={fsync!r}: not a choice of etcd", f"choose one of {', '.join(FSYNC)}")
    if fsync == "on":
        return []
    if tuple(map(int, version.split(".")[:2])) < SINCE_NO_FSYNC:
        raise UsageError(f"etcd {version} always flushes", "fsync=off is possible from 3.5 on")
    return ["--unsafe-no-fsync"]


def _argv(binary: str, node: Node, members: Mapping[str, str], token: str = "") -> list[str]:
    """Return the command line of a member; the initial-* flags are ignored once it has data.

    Args:
        members: with which it begins, addresses by name.
        token: of a cluster that begins; "" where it joins one that runs.
    """
    cluster = ",".join(f"{name}=http://{ip}:{PEER_PORT}" for name, ip in members.items())
    peer, client = (f"http://{node.ip}:{port}" for port in (PEER_PORT, CLIENT_PORT))
    flags = {
        "name": node.name,
        "data-dir": f"{node.folder}/{DATA}",
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "initial-cluster": cluster,
        "initial-cluster-state": "new" if token else "existing",
        "initial-cluster-token": token or "joins",
        "heartbeat-interval": HEARTBEAT_MS,
        "election-timeout": ELECTION_TIMEOUT_MS,
        "logger": "zap",
        "log-outputs": "stderr",
    }
    return [binary, *(f"--{name}={value}" for name, value in flags.items())]
