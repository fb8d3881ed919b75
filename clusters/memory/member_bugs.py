"""Bugs of the membership in memory: each must be found by the workload membership."""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from clusters.memory.memberships import Members, Memberships
from clusters.memory.replicas import Replica, Replicas
from harness.facets import Member

MISHAP: Final = 0.2
"""How often something goes wrong, where it does so now and then."""


class _Past(Memberships):
    """One that remembers the lists of before."""

    def __init__(self, replicas: Replicas) -> None:
        super().__init__(replicas)
        self.past: deque[Members] = deque(maxlen=3)

    def keep(self, replica: Replica, members: Members) -> None:
        self.past.append(self.now(replica))
        super().keep(replica, members)


class StaleMembers(_Past):
    """Followers tell the members from a copy that lags by a few changes."""

    def told(self, replica: Replica) -> Members:
        return self.past[0] if self.past and replica.role != "leader" else super().told(replica)


class ViewGoesBack(_Past):
    """Now and then a node sees the members as they were before the last change, though it has seen that."""

    def seen(self, replica: Replica) -> Members:
        return self.past[-1] if self.past and self.replicas.random.random() < MISHAP else super().seen(replica)


class JoinLost(Memberships):
    """Now and then a join is acknowledged, and nobody becomes a member."""

    def join(self, replica: Replica, name: str) -> Member:
        before = self.now(replica)
        member = super().join(replica, name)
        if self.replicas.random.random() < MISHAP:
            self.keep(replica, before)
        return member


class LeaveLost(Memberships):
    """Now and then a leave is acknowledged, and the member stays."""

    def leave(self, replica: Replica, name: str) -> int:
        before = self.now(replica)
        left = super().leave(replica, name)
        if self.replicas.random.random() < MISHAP:
            self.keep(replica, before)
        return left


class Zombies(Memberships):
    """Now and then a member that has left comes back with the next change."""

    def __init__(self, replicas: Replicas) -> None:
        super().__init__(replicas)
        self._left: Members = ()

    def leave(self, replica: Replica, name: str) -> int:
        self._left = tuple(each for each in self.now(replica) if each.name == name)
        return super().leave(replica, name)

    def join(self, replica: Replica, name: str) -> Member:
        member = super().join(replica, name)
        if self.replicas.random.random() < MISHAP:
            self.keep(replica, (*self.now(replica), *self._left))
        return member


class InventedMember(Memberships):
    """Now and then a member is told of that nobody has ever added."""

    def told(self, replica: Replica) -> Members:
        invented = self.replicas.random.random() < MISHAP / 10
        return (*super().told(replica), *([Member(0, "n0")] if invented else []))


class ReusedId(Memberships):
    """Now and then a new member gets the id of the one before."""

    def next_id(self, replica: Replica) -> int:
        if self.replicas.random.random() < MISHAP:
            return max(super().next_id(replica) - 1, len(self._first) + 1)
        return super().next_id(replica)


class TornList(_Past):
    """Right after a change a node that is not the leader leaves out a member that was not touched by it."""

    def told(self, replica: Replica) -> Members:
        members = super().told(replica)
        if replica.role != "leader" and self.past and self.replicas.random.random() < MISHAP / 10:
            return members[1:]
        return members


class HealthyGhost(Memberships):
    """A member that has never run is told to be healthy."""

    def seen(self, replica: Replica) -> Members:
        return tuple(msgspec.structs.replace(each, healthy=True) for each in super().seen(replica))


MEMBER_BUGS: Final = {
    "members-stale": StaleMembers,
    "members-go-back": ViewGoesBack,
    "member-join-lost": JoinLost,
    "member-leave-lost": LeaveLost,
    "member-zombies": Zombies,
    "member-invented": InventedMember,
    "member-id-reused": ReusedId,
    "members-torn": TornList,
    "member-healthy-ghost": HealthyGhost,
}
