"""Bugs that show in what the nodes themselves say, whatever the clients do: status, digest and log."""

from __future__ import annotations

from typing import Any, Final

from clusters.memory.replicas import Replica, Replicas

MISHAP: Final = 0.2
"""How often an entry is skipped."""


class TwoNodesLead(Replicas):
    """A follower may call itself the leader, too, until the next change of the network."""

    def regroup(self) -> None:
        super().regroup()
        followers = [replica for replica in self.all if replica.group is not None and replica.role == "follower"]
        if followers and self.random.random() < 0.5:
            usurper = self.random.choice(followers)
            usurper.role, usurper.leader = "leader", usurper.node.name


class TermForgotten(Replicas):
    """A node that is cut off from the majority forgets its term."""

    def regroup(self) -> None:
        super().regroup()
        for replica in self.all:
            if replica.group is None and replica.node.running:
                replica.term = 0


class SkippedEntry(Replicas):
    """Now and then a replica skips an entry, and goes on as if it had it."""

    def write(self, replica: Replica, key: Any, value: Any) -> None:
        group = replica.group
        assert group is not None
        careless = self.random.choice(group.copies) if self.random.random() < MISHAP else None
        before = None if careless is None else dict(careless)
        super().write(replica, key, value)
        if careless is not None and before is not None:
            careless.clear()
            careless.update(before)


class Panics(Replicas):
    """A node that is elected anew panics, says so in its log, and goes on."""

    def regroup(self) -> None:
        terms = {replica.node.name: replica.term for replica in self.all}
        super().regroup()
        for replica in self.all:
            if replica.role == "leader" and replica.term > terms[replica.node.name]:
                replica.node.log("panic: runtime error: index out of range [3] with length 3")


NODE_BUGS: Final = {
    "two-nodes-lead": TwoNodesLead,
    "term-forgotten": TermForgotten,
    "skipped-entry": SkippedEntry,
    "panics": Panics,
}
