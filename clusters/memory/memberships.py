"""Facet "membership" of the system `memory`: a list of members in the replicas; who stands in it votes for nothing.

The quorum is that of the nodes, whatever the list says: nodes in memory cannot come and go. So only the list is tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from clusters.memory.facet import MemoryFacet
from clusters.memory.replicas import Replica, Replicas
from harness.errors import Definite
from harness.facets import Member

_MEMBERS: Final = ("membership", "members")
_LAST: Final = ("membership", "last")

Members = tuple[Member, ...]


class Memberships:
    """The list; every method is one step at one instant.

    Args:
        replicas: that hold it.
    """

    def __init__(self, replicas: Replicas) -> None:
        self.replicas = replicas
        self._first = tuple(Member(number, each.node.name) for number, each in enumerate(replicas.all, 1))

    def now(self, replica: Replica) -> Members:
        """Return the members in a node's copy."""
        found: Members = replica.data.get(_MEMBERS, self._first)
        return found

    def keep(self, replica: Replica, members: Members) -> None:
        """Write the members down, on a replica that is in a group."""
        self.replicas.write(replica, _MEMBERS, members)

    def told(self, replica: Replica) -> Members:
        """Return what a client is told that asks who the members are."""
        return self.now(replica)

    def seen(self, replica: Replica) -> Members:
        """Return what a node by itself says of the members: each of the nodes that is linked to it is healthy."""
        nodes = {each.node.name: each.node for each in self.replicas.all}
        near = {name for name, node in nodes.items() if node.running and node.linked(replica.node)}
        return tuple(Member(each.id, each.name, healthy=each.name in near) for each in self.now(replica))

    def next_id(self, replica: Replica) -> int:
        """Return an id that no member ever had."""
        last = int(self.replicas.read(replica, _LAST) or len(self._first)) + 1
        self.replicas.write(replica, _LAST, last)
        return last

    def join(self, replica: Replica, name: str) -> Member:
        """Add a member.

        Raises:
            Definite: it is one already.
        """
        members = self.now(replica)
        if any(each.name == name for each in members):
            raise Definite(f"{name} is a member already")
        member = Member(self.next_id(replica), name)
        self.keep(replica, (*members, member))
        return member

    def leave(self, replica: Replica, name: str) -> int:
        """Remove a member; return its id.

        Raises:
            Definite: it is none, or a node: those cannot leave.
        """
        members = self.now(replica)
        found = next((each for each in members if each.name == name), None)
        if found is None or found in self._first:
            raise Definite(f"{name} is {'no member' if found is None else 'a node, which cannot leave'}")
        self.keep(replica, tuple(each for each in members if each != found))
        return int(found.id)


class MemoryMembership(MemoryFacet):
    """A client of the list on one node.

    Args:
        memberships: of the system.
        replica: the node's.
    """

    def __init__(self, memberships: Memberships, replica: Replica) -> None:
        super().__init__(replica)
        self._memberships = memberships

    async def members(self) -> Sequence[Member]:
        return await self._at_once(lambda: self._memberships.told(self._replica))

    async def health(self) -> Sequence[Member]:
        """Look at the node's own copy, also while it is in no group."""
        await self._runs()
        found = self._memberships.seen(self._replica)
        await self._answered()
        return found

    async def leader(self) -> str | None:
        await self._runs()
        return self._replica.leader

    async def join(self, name: str, address: str, voting: bool = True) -> Member:
        return await self._at_once(lambda: self._memberships.join(self._replica, name))

    async def leave(self, name: str) -> Any:
        return await self._at_once(lambda: self._memberships.leave(self._replica, name))

    async def _runs(self) -> None:
        """Hang while the node is paused; a dead one refuses."""
        while not self._node.running:
            if self._node.dead():
                raise Definite(f"connection refused: the server of {self._node.name} is dead")
            await self._node.network.change()
