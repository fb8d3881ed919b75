"""What faults on servers share: who must run before, and signals to them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from harness.errors import FaultError
from harness.protocols import Cluster, Node
from nemesis.measure import every, states, wait_states
from nemesis.targets import TargetParams


async def require_running(nodes: Mapping[str, Node], hit: Collection[str]) -> None:
    """See that these nodes' servers run.

    Raises:
        FaultError: one does not.
    """
    before = await states(nodes, hit)
    if idle := [f"the server of {name} is {state}" for name, state in before.items() if state != "running"]:
        raise FaultError(
            f"nothing to hit: {'; '.join(idle)} before the fault", "did it crash? look at its log in the run's folder"
        )


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
        self._params = params
        self._number = number
        self._wanted = wanted

    async def inject(self) -> dict[str, Any]:
        """Send the signal.

        Raises:
            FaultError: a server does not run in the first place, or the signal could not be sent.
        """
        self.hit = self._params.nodes
        await require_running(self.nodes, self.hit)
        await every((self.nodes[name].signal(self._number) for name in self.hit), f"signal {self._number}")
        return {"nodes": list(self.hit)}

    async def verify(self) -> dict[str, Any]:
        """Wait until every server that was hit is as the signal leaves it.

        Raises:
            FaultError: one is not.
        """
        return {"states": await wait_states(self.nodes, self.hit, {self._wanted}, f"not {self._wanted}")}
