"""Kill: SIGKILL ends servers, and what they had in memory is gone; the heal restarts them on what is on their disks."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from random import Random
from typing import Any

from harness.protocols import Cluster
from nemesis.measure import every, states, wait_states
from nemesis.servers import Strike
from nemesis.targets import TargetParams, pick


class KillParams(TargetParams, frozen=True):
    """Parameters of a kill: whom it hits."""


def choose(random: Random, nodes: Sequence[str]) -> KillParams:
    """Choose whom to kill."""
    return KillParams(*pick(random, nodes))


class Kill:
    """Servers that are dead for a while; one that does not run cannot be killed, and the fault fails."""

    def __init__(self, cluster: Cluster, params: KillParams) -> None:
        self._cluster = cluster
        self._strike = Strike(cluster, params, signal.SIGKILL, "dead")

    async def inject(self) -> dict[str, Any]:
        return await self._strike.inject()

    async def verify(self) -> dict[str, Any]:
        return await self._strike.verify()

    async def heal(self) -> dict[str, Any]:
        """Restart those that are dead, also one that had died before the kill."""
        nodes, hit = self._strike.nodes, self._strike.hit
        dead = [name for name, state in (await states(nodes, hit)).items() if state == "dead"]
        await every((self._cluster.restart(name) for name in dead), "restart")
        return {"states": await wait_states(nodes, hit, {"running"}, "not running after the restart")}
