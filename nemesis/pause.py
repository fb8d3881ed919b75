"""Pause: SIGSTOP freezes servers in the middle of whatever they do; after SIGCONT they go on, unaware of the gap."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from random import Random
from typing import Any

from harness.protocols import Cluster
from nemesis.measure import every, wait_states
from nemesis.servers import Strike
from nemesis.targets import TargetParams, pick


class PauseParams(TargetParams, frozen=True):
    """Parameters of a pause: whom it hits."""


def choose(random: Random, nodes: Sequence[str]) -> PauseParams:
    """Choose whom to pause."""
    return PauseParams(*pick(random, nodes))


class Pause:
    """Servers that are stopped for a while; one that does not run cannot be paused, and the fault fails."""

    def __init__(self, cluster: Cluster, params: PauseParams) -> None:
        self._strike = Strike(cluster, params, signal.SIGSTOP, "paused")

    async def inject(self) -> dict[str, Any]:
        return await self._strike.inject()

    async def verify(self) -> dict[str, Any]:
        return await self._strike.verify()

    async def heal(self) -> dict[str, Any]:
        """Let them go on. A server that died meanwhile is left alone: it is not paused."""
        nodes, hit = self._strike.nodes, self._strike.hit
        await every((nodes[name].signal(signal.SIGCONT) for name in hit), "SIGCONT")
        return {"states": await wait_states(nodes, hit, {"running", "dead"}, "still paused after the heal")}
