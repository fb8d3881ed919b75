"""Packets: those of some links between nodes come late, twice, in another order, damaged, slowly, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, Literal

from harness.protocols import Cluster
from nemesis.figures import FIGURES, Figures, choose_figures
from nemesis.grudge import Grudge, Shape, grudge, possible
from nemesis.measure import every, until
from nemesis.trials import HINT, Burst, Tally, evidence, sums, trial

Links = Shape | Literal["all"]


class PacketsParams(Figures, frozen=True, omit_defaults=True, kw_only=True):
    """Parameters of shaped packets: what happens to them (Figures), and on which links.

    Attributes:
        shape: which directed links are hit: those that a partition of this shape would cut, or all.
        order: the nodes, shuffled by the seed; the shapes are defined along it.
    """

    shape: Links
    order: tuple[str, ...]

    def __post_init__(self) -> None:
        count = len(self.order)
        if len(set(self.order)) < count or (self.shape != "all" and self.shape not in possible(count)) or count < 2:
            raise ValueError(f"order must name each node once, and enough of them for {self.shape}")
        if not self.figures():
            raise ValueError(f"nothing would happen: give one of {', '.join(FIGURES)}")
        super().__post_init__()

    def named(self) -> set[str]:
        return set(self.order)


def choose(random: Random, nodes: Sequence[str]) -> PacketsParams:
    """Choose the links, the effect and how strong it is."""
    values = choose_figures(random)
    shape: Links = random.choice((*possible(len(nodes)), "all"))
    return PacketsParams(shape=shape, order=tuple(random.sample(list(nodes), len(nodes))), **values)


class Packets:
    """Links whose packets are shaped for a while. Servers may be dead or paused: the nodes' agents measure."""

    def __init__(self, cluster: Cluster, params: PacketsParams) -> None:
        self._nodes = cluster.nodes
        self._cluster = cluster
        self._params = params
        self._hit: Grudge = {}

    async def inject(self) -> dict[str, Any]:
        """Give every node the figures of its links at once; return whose packets are hit on their way to whom."""
        params, note = self._params, {}
        if params.shape == "all":
            self._hit = {name: frozenset(params.order) - {name} for name in params.order}
        else:
            aimed = params.shape == "isolate-leader"
            leader = await self._cluster.leader() if aimed else None
            self._hit = grudge(params.shape, params.order, leader)
            if aimed:
                note = {"leader": leader} if leader else {"note": f"leader unknown, hit {params.order[0]}"}
        await every(
            (
                self._nodes[name].shape({self._nodes[source].ip: params.figures() for source in sorted(sources)})
                for name, sources in self._hit.items()
                if sources
            ),
            "packets",
        )
        return {"links": {name: sorted(hit) for name, hit in sorted(self._hit.items()) if hit}} | note

    async def verify(self) -> dict[str, Any]:
        """Send test packets along every link that is hit, until they have fared as they should on each."""
        params, burst, tallies = self._params, Burst.of(self._params), self._tallies()

        async def look() -> list[str]:
            await trial(self._nodes, tallies, burst)
            return [
                f"{source} to {name}: {objection}"
                for (source, name), tally in tallies.items()
                for objection in tally.shaped(params, burst.spread_ms)
            ]

        looks = await until(look, "the packets do not fare as they should", HINT)
        counts = {name: (await self._nodes[name].shaped()).links for name, hit in self._hit.items() if hit}
        return evidence(tallies, looks) | {"counted": sums(counts)}

    async def heal(self) -> dict[str, Any]:
        """Leave every packet of every node alone, and measure that they fare as on a good link again."""
        params = self._params
        await every((node.shape({}) for node in self._nodes.values()), "heal of the packets")
        tallies: dict[tuple[str, str], Tally] = {}

        async def look() -> list[str]:
            tallies.update(self._tallies())  # what was on its way when the heal came may still arrive
            await trial(self._nodes, tallies, Burst())
            wrong = [f"{name} has rules left" for name, node in self._nodes.items() if (await node.shaped()).rules]
            return wrong + [
                f"{source} to {name}: {objection}"
                for (source, name), tally in tallies.items()
                for objection in tally.healed(params)
            ]

        return evidence(tallies, await until(look, "the packets are not healed", HINT))

    def _tallies(self) -> dict[tuple[str, str], Tally]:
        return {(source, name): Tally() for name, hit in self._hit.items() for source in sorted(hit)}
