"""Damage: a file of a server is damaged while it is dead, and the server is started on it; later its node is replaced.

No crash-tolerant system promises to survive this. A log without its end has forgotten votes that were given and entries
that were acknowledged, so a cluster that counts on them may go wrong without any bug. What is found under this fault
shows how a system takes it, and it comes only where it is asked for by name.

For the same reason the original bytes are never put back: the server has run on the damaged ones, and may have promised
something since. The node leaves the cluster and comes back as a new member with an empty disk. One node at a time.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from random import Random
from typing import Any, Final, Literal

from harness.errors import FaultError
from harness.protocols import Cluster, Damaged
from nemesis.measure import states, wait_states
from nemesis.membership import Membership, MembershipParams
from nemesis.membership import choose as choose_member
from nemesis.servers import require_running

How = Literal["flip", "truncate", "old"]
HOWS: Final[tuple[How, ...]] = ("flip", "truncate", "old")
FILES: Final = ("log", "database")
AGE_S_MAX: Final = 10.0


class DamageParams(MembershipParams, frozen=True, kw_only=True):
    """Parameters of a damage: whom it hits, what, and how.

    Attributes:
        how: flip, one bit; truncate, all that follows is missing; old, copies of `age_s` before are put back.
        files: which kind, such as log or database: see HasFiles.
        share: where, as a share of what is written in the newest of these files, 0 to 1; not for old.
        age_s: of the copies, up to 10; for old only.
    """

    how: How
    files: str
    share: float = 0.0
    age_s: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.share <= 1 or (self.how == "old") != (0 < self.age_s <= AGE_S_MAX):
            raise ValueError(f"share is 0 to 1; old has age_s, up to {AGE_S_MAX:g}, and nothing else has")


def choose(random: Random, nodes: Sequence[str]) -> DamageParams:
    """Choose whom to hit, and how."""
    member = choose_member(random, nodes)
    how, files = random.choice(HOWS), random.choice(FILES)
    place: dict[str, Any] = (
        {"age_s": round(random.uniform(0.5, 2), 2)} if how == "old" else {"share": round(random.random(), 3)}
    )
    return DamageParams(member.target, member.nodes, member.otherwise, how=how, files=files, **place)


class Damage:
    """A node whose server runs on damaged files, or cannot; one whose server does not run cannot be hit."""

    def __init__(self, cluster: Cluster, params: DamageParams) -> None:
        self._cluster = cluster
        self._params = params
        self._hit: tuple[str, ...] = ()
        self._damaged: dict[str, Damaged] = {}

    async def inject(self) -> dict[str, Any]:
        """Kill the server, damage its file, and start it.

        Raises:
            FaultError: the server does not run in the first place, or the system has no such files.
            ClusterError: the node refuses.
        """
        params, nodes = self._params, self._cluster.nodes
        patterns = self._cluster.files.get(params.files)
        if not patterns or self._cluster.membership is None:
            known = ", ".join(self._cluster.files) or "none"
            raise FaultError(f"this system has no files {params.files!r} to damage", f"its files: {known}")
        await require_running(nodes, params.nodes)
        if params.how == "old":
            await asyncio.gather(*(nodes[name].keep(patterns) for name in params.nodes))
            await asyncio.sleep(params.age_s)
        self._hit = params.nodes
        for name in self._hit:
            await nodes[name].signal(signal.SIGKILL)
        await wait_states(nodes, self._hit, {"dead"}, "not dead before the damage")
        for name in self._hit:
            self._damaged[name] = await nodes[name].damage(params.how, patterns, params.share)
            await self._cluster.restart(name)
        return {"nodes": list(self._hit)}

    async def verify(self) -> dict[str, Any]:
        """Tell what was read back: the agent has compared it. What the server makes of it is its own affair."""
        found = {name: damaged._asdict() for name, damaged in self._damaged.items()}
        return {"damaged": found, "states": await states(self._cluster.nodes, self._hit)}

    async def heal(self) -> dict[str, Any]:
        """Replace the node by a new member with an empty disk; tell what had become of its server."""
        before = await states(self._cluster.nodes, self._hit)
        if not self._hit:
            return {"states": before}
        change = Membership(self._cluster, MembershipParams("one", self._hit))
        await change.inject()
        await change.verify()
        return {"before": before} | await change.heal()
