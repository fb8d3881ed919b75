"""Power: nodes lose it, and with it whatever they had not flushed to their disks; the heal starts them again."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from harness.errors import FaultError
from harness.protocols import Cluster, PowerCut
from nemesis.measure import every, states, wait_states
from nemesis.servers import require_running
from nemesis.targets import TargetParams, pick


class PowerParams(TargetParams, frozen=True):
    """Parameters of a power failure: whom it hits."""


def choose(random: Random, nodes: Sequence[str]) -> PowerParams:
    """Choose whose power fails."""
    return PowerParams(*pick(random, nodes))


class Power:
    """Nodes without power for a while; one whose server does not run cannot be hit, and the fault fails."""

    def __init__(self, cluster: Cluster, params: PowerParams) -> None:
        self._cluster = cluster
        self._params = params
        self._hit: tuple[str, ...] = ()
        self._cuts: dict[str, PowerCut] = {}

    async def inject(self) -> dict[str, Any]:
        """Cut the power of all at once.

        Raises:
            FaultError: a server does not run in the first place, or a node refuses.
        """
        self._hit = self._params.nodes
        await require_running(self._cluster.nodes, self._hit)

        async def cut(name: str) -> None:
            self._cuts[name] = await self._cluster.nodes[name].cut_power()

        await every(map(cut, self._hit), "power failure")
        return {"nodes": list(self._hit)}

    async def verify(self) -> dict[str, Any]:
        """See that servers are dead, that flushed test data is there, and that unflushed data is gone.

        Raises:
            FaultError: not so: then this was no power failure.
        """
        bad = {name: cut for name, cut in self._cuts.items() if cut.kept < cut.flushed or cut.survived}
        if bad:
            what = "; ".join(f"{name}: {cut}" for name, cut in bad.items())
            raise FaultError(f"the power did not fail as it should: {what}", "run again, and report it with the kernel")
        found = await wait_states(self._cluster.nodes, self._hit, {"dead"}, "not dead without power")
        return {"states": found, "data": {name: cut._asdict() for name, cut in self._cuts.items()}}

    async def heal(self) -> dict[str, Any]:
        """Mend a disk whose cut failed half-way, and start the servers that are dead."""
        nodes, hit = self._cluster.nodes, self._hit
        await every((nodes[name].spoil("") for name in hit), "mount of the disk")
        dead = [name for name, state in (await states(nodes, hit)).items() if state == "dead"]
        await every((self._cluster.restart(name) for name in dead), "restart")
        return {"states": await wait_states(nodes, hit, {"running"}, "not running after the restart")}
