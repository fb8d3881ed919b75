"""Freeze: client processes stop with SIGSTOP in the middle of whatever their clients do, and later go on unaware of it.

It is what a long garbage collection or a suspended laptop does to a client that believes that it holds a lock.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from random import Random
from typing import Any, Literal

from harness.errors import FaultError
from harness.protocols import ClientProcess, Cluster
from nemesis.measure import until
from nemesis.targets import Params

HINT = "did it end? its last words are on the terminal"


class FreezeParams(Params, frozen=True):
    """Parameters of a freeze.

    Attributes:
        target: how many of the client processes: one, half of them (rounded up), or all.
        first: the first of them, counted from 0; it is wrapped around at their number.
    """

    target: Literal["one", "half", "all"]
    first: int


def choose(random: Random, nodes: Sequence[str]) -> FreezeParams:
    """Choose how many to freeze; how many there are is known when it happens."""
    return FreezeParams(random.choice(("one", "half", "all")), random.randrange(60))


class Freeze:
    """Client processes that are stopped for a while."""

    def __init__(self, cluster: Cluster, params: FreezeParams) -> None:
        self._cluster = cluster
        self._params = params
        self._hit: tuple[ClientProcess, ...] = ()

    async def inject(self) -> dict[str, Any]:
        """Stop them.

        Raises:
            FaultError: there are none, or one does not run in the first place.
        """
        there = list(self._cluster.clients.values())
        if not there:
            raise FaultError("there are no client processes to freeze", "give --client-processes")
        count = {"one": 1, "half": (len(there) + 1) // 2, "all": len(there)}[self._params.target]
        self._hit = tuple(there[(self._params.first + number) % len(there)] for number in range(count))
        if dead := [host.name for host in self._hit if host.state() != "running"]:
            raise FaultError(f"client processes that do not run: {', '.join(dead)}", HINT)
        for host in self._hit:
            host.signal(signal.SIGSTOP)
        return {"clients": [host.name for host in self._hit]}

    async def verify(self) -> dict[str, Any]:
        """Wait until all of them stand still.

        Raises:
            FaultError: one does not.
        """
        return {"states": await self._reached({"paused"}, "not frozen")}

    async def heal(self) -> dict[str, Any]:
        """Let them go on."""
        for host in self._hit:
            host.signal(signal.SIGCONT)
        return {"states": await self._reached({"running", "dead"}, "still frozen after the heal")}

    async def _reached(self, wanted: set[str], what: str) -> dict[str, str]:
        found: dict[str, str] = {}

        async def look() -> list[str]:
            found.update((host.name, host.state()) for host in self._hit)
            return [f"{name} is {state}" for name, state in found.items() if state not in wanted]

        await until(look, what, HINT)
        return found
