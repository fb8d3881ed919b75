"""Packets: those of some links between nodes come late, twice, in another order, damaged, slowly, or not at all."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Literal

from harness.protocols import Cluster, Node, Trial
from nemesis.grudge import Grudge, Shape, grudge, possible
from nemesis.measure import every, until
from nemesis.targets import Params

Links = Shape | Literal["all"]
Effect = Literal["delay", "loss", "duplicate", "reorder", "corrupt", "rate", "storm"]
EFFECTS: Final[tuple[Effect, ...]] = ("delay", "loss", "duplicate", "reorder", "corrupt", "rate", "storm")

FIGURES: Final = ("delay_ms", "jitter_ms", "loss", "duplicate", "reorder", "corrupt", "rate_kbit")
TRIAL_PACKETS: Final = 40
TRIAL_BYTES: Final = 200
RATE_BYTES: Final = 1000
RATE_TRIAL_S: Final = 0.1
SIGMAS: Final = 5.0
TOLERANCE_MS: Final = 0.5
SETTLE_S: Final = 0.03

HINT = "the nodes' kernel may lack what shapes packets (xt_NFQUEUE, xt_statistic): docs/nemeses.md says what it takes"


class PacketsParams(Params, frozen=True, omit_defaults=True, kw_only=True):
    """Parameters of shaped packets.

    Attributes:
        shape: which directed links are hit: those that a partition of this shape would cut, or all.
        order: the nodes, shuffled by the seed; the shapes are defined along it.
        delay_ms: how long each packet is held.
        jitter_ms: by how much that varies, either way; packets stay in order.
        loss: probability that a packet is dropped.
        duplicate: probability that it comes twice.
        reorder: probability that it overtakes those that are held.
        corrupt: probability that one bit of its content is flipped; its checksum tells, so that it counts as lost.
        rate_kbit: how much goes over each link, in kbit/s.
    """

    shape: Links
    order: tuple[str, ...]
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    rate_kbit: float = 0.0

    def __post_init__(self) -> None:
        count = len(self.order)
        if len(set(self.order)) < count or (self.shape != "all" and self.shape not in possible(count)) or count < 2:
            raise ValueError(f"order must name each node once, and enough of them for {self.shape}")
        if not self.figures():
            raise ValueError(f"nothing would happen: give one of {', '.join(FIGURES)}")
        if any(not 0 <= getattr(self, name) <= 0.9 for name in ("loss", "duplicate", "reorder", "corrupt")):
            raise ValueError("loss, duplicate, reorder and corrupt are probabilities of at most 0.9")
        if not 0 <= self.jitter_ms <= self.delay_ms <= 10_000:
            raise ValueError("delay_ms is at most 10000, and jitter_ms at most delay_ms")
        if self.reorder and not self.delay_ms - self.jitter_ms:
            raise ValueError("reorder needs a delay_ms of more than jitter_ms: only what is held can be overtaken")
        if self.rate_kbit and not 64 <= self.rate_kbit <= 10_000_000:
            raise ValueError("rate_kbit is 64 to 10000000")

    def named(self) -> set[str]:
        return set(self.order)

    def figures(self) -> dict[str, float]:
        """Return what nodes take: the figures that are not 0."""
        return {name: getattr(self, name) for name in FIGURES if getattr(self, name)}

    def lost(self) -> float:
        """Return the probability that a packet does not arrive."""
        return 1 - (1 - self.loss) * (1 - self.corrupt)


def choose(random: Random, nodes: Sequence[str]) -> PacketsParams:
    """Choose the links, the effect and how strong it is, from hardly felt to worse than a heartbeat can bear."""
    effect: Effect = random.choice(EFFECTS)
    ranges: dict[str, tuple[float, float]] = {
        "delay_ms": (10, 400),
        "loss": (0.02, 0.5),
        "duplicate": (0.05, 0.5),
        "reorder": (0.05, 0.5),
        "corrupt": (0.02, 0.3),
        "rate_kbit": (256, 8192),
    }
    chosen = {
        "delay": ("delay_ms",),
        "rate": ("rate_kbit",),
        "reorder": ("delay_ms", "reorder"),
        "storm": ("delay_ms", "loss", "duplicate", "reorder", "corrupt"),
    }.get(effect, (effect,))
    values = {name: _between(random, *ranges[name]) for name in chosen}
    if effect in ("delay", "storm"):
        values["jitter_ms"] = round(values["delay_ms"] * random.choice((0, 0.25, 0.5)), 3)
    shape: Links = random.choice((*possible(len(nodes)), "all"))
    return PacketsParams(shape=shape, order=tuple(random.sample(list(nodes), len(nodes))), **values)


def _between(random: Random, low: float, high: float) -> float:
    """Choose an order of magnitude first, and few digits, which people can read."""
    return float(f"{math.exp(random.uniform(math.log(low), math.log(high))):.2g}")


@dataclass(slots=True)
class Tally:
    """How the test packets of one directed link have fared in all looks so far."""

    sent: int = 0
    arrived: int = 0
    duplicates: int = 0
    reordered: int = 0
    spread_ms: float = 0.0
    fastest_ms: float = math.inf
    slowest_ms: float = 0.0
    medians_ms: list[float] = field(default_factory=list)

    def add(self, sent: int, trial: Trial | None) -> None:
        """Count one look."""
        self.sent += sent
        if trial is not None:
            self.arrived += trial.arrived
            self.duplicates += trial.duplicates
            self.reordered += trial.reordered
            self.fastest_ms = min(self.fastest_ms, trial.delay_ms_min)
            self.slowest_ms = max(self.slowest_ms, trial.delay_ms_max)
            self.spread_ms = max(self.spread_ms, trial.delay_ms_max - trial.delay_ms_min)
            self.medians_ms.append(trial.delay_ms_median)

    def shaped(self, params: PacketsParams, burst_ms: float) -> list[str]:
        """Compare with what should happen; chance alone fails SIGMAS of a standard deviation at most."""
        wrong = []
        held_ms = params.delay_ms - params.jitter_ms - TOLERANCE_MS
        if not self.arrived:
            wrong.append("nothing arrives")
        if held_ms > 0 and not params.reorder and self.fastest_ms < held_ms:
            wrong.append(f"a packet took {self.fastest_ms:.2f} ms, less than its delay")
        if held_ms > 0 and self.slowest_ms < held_ms:
            wrong.append(f"no packet was held: {self.slowest_ms:.2f} ms")
        if params.reorder and not self.reordered:
            wrong.append("no packet has overtaken another")
        if params.rate_kbit and self.spread_ms < 0.8 * burst_ms:
            wrong.append(f"a burst took {self.spread_ms:.2f} ms, not {burst_ms:.2f}")
        if not params.rate_kbit:  # a full line drops packets, too
            wrong += _odds("lost", self.sent - self.arrived, self.sent, params.lost())
            wrong += _odds("doubled", self.duplicates, self.arrived, params.duplicate)
        return wrong

    def healed(self, params: PacketsParams) -> list[str]:
        """Compare with a link on which nothing happens."""
        wrong = []
        if self.arrived < self.sent or self.duplicates or self.reordered:
            what = f"{self.duplicates} twice, {self.reordered} late"
            wrong.append(f"{self.arrived} of {self.sent} packets arrive, {what}")
        if params.delay_ms and self.fastest_ms > max(1.0, params.delay_ms - params.jitter_ms - TOLERANCE_MS):
            wrong.append(f"the fastest packet still takes {self.fastest_ms:.2f} ms, as if it were held")
        return wrong


def _odds(what: str, count: int, total: int, probability: float) -> list[str]:
    """Say where a count is none, or none that the probability explains."""
    expected = total * probability
    if not probability or (count and abs(count - expected) <= SIGMAS * math.sqrt(expected * (1 - probability)) + 1):
        return []
    return [f"{count} of {total} packets were {what}, not {expected:.0f}"]


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
        params = self._params
        size = RATE_BYTES if params.rate_kbit else TRIAL_BYTES
        count = TRIAL_PACKETS
        burst_ms = 0.0
        if params.rate_kbit:
            count = max(4, min(count, int(params.rate_kbit * 1000 * RATE_TRIAL_S / 8 / size)))
            burst_ms = (count - 1) * size * 8 / params.rate_kbit
        wait_s = (params.delay_ms + params.jitter_ms + burst_ms) / 1000 + SETTLE_S
        tallies = self._tallies()

        async def look() -> list[str]:
            await _trial(self._nodes, tallies, count, size, wait_s)
            return [
                f"{source} to {name}: {objection}"
                for (source, name), tally in tallies.items()
                for objection in tally.shaped(params, burst_ms)
            ]

        looks = await until(look, "the packets do not fare as they should", HINT)
        counts = {name: (await self._nodes[name].shaped()).links for name, hit in self._hit.items() if hit}
        return _evidence(tallies, looks) | {"counted": _sums(counts)}

    async def heal(self) -> dict[str, Any]:
        """Leave every packet of every node alone, and measure that they fare as on a good link again."""
        params = self._params
        await every((node.shape({}) for node in self._nodes.values()), "heal of the packets")
        tallies: dict[tuple[str, str], Tally] = {}

        async def look() -> list[str]:
            tallies.update(self._tallies())  # what was on its way when the heal came may still arrive
            await _trial(self._nodes, tallies, TRIAL_PACKETS, TRIAL_BYTES, SETTLE_S)
            wrong = [f"{name} has rules left" for name, node in self._nodes.items() if (await node.shaped()).rules]
            return wrong + [
                f"{source} to {name}: {objection}"
                for (source, name), tally in tallies.items()
                for objection in tally.healed(params)
            ]

        return _evidence(tallies, await until(look, "the packets are not healed", HINT))

    def _tallies(self) -> dict[tuple[str, str], Tally]:
        return {(source, name): Tally() for name, hit in self._hit.items() for source in sorted(hit)}


async def _trial(
    nodes: Mapping[str, Node], tallies: Mapping[tuple[str, str], Tally], count: int, size: int, wait_s: float
) -> None:
    """Send test packets along each link, and count in its tally how they fare."""
    receivers = {name for _, name in tallies}
    targets = {
        source: [nodes[name].ip for from_name, name in tallies if from_name == source]
        for source in {source for source, _ in tallies}
    }
    await asyncio.gather(*(nodes[name].trial_send(ips, count=count, size=size) for name, ips in targets.items()))
    await asyncio.sleep(wait_s)
    found = dict(zip(receivers, await asyncio.gather(*(nodes[name].trial() for name in receivers)), strict=True))
    for (source, name), tally in tallies.items():
        tally.add(count, found[name].get(nodes[source].ip))


def _evidence(tallies: Mapping[tuple[str, str], Tally], looks: int) -> dict[str, Any]:
    """Return what was measured on all links together."""
    every_link = tallies.values()
    medians = sorted(median for tally in every_link for median in tally.medians_ms)
    return {
        "links": len(tallies),
        "sent": sum(tally.sent for tally in every_link),
        "arrived": sum(tally.arrived for tally in every_link),
        "duplicates": sum(tally.duplicates for tally in every_link),
        "reordered": sum(tally.reordered for tally in every_link),
        "delay_ms": round(medians[len(medians) // 2], 3) if medians else None,
        "looks": looks,
    }


def _sums(counts: Mapping[str, Mapping[str, Mapping[str, int]]]) -> dict[str, int]:
    """Return what all nodes have counted, together."""
    sums: dict[str, int] = {}
    for links in counts.values():
        for figures in links.values():
            for name, count in figures.items():
                sums[name] = sums.get(name, 0) + count
    return sums
