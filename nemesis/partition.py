"""Partition: links between nodes are cut, in the shapes of grudge.py. Clients reach every node all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence, Set
from random import Random
from typing import Any, Literal, TypeVar

from harness.protocols import Cluster, Node, Probe
from nemesis.grudge import Grudge, Shape, grudge, possible
from nemesis.measure import every, until
from nemesis.targets import Params

HINT = "the agent's rules did not do what they say: run again with --backend netns, and report it if it happens again"

T = TypeVar("T")


class PartitionParams(Params, frozen=True):
    """Parameters of a partition.

    Attributes:
        shape: who does not hear whom, given the order.
        order: the nodes, shuffled by the seed; the shapes are defined along it.
        heal: quick also resets the servers' connections, so that they meet again at once; natural leaves them to TCP,
            whose backoff keeps them apart for some seconds more.
    """

    shape: Shape
    order: tuple[str, ...]
    heal: Literal["quick", "natural"] = "quick"

    def __post_init__(self) -> None:
        if len(set(self.order)) < len(self.order) or self.shape not in possible(len(self.order)):
            raise ValueError(f"order must name each node once, and enough of them for {self.shape}")

    def named(self) -> set[str]:
        return set(self.order)


def choose(random: Random, nodes: Sequence[str]) -> PartitionParams:
    """Choose the shape, the nodes' order and the kind of heal."""
    return PartitionParams(
        shape=random.choice(possible(len(nodes))),
        order=tuple(random.sample(list(nodes), len(nodes))),
        heal=random.choice(("quick", "natural")),
    )


class Partition:
    """Links that are cut for a while. Servers may be dead or paused: the nodes' agents measure, not they."""

    def __init__(self, cluster: Cluster, params: PartitionParams) -> None:
        self._cluster = cluster
        self._params = params
        self._cut: Grudge = {}

    async def inject(self) -> dict[str, Any]:
        """Give every node its full set of rules at once; return who does not hear whom."""
        aimed = self._params.shape == "isolate-leader"
        leader = await self._cluster.leader() if aimed else None
        self._cut = grudge(self._params.shape, self._params.order, leader)
        nodes = self._cluster.nodes
        await every(
            (nodes[name].block(sorted(nodes[source].ip for source in cut)) for name, cut in self._cut.items()),
            "partition",
        )
        unheard = {name: sorted(cut) for name, cut in sorted(self._cut.items()) if cut}
        if not aimed:
            return {"unheard": unheard}
        note = {"leader": leader} if leader else {"note": f"leader unknown, hit {self._params.order[0]}"}
        return {"unheard": unheard} | note

    async def verify(self) -> dict[str, Any]:
        """Measure every directed link: heard where it is open; not heard, and counted as dropped, where it is cut."""
        return await _measure(self._cluster.nodes, self._cut, "the partition did not take effect")

    async def heal(self) -> dict[str, Any]:
        """Open every link of every node, whatever the inject came to, and measure it."""
        nodes = self._cluster.nodes
        await every((node.block([]) for node in nodes.values()), "heal of the partition")
        if self._params.heal == "quick":
            await every((node.reset_connections() for node in nodes.values()), "reset of connections")
        return await _measure(nodes, {}, "the partition is not healed")


async def _measure(nodes: Mapping[str, Node], cut: Grudge, what: str) -> dict[str, Any]:
    """Send test packets along every directed link until all fare as they should; return the evidence as counts."""
    names = {node.ip: name for name, node in nodes.items()}

    async def look() -> list[str]:
        await _all(node.probe_reset() for node in nodes.values())
        await _all(node.probe_send([ip for ip in names if ip != node.ip]) for node in nodes.values())
        probes = await _all(node.probe() for node in nodes.values())
        return [
            objection
            for name, probe in zip(nodes, probes, strict=True)
            for objection in _objections(name, set(nodes) - {name}, cut.get(name, frozenset()), _named(probe, names))
        ]

    looks = await until(look, what, HINT)
    dropped = sum(map(len, cut.values()))
    return {"heard": len(nodes) * (len(nodes) - 1) - dropped, "dropped": dropped, "looks": looks}


async def _all(actions: Iterable[Awaitable[T]]) -> list[T]:
    return await asyncio.gather(*actions)


def _named(probe: Probe, names: Mapping[str, str]) -> Probe:
    """Replace addresses by names; what other machines sent is left out."""
    return Probe(*(frozenset(names[ip] for ip in part if ip in names) for part in probe))


def _objections(receiver: str, others: Set[str], cut: Set[str], probe: Probe) -> list[str]:
    """Compare what arrived at a node with what should have."""
    wrong = {
        "does not hear": others - cut - probe.heard,
        "drops packets of": (others - cut) & probe.dropped,
        "still hears": cut & probe.heard,
        "hears nothing, but has dropped nothing either, of": cut - probe.heard - probe.dropped,
    }
    return [f"{receiver} {verb} {', '.join(sorted(names))}" for verb, names in wrong.items() if names]
