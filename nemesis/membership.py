"""Membership: a node leaves the cluster while it is in use, and comes back as a new member with an empty disk.

One node at a time, and only where two others are left: a majority of the original cluster always stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any

from harness.errors import FaultError
from harness.protocols import Cluster, HasMembership
from nemesis.measure import until, wait_states
from nemesis.targets import LEADER, TargetParams

HINT = "look at these nodes' logs in the run's folder"


class MembershipParams(TargetParams, frozen=True):
    """Parameters of a change: which node leaves."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.target not in ("one", "leader") or len(self.nodes) != 1:
            raise ValueError("one node leaves at a time: target is one or leader, and nodes has one name")


def choose(random: Random, nodes: Sequence[str]) -> MembershipParams:
    """Choose who leaves: any node, or whoever leads then."""
    chosen = random.choice(nodes)
    return random.choice((MembershipParams("one", (chosen,)), MembershipParams("leader", (LEADER,), chosen)))


class Membership:
    """A node that is no member for a while."""

    def __init__(self, cluster: Cluster, params: MembershipParams) -> None:
        self._cluster = cluster
        self._params = params
        self._hit: tuple[str, ...] = ()

    async def inject(self) -> dict[str, Any]:
        """Take the node out.

        Raises:
            FaultError: the system cannot do that.
            ClusterError: it did not in time.
        """
        system = self._system()
        self._hit = self._params.nodes
        for name in self._hit:
            await system.remove(self._cluster.nodes[name])
        return {"nodes": list(self._hit)}

    async def verify(self) -> dict[str, Any]:
        """Wait until every node that is left knows, by its own list, that the node is no member; its server is dead."""
        states = await wait_states(self._cluster.nodes, self._hit, {"dead"}, "the server of no member is not dead")
        return {"states": states, "members": await self._agreed(set(self._cluster.nodes) - set(self._hit))}

    async def heal(self) -> dict[str, Any]:
        """Bring it in again, and wait until all nodes, itself too, know that; it serves then."""
        system = self._system()
        for name in self._hit:
            await system.add(self._cluster.nodes[name])
        states = await wait_states(self._cluster.nodes, self._hit, {"running"}, "the new member does not run")
        return {"states": states, "members": await self._agreed(set(self._cluster.nodes))}

    def _system(self) -> HasMembership:
        system = self._cluster.membership
        if system is None:
            raise FaultError("this system cannot change its members", "leave membership out of --nemesis")
        return system

    async def _agreed(self, wanted: set[str]) -> list[str]:
        """Ask all of the wanted members for their own lists until each has exactly these, and return them."""
        system, nodes = self._system(), self._cluster.nodes
        names = [name for name in nodes if name in wanted]

        async def look() -> list[str]:
            told = await asyncio.gather(*(system.members(nodes[name]) for name in names), return_exceptions=True)
            return [objection for name, said in zip(names, told, strict=True) if (objection := _objection(name, said))]

        def _objection(name: str, said: frozenset[str] | BaseException) -> str:
            if isinstance(said, BaseException):
                return f"{name} does not tell its members: {said or type(said).__name__}"
            known = said & nodes.keys()  # clients may add members that are no nodes
            return "" if known == wanted else f"{name} takes {', '.join(sorted(known))} for the members"

        await until(look, f"the members are not {', '.join(names)}", HINT)
        return names
