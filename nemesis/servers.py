"""What pause and kill share: they hit servers, which must run before."""

from __future__ import annotations

from typing import Any

from harness.errors import FaultError
from harness.protocols import Cluster
from nemesis.measure import every, states, wait_states
from nemesis.targets import LEADER, TargetParams, resolve


class Strike:
    """A signal to the servers of some nodes.

    Args:
        cluster: the running cluster.
        params: whom to hit.
        number: of the signal.
        wanted: the state that the signal leads to.
    """

    def __init__(self, cluster: Cluster, params: TargetParams, number: int, wanted: str) -> None:
        self.nodes = cluster.nodes
        self.hit: tuple[str, ...] = ()
        self._cluster = cluster
        self._params = params
        self._number = number
        self._wanted = wanted

    async def inject(self) -> dict[str, Any]:
        """Resolve the leader and send the signal.

        Raises:
            FaultError: a server does not run in the first place, or the signal could not be sent.
        """
        leader = await self._cluster.leader() if LEADER in self._params.nodes else None
        self.hit, note = resolve(self._params.nodes, leader, self._params.otherwise)
        before = await states(self.nodes, self.hit)
        if idle := [f"the server of {name} is {state}" for name, state in before.items() if state != "running"]:
            raise FaultError(
                f"nothing to hit: {'; '.join(idle)} before the fault",
                "did it crash? look at its log in the run's folder",
            )
        await every((self.nodes[name].signal(self._number) for name in self.hit), f"signal {self._number}")
        return {"nodes": list(self.hit)} | ({"note": note} if note else {})

    async def verify(self) -> dict[str, Any]:
        """Wait until every server that was hit is as the signal leaves it.

        Raises:
            FaultError: one is not.
        """
        return {"states": await wait_states(self.nodes, self.hit, {self._wanted}, f"not {self._wanted}")}
