"""The server of the system `memory`: a leader-based replicated register, without any waiting inside.

The nodes that a leader reaches, and that reach it, form its *group*; a group serves only while it holds a majority of
all nodes. Whenever a link or a node changes, the groups are formed anew: a leader that still has its majority and meets
no newer term stays; else a node with a majority of votes is elected, and a node votes only for one whose copy is at
least as new as its own. An operation acts on every copy of the group at one instant. As any two majorities share a
node, there is one group at a time, and its leader's copy holds every write that took effect: linearizable.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from random import Random
from typing import Any

from clusters.memory.node import MemoryNode
from harness.errors import Definite
from harness.op import freeze
from harness.protocols import NodeStatus


class Group:
    """A leader and its followers, all of whose copies are the same."""

    __slots__ = ("copies", "leader", "revision")

    def __init__(self, leader: Replica, members: Sequence[Replica]) -> None:
        self.leader = leader
        self.revision = leader.revision
        self.copies = [member.data for member in members]


class Replica:
    """What one node keeps: on its disk (data, term, how new the data is) and in its mind (role, leader, group)."""

    __slots__ = ("data", "group", "leader", "node", "revision", "role", "synced", "term")

    def __init__(self, node: MemoryNode) -> None:
        self.node = node
        self.data: dict[Any, Any] = {}
        self.term = 0
        self.synced = 0  # the term of the last group in which the data was current
        self.revision = 0
        self.role = "follower"
        self.leader: str | None = None
        self.group: Group | None = None

    @property
    def newness(self) -> tuple[int, int]:
        return (self.synced, self.revision)

    def leave(self) -> None:
        """Leave the group; a dead server forgets what was in its mind."""
        if self.group is not None:
            self.revision = self.group.revision
            self.group = None
        if self.node.dead():
            self.role, self.leader = "follower", None

    def status(self) -> NodeStatus:
        revision = self.group.revision if self.group else self.revision
        return NodeStatus(role=self.role, term=self.term, leader=self.leader, revision=revision, atomic=True)


class Replicas:
    """All nodes' replicas, and the three operations on them.

    Args:
        nodes: of one network.
        random: decides who is elected when several could be.
    """

    def __init__(self, nodes: Sequence[MemoryNode], random: Random) -> None:
        self.network = nodes[0].network
        self.random = random
        self.quorum = len(nodes) // 2 + 1
        self._term = 0  # of the last election anywhere: no term has two leaders, so newness tells one copy from another
        self._replicas = {node.name: Replica(node) for node in nodes}
        self.network.watcher = self.regroup

    def __getitem__(self, name: str) -> Replica:
        return self._replicas[name]

    @property
    def all(self) -> Collection[Replica]:
        """Every node's replica."""
        return self._replicas.values()

    def read(self, replica: Replica, key: Any) -> Any:
        """Return the value; the replica must be in a group, here and below."""
        return replica.data.get(key)

    def write(self, replica: Replica, key: Any, value: Any) -> None:
        """Set the value in every copy of the group."""
        group = replica.group
        assert group is not None
        group.revision += 1
        for copy in group.copies:
            copy[key] = value

    def cas(self, replica: Replica, key: Any, old: Any, new: Any) -> None:
        """Set `new` where the value is `old`, or raise Definite with the value that was seen."""
        value = replica.data.get(key)
        if value != old or freeze(value) != freeze(old):  # the second tells true from 1
            raise Definite("the value is another", observed=value)
        self.write(replica, key, new)

    def regroup(self) -> None:
        """Form the groups anew, after a change of links or nodes."""
        for replica in self.all:
            replica.leave()
        free = [replica for replica in self.all if replica.node.running]
        leaders = [replica for replica in free if replica.role == "leader"]
        for leader in sorted(leaders, key=lambda replica: -replica.term):
            if leader.group is None:
                self._stay(leader, free)
        for candidate in self.random.sample(free, len(free)):
            if candidate.group is None and candidate.role != "leader":
                self._campaign(candidate, free)

    def _stay(self, leader: Replica, free: Sequence[Replica]) -> None:
        """Keep a leader that has its quorum; one that meets a newer term steps down."""
        linked = [replica for replica in free if leader.node.linked(replica.node)]
        if any(replica.term > leader.term for replica in linked):
            leader.role, leader.leader = "follower", None
            return
        members = [replica for replica in linked if replica.group is None]
        if len(members) >= self.quorum:
            _form(leader, members)

    def _campaign(self, candidate: Replica, free: Sequence[Replica]) -> None:
        """Elect a node that has the votes; else it knows of no leader."""
        members = [replica for replica in free if replica.group is None and candidate.node.linked(replica.node)]
        votes = [replica for replica in members if replica.newness <= candidate.newness]
        if len(votes) < self.quorum:
            candidate.role, candidate.leader = "candidate", None
            return
        self._term += 1
        candidate.term = self._term
        candidate.node.log(f"term {candidate.term}: elected by {' '.join(voter.node.name for voter in votes)}")
        _form(candidate, members)


def _form(leader: Replica, members: Sequence[Replica]) -> None:
    """Bring every member's copy up to the leader's, and serve."""
    for member in members:
        if member.newness != leader.newness:
            member.data = dict(leader.data)
            member.revision = leader.revision
            member.synced = leader.synced
    group = Group(leader, members)
    for member in members:
        member.term = member.synced = leader.term
        member.role = "leader" if member is leader else "follower"
        member.leader = leader.node.name
        member.group = group
