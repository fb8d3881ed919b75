"""Disk: the disks of some nodes are full, slow or read-only for a while; servers may crash of it, and the heal starts
them again."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final, Literal

from harness.protocols import Cluster, DiskTrial
from nemesis.measure import every, states, until, wait_states
from nemesis.servers import require_running
from nemesis.targets import TargetParams, pick

Trouble = Literal["full", "read-only", "slow"]
TROUBLES: Final[tuple[Trouble, ...]] = ("full", "read-only", "slow")
ERRORS: Final = {"full": {"ENOSPC"}, "read-only": {"EROFS"}, "slow": {""}}
"""What a write must come to."""
HINT: Final = "the disk is not as the fault should make it: report it with the kernel's version"


class DiskParams(TargetParams, frozen=True, kw_only=True):
    """Parameters of a fault of disks.

    Attributes:
        trouble: full, no room for a single block; read-only, for files that are open, too; slow, see hold_ms.
        hold_ms: for how long each flush is held, 20 to 2000; for slow disks only.
    """

    trouble: Trouble
    hold_ms: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.trouble == "slow") != bool(self.hold_ms) or (self.hold_ms and not 20 <= self.hold_ms <= 2000):
            raise ValueError("a slow disk has hold_ms, 20 to 2000, and no other has")


def choose(random: Random, nodes: Sequence[str]) -> DiskParams:
    """Choose whom to hit, and how."""
    target, hit, otherwise = pick(random, nodes)
    trouble = random.choice(TROUBLES)
    hold_ms = float(round(10 ** random.uniform(1.5, 2.9))) if trouble == "slow" else 0.0
    return DiskParams(target, hit, otherwise, trouble=trouble, hold_ms=hold_ms)


class Disk:
    """Disks in trouble; a node whose server does not run cannot be hit, and the fault fails."""

    def __init__(self, cluster: Cluster, params: DiskParams) -> None:
        self._cluster = cluster
        self._params = params
        self._hit: tuple[str, ...] = ()

    async def inject(self) -> dict[str, Any]:
        """Let it befall all at once.

        Raises:
            FaultError: a server does not run in the first place, or a node refuses.
        """
        self._hit = self._params.nodes
        await require_running(self._cluster.nodes, self._hit)
        trouble = "" if self._params.trouble == "slow" else self._params.trouble
        nodes = self._cluster.nodes
        await every((nodes[name].spoil(trouble, self._params.hold_ms) for name in self._hit), self._params.trouble)
        return {"nodes": list(self._hit)}

    async def verify(self) -> dict[str, Any]:
        """Write to each disk, and see that it fails as it should, or takes its time."""
        params = self._params

        def objection(trial: DiskTrial) -> str:
            if trial.error not in ERRORS[params.trouble]:
                return f"came to {trial.error or 'no error'}"
            return "was flushed at once" if trial.fsync_ms < params.hold_ms else ""

        return await self._try(objection, f"the disk is not {params.trouble}")

    async def heal(self) -> dict[str, Any]:
        """Mend the disks, see that they can be written, and start servers again.

        One that has met a disk without room or writes may have given up without dying (NATS does): those are all
        killed first, as an operator would.
        """
        nodes, hit = self._cluster.nodes, self._hit
        if self._params.trouble != "slow":
            await every((nodes[name].signal(signal.SIGKILL) for name in hit), "SIGKILL")
            await wait_states(nodes, hit, {"dead"}, "not dead before the disk is mended")
        await every((nodes[name].spoil("") for name in hit), "heal of the disk")

        def objection(trial: DiskTrial) -> str:
            if trial.error:
                return f"came to {trial.error}"
            slow = self._params.hold_ms and trial.fsync_ms >= self._params.hold_ms
            return "took as long as if it were held" if slow else ""

        evidence = await self._try(objection, "the disk is not healed")
        dead = [name for name, state in (await states(nodes, hit)).items() if state == "dead"]
        await every((self._cluster.restart(name) for name in dead), "restart")
        found = await wait_states(nodes, hit, {"running"}, "not running after the heal")
        return evidence | {"states": found, "restarted": dead}

    async def _try(self, objection: Callable[[DiskTrial], str], what: str) -> dict[str, Any]:
        """Write to the disks until nothing is to be objected to how that goes; return how it went, by node."""
        found: dict[str, DiskTrial] = {}

        async def look() -> list[str]:
            trials = await asyncio.gather(*(self._cluster.nodes[name].try_disk() for name in self._hit))
            found.update(zip(self._hit, trials, strict=True))
            return [f"a write on {name} {said}" for name, trial in found.items() if (said := objection(trial))]

        await until(look, what, HINT)
        return {"writes": {name: trial._asdict() for name, trial in found.items()}}
